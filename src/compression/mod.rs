//! Message compressors based on external libraries. Each has a feature of its name; the feature `compression` enables all of
//! them, and is off by default.
//!
//! | feature | on the wire | format | library |
//! |---|---|---|---|
//! | `gzip` | `gzip` | RFC 1952 | flate2 over zlib-rs |
//! | `deflate` | `deflate` | the zlib format, RFC 1950 | flate2 over zlib-rs |
//! | `zstd` | `zstd` | RFC 8878 | zstd, the reference implementation in C |
//! | `brotli` | `br` | RFC 7932 | brotli |
//! | `snappy` | `snappy` | the [framing format](https://github.com/google/snappy/blob/main/framing_format.txt) | snap |
//!
//! <https://github.com/grpc/grpc/blob/master/doc/compression.md>: every message is compressed on its own, without state
//! from earlier messages. The decompressed size is bounded: a decompressor stops at the limit, whatever size the
//! message declares. A message that is truncated, or followed by other bytes, is corrupt.
//!
//! Unless a level was chosen, messages of a MiB and more use a faster level than small ones. Milliseconds for a MiB of
//! zeros, of random bytes, and of half random text, in a release build on a shared x86-64 machine:
//!
//! | | below a MiB | from a MiB on |
//! |---|---|---|
//! | brotli | level 5: 40, 109, 97 | level 1: 4, 28, 27 |
//! | gzip, deflate | level 6: 1, 40, 41 | level 1: 0.3, 23, 5 |
//! | zstd | level 3: 1, 2, 8 | the same |
//! | snappy | 0.3, 1, 3 | the same |
//!
//! ```
//! use barewire::wire::encoding::Encoding;
//! use barewire::{ClientOptions, ServerOptions, compression};
//!
//! let mut server = ServerOptions::default();
//! server.compressors = compression::all();
//! server.encoding = Some(Encoding::Gzip); // for responses, if the client accepts it
//! server.limits.min_compress_size = 1024;
//!
//! let mut client = ClientOptions::default();
//! client.compressors = compression::all();
//! ```

#[cfg(any(feature = "gzip", feature = "deflate", feature = "brotli", feature = "snappy"))]
#[allow(dead_code)] // Each algorithm uses its share.
mod bounded;

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(not(feature = "brotli"))]
mod brotli {
    pub(super) const ALL: super::offer::Constructors<0> = [];
}
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
mod deflate {
    pub(super) const ALL: super::offer::Constructors<0> = [];
}
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
mod gzip {
    pub(super) const ALL: super::offer::Constructors<0> = [];
}
mod offer;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(not(feature = "snappy"))]
mod snappy {
    pub(super) const ALL: super::offer::Constructors<0> = [];
}
#[cfg(feature = "zstd")]
mod zstd;
#[cfg(not(feature = "zstd"))]
mod zstd {
    pub(super) const ALL: super::offer::Constructors<0> = [];
}

#[cfg(test)]
mod tests;

#[cfg(feature = "brotli")]
pub use self::brotli::Brotli;
#[cfg(feature = "deflate")]
pub use self::deflate::Deflate;
#[cfg(feature = "gzip")]
pub use self::gzip::Gzip;
pub use self::offer::LARGE;
#[cfg(feature = "snappy")]
pub use self::snappy::Snappy;
#[cfg(feature = "zstd")]
pub use self::zstd::Zstd;

use crate::call::Compressors;

/// Returns all compiled-in compressors, each with its default level.
///
/// ```
/// let mut options = barewire::ClientOptions::default();
/// options.compressors = barewire::compression::all();
/// assert!(!options.compressors.is_empty());
/// ```
pub fn all() -> Compressors {
    let all = zstd::ALL.iter().chain(&gzip::ALL).chain(&brotli::ALL).chain(&deflate::ALL).chain(&snappy::ALL);
    Compressors::new(all.map(|construct| construct()))
}
