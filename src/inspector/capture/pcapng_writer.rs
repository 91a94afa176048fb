//! Writes pcapng (draft-ietf-opsawg-pcapng): connections as packets, for tools such as Wireshark.
//!
//! ```text
//! block → type(32) length(32) body, padded to 32 bits, length(32) again
//!
//! Section Header          0x0a0d0d0a  magic 0x1a2b3c4d, version 1.0, section length, options
//! Interface Description   1           link type, snap length 0 (no limit), options
//! Interface Statistics    5           interface, time, options: a remark of the writer
//! Enhanced Packet         6           interface, time, captured and original length, packet, options
//!
//! option → code(16) length(16) value, padded to 32 bits
//! ```
//!
//! Every function appends whole blocks, so that a file is valid at any time.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::packet::{ACK, Ends, FIN, RST, SYN};
use crate::inspector::model::frame::Direction;

/// LINKTYPE_RAW: a packet begins with its IP header, whose first four bits are the version.
const RAW_IP: u16 = 101;

/// `if_tsresol`: timestamps are in nanoseconds.
const NANOSECONDS: u8 = 9;

/// Returns the beginning of a file: the section header with the application's name, and one interface for all packets.
pub fn begin(application: &str) -> Vec<u8> {
    let mut section = [0x1a2b_3c4d_u32.to_le_bytes(), [1, 0, 0, 0]].concat();
    section.extend(u64::MAX.to_le_bytes());
    option(&mut section, 4, application.as_bytes());
    option(&mut section, 0, &[]);
    let mut interface = [RAW_IP.to_le_bytes(), [0; 2]].concat();
    interface.extend(0_u32.to_le_bytes());
    option(&mut interface, 2, b"barewire");
    option(&mut interface, 9, &[NANOSECONDS]);
    option(&mut interface, 0, &[]);
    let mut out = Vec::new();
    block(&mut out, 0x0a0d_0d0a, &section);
    block(&mut out, 1, &interface);
    out
}

/// Returns a remark about the file at this place: a block of interface statistics that has only a comment.
pub fn remark(text: &str) -> Vec<u8> {
    let mut body = vec![0; 12];
    option(&mut body, 1, text.as_bytes());
    option(&mut body, 0, &[]);
    let mut out = Vec::new();
    block(&mut out, 5, &body);
    out
}

/// A connection written as TCP packets. Its methods append to the given buffer.
#[derive(Clone, Debug)]
pub struct PcapngConnection {
    ends: Ends,
    /// The start of the timestamps, since 1970.
    began: Duration,
}

impl PcapngConnection {
    /// Returns a connection between two addresses; the times of all other calls count from `began`.
    pub fn new(client: SocketAddr, server: SocketAddr, began: SystemTime) -> Self {
        let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { ends: Ends::new(client, server), began }
    }

    /// Appends the three packets of the TCP handshake; the first has the comment.
    pub fn open(&mut self, time: Duration, comment: &str, out: &mut Vec<u8>) {
        let first = self.ends.packet(Direction::ToServer, SYN, &[]);
        self.enhanced(time, &first, comment, out);
        for (direction, flags) in [(Direction::ToClient, SYN | ACK), (Direction::ToServer, ACK)] {
            let packet = self.ends.packet(direction, flags, &[]);
            self.enhanced(time, &packet, "", out);
        }
    }

    /// Appends bytes of a direction.
    pub fn bytes(&mut self, time: Duration, direction: Direction, bytes: &[u8], out: &mut Vec<u8>) {
        let began = self.began;
        for packet in self.ends.data(direction, bytes) {
            enhanced(began + time, &packet, "", out);
        }
    }

    /// Skips missing bytes of a direction: a gap in the sequence numbers.
    pub fn lose(&mut self, direction: Direction, count: u64) {
        self.ends.skip(direction, count);
    }

    /// Appends the end of a direction.
    pub fn end(&mut self, time: Duration, direction: Direction, out: &mut Vec<u8>) {
        let packet = self.ends.packet(direction, FIN | ACK, &[]);
        self.enhanced(time, &packet, "", out);
    }

    /// Appends the end of the connection by a reset.
    pub fn reset(&mut self, time: Duration, out: &mut Vec<u8>) {
        let packet = self.ends.packet(Direction::ToServer, RST | ACK, &[]);
        self.enhanced(time, &packet, "", out);
    }

    fn enhanced(&self, time: Duration, packet: &[u8], comment: &str, out: &mut Vec<u8>) {
        enhanced(self.began + time, packet, comment, out);
    }
}

/// Appends an Enhanced Packet Block.
fn enhanced(time: Duration, packet: &[u8], comment: &str, out: &mut Vec<u8>) {
    // 64 bits of nanoseconds last until the year 2554.
    let time = time.as_nanos() as u64;
    let length = (packet.len() as u32).to_le_bytes();
    let mut body = Vec::with_capacity(packet.len() + 32);
    body.extend(0_u32.to_le_bytes());
    body.extend(((time >> 32) as u32).to_le_bytes());
    body.extend((time as u32).to_le_bytes());
    body.extend([length, length].concat());
    body.extend_from_slice(packet);
    pad(&mut body);
    if !comment.is_empty() {
        option(&mut body, 1, comment.as_bytes());
        option(&mut body, 0, &[]);
    }
    block(out, 6, &body);
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend_from_slice(body);
    out.extend(length);
}

/// Appends an option; a value is at most 65,535 bytes.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(0xffff)).unwrap_or_default();
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcapng_blocks_repeat_their_length_and_are_padded() {
        let mut file = begin("barewire of the test");
        let (client, server) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let mut connection = PcapngConnection::new(client, server, SystemTime::UNIX_EPOCH);
        connection.open(Duration::from_nanos(5), "a comment", &mut file);
        connection.bytes(Duration::from_nanos(6), Direction::ToServer, b"hello", &mut file);
        connection.end(Duration::from_nanos(7), Direction::ToClient, &mut file);
        connection.reset(Duration::from_nanos(8), &mut file);
        let (mut kinds, mut rest) = (Vec::new(), &file[..]);
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let length = word(4) as usize;
            assert_eq!((length % 4, word(length - 4) as usize), (0, length));
            kinds.push(word(0));
            rest = &rest[length..];
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 6, 6, 6, 6, 6]);
    }
}
