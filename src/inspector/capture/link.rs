//! Finds the TCP segments of captured packets: link headers, tunnels, IPv4 and IPv6.
//!
//! | link type | |
//! |---|---|
//! | 0, 108 | null and loopback: four bytes of address family |
//! | 1 | Ethernet |
//! | 9, 50, 51 | PPP, PPP in HDLC, PPPoE |
//! | 12, 14, 101, 228, 229 | IP without anything before it |
//! | 104 | Cisco HDLC |
//! | 113, 276 | Linux cooked capture, versions 1 and 2 |
//! | 219 | MPLS |
//!
//! | tunnels, by | |
//! |---|---|
//! | EtherType | VLAN tags (802.1Q, 802.1ad), MPLS, PPPoE sessions, SNAP, VN-Tag |
//! | IP protocol | IP in IP, 6in4, GRE (RFC 2784, RFC 2890), PPTP's GRE (RFC 2637), ERSPAN, MPLS, AH |
//! | UDP port | VXLAN (RFC 7348) at 4789 and 8472, VXLAN-GPE at 4790, GENEVE (RFC 8926) at 6081, GRE (RFC 8086) at 4754, MPLS (RFC 7510) at 6635, Teredo (RFC 4380) at 3544 |
//! | MPLS | IP, or Ethernet with or without a control word (RFC 4448) |
//!
//! Anything else is returned by its name, so that a note can tell what was not read.

use std::net::IpAddr;

use super::cursor::Cursor;
use super::segment::{self, Other, Segment};

type Found<'a> = Result<Segment<'a>, Other>;

/// Returns the TCP segment in a packet.
pub(super) fn read(link: u16, packet: &[u8]) -> Found<'_> {
    let mut cursor = Cursor::network(packet);
    let depth = DEEPEST;
    let (skip, kind_at_start) = match link {
        0 | 108 => (4, false),
        1 => return ethernet(packet, depth),
        9 | 50 => return ppp(cursor, depth),
        12 | 14 | 101 | 228 | 229 => (0, false),
        51 => (6, false),
        104 => (2, false),
        113 => (14, false),
        219 => return mpls(cursor, depth),
        276 => (20, true),
        _ => return Err(Other::Link),
    };
    let kind = if kind_at_start { packet.first_chunk().map(|kind| u16::from_be_bytes(*kind)) } else { None };
    cursor.take(skip).ok_or(Other::Short)?;
    match link {
        51 => ppp(cursor, depth),
        104 | 113 => {
            let kind = cursor.u16().ok_or(Other::Short)?;
            ether(kind, cursor, depth)
        }
        276 => ether(kind.ok_or(Other::Short)?, cursor, depth),
        _ => ip(cursor, depth),
    }
}

/// Two addresses, the protocol behind the header, and the length of its packet.
struct Ip {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    length: usize,
}

/// Reads an IP packet, and the tunnel in it if it is one.
fn ip(mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    let mut ip = match cursor.rest.first().ok_or(Other::Short)? >> 4 {
        4 => ip_v4(&mut cursor)?,
        6 => ip_v6(&mut cursor).ok_or(Other::Short)?,
        _ => return Err(Other::Plain("not IP")),
    };
    loop {
        // The length of an extension header, which has the next protocol in its first byte.
        let length = match ip.protocol {
            6 => return segment::read(cursor, [ip.from, ip.to], ip.length).ok_or(Other::Short),
            17 => return udp(cursor, depth),
            4 => return ether(0x0800, cursor, depth),
            41 => return ether(0x86dd, cursor, depth),
            47 => return gre(cursor, depth),
            137 => return ether(0x8847, cursor, depth),
            // Hop-by-hop, routing and destination options, mobility: in units of eight bytes, minus the first.
            0 | 43 | 60 | 135 if ip.from.is_ipv6() => 8 * (usize::from(second(&cursor)?) + 1),
            // A fragment that is the whole packet (RFC 6946).
            44 if ip.from.is_ipv6() => match cursor.rest.get(2..4).ok_or(Other::Short)? {
                [0, low] if low & 0xf9 == 0 => 8,
                _ => return Err(Other::Fragment),
            },
            // Authentication, in units of four bytes, minus two.
            51 => 4 * (usize::from(second(&cursor)?) + 2),
            1 | 58 => return Err(Other::Plain("ICMP")),
            2 => return Err(Other::Plain("IGMP")),
            59 => return Err(Other::Plain("IPv6 without a payload")),
            89 => return Err(Other::Plain("OSPF")),
            103 => return Err(Other::Plain("PIM")),
            112 => return Err(Other::Plain("VRRP")),
            other => return Err(Other::Protocol(other)),
        };
        ip.protocol = *cursor.take(length).and_then(<[u8]>::first).ok_or(Other::Short)?;
        ip.length = ip.length.checked_sub(length).ok_or(Other::Short)?;
    }
}

