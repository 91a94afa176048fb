//! Extracts TCP segments from captured packets: link headers, IPv4, IPv6, TCP.
//!
//! | link type | |
//! |---|---|
//! | 0, 108 | null and loopback: four bytes of address family |
//! | 1 | Ethernet, with or without VLAN tags |
//! | 12, 14, 101, 228, 229 | IP without anything before it |
//! | 113, 276 | Linux cooked capture, versions 1 and 2 |

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// An unsupported link type.
    Link,
    /// A fragment of an IP packet; fragments are not reassembled.
    Fragment,
    /// Not TCP, or truncated before its payload.
    NotTcp,
}

/// Returns the TCP segment in a packet.
pub(super) fn segment(link: u16, packet: &[u8]) -> Result<Segment<'_>, Other> {
    let ip = match link {
        0 | 108 => packet.get(4..),
        1 => packet.get(12..).and_then(ether_type),
        12 | 14 | 101 | 228 | 229 => Some(packet),
        113 => packet.get(14..).and_then(ether_type),
        276 => packet.first_chunk::<2>().filter(|kind| is_ip(**kind)).and_then(|_| packet.get(20..)),
        _ => return Err(Other::Link),
    };
    let mut cursor = Cursor::network(ip.ok_or(Other::NotTcp)?);
    let version = cursor.rest.first().map(|first| first >> 4);
    let ip = match version {
        Some(4) => ip_v4(&mut cursor)?,
        Some(6) => ip_v6(&mut cursor)?,
        _ => return Err(Other::NotTcp),
    };
    tcp(cursor, &ip).ok_or(Other::NotTcp)
}

/// Returns the IP packet after an EtherType and VLAN tags; `None` for other protocols.
fn ether_type(bytes: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::network(bytes);
    loop {
        match cursor.array()? {
            // IEEE 802.1Q, 802.1ad, and an older number for the latter.
            [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => drop(cursor.u16()?),
            kind if is_ip(kind) => return Some(cursor.rest),
            _ => return None,
        }
    }
}

fn is_ip(kind: [u8; 2]) -> bool {
    matches!(kind, [0x08, 0x00] | [0x86, 0xdd])
}

/// Two addresses, and the length of the segment.
struct Ip {
    from: IpAddr,
    to: IpAddr,
    length: usize,
}

fn ip_v4(cursor: &mut Cursor<'_>) -> Result<Ip, Other> {
    let all = cursor.rest.len();
    let header = |cursor: &mut Cursor<'_>| {
        let words = usize::from(cursor.u8()? & 0xf);
        cursor.u8()?;
        let (total, _, fragment) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
        let [_, protocol] = cursor.array()?;
        cursor.u16()?;
        let (from, to) = (cursor.array::<4>()?, cursor.array::<4>()?);
        cursor.take((words * 4).checked_sub(20)?)?;
        // Zero if the network card splits segments itself (segmentation offload).
        let total = if total == 0 { all } else { usize::from(total) };
        Some((
            protocol,
            fragment & 0x3fff,
            Ip { from: from.into(), to: to.into(), length: total.checked_sub(words * 4)? },
        ))
    };
    match header(cursor).ok_or(Other::NotTcp)? {
        (_, 1.., _) => Err(Other::Fragment),
        (6, 0, ip) => Ok(ip),
        _ => Err(Other::NotTcp),
    }
}

fn ip_v6(cursor: &mut Cursor<'_>) -> Result<Ip, Other> {
    let header = |cursor: &mut Cursor<'_>| {
        cursor.u32()?;
        let length = usize::from(cursor.u16()?);
        let [next, _] = cursor.array()?;
        let (from, to) = (cursor.array::<16>()?, cursor.array::<16>()?);
        Some((
            next,
            Ip { from: from.into(), to: to.into(), length: if length == 0 { cursor.rest.len() } else { length } },
        ))
    };
    let (mut next, mut ip) = header(cursor).ok_or(Other::NotTcp)?;
    loop {
        next = match next {
            6 => return Ok(ip),
            44 => return Err(Other::Fragment),
            // Hop-by-hop, routing and destination options: the next header, and the length in units of eight bytes,
            // minus the first.
            0 | 43 | 60 => {
                let [next, words] = cursor.array().ok_or(Other::NotTcp)?;
                let rest = 6 + usize::from(words) * 8;
                cursor.take(rest).ok_or(Other::NotTcp)?;
                ip.length = ip.length.checked_sub(rest + 2).ok_or(Other::NotTcp)?;
                next
            }
            _ => return Err(Other::NotTcp),
        };
    }
}

fn tcp<'a>(mut cursor: Cursor<'a>, ip: &Ip) -> Option<Segment<'a>> {
    let (source, target) = (cursor.u16()?, cursor.u16()?);
    let (sequence, acknowledged) = (cursor.u32()?, cursor.u32()?);
    let [offset, flags] = cursor.array()?;
    let header = usize::from(offset >> 4) * 4;
    cursor.take(6 + header.checked_sub(20)?)?;
    let length = ip.length.checked_sub(header)?;
    // An Ethernet frame may be padded.
    let bytes = cursor.rest.get(..length).unwrap_or(cursor.rest);
    Some(Segment {
        from: SocketAddr::new(ip.from, source),
        to: SocketAddr::new(ip.to, target),
        sequence,
        acknowledged: (flags & 0x10 != 0).then_some(acknowledged),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0,
        reset: flags & 0x04 != 0,
        bytes,
        missing: length - bytes.len(),
    })
}
