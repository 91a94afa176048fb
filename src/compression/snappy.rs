//! The snappy [framing format](https://github.com/google/snappy/blob/main/framing_format.txt), which checks its data and says
//! where it begins, but not where it ends: a message cut between two of its chunks of 64 KiB is a shorter message.

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

/// What every stream begins with: a chunk of type 0xff and six bytes.
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// `snappy`: fast, and saves least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snappy;

impl Compressor for Snappy {
    fn encoding(&self) -> Encoding {
        Encoding::Snappy
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        if message.is_empty() {
            // The encoder would not even begin a stream.
            out.put_slice(STREAM_IDENTIFIER);
            return Ok(());
        }
        let mut encoder = FrameEncoder::new(out.writer());
        encoder.write_all(message)?;
        encoder.into_inner().map(drop).map_err(|error| error.into_error())
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        if message.is_empty() {
            return Err(DecompressError::Corrupt("no stream identifier".to_owned()));
        }
        bounded::read(FrameDecoder::new(message), out, limit)
    }
}
