//! Builds TCP segments for bytes that were recorded above TCP, so that packet tools can read them.
//!
//! ```text
//! IPv4 (RFC 791)   version, length, total length, …, TTL, protocol 6, checksum, source, destination       20 bytes
//! IPv6 (RFC 8200)  version, …, payload length, next header 6, hop limit, source, destination               40 bytes
//! TCP (RFC 9293)   ports, sequence, acknowledgement, offset, flags, window, checksum, urgent               20 bytes
//! ```
//!
//! The TCP state is invented: sequence numbers begin at 0 with the SYN, each side acknowledges all bytes with its next
//! segment, and windows are always open. Ports, addresses, times and bytes are real.

use std::net::{IpAddr, SocketAddr};

use crate::inspector::model::frame::Direction;

/// The most bytes in one segment; an IP packet has at most 65,535.
const SEGMENT: usize = 65_000;

/// The flags of a segment.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// The two ends of a connection, and their sequence numbers.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    client: SocketAddr,
    server: SocketAddr,
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
}

impl Ends {
    pub(super) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let (client, server) = same_family(client, server);
        Self { client, server, next: [0, 0] }
    }

    /// Returns the packets for bytes of a direction.
    pub(super) fn data<'a>(
        &'a mut self,
        direction: Direction,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = Vec<u8>> + use<'a> {
        bytes.chunks(SEGMENT).map(move |bytes| self.packet(direction, PSH | ACK, bytes))
    }

    /// Skips bytes that are missing.
    pub(super) fn skip(&mut self, direction: Direction, count: u64) {
        let [client, server] = &mut self.next;
        let next = if direction == Direction::ToServer { client } else { server };
        // Sequence numbers wrap at 2^32.
        *next = next.wrapping_add(count as u32);
    }

    /// Returns one packet. SYN and FIN count as a byte each.
    pub(super) fn packet(&mut self, direction: Direction, flags: u8, bytes: &[u8]) -> Vec<u8> {
        let [client, server] = self.next;
        let (from, to, sequence, acknowledged) = match direction {
            Direction::ToServer => (self.client, self.server, client, server),
            Direction::ToClient => (self.server, self.client, server, client),
        };
        let acknowledged = if flags & ACK == 0 { 0 } else { acknowledged };
        let mut segment = Vec::with_capacity(20 + bytes.len());
        segment.extend(from.port().to_be_bytes());
        segment.extend(to.port().to_be_bytes());
        segment.extend(sequence.to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(bytes);
        let sum = checksum(&[&pseudo_header(from.ip(), to.ip(), segment.len()), &segment]);
        if let Some(place) = segment.get_mut(16..18) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        self.skip(direction, bytes.len() as u64 + u64::from(flags & (SYN | FIN) != 0));
        let mut packet = ip_header(from.ip(), to.ip(), segment.len());
        packet.append(&mut segment);
        packet
    }
}

/// Returns both addresses as IPv4 or both as IPv6; IPv4 is mapped to IPv6 as in RFC 4291, section 2.5.5.2.
fn same_family(client: SocketAddr, server: SocketAddr) -> (SocketAddr, SocketAddr) {
    let wide = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    match client.is_ipv4() == server.is_ipv4() {
        true => (client, server),
        false => (wide(client), wide(server)),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ip_header(from: IpAddr, to: IpAddr, payload: usize) -> Vec<u8> {
    // SEGMENT limits both lengths to 16 bits.
    let addresses = [octets(from), octets(to)].concat();
    if from.is_ipv6() {
        let fixed = [0x60, 0, 0, 0, (payload >> 8) as u8, payload as u8, 6, 64];
        return [&fixed[..], &addresses].concat();
    }
    let total = payload + 20;
    let fixed = [0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0x40, 0, 64, 6];
    let sum = checksum(&[&fixed, &addresses]);
    [&fixed[..], &sum.to_be_bytes(), &addresses].concat()
}

/// Returns the pseudo-header of TCP's checksum (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let length = length as u32;
    let mut header = [octets(from), octets(to)].concat();
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0, 6]);
    header
}

/// Returns the Internet checksum (RFC 1071). Every part but the last must have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        let mut pairs = part.chunks_exact(2);
        for pair in &mut pairs {
            sum += pair.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        sum += pairs.remainder().first().map_or(0, |&last| u64::from(last) << 8);
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_rfc_1071_example_is_correct() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x00, 0x01], &[0xf2]]), !0xf201);
    }

    #[test]
    fn packets_have_valid_checksums_and_consecutive_sequence_numbers() {
        for (client, server) in [
            ("10.0.0.1:4000", "10.0.0.2:50051"),
            ("[::1]:4000", "[::2]:50051"),
            ("[::ffff:10.0.0.1]:4000", "10.0.0.2:50051"),
        ] {
            let mut ends = Ends::new(client.parse().unwrap(), server.parse().unwrap());
            ends.packet(Direction::ToServer, SYN, &[]);
            ends.packet(Direction::ToClient, SYN | ACK, &[]);
            let first = ends.packet(Direction::ToServer, PSH | ACK, b"odd");
            ends.skip(Direction::ToServer, 10);
            let second = ends.packet(Direction::ToServer, PSH | ACK, b"even");
            for (packet, sequence) in [(first, 1_u32), (second, 14)] {
                let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
                let (ip, segment) = packet.split_at(header);
                if header == 20 {
                    assert_eq!(checksum(&[ip]), 0);
                }
                let addresses =
                    [&ip[header - ends.addresses()..], &[0, 0, 0, segment.len() as u8, 0, 0, 0, 6]].concat();
                assert_eq!(checksum(&[&addresses, segment]), 0, "{client}");
                assert_eq!(segment[4..12], [sequence.to_be_bytes(), 1_u32.to_be_bytes()].concat());
            }
        }
    }

    impl Ends {
        fn addresses(&self) -> usize {
            if self.client.is_ipv4() { 8 } else { 32 }
        }
    }

    #[test]
    fn long_data_is_split_into_several_packets() {
        let mut ends = Ends::new("1.1.1.1:1".parse().unwrap(), "2.2.2.2:2".parse().unwrap());
        let lengths: Vec<_> = ends.data(Direction::ToClient, &[0; 150_000]).map(|packet| packet.len()).collect();
        assert_eq!(lengths, [65_040, 65_040, 20_040]);
        assert_eq!(ends.next, [0, 150_000]);
    }
}
