//! RFC 1952. A message may be several members, one after the other (section 2.2).

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

/// `gzip`. Every implementation of gRPC that compresses knows it.
#[derive(Clone, Debug, Default)]
pub struct Gzip {
    /// The one that was chosen.
    level: Option<Compression>,
}

impl Gzip {
    /// With a level from 0 (stored only) to 9 (smallest), for messages of any size; 6 by default, and 1 from a MiB on. Larger
    /// numbers are 9.
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
