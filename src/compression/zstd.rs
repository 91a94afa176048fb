//! RFC 8878. A message is decompressed in one step into a buffer of the right size, so that its window, which a message
//! may declare with up to gigabytes, needs no memory of its own. Several frames may follow each other (section 3.1).

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall;
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name, get_frame_content_size, is_error_kind};

use super::offer::Constructors;
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

pub(super) const ALL: Constructors<1> = [|| Arc::new(Zstd::default())];

/// The smallest buffer to try, in bytes, for a message that does not declare its size.
const FIRST_TRY: usize = 4 << 10;

/// `zstd`: compresses better than gzip in less time.
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::compression::Zstd;
/// use barewire::{Compressor, Compressors, ServerOptions};
///
/// let mut options = ServerOptions::default();
/// options.compressors = Compressors::new([Arc::new(Zstd::with_level(1)) as Arc<dyn Compressor>]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Zstd {
    /// The level; 0 is zstd's own default.
    level: i32,
}

impl Zstd {
    /// Returns a compressor with a level from 1 to 22 (smallest), or a negative one (faster still); the default is 3.
    pub fn with_level(level: i32) -> Zstd {
        Zstd { level }
    }
}

impl Compressor for Zstd {
    fn encoding(&self) -> Encoding {
        Encoding::Zstd
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        let start = out.len();
        out.resize(start + compress_bound(message.len()), 0);
        let written = CCtx::create().compress(&mut out[start..], message, self.level);
        out.truncate(start + written.unwrap_or(0));
        written.map(drop).map_err(|code| io::Error::other(get_error_name(code)))
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        if message.is_empty() {
            return Err(DecompressError::Corrupt("no frame".to_owned()));
        }
        let declared = get_frame_content_size(message).ok().flatten();
        let declared = declared.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        if declared.is_some_and(|size| size > limit) {
            return Err(DecompressError::TooLarge);
        }
        let mut room = declared.unwrap_or(FIRST_TRY.max(message.len().saturating_mul(4))).min(limit);
        let mut context = DCtx::create();
        let start = out.len();
        loop {
            out.resize(start + room, 0);
            let written = context.decompress(&mut out[start..], message);
            out.truncate(start + written.unwrap_or(0));
            match written {
                Ok(_) => return Ok(()),
                Err(code) if !is_error_kind(code, ZSTD_error_dstSize_tooSmall) => {
                    return Err(DecompressError::Corrupt(get_error_name(code).to_owned()));
                }
                Err(_) if room == limit => return Err(DecompressError::TooLarge),
                Err(_) => room = room.saturating_mul(4).clamp(FIRST_TRY, usize::MAX).min(limit),
            }
        }
    }
}
