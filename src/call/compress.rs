//! The seam for compression: what compresses and restores messages of one encoding, and the sets of them that a side has.
//!
//! compression.md: each message is compressed by itself, with a fresh context, and its flag says whether it is. The encodings
//! are those of [`Encoding`]; who implements them is no matter of the core.

use std::fmt;
use std::future::Future;
use std::num::NonZero;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::limits::INLINE_COMPRESSION;
use crate::status::{Code, Status};
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::wire::message::{PREFIX_LENGTH, encode_message};
use crate::wire::{By, ProtocolError, What};

/// Compresses messages and restores them.
pub trait Compressor: Send + Sync {
    /// The name of what it does on the wire.
    fn encoding(&self) -> Encoding;

    /// Appends `message`, compressed, to `out`.
    ///
    /// # Errors
    ///
    /// An error of the algorithm, which memory alone can cause; the message is sent uncompressed then.
    fn compress(&self, message: &[u8], out: &mut BytesMut) -> std::io::Result<()>;

    /// Appends what `message` was before it was compressed to `out`, at most `limit` bytes of it: memory may not grow with
    /// what a few bytes claim to be.
    ///
    /// # Errors
    ///
    /// [`DecompressError`].
    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError>;
}

/// Why a message can't be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// It would have more bytes than the limit.
    TooLarge,
    /// It is not of the encoding; in words.
    Corrupt(String),
}

/// The compressors that a side has, at most one for an encoding. Cheap to clone.
#[derive(Clone, Default)]
pub struct Compressors {
    all: Arc<[Arc<dyn Compressor>]>,
}

impl Compressors {
    /// None: messages are sent as they are, and a compressed one is refused.
    pub fn none() -> Compressors {
        Compressors::default()
    }

    /// These, the ones to be preferred first.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Compressor>>) -> Compressors {
        Compressors { all: all.into_iter().collect() }
    }

    /// Their encodings, and identity.
    pub fn encodings(&self) -> EncodingSet {
        self.all.iter().fold(EncodingSet::IDENTITY, |set, compressor| set.with(compressor.encoding()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one for an encoding.
    pub fn get(&self, encoding: Encoding) -> Option<&Arc<dyn Compressor>> {
        self.all.iter().find(|compressor| compressor.encoding() == encoding)
    }
}

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.encodings(), f)
    }
}

/// What all messages of a side have in common when they leave.
#[derive(Default)]
pub(crate) struct Sizes {
    /// The largest message that may be sent, in bytes, before it is compressed.
    pub(crate) limit: usize,
    /// Messages shorter than this, in bytes, are not worth compressing.
    pub(crate) min_size: usize,
    /// What there is to choose from.
    pub(crate) compressors: Compressors,
}

/// How the messages of a call leave.
pub(crate) struct Packing {
    sizes: Arc<Sizes>,
    /// What the peer takes.
    accepted: EncodingSet,
    chosen: Option<Arc<dyn Compressor>>,
}

impl Packing {
    /// Nothing chosen yet.
    pub(crate) fn new(sizes: Arc<Sizes>, accepted: EncodingSet) -> Packing {
        Packing { sizes, accepted, chosen: None }
    }

    /// Chooses an encoding if the peer takes it and this side has it; otherwise the choice stays.
    pub(crate) fn choose(&mut self, encoding: Encoding) {
        if encoding == Encoding::Identity {
            self.chosen = None;
        } else if let Some(compressor) =
            self.sizes.compressors.get(encoding).filter(|_| self.accepted.contains(encoding))
        {
            self.chosen = Some(compressor.clone());
        }
    }

    /// What to say in `grpc-encoding`.
    pub(crate) fn encoding(&self) -> Encoding {
        self.chosen.as_ref().map_or(Encoding::Identity, |compressor| compressor.encoding())
    }

