//! The interface to compression algorithms: [`Compressor`] is one encoding, [`Compressors`] the set that one side supports.
//!
//! compression.md: each message is compressed independently, and a flag in its prefix says if it is compressed. The
//! encodings are those of [`Encoding`]; this module does not depend on any implementation of them.

use std::fmt;
use std::future::Future;
use std::num::NonZero;
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::watch::Watchers;
use crate::limits::INLINE_COMPRESSION;
use crate::status::{Code, Status};
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::wire::message::{PREFIX_LENGTH, encode_message};
use crate::wire::{By, ProtocolError, What};

/// Compresses and decompresses messages in one encoding.
///
/// ```
/// use std::io;
/// use std::sync::Arc;
///
/// use barewire::wire::encoding::Encoding;
/// use barewire::{ClientOptions, Compressor, Compressors, DecompressError};
/// use bytes::BytesMut;
///
/// /// Sends runs of one byte as their length and the byte.
/// struct RunLength;
///
/// impl Compressor for RunLength {
///     fn encoding(&self) -> Encoding {
///         Encoding::Snappy
///     }
///
///     fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
///         for run in message.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)) {
///             out.extend([run.len() as u8, run[0]]);
///         }
///         Ok(())
///     }
///
///     fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
///         for run in message.chunks(2) {
///             let &[length, byte] = run else { return Err(DecompressError::Corrupt("a run is cut off".into())) };
///             if out.len() + usize::from(length) > limit {
///                 return Err(DecompressError::TooLarge);
///             }
///             out.resize(out.len() + usize::from(length), byte);
///         }
///         Ok(())
///     }
/// }
///
/// let (mut packed, mut restored) = (BytesMut::new(), BytesMut::new());
/// RunLength.compress(b"aaab", &mut packed)?;
/// assert_eq!(packed[..], *b"\x03a\x01b");
/// RunLength.decompress(&packed, 100, &mut restored).unwrap();
/// assert_eq!(restored[..], *b"aaab");
/// assert_eq!(RunLength.decompress(&packed, 3, &mut BytesMut::new()), Err(DecompressError::TooLarge));
///
/// let mut options = ClientOptions::default();
/// options.compressors = Compressors::new([Arc::new(RunLength) as Arc<dyn Compressor>]);
/// assert!(options.compressors.encodings().contains(Encoding::Snappy));
/// # Ok::<(), io::Error>(())
/// ```
pub trait Compressor: Send + Sync {
    /// Returns the encoding, as named in `grpc-encoding`.
    fn encoding(&self) -> Encoding;

    /// Compresses `message` and appends the result to `out`.
    ///
    /// # Errors
    ///
    /// Returns an error if the algorithm fails, for example for lack of memory; the message is then sent uncompressed.
    fn compress(&self, message: &[u8], out: &mut BytesMut) -> std::io::Result<()>;

    /// Decompresses `message` and appends the result to `out`. Stops at `limit` bytes: a few compressed bytes must not
    /// make this side allocate without bound.
    ///
    /// # Errors
    ///
    /// Returns [`DecompressError`] if the result is larger than `limit` or `message` is corrupt.
    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError>;
}

/// The reason why a message could not be decompressed.
///
/// [`Compressor`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// The decompressed message is larger than the limit.
    TooLarge,
    /// The bytes are not valid in this encoding; holds a description of the error.
    Corrupt(String),
}

/// The compressors that a client or server supports, at most one per encoding. Cheap to clone.
///
/// ```
/// use barewire::wire::encoding::Encoding;
/// use barewire::{Compressors, ServerOptions};
///
/// // The module `compression` has a set of compressors for its features, `compression::all()`.
/// let none = ServerOptions::default().compressors;
/// assert!(none.is_empty() && none.get(Encoding::Gzip).is_none());
/// assert!(none.encodings().contains(Encoding::Identity));
/// # let _: Compressors = none;
/// ```
#[derive(Clone, Default)]
pub struct Compressors {
    all: Arc<[Arc<dyn Compressor>]>,
}

