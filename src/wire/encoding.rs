//! Names of message encodings, and sets of them.
//!
//! ```text
//! Message-Encoding        → "grpc-encoding" Content-Coding
//! Content-Coding          → "identity" / "gzip" / "deflate" / "snappy" / {custom}
//! Message-Accept-Encoding → "grpc-accept-encoding" Content-Coding *("," Content-Coding)
//! ```
//!
//! PROTOCOL-HTTP2.md, "Requests"; compression.md. `zstd` and `br` are custom names that peers agree on. Called by
//! [`super::request`] and [`super::response`].

use std::fmt;

/// The compression of the messages of one direction whose compressed flag is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// No compression.
    #[default]
    Identity = 0,
    /// RFC 1952.
    Gzip = 1,
    /// The zlib format of RFC 1950.
    Deflate = 2,
    /// The snappy framing format.
    Snappy = 3,
    /// RFC 8878.
    Zstd = 4,
    /// RFC 7932.
    Brotli = 5,
}

const NAMES: [(Encoding, &str); 6] = [
    (Encoding::Identity, "identity"),
    (Encoding::Gzip, "gzip"),
    (Encoding::Deflate, "deflate"),
    (Encoding::Snappy, "snappy"),
    (Encoding::Zstd, "zstd"),
    (Encoding::Brotli, "br"),
];

impl Encoding {
    /// Returns the name on the wire.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).map_or("identity", |(_, name)| name)
    }

    /// Returns the encoding with this name; ignores case (RFC 9110 section 8.4.1).
    pub fn from_name(name: &[u8]) -> Option<Encoding> {
        NAMES.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(encoding, _)| *encoding)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of encodings; [`Encoding::Identity`] is always in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncodingSet(u8);

impl EncodingSet {
    /// The set of identity alone.
    pub const IDENTITY: EncodingSet = EncodingSet(1);

    /// Returns the set with `encoding` added.
    #[must_use]
    pub const fn with(self, encoding: Encoding) -> EncodingSet {
        EncodingSet(self.0 | 1 << encoding as u8)
    }

    /// Tells whether the encoding is in the set.
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & (1 << encoding as u8) != 0
    }

    /// Returns the set with the encodings of a `grpc-accept-encoding` field line added: separated by commas, in any order, with
    /// or without spaces. Ignores unknown names.
    #[must_use]
    pub fn with_list(self, line: &[u8]) -> EncodingSet {
        line.split(|byte| *byte == b',')
            .filter_map(|name| Encoding::from_name(name.trim_ascii()))
            .fold(self, EncodingSet::with)
    }

    /// Returns the value of `grpc-accept-encoding` for this set: `identity`, or `identity,gzip` and so on.
    pub fn to_list(self) -> String {
        let names: Vec<&str> =
            NAMES.iter().filter(|(encoding, _)| self.contains(*encoding)).map(|(_, name)| *name).collect();
        names.join(",")
    }
}

impl Default for EncodingSet {
    fn default() -> Self {
        EncodingSet::IDENTITY
    }
}

impl fmt::Debug for EncodingSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_list())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_names_round_trip() {
        for (position, (encoding, name)) in NAMES.iter().enumerate() {
            assert_eq!(*encoding as usize, position);
            assert_eq!(encoding.name(), *name);
            assert_eq!(Encoding::from_name(name.to_ascii_uppercase().as_bytes()), Some(*encoding));
        }
        assert_eq!(Encoding::from_name(b"lzma"), None);
    }

    #[test]
    fn encoding_list_ignores_order_spaces_and_unknown_names() {
        let set = EncodingSet::default().with_list(b" zstd ,gzip,, lzma").with_list(b"br");
        assert_eq!(set.to_list(), "identity,gzip,zstd,br");
        assert!(!set.contains(Encoding::Deflate));
        assert_eq!(EncodingSet::default().with_list(b"").to_list(), "identity");
    }
}
