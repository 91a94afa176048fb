//! Records (RFC 8446, section 5.1; RFC 5246, section 6.2), and the handshake messages in unencrypted records.
//!
//! ```text
//! record  → type(8) version(16) length(16) fragment
//! message → type(8) length(24) body                  may span records
//! ```

use super::super::cursor::Cursor;
use super::super::recorded::Connection;
use crate::inspector::model::frame::Direction;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// The longest fragment in TLS 1.2; TLS 1.3 allows 2^14 + 256.
const LONGEST: usize = (1 << 14) + 2048;

/// A record on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) header: [u8; 5],
    pub(super) fragment: &'a [u8],
}

/// The error for bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidRecord;

impl<'a> Record<'a> {
    /// Returns the first record of the bytes and the bytes after it; `None` if more bytes are needed.
    pub(super) fn next(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, InvalidRecord> {
        let Some((&header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let [kind, major, minor, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) || major != 3 || minor > 4 || length > LONGEST {
            return Err(InvalidRecord);
        }
        Ok(rest.split_at_checked(length).map(|(fragment, rest)| (Self { kind, header, fragment }, rest)))
    }

    /// Returns the length of the whole record.
    pub(super) fn length(&self) -> u64 {
        (self.header.len() + self.fragment.len()) as u64
    }
}

/// Returns the result of `read` for the first message of a direction that it accepts. Only unencrypted messages at the
/// beginning are read.
pub(super) fn message<T>(
    connection: &Connection,
    direction: Direction,
    read: impl Fn(u8, &[u8]) -> Option<T>,
) -> Option<T> {
    let (mut pending, mut messages) = (Vec::new(), Vec::new());
    for chunk in connection.chunks.iter().filter(|chunk| chunk.direction == direction) {
        if chunk.lost > 0 {
            return None;
        }
        pending.extend_from_slice(&chunk.bytes);
        let mut rest = &pending[..];
        while let Some((record, after)) = Record::next(rest).ok()? {
            rest = after;
            match record.kind {
                HANDSHAKE => messages.extend_from_slice(record.fragment),
                // Sent after a HelloRetryRequest for middleboxes (RFC 8446, appendix D.4).
                CHANGE_CIPHER_SPEC => {}
                _ => return None,
            }
            while let Some((kind, body, length)) = first_message(&messages) {
                if let Some(said) = read(kind, body) {
                    return Some(said);
                }
                messages.drain(..length);
            }
        }
        let done = pending.len() - rest.len();
        pending.drain(..done);
    }
    None
}

/// Returns the type, the body and the whole length of the first message.
pub(super) fn first_message(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let [kind, high, middle, low] = *bytes.first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    Some((kind, bytes.get(4..length.checked_add(4)?)?, length + 4))
}

/// Reads a vector with a length of one byte, or of two.
pub(super) fn vector8<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = cursor.u8()?;
    cursor.take(length.into())
}

pub(super) fn vector16<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = cursor.u16()?;
    cursor.take(length.into())
}
