//! Reads pcap (draft-ietf-opsawg-pcap): a header followed by packets.
//!
//! ```text
//! file   → magic(32) version(16 16) reserved(32 32) snaplen(32) link type(32) packet*
//! packet → seconds(32) fraction(32) captured(32) original(32) bytes
//!
//! magic  → 0xa1b2c3d4 if the fraction is in microseconds, 0xa1b23c4d for nanoseconds, in the file's byte order
//! ```

use std::time::Duration;

use super::cursor::Cursor;
use super::packets::Packets;

/// Reads a file that begins with one of the magic numbers; returns `None` for other files.
pub(super) fn read(file: &[u8], packets: &mut Packets) -> Option<()> {
    let (big, nanoseconds) = match file.first_chunk()? {
        [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
        [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
        [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
        _ => return None,
    };
    let mut cursor = Cursor { rest: file, big };
    let header = cursor.take(20).and_then(|_| cursor.u32());
    // The upper half may contain the length of a checksum after each packet.
    let Some(link) = header.map(|link| link as u16) else {
        packets.cut_short("inside its header");
        return Some(());
    };
    while !cursor.rest.is_empty() {
        let Some((time, packet, original)) = packet(&mut cursor, nanoseconds) else {
            packets.cut_short("inside a packet");
            break;
        };
        packets.packet_of(link, Some(time), packet, original);
    }
    Some(())
}

fn packet<'a>(cursor: &mut Cursor<'a>, nanoseconds: bool) -> Option<(Duration, &'a [u8], usize)> {
    let (seconds, fraction) = (cursor.u32()?, cursor.u32()?);
    let (captured, original) = (cursor.length()?, cursor.length()?);
    let nanos = if nanoseconds { u64::from(fraction) } else { u64::from(fraction) * 1000 };
    let time = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos);
    Some((time, cursor.take(captured)?, original))
}
