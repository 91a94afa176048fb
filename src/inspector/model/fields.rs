//! Protocol Buffers on the wire: a message is a sequence of fields, each a tag and a value.
//!
//! ```text
//! message → (tag value)*              tag → varint of (field number << 3 | wire type)
//! value   → varint                    VARINT 0
//!         / 8 bytes                   I64 1
//!         / length(varint) bytes      LEN 2: strings, bytes, messages, packed numbers
//!         / fields up to EGROUP       SGROUP 3, EGROUP 4 (deprecated)
//!         / 4 bytes                   I32 5
//! ```
//!
//! <https://protobuf.dev/programming-guides/encoding/#structure>. This reader uses no schema: `protobuf.rs` adds names
//! to the fields, and `schema.rs` reads descriptors with it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// The encoding of a field's value; the discriminant is the number in the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// A number of one to ten bytes, seven bits in each, the lowest first.
    Varint = 0,
    /// Eight bytes, little-endian.
    I64 = 1,
    /// A length, and as many bytes.
    Len = 2,
    /// The beginning of a group.
    GroupStart = 3,
    /// The end of a group.
    GroupEnd = 4,
    /// Four bytes, little-endian.
    I32 = 5,
}

impl WireType {
    /// Returns the wire type in the lowest three bits of a tag; `None` for 6 and 7.
    pub fn from_tag(tag: u64) -> Option<Self> {
        Some(match tag & 7 {
            0 => Self::Varint,
            1 => Self::I64,
            2 => Self::Len,
            3 => Self::GroupStart,
            4 => Self::GroupEnd,
            5 => Self::I32,
            _ => return None,
        })
    }
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Varint => "VARINT",
            Self::I64 => "I64",
            Self::Len => "LEN",
            Self::GroupStart => "SGROUP",
            Self::GroupEnd => "EGROUP",
            Self::I32 => "I32",
        })
    }
}

/// One field, as read without a schema: tag, length and value follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawField<'a> {
    /// The field number, 1 to 2^29 - 1.
    pub number: u32,
    /// The place of the tag.
    pub tag: Range<usize>,
    /// The place of the length; empty unless the wire type is LEN.
    pub length: Range<usize>,
    /// The place of the value; empty for the start and the end of a group.
    pub value: Range<usize>,
    /// The value.
    pub payload: Payload<'a>,
}

/// A field's value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// VARINT.
    Varint(u64),
    /// I64.
    I64(u64),
    /// LEN.
    Len(&'a [u8]),
    /// SGROUP.
    GroupStart,
    /// EGROUP.
    GroupEnd,
    /// I32.
    I32(u32),
}

impl Payload<'_> {
    /// Returns the wire type of this value.
    pub fn wire_type(&self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::I64(_) => WireType::I64,
            Self::Len(_) => WireType::Len,
            Self::GroupStart => WireType::GroupStart,
            Self::GroupEnd => WireType::GroupEnd,
            Self::I32(_) => WireType::I32,
        }
    }
}

/// An iterator over the fields of a message; it ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    broken: bool,
}

impl<'a> Fields<'a> {
    /// Iterates over a whole message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::within(bytes, 0..bytes.len())
    }

    /// Iterates over the message at `range` of `bytes`; the ranges of its fields count from the beginning of `bytes`.
    pub fn within(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, at: range.start, end: range.end.min(bytes.len()), broken: false }
    }

    /// Returns the range not yet read and ends the iteration. After an error it begins with the invalid field.
    pub fn take_rest(&mut self) -> Range<usize> {
        let rest = self.at.min(self.end)..self.end;
        self.at = self.end;
        rest
    }

    fn field(&mut self) -> Result<RawField<'a>, FieldError> {
        let start = self.at;
        let (tag, after_tag) = varint(self.bytes, start..self.end)?;
        let number = u32::try_from(tag >> 3).unwrap_or(u32::MAX);
        if number == 0 || number >= 1 << 29 {
            return Err(FieldError::Number(tag >> 3));
        }
        let (mut length, mut value) = (after_tag..after_tag, after_tag..after_tag);
        let payload = match WireType::from_tag(tag).ok_or(FieldError::WireType(tag & 7))? {
            WireType::Varint => {
                let (number, end) = varint(self.bytes, after_tag..self.end)?;
                value.end = end;
                Payload::Varint(number)
            }
            WireType::I64 => Payload::I64(u64::from_le_bytes(self.fixed(&mut value)?)),
            WireType::Len => {
                let (declared, end) = varint(self.bytes, after_tag..self.end)?;
                length.end = end;
                let left = self.end - end;
                let size = usize::try_from(declared).ok().filter(|&size| size <= left);
                let size = size.ok_or(FieldError::Length { declared, left })?;
                value = end..end + size;
                Payload::Len(self.bytes.get(value.clone()).ok_or(FieldError::Truncated)?)
            }
            WireType::GroupStart => Payload::GroupStart,
            WireType::GroupEnd => Payload::GroupEnd,
            WireType::I32 => Payload::I32(u32::from_le_bytes(self.fixed(&mut value)?)),
        };
        self.at = value.end;
        Ok(RawField { number, tag: start..after_tag, length, value, payload })
    }

    fn fixed<const N: usize>(&self, value: &mut Range<usize>) -> Result<[u8; N], FieldError> {
        let head = self.bytes.get(value.start..self.end).and_then(|rest| rest.first_chunk());
        value.end += N;
        head.copied().ok_or(FieldError::Truncated)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<RawField<'a>, FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.at >= self.end {
            return None;
        }
        let field = self.field();
        self.broken = field.is_err();
        Some(field)
    }
}

