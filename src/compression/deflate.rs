//! The zlib format of RFC 1950, which HTTP and gRPC call `deflate` (RFC 9110 section 8.4.1.2). The raw stream of RFC
//! 1951 is not supported.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::bounded;
use super::offer::{Constructors, LARGE};
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Deflate::default())];

/// `deflate`: the compression of `gzip` with a shorter header.
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::compression::Deflate;
/// use barewire::{Compressor, Compressors, ServerOptions};
///
/// let mut options = ServerOptions::default();
/// options.compressors = Compressors::new([Arc::new(Deflate::with_level(1)) as Arc<dyn Compressor>]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Deflate {
    /// The chosen level.
    level: Option<Compression>,
}

impl Deflate {
    /// Returns a compressor with a level from 0 (stored only) to 9 (smallest), for messages of any size. The default is
    /// 6, and 1 from a MiB on. Larger numbers count as 9.
    pub fn with_level(level: u32) -> Deflate {
        Deflate { level: Some(Compression::new(level.min(9))) }
    }

    fn level(&self, length: usize) -> Compression {
        self.level.unwrap_or(if length < LARGE { Compression::default() } else { Compression::fast() })
    }
}

impl Compressor for Deflate {
    fn encoding(&self) -> Encoding {
        Encoding::Deflate
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let mut encoder = ZlibEncoder::new(out.writer(), self.level(message.len()));
        encoder.write_all(message)?;
        encoder.finish().map(drop)
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        let mut decoder = ZlibDecoder::new(message);
        bounded::read(&mut decoder, out, limit)?;
        bounded::refuse_rest(decoder.into_inner())
    }
}
