//! Reads pcapng (draft-ietf-opsawg-pcapng): a sequence of blocks, some of which contain packets.
//!
//! ```text
//! block → type(32) length(32) body, padded to 32 bits, length(32) again
//!
//! Section Header           0x0a0d0d0a  magic 0x1a2b3c4d in the section's byte order
//! Interface Description    1           link type(16) reserved(16) snap length(32) options
//! Packet (obsolete)        2           interface(16) drops(16) time(64) captured(32) original(32) packet
//! Simple Packet            3           original(32) packet, on the first interface, without a time
//! Interface Statistics     5           interface(32) time(64) options, of which a comment is shown
//! Enhanced Packet          6           interface(32) time(64) captured(32) original(32) packet, options
//! Decryption Secrets       10          type(32) length(32) secrets: 0x544c534b is a key log of TLS
//! ```

use std::time::Duration;

use super::cursor::Cursor;
use super::packets::Packets;
use super::tls::KeyLog;
use crate::inspector::model::text;

const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The type of secrets that are a key log of TLS, "TLSK".
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// An interface of the capture.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    snap: usize,
    /// The units per second, and the seconds to add.
    units: u64,
    offset: u64,
}

/// Reads a file that begins with a section header; returns `None` for other files.
pub(super) fn read(file: &[u8], packets: &mut Packets, keys: &mut KeyLog) -> Option<()> {
    if !file.starts_with(&SECTION) {
        return None;
    }
    let mut cursor = Cursor::network(file);
    let mut interfaces = Vec::new();
    while !cursor.rest.is_empty() {
        if cursor.rest.starts_with(&SECTION) {
            match cursor.rest.get(8..12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => cursor.big = true,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => cursor.big = false,
                _ => {
                    packets.cut_short("inside a section's header");
                    break;
                }
            }
            interfaces.clear();
        }
        let Some((kind, body)) = block(&mut cursor) else {
            packets.cut_short("inside a block");
            break;
        };
        let body = Cursor { rest: body, big: cursor.big };
        match kind {
            1 => interfaces.extend(interface(body)),
            2 | 3 | 6 if packet(kind, body, &interfaces, packets).is_none() => {
                packets.note("a packet in a malformed block was skipped");
            }
            5 => {
                if let Some(comment) = comment(body) {
                    packets.note(&comment);
                }
            }
            10 if secrets(body, keys).is_none() => {
                packets.note("a secrets block that is not a TLS key log was skipped");
            }
            _ => {}
        }
    }
    Some(())
}

/// Returns the type and the body of the next block.
fn block<'a>(cursor: &mut Cursor<'a>) -> Option<(u32, &'a [u8])> {
    let (kind, length) = (cursor.u32()?, cursor.length()?);
    let body = cursor.take(length.checked_sub(12)?)?;
    // Lengths are multiples of four; reading stops at any other length.
    (length % 4 == 0 && cursor.length()? == length).then_some((kind, body))
}

fn interface(mut body: Cursor<'_>) -> Option<Interface> {
    let (link, _, snap) = (body.u16()?, body.u16()?, body.length()?);
    let mut interface = Interface { link, snap, units: 1_000_000, offset: 0 };
    while let (Some(code), Some(length)) = (body.u16(), body.u16()) {
        let padded = usize::from(length).next_multiple_of(4);
        let Some(value) = body.take(padded) else { break };
        match (code, value) {
            (0, _) => break,
            // A power of ten, or of two if the highest bit is set.
            (9, &[resolution, ..]) => {
                let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
                interface.units = base.checked_pow((resolution & 0x7f).into()).unwrap_or(u64::MAX);
            }
            (14, _) => {
                let mut value = Cursor { rest: value, big: body.big };
                if let (Some(first), Some(second)) = (value.u32(), value.u32()) {
                    let (high, low) = if body.big { (first, second) } else { (second, first) };
                    interface.offset = u64::from(high) << 32 | u64::from(low);
                }
            }
            _ => {}
        }
    }
    Some(interface)
}

/// Returns the comment of a block of interface statistics: a remark of the program that wrote the file.
fn comment(mut body: Cursor<'_>) -> Option<String> {
    body.take(12)?;
    while let (Some(code @ 1..), Some(length)) = (body.u16(), body.u16()) {
        let padded = body.take(usize::from(length).next_multiple_of(4))?;
        if code == 1 {
            return Some(text::plain(padded.get(..length.into())?));
        }
    }
    None
}

/// Adds the secrets of a block, which may be anywhere in the file.
fn secrets(mut body: Cursor<'_>, keys: &mut KeyLog) -> Option<()> {
    let (kind, length) = (body.u32()?, body.length()?);
    let text = body.take(length)?;
    (kind == TLS_KEY_LOG && keys.add(text) > 0).then_some(())
}

fn packet(kind: u32, mut body: Cursor<'_>, interfaces: &[Interface], packets: &mut Packets) -> Option<()> {
    let number = match kind {
        2 => {
            let number = body.u16()?;
            body.u16()?;
            usize::from(number)
        }
        3 => 0,
        _ => body.length()?,
    };
    let interface = interfaces.get(number)?;
    if kind == 3 {
        let original = body.length()?;
        let limit = if interface.snap == 0 { original } else { original.min(interface.snap) };
        let packet = body.rest.get(..limit.min(body.rest.len()))?;
        packets.packet_of(interface.link, None, packet, original);
        return Some(());
    }
    let time = u64::from(body.u32()?) << 32 | u64::from(body.u32()?);
    let (captured, original) = (body.length()?, body.length()?);
    let seconds = (time / interface.units).saturating_add(interface.offset);
    let nanos = u128::from(time % interface.units) * 1_000_000_000 / u128::from(interface.units);
    let time = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos as u64));
    packets.packet_of(interface.link, Some(time), body.take(captured)?, original);
    Some(())
}