    /// Appends a Length-Prefixed-Message of `length` bytes, which `payload` writes, compressed if that is chosen and `compress`
    /// does not forbid it.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED for a message over the limit; `buffer` is then as before.
    pub(crate) fn append(
        &self,
        buffer: &mut BytesMut,
        length: usize,
        compress: bool,
        payload: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Status> {
        let limit = self.sizes.limit;
        if length > limit {
            return Err(too_large(ProtocolError::MessageTooLarge { length: length as u64, limit }));
        }
        let Some(compressor) = self.compressor_for(length).filter(|_| compress) else {
            buffer.reserve(PREFIX_LENGTH + length);
            return encode_message(buffer, false, limit, payload).map_err(too_large);
        };
        let mut plain = BytesMut::with_capacity(length);
        payload(&mut plain);
        append_packed(&**compressor, &plain, limit, buffer)
    }

    /// Returns the compressor for a message of `length` bytes, if it is to be compressed.
    fn compressor_for(&self, length: usize) -> Option<&Arc<dyn Compressor>> {
        let Sizes { limit, min_size, .. } = *self.sizes;
        self.chosen.as_ref().filter(|_| length >= min_size && length <= limit)
    }

    /// Returns whether compressing a message of `length` bytes takes a worker's time, and there is a tokio runtime whose blocking
    /// pool has it: then [`Packing::pack_off_worker`] is for it, unless the call forbids that it is compressed.
    pub(crate) fn compresses_off_worker(&self, length: usize) -> bool {
        length >= INLINE_COMPRESSION && self.compressor_for(length).is_some() && Handle::try_current().is_ok()
    }

    /// Does what [`Packing::append`] does on tokio's blocking pool, for a payload that has been written, and returns the
    /// Length-Prefixed-Message. Must be polled within a tokio runtime. Where the future is dropped, a message that is being
    /// compressed is compressed to its end, and thrown away.
    ///
    /// # Errors
    ///
    /// As [`Packing::append`]; UNAVAILABLE where the runtime ends.
    pub(crate) fn pack_off_worker(
        &self,
        plain: Bytes,
    ) -> impl Future<Output = Result<BytesMut, Status>> + Send + use<> {
        let (limit, compressor) = (self.sizes.limit, self.compressor_for(plain.len()).cloned());
        off_worker(move || {
            let mut buffer = BytesMut::new();
            match compressor {
                Some(compressor) => append_packed(&*compressor, &plain, limit, &mut buffer)?,
                None => encode_message(&mut buffer, false, limit, |buffer| buffer.extend_from_slice(&plain))
                    .map_err(too_large)?,
            }
            Ok(buffer)
        })
    }
}

/// Appends a Length-Prefixed-Message with what `plain` is when it is compressed, or as it is where that fails.
fn append_packed(compressor: &dyn Compressor, plain: &[u8], limit: usize, buffer: &mut BytesMut) -> Result<(), Status> {
    let mut packed = BytesMut::new();
    let outcome = compressor.compress(plain, &mut packed);
    // A message waits in memory of its own size, however much its compressor took.
    let (compressed, payload, limit) =
        if outcome.is_ok() { (true, &*packed, usize::MAX) } else { (false, plain, limit) };
    buffer.reserve(PREFIX_LENGTH + payload.len());
    encode_message(buffer, compressed, limit, |buffer| buffer.extend_from_slice(payload)).map_err(too_large)
}

/// Runs what takes long on tokio's blocking pool, as many at once as there are cores: more would not be faster, and each holds
/// memory.
async fn off_worker<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Arc::new(Semaphore::new(cores))
    });
    // Nobody closes it.
    let turn = TURNS.clone().acquire_owned().await.ok();
    let done = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(turn);
        outcome
    });
    match done.await {
        Ok(outcome) => outcome,
        // As if it had happened here.
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(Status::new(Code::Unavailable, "the runtime ends")),
    }
}

/// The limit is this side's own.
fn too_large(error: ProtocolError) -> Status {
    Status::new(error.code(), error.to_string()).caused(By::Us, What::Protocol(error))
}

/// Restores a message that its flag says is compressed.
///
/// # Errors
///
/// INTERNAL where no encoding was named or the bytes are not of it; RESOURCE_EXHAUSTED over the limit, which holds for what
/// the message is when it is restored.
pub(crate) fn restore(compressor: Option<&Arc<dyn Compressor>>, message: &[u8], limit: usize) -> Result<Bytes, Status> {
    let compressor = compressor.ok_or(ProtocolError::CompressedWithoutEncoding)?;
    if message.is_empty() {
        // compression.md does not ask for it, but peers send an empty message so.
        return Ok(Bytes::new());
    }
    let mut restored = BytesMut::new();
    match compressor.decompress(message, limit, &mut restored) {
        Ok(()) => Ok(restored.freeze()),
        Err(DecompressError::TooLarge) => Err(ProtocolError::InflatedMessageTooLarge { limit }.into_status()),
        Err(DecompressError::Corrupt(reason)) => {
            let encoding = compressor.encoding().name();
            Err(ProtocolError::UndecodableCompression { encoding, reason }.into_status())
        }
    }
}

#[cfg(test)]
mod tests;