impl Compressors {
    /// Returns an empty set: messages are sent uncompressed, and compressed messages are refused.
    pub fn none() -> Compressors {
        Compressors::default()
    }

    /// Creates a set of these compressors, in order of preference, most preferred first.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Compressor>>) -> Compressors {
        Compressors { all: all.into_iter().collect() }
    }

    /// Returns the encodings of these compressors, and identity.
    pub fn encodings(&self) -> EncodingSet {
        self.all.iter().fold(EncodingSet::IDENTITY, |set, compressor| set.with(compressor.encoding()))
    }

    /// Returns true if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the compressor for an encoding.
    pub fn get(&self, encoding: Encoding) -> Option<&Arc<dyn Compressor>> {
        self.all.iter().find(|compressor| compressor.encoding() == encoding)
    }
}

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.encodings(), f)
    }
}

/// The sending limits and compressors of a client or server; the same for all its calls.
#[derive(Default)]
pub(crate) struct SendingOptions {
    /// The largest message that may be sent, in bytes, before compression.
    pub(crate) max_message_size: usize,
    /// Messages shorter than this, in bytes, are sent uncompressed.
    pub(crate) min_compress_size: usize,
    /// The compressors to choose from.
    pub(crate) compressors: Compressors,
}

/// Encodes the messages that one call sends, compressed if an encoding was chosen.
pub(crate) struct MessageEncoder {
    options: Arc<SendingOptions>,
    /// The encodings that the peer accepts.
    accepted: EncodingSet,
    chosen: Option<Arc<dyn Compressor>>,
    /// The observers of the call.
    watchers: Watchers,
}

impl MessageEncoder {
    /// Creates an encoder that does not compress yet.
    pub(crate) fn new(options: Arc<SendingOptions>, accepted: EncodingSet) -> MessageEncoder {
        MessageEncoder { options, accepted, chosen: None, watchers: Watchers::None }
    }

    /// Reports the messages to these observers.
    pub(crate) fn watch(&mut self, watchers: &Watchers) {
        self.watchers = watchers.clone();
    }

    /// Returns the observers of the call.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Chooses an encoding if the peer accepts it and this side supports it; otherwise keeps the previous choice.
    pub(crate) fn choose(&mut self, encoding: Encoding) {
        if encoding == Encoding::Identity {
            self.chosen = None;
        } else if let Some(compressor) =
            self.options.compressors.get(encoding).filter(|_| self.accepted.contains(encoding))
        {
            self.chosen = Some(compressor.clone());
        }
    }

    /// Returns the value for `grpc-encoding`.
    pub(crate) fn encoding(&self) -> Encoding {
        self.chosen.as_ref().map_or(Encoding::Identity, |compressor| compressor.encoding())
    }