fn second(cursor: &Cursor<'_>) -> Result<u8, Other> {
    cursor.rest.get(1).copied().ok_or(Other::Short)
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
        let length = total.checked_sub(words * 4)?;
        Some((fragment & 0x3fff, Ip { from: from.into(), to: to.into(), protocol, length }))
    };
    match header(cursor).ok_or(Other::Short)? {
        (0, ip) => Ok(ip),
        _ => Err(Other::Fragment),
    }
}

fn ip_v6(cursor: &mut Cursor<'_>) -> Option<Ip> {
    cursor.u32()?;
    let length = usize::from(cursor.u16()?);
    let [protocol, _] = cursor.array()?;
    let (from, to) = (cursor.array::<16>()?, cursor.array::<16>()?);
    let length = if length == 0 { cursor.rest.len() } else { length };
    Some(Ip { from: from.into(), to: to.into(), protocol, length })
}

/// The most layers within each other.
const DEEPEST: usize = 12;

/// Reads an Ethernet frame.
fn ethernet(frame: &[u8], depth: usize) -> Found<'_> {
    let mut cursor = Cursor::network(frame.get(12..).ok_or(Other::Short)?);
    let kind = cursor.u16().ok_or(Other::Short)?;
    ether(kind, cursor, depth)
}

/// Reads what an EtherType announces.
fn ether(kind: u16, mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    let depth = depth.checked_sub(1).ok_or(Other::Skipped("tunnels within tunnels"))?;
    let skip = match kind {
        0x0800 | 0x86dd => return ip(cursor, depth),
        // A length: LLC, perhaps with SNAP.
        ..0x0600 => match cursor.take(6).ok_or(Other::Short)? {
            [0xaa, 0xaa, 0x03, 0, 0, 0] => 0,
            _ => return Err(Other::Skipped("LLC")),
        },
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => 2,
        0x8926 => 4,
        0x8847 | 0x8848 => return mpls(cursor, depth),
        0x8864 => {
            cursor.take(6).ok_or(Other::Short)?;
            return ppp(cursor, depth);
        }
        0x880b => return ppp(cursor, depth),
        0x6558 => return ethernet(cursor.rest, depth),
        0x0806 => return Err(Other::Plain("ARP")),
        0x8863 => return Err(Other::Plain("PPPoE discovery")),
        0x88cc => return Err(Other::Plain("LLDP")),
        0x88e5 => return Err(Other::Skipped("MACsec")),
        0x894f => return Err(Other::Skipped("NSH")),
        kind => return Err(Other::EtherType(kind)),
    };
    cursor.take(skip).ok_or(Other::Short)?;
    let kind = cursor.u16().ok_or(Other::Short)?;
    ether(kind, cursor, depth)
}

/// Reads a packet of PPP, with or without its address and control fields.
fn ppp(mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    if cursor.rest.starts_with(&[0xff, 0x03]) {
        cursor.take(2);
    }
    // An odd first byte is the whole protocol (RFC 1661, section 6.5).
    let first = cursor.u8().ok_or(Other::Short)?;
    let protocol = match first % 2 {
        0 => u16::from(first) << 8 | u16::from(cursor.u8().ok_or(Other::Short)?),
        _ => first.into(),
    };
    match protocol {
        0x0021 => ether(0x0800, cursor, depth),
        0x0057 => ether(0x86dd, cursor, depth),
        0x0281 => ether(0x8847, cursor, depth),
        0x00fd | 0x00fb => Err(Other::Skipped("compressed PPP")),
        0x0053 => Err(Other::Skipped("encrypted PPP")),
        0x003d => Err(Other::Skipped("multilink PPP")),
        _ => Err(Other::Plain("PPP control")),
    }
}

