//! The snappy [framing format](https://github.com/google/snappy/blob/main/framing_format.txt). It has checksums and
//! marks the beginning of a stream, but not its end: a message cut between two of its chunks of 64 KiB is a valid,
//! shorter message.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;

use super::bounded;
use super::offer::Constructors;
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Snappy)];

/// The first bytes of every stream: a chunk of type 0xff with six bytes.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// `snappy`: fast, with the least compression.
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::compression::Snappy;
/// use barewire::{Compressor, Compressors, ServerOptions};
///
/// let mut options = ServerOptions::default();
/// options.compressors = Compressors::new([Arc::new(Snappy) as Arc<dyn Compressor>]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Snappy;

impl Compressor for Snappy {
    fn encoding(&self) -> Encoding {
        Encoding::Snappy
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        if message.is_empty() {
            // The encoder writes nothing for an empty message.
            out.put_slice(STREAM_IDENTIFIER);
            return Ok(());
        }
        let mut encoder = FrameEncoder::new(out.writer());
        encoder.write_all(message)?;
        encoder.into_inner().map(drop).map_err(|error| error.into_error())
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        if message.is_empty() {
            return Err(DecompressError::Corrupt("the stream identifier is missing".to_owned()));
        }
        bounded::read(FrameDecoder::new(message), out, limit)
    }
}
