//! RFC 7932. The decoder keeps a window of its output, with up to 16 MiB as declared in the message (section 9.1), in
//! addition to the output. Larger windows, an extension, are refused.

use std::io;
use std::sync::Arc;

use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::{BufMut, BytesMut};

use super::bounded::{BoundedOutput, PIECE, refuse_rest};
use super::offer::{Constructors, LARGE};
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Brotli::default())];

/// `br`: designed for text that is compressed once and read often. The default level suits text that is compressed for
/// each transfer.
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::compression::Brotli;
/// use barewire::{Compressor, Compressors, ServerOptions};
///
/// let mut options = ServerOptions::default();
/// options.compressors = Compressors::new([Arc::new(Brotli::with_level(1)) as Arc<dyn Compressor>]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Brotli {
    /// The chosen level.
    level: Option<u8>,
}

impl Brotli {
    /// Returns a compressor with a level from 0 (fastest) to 11 (smallest, and hundreds of times slower), for messages
    /// of any size. The default is 5, and 1 from a MiB on. Larger numbers count as 11.
    pub fn with_level(level: u8) -> Brotli {
        Brotli { level: Some(level.min(11)) }
    }

    fn level(&self, length: usize) -> u8 {
        self.level.unwrap_or(if length < LARGE { 5 } else { 1 })
    }
}

impl Compressor for Brotli {
    fn encoding(&self) -> Encoding {
        Encoding::Brotli
    }

    fn compress(&self, mut message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let parameters = BrotliEncoderParams {
            quality: self.level(message.len()).into(),
            lgwin: window_bits(message.len()),
            size_hint: message.len(),
            ..BrotliEncoderParams::default()
        };
        brotli::BrotliCompress(&mut message, &mut out.writer(), &parameters).map(drop)
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        let memory = StandardAlloc::default;
        let mut state = BrotliState::new_strict(memory(), memory(), memory());
        let mut restored = BoundedOutput::new(out, limit);
        let mut buffer = [0; PIECE];
        let (mut unread, mut read, mut total) = (message.len(), 0, 0);
        loop {
            let buffer = &mut buffer[..restored.piece()];
            let (mut room, mut written) = (buffer.len(), 0);
            let result = BrotliDecompressStream(
                &mut unread,
                &mut read,
                message,
                &mut room,
                &mut written,
                buffer,
                &mut total,
                &mut state,
            );
            restored.push(&buffer[..written])?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultSuccess => return refuse_rest(&message[read..]),
                BrotliResult::NeedsMoreInput => return Err(corrupt("the stream is truncated")),
                BrotliResult::ResultFailure => return Err(corrupt("not a brotli stream")),
            }
        }
    }
}

fn corrupt(reason: &str) -> DecompressError {
    DecompressError::Corrupt(reason.to_owned())
}

/// Returns the smallest window, in bits, that holds the whole message, so that neither side needs more memory. Every
/// encoder supports 10 to 22 bits.
fn window_bits(length: usize) -> i32 {
    // The last 16 bytes of a window can't be referenced.
    let bits = usize::BITS - length.saturating_add(16).leading_zeros();
    bits.clamp(10, 22).cast_signed()
}
