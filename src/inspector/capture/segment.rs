//! A segment of TCP, as packets carry it, and what else they carry.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::cursor::Cursor;

/// A segment of TCP (RFC 9293).
#[derive(Clone, Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) acknowledged: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) reset: bool,
    pub(super) bytes: &'a [u8],
    /// Bytes of the segment that the capture does not contain.
    pub(super) missing: usize,
}

/// A reason why a packet contains no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Other {
    /// An unsupported link type.
    Link,
    /// A fragment of an IP packet; fragments are not joined.
    Fragment,
    /// Ends before its payload.
    Short,
    /// A protocol that does not carry TCP.
    Plain(&'static str),
    /// Something that may carry TCP, and is not read.
    Skipped(&'static str),
    EtherType(u16),
    Protocol(u8),
}

impl Other {
    /// Returns true if the packet may carry TCP that is not read.
    pub(super) fn may_hide_tcp(self) -> bool {
        matches!(self, Self::Skipped(_) | Self::EtherType(_) | Self::Protocol(_))
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("another link type"),
            Self::Fragment => f.write_str("fragments"),
            Self::Short => f.write_str("incomplete"),
            Self::Plain(name) | Self::Skipped(name) => f.write_str(name),
            Self::EtherType(kind) => write!(f, "EtherType {kind:#06x}"),
            Self::Protocol(50) => f.write_str("IP protocol 50 (ESP)"),
            Self::Protocol(115) => f.write_str("IP protocol 115 (L2TP)"),
            Self::Protocol(132) => f.write_str("IP protocol 132 (SCTP)"),
            Self::Protocol(number) => write!(f, "IP protocol {number}"),
        }
    }
}

/// Reads a segment between these addresses, of this length.
pub(super) fn read<'a>(mut cursor: Cursor<'a>, [from, to]: [IpAddr; 2], length: usize) -> Option<Segment<'a>> {
    let (source, target) = (cursor.u16()?, cursor.u16()?);
    let (sequence, acknowledged) = (cursor.u32()?, cursor.u32()?);
    let [offset, flags] = cursor.array()?;
    let header = usize::from(offset >> 4) * 4;
    let length = length.checked_sub(header)?;
    let rest = 6 + header.checked_sub(20)?;
    // A snap length may cut the options; they are not needed.
    let bytes = cursor.rest.get(rest..).unwrap_or_default();
    // An Ethernet frame may be padded.
    let bytes = bytes.get(..length).unwrap_or(bytes);
    Some(Segment {
        from: SocketAddr::new(from, source),
        to: SocketAddr::new(to, target),
        sequence,
        acknowledged: (flags & 0x10 != 0).then_some(acknowledged),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0,
        reset: flags & 0x04 != 0,
        bytes,
        missing: length - bytes.len(),
    })
}
