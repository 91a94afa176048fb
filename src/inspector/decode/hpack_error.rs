//! Errors in header blocks.

use std::error::Error;
use std::fmt;

/// A reason why a header block could not be decoded. Each of these ends a connection with COMPRESSION_ERROR (RFC 9113,
/// section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside an instruction.
    Truncated,
    /// An integer over 2^32 - 1, or encoded in too many octets.
    Integer,
    /// Index 0 in an indexed field (section 6.1).
    IndexZero,
    /// An index beyond both tables (section 2.3.3).
    Index {
        /// The index.
        index: usize,
        /// The entries of both tables together.
        entries: usize,
    },
    /// A table size over the limit of the other side (section 6.3).
    TableSize {
        /// The size in the update.
        size: usize,
        /// The allowed maximum.
        allowed: usize,
    },
    /// A Huffman-coded string contains the end-of-string symbol (section 5.2).
    HuffmanEos,
    /// A Huffman-coded string is padded with more than seven bits, or not with ones (section 5.2).
    HuffmanPadding,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the header block ends inside an instruction"),
            Self::Integer => write!(f, "an integer exceeds 4294967295"),
            Self::IndexZero => write!(f, "index 0 is not allowed"),
            Self::Index { index, entries } => write!(f, "index {index} is beyond the {entries} entries of both tables"),
            Self::TableSize { size, allowed } => {
                write!(f, "the dynamic table size {size} exceeds the limit of {allowed}")
            }
            Self::HuffmanEos => write!(f, "a Huffman-coded string contains the end-of-string symbol"),
            Self::HuffmanPadding => write!(f, "the padding of a Huffman-coded string must be at most seven ones"),
        }
    }
}

impl Error for HpackError {}