/// Reads a packet behind a stack of labels.
fn mpls(mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    loop {
        let [_, _, bottom, _] = cursor.array::<4>().ok_or(Other::Short)?;
        if bottom & 1 == 1 {
            break;
        }
    }
    match cursor.rest.first().ok_or(Other::Short)? >> 4 {
        4 | 6 => ip(cursor, depth),
        // A control word, or an address that begins like one.
        0 => match cursor.rest.get(4..).map(|frame| ethernet(frame, depth)) {
            Some(Err(Other::EtherType(_) | Other::Skipped("LLC"))) | None => ethernet(cursor.rest, depth),
            Some(found) => found,
        },
        _ => ethernet(cursor.rest, depth),
    }
}

/// Reads a packet of GRE.
fn gre(mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGED: u16 = 0x0080;
    let (flags, kind) = (cursor.u16().ok_or(Other::Short)?, cursor.u16().ok_or(Other::Short)?);
    let version = flags & 7;
    if version > 1 || flags & ROUTING != 0 {
        return Err(Other::Skipped("GRE of another version, or with routing"));
    }
    let fields = [CHECKSUM, KEY, SEQUENCE, if version == 1 { ACKNOWLEDGED } else { 0 }];
    for _ in fields.iter().filter(|flag| flags & **flag != 0) {
        cursor.u32().ok_or(Other::Short)?;
    }
    match kind {
        // ERSPAN of type I has no header, and no sequence number in GRE; type III has two more words.
        0x88be if flags & SEQUENCE != 0 => drop(cursor.take(8).ok_or(Other::Short)?),
        0x88be => {}
        0x22eb => {
            let header = cursor.take(12).ok_or(Other::Short)?;
            if header.last().is_some_and(|last| last & 1 == 1) {
                cursor.take(8).ok_or(Other::Short)?;
            }
        }
        // An acknowledgement alone.
        _ if version == 1 && flags & SEQUENCE == 0 => return Err(Other::Plain("GRE control")),
        kind => return ether(kind, cursor, depth),
    }
    ethernet(cursor.rest, depth)
}

/// Reads what a UDP datagram carries, if it is a tunnel.
fn udp(mut cursor: Cursor<'_>, depth: usize) -> Found<'_> {
    let (source, target) = (cursor.u16().ok_or(Other::Short)?, cursor.u16().ok_or(Other::Short)?);
    cursor.take(4).ok_or(Other::Short)?;
    match target {
        4789 | 8472 => {
            let [flags, _, _, _, _, _, _, _] = cursor.array::<8>().ok_or(Other::Short)?;
            if flags & 0x08 != 0 { ethernet(cursor.rest, depth) } else { Err(Other::Plain("UDP")) }
        }
        4790 => {
            let [_, _, _, next, _, _, _, _] = cursor.array::<8>().ok_or(Other::Short)?;
            match next {
                1 => ether(0x0800, cursor, depth),
                2 => ether(0x86dd, cursor, depth),
                3 => ethernet(cursor.rest, depth),
                5 => ether(0x8847, cursor, depth),
                _ => Err(Other::Skipped("VXLAN-GPE with another protocol")),
            }
        }
        6081 => {
            let [options, _, high, low, _, _, _, _] = cursor.array::<8>().ok_or(Other::Short)?;
            cursor.take(usize::from(options & 0x3f) * 4).ok_or(Other::Short)?;
            ether(u16::from_be_bytes([high, low]), cursor, depth)
        }
        4754 => gre(cursor, depth),
        6635 => mpls(cursor, depth),
        _ if source == 3544 || target == 3544 => match cursor.rest.first().map(|first| first >> 4) {
            Some(6) => ether(0x86dd, cursor, depth),
            _ => Err(Other::Plain("UDP")),
        },
        2152 => Err(Other::Skipped("GTP-U")),
        1701 => Err(Other::Skipped("L2TP")),
        4500 => Err(Other::Skipped("ESP in UDP")),
        51820 => Err(Other::Skipped("WireGuard")),
        _ => Err(Other::Plain("UDP")),
    }
}