    /// Appends a Length-Prefixed-Message of `length` bytes, whose payload `payload` writes. The message is compressed if an
    /// encoding is chosen and `compress` is true.
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
        let limit = self.options.max_message_size;
        if length > limit {
            return Err(too_large(ProtocolError::MessageTooLarge { length: length as u64, limit }));
        }
        let Some(compressor) = self.compressor_for(length).filter(|_| compress) else {
            buffer.reserve(PREFIX_LENGTH + length);
            encode_message(buffer, false, limit, payload).map_err(too_large)?;
            return self.watchers.sent(length, length, false);
        };
        let mut plain = BytesMut::with_capacity(length);
        payload(&mut plain);
        let before = buffer.len();
        append_packed(&**compressor, &plain, limit, buffer)?;
        was_packed(&self.watchers, length, buffer.get(before..).unwrap_or_default())
    }

    /// Returns the compressor for a message of `length` bytes, if it should be compressed.
    fn compressor_for(&self, length: usize) -> Option<&Arc<dyn Compressor>> {
        let SendingOptions { max_message_size, min_compress_size, .. } = *self.options;
        self.chosen.as_ref().filter(|_| length >= min_compress_size && length <= max_message_size)
    }

    /// Returns true if compressing a message of `length` bytes would block the worker for long, and a tokio runtime
    /// offers its blocking pool. The caller should then use [`MessageEncoder::pack_off_worker`], unless the call forbids
    /// compression.
    pub(crate) fn compresses_off_worker(&self, length: usize) -> bool {
        length >= INLINE_COMPRESSION && self.compressor_for(length).is_some() && Handle::try_current().is_ok()
    }

    /// Does the work of [`MessageEncoder::append`] on tokio's blocking pool, for a payload that is already encoded, and
    /// returns the Length-Prefixed-Message. Must be polled within a tokio runtime. If the future is dropped, a
    /// compression in progress runs to its end and its result is discarded.
    ///
    /// # Errors
    ///
    /// As [`MessageEncoder::append`]; UNAVAILABLE if the runtime shuts down.
    pub(crate) fn pack_off_worker(
        &self,
        plain: Bytes,
    ) -> impl Future<Output = Result<BytesMut, Status>> + Send + use<> {
        let (limit, compressor) = (self.options.max_message_size, self.compressor_for(plain.len()).cloned());
        let (watchers, length) = (self.watchers.clone(), plain.len());
        let packing = off_worker(move || {
            let mut buffer = BytesMut::new();
            match compressor {
                Some(compressor) => append_packed(&*compressor, &plain, limit, &mut buffer)?,
                None => encode_message(&mut buffer, false, limit, |buffer| buffer.extend_from_slice(&plain))
                    .map_err(too_large)?,
            }
            Ok(buffer)
        });
        async move {
            let packed = packing.await?;
            was_packed(&watchers, length, &packed)?;
            Ok(packed)
        }
    }
}

/// Reports a message of `length` bytes that was encoded as `packed`.
fn was_packed(watchers: &Watchers, length: usize, packed: &[u8]) -> Result<(), Status> {
    watchers.sent(length, packed.len().saturating_sub(PREFIX_LENGTH), packed.first() == Some(&1))
}

/// Appends `plain` as a Length-Prefixed-Message: compressed, or uncompressed if the compressor fails.
fn append_packed(compressor: &dyn Compressor, plain: &[u8], limit: usize, buffer: &mut BytesMut) -> Result<(), Status> {
    let mut packed = BytesMut::new();
    let outcome = compressor.compress(plain, &mut packed);
    // Copied, so that a waiting message takes memory of its own size, not the compressor's larger buffer.
    let (compressed, payload, limit) =
        if outcome.is_ok() { (true, &*packed, usize::MAX) } else { (false, plain, limit) };
    buffer.reserve(PREFIX_LENGTH + payload.len());
    encode_message(buffer, compressed, limit, |buffer| buffer.extend_from_slice(payload)).map_err(too_large)
}

/// Runs slow work on tokio's blocking pool, at most one job per core at a time: more would not be faster, and each holds
/// memory.
async fn off_worker<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Arc::new(Semaphore::new(cores))
    });
    // The semaphore is never closed, so this does not fail.
    let turn = TURNS.clone().acquire_owned().await.ok();
    let done = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(turn);
        outcome
    });
    match done.await {
        Ok(outcome) => outcome,
        // Continues the panic of the work.
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(Status::new(Code::Unavailable, "the tokio runtime is shutting down")),
    }
}

/// Returns the status for a message over this side's own limit.
fn too_large(error: ProtocolError) -> Status {
    Status::new(error.code(), error.to_string()).caused(By::Us, What::Protocol(error))
}

/// Decompresses a message that is flagged as compressed.
///
/// # Errors
///
/// INTERNAL if the peer named no encoding or the bytes are not valid in it; RESOURCE_EXHAUSTED if the decompressed
/// message is larger than `limit`.
pub(crate) fn restore(compressor: Option<&Arc<dyn Compressor>>, message: &[u8], limit: usize) -> Result<Bytes, Status> {
    let compressor = compressor.ok_or(ProtocolError::CompressedWithoutEncoding)?;
    if message.is_empty() {
        // Not in compression.md, but some peers flag an empty message as compressed.
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
