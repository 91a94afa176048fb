//! RFC 1952. A message may consist of several members (section 2.2).

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::bounded;
use super::offer::{Constructors, LARGE};
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Gzip::default())];

/// `gzip`, which every gRPC implementation with compression supports.
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::compression::Gzip;
/// use barewire::{Compressor, Compressors, ServerOptions};
///
/// let mut options = ServerOptions::default();
/// options.compressors = Compressors::new([Arc::new(Gzip::with_level(1)) as Arc<dyn Compressor>]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gzip {
    /// The chosen level.
    level: Option<Compression>,
}

impl Gzip {
    /// Returns a compressor with a level from 0 (stored only) to 9 (smallest), for messages of any size. The default is
    /// 6, and 1 from a MiB on. Larger numbers count as 9.
    pub fn with_level(level: u32) -> Gzip {
        Gzip { level: Some(Compression::new(level.min(9))) }
    }

    fn level(&self, length: usize) -> Compression {
        self.level.unwrap_or(if length < LARGE { Compression::default() } else { Compression::fast() })
    }
}

impl Compressor for Gzip {
    fn encoding(&self) -> Encoding {
        Encoding::Gzip
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let mut encoder = GzEncoder::new(out.writer(), self.level(message.len()));
        encoder.write_all(message)?;
        encoder.finish().map(drop)
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        bounded::read(MultiGzDecoder::new(message), out, limit)
    }
}