/// Reads the varint at the beginning of `range`; returns it and the offset behind it.
pub(crate) fn varint(bytes: &[u8], range: Range<usize>) -> Result<(u64, usize), FieldError> {
    let mut value = 0;
    for (place, &byte) in bytes.get(range.clone()).unwrap_or_default().iter().take(10).enumerate() {
        if place == 9 && byte > 1 {
            return Err(FieldError::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, range.start + place + 1));
        }
    }
    Err(if range.len() >= 10 { FieldError::Varint } else { FieldError::Truncated })
}

/// A reason why bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The message ends inside a field.
    Truncated,
    /// A varint of more than 64 bits.
    Varint,
    /// A field number of 0, or over 2^29 - 1.
    Number(u64),
    /// A wire type that does not exist: 6 or 7.
    WireType(u64),
    /// A length over the bytes that remain in the message.
    Length {
        /// The declared length.
        declared: u64,
        /// The bytes that remain.
        left: usize,
    },
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the message ends inside a field"),
            Self::Varint => write!(f, "a varint of more than 64 bits"),
            Self::Number(number) => write!(f, "{number} is not a field number"),
            Self::WireType(wire_type) => write!(f, "{wire_type} is not a wire type"),
            Self::Length { declared, left } => write!(f, "length {declared} exceeds the remaining {left} bytes"),
        }
    }
}

impl Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Vec<Result<(u32, Payload<'_>), FieldError>> {
        Fields::new(bytes).map(|field| field.map(|field| (field.number, field.payload))).collect()
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        #[rustfmt::skip]
        let bytes = [
            0x08, 0x96, 0x01,
            0x11, 1, 0, 0, 0, 0, 0, 0, 0x80,
            0x1a, 2, b'h', b'i',
            0x23, 0x24,
            0x2d, 2, 0, 0, 0,
        ];
        let expected = [
            (1, Payload::Varint(150)),
            (2, Payload::I64(1 | 1 << 63)),
            (3, Payload::Len(b"hi")),
            (4, Payload::GroupStart),
            (4, Payload::GroupEnd),
            (5, Payload::I32(2)),
        ];
        assert_eq!(walk(&bytes), expected.map(Ok));
    }

    #[test]
    fn ranges_of_tag_length_and_value_tile_a_field() {
        let field = Fields::within(&[9, 9, 0x1a, 2, b'h', b'i'], 2..6).next().unwrap().unwrap();
        assert_eq!((field.tag, field.length, field.value), (2..3, 3..4, 4..6));
    }

    #[test]
    fn invalid_fields_are_errors() {
        assert_eq!(walk(&[0x08]), [Err(FieldError::Truncated)]);
        assert_eq!(walk(&[0x08, 0x80]), [Err(FieldError::Truncated)]);
        assert_eq!(walk(&[0x11, 1, 2]), [Err(FieldError::Truncated)]);
        assert_eq!(walk(&[0x2d, 1, 2, 3]), [Err(FieldError::Truncated)]);
        assert_eq!(walk(&[0x1a, 3, 1]), [Err(FieldError::Length { declared: 3, left: 1 })]);
        assert_eq!(walk(&[0x00]), [Err(FieldError::Number(0))]);
        assert_eq!(walk(&[0x0e]), [Err(FieldError::WireType(6))]);
        assert_eq!(walk(&[&[0x08][..], &[0xff; 9], &[1]].concat()), [Ok((1, Payload::Varint(u64::MAX)))]);
        assert_eq!(walk(&[&[0x08][..], &[0xff; 9], &[2]].concat()), [Err(FieldError::Varint)]);
        assert_eq!(walk(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), [Err(FieldError::Number((1 << 33) - 1))]);
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(walk(&huge), [Err(FieldError::Length { declared: u64::MAX, left: 0 })]);
    }
}
