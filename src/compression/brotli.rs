//! RFC 7932. Its decoder keeps a window of what it has restored, of up to 16 MiB as the message says (section 9.1), beside
//! what it gives out; windows beyond that, an extension, are refused.

use std::io;
use std::sync::Arc;

use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::{BufMut, BytesMut};

use super::bounded::{PIECE, Restored, refuse_rest};
use super::offer::{Constructors, LARGE};
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Brotli::default())];

/// `br`: made for text that is compressed once and read often; at its default level for text that is compressed on its way.
#[derive(Clone, Debug, Default)]
pub struct Brotli {
    /// The one that was chosen.
    level: Option<u8>,
}

impl Brotli {
    /// With a level from 0 (fastest) to 11 (smallest, and hundreds of times slower), for messages of any size; 5 by default, and
    /// 1 from a MiB on. Larger numbers are 11.
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
        let mut restored = Restored::new(out, limit);
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
                BrotliResult::NeedsMoreInput => return Err(corrupt("it breaks off")),
                BrotliResult::ResultFailure => return Err(corrupt("not a brotli stream")),
            }
        }
    }
}

fn corrupt(reason: &str) -> DecompressError {
    DecompressError::Corrupt(reason.to_owned())
}

/// The smallest window, in bits, that holds all of a message: neither side needs memory for more. 10 to 22 are the sizes
/// that every encoder has.
fn window_bits(length: usize) -> i32 {
    // The last 16 bytes of a window can't be referred to.
    let bits = usize::BITS - length.saturating_add(16).leading_zeros();
    bits.clamp(10, 22).cast_signed()
}
