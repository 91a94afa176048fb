//! TCP reassembly: the result is the bytes that were sent, or the place of missing ones.

use super::super::packet::{ACK, Ends, FIN, PSH, RST, SYN};
use super::super::pcapng_writer::{PcapngConnection, begin};
use super::super::{Capture, read};
use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nwhatever follows, in pieces";

fn addresses() -> (SocketAddr, SocketAddr) {
    ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:50051".parse().unwrap())
}

fn ends() -> Ends {
    let (client, server) = addresses();
    Ends::new(client, server)
}

/// The three packets that open a connection, and a packet for each piece of the client's bytes.
fn conversation(pieces: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut ends = ends();
    let opening = vec![
        ends.packet(Direction::ToServer, SYN, &[]),
        ends.packet(Direction::ToClient, SYN | ACK, &[]),
        ends.packet(Direction::ToServer, ACK, &[]),
    ];
    let size = TEXT.len().div_ceil(pieces);
    (opening, TEXT.chunks(size).map(|piece| ends.packet(Direction::ToServer, PSH | ACK, piece)).collect())
}

fn followed<'a>(packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Capture {
    let mut followed = Packets::default();
    for (at, packet) in packets.into_iter().enumerate() {
        followed.packet(101, Some(MILLISECOND * at as u32), packet);
    }
    followed.finish().unwrap()
}

fn text(capture: &Capture, direction: Direction) -> (u64, Vec<u8>) {
    let chunks = capture.connections.iter().flat_map(|connection| &connection.chunks);
    let chunks: Vec<_> = chunks.filter(|chunk| chunk.direction == direction).collect();
    assert!(chunks.is_sorted_by_key(|chunk| chunk.time));
    (chunks.iter().map(|chunk| chunk.lost).sum(), chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect())
}

#[test]
fn five_segments_are_reassembled_in_every_order() {
    let (opening, data) = conversation(5);
    let mut orders = vec![vec![]];
    for at in 0..data.len() {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| (0..=at).map(|to| [&order[..to], &[at], &order[to..]].concat()))
            .collect();
    }
    assert_eq!(orders.len(), 120);
    for order in orders {
        let capture = followed(opening.iter().chain(order.iter().map(|&at| &data[at])));
        assert_eq!(text(&capture, Direction::ToServer), (0, TEXT.to_vec()), "{order:?}");
        assert!(capture.connections[0].from_the_beginning);
    }
}

#[test]
fn retransmitted_and_overlapping_segments_are_merged() {
    let (opening, data) = conversation(5);
    let twice = opening.iter().chain(&data).chain(&data).chain(&opening[2..]);
    assert_eq!(text(&followed(twice), Direction::ToServer), (0, TEXT.to_vec()));
    // Two segments that overlap; the second has other bytes in the overlap.
    let mut first = ends();
    first.skip(Direction::ToServer, 1);
    let head = first.packet(Direction::ToServer, PSH | ACK, &TEXT[..30]);
    let mut second = ends();
    second.skip(Direction::ToServer, 21);
    let tail = [&[b'x'; 10], &TEXT[30..]].concat();
    let tail = second.packet(Direction::ToServer, PSH | ACK, &tail);
    for order in [[&head, &tail, &head], [&head, &head, &tail]] {
        let packets = opening.iter().chain(order);
        assert_eq!(text(&followed(packets), Direction::ToServer), (0, TEXT.to_vec()));
    }
}

#[test]
fn gap_is_reported_once_acknowledged_or_at_the_end() {
    let (opening, data) = conversation(5);
    let lost = data[2].len() as u64 - 40;
    let expected = [&TEXT[..22], &TEXT[33..]].concat();
    let without = || opening.iter().chain(&data[..2]).chain(&data[3..]);
    assert_eq!(text(&followed(without()), Direction::ToServer), (lost, expected.clone()));
    // The server acknowledges all bytes, and responds.
    let mut answer = ends();
    answer.skip(Direction::ToServer, 1 + TEXT.len() as u64);
    answer.skip(Direction::ToClient, 1);
    let answer = answer.packet(Direction::ToClient, PSH | ACK, b"answer");
    let capture = followed(without().chain([&answer]));
    assert_eq!(text(&capture, Direction::ToServer), (lost, expected));
    let last = capture.connections[0].chunks.last().unwrap();
    assert_eq!((last.direction, &last.bytes[..]), (Direction::ToClient, &b"answer"[..]));
}

#[test]
fn gap_is_reported_after_a_mebibyte_of_later_data() {
    let mut ends = ends();
    let mut packets = vec![ends.packet(Direction::ToServer, SYN, &[])];
    ends.skip(Direction::ToServer, 77);
    packets.extend(ends.data(Direction::ToServer, &vec![7; EARLY + (64 << 10)]));
    let mut followed = Packets::default();
    for packet in &packets {
        followed.packet(101, None, packet);
    }
    assert!(followed.connections[0].to_server.early.is_empty());
    assert_eq!(followed.connections[0].connection.chunks[0].lost, 77);
}

#[test]
fn sequence_numbers_wrap_around() {
    let mut ends = ends();
    ends.skip(Direction::ToServer, u64::from(u32::MAX) - 10);
    let mut packets = vec![ends.packet(Direction::ToServer, SYN, &[])];
    let data: Vec<_> = TEXT.chunks(3).map(|piece| ends.packet(Direction::ToServer, PSH | ACK, piece)).collect();
    packets.extend(data.into_iter().rev());
    assert_eq!(text(&followed(&packets), Direction::ToServer), (0, TEXT.to_vec()));
}

#[test]
fn client_without_a_handshake_is_found_by_preface_or_port() {
    let (_, data) = conversation(3);
    let capture = followed(&data);
    assert_eq!((capture.connections[0].client, capture.connections[0].from_the_beginning), (addresses().0, true));
    let capture = followed(&data[1..]);
    assert_eq!((capture.connections[0].client, capture.connections[0].from_the_beginning), (addresses().0, false));
    // A server on the higher port.
    let mut ends = Ends::new("10.0.0.1:7".parse().unwrap(), "10.0.0.2:50051".parse().unwrap());
    let packets = [
        ends.packet(Direction::ToClient, PSH | ACK, b"\0\0\0\x04\0\0\0\0\0"),
        ends.packet(Direction::ToServer, PSH | ACK, TEXT),
    ];
    let capture = followed(&packets);
    assert_eq!((capture.connections[0].client.port(), capture.connections[0].from_the_beginning), (7, true));
    assert_eq!(text(&capture, Direction::ToServer).1, TEXT);
    // The beginning of a ClientHello also identifies the client.
    let hello = ends.packet(Direction::ToServer, PSH | ACK, &[22, 3, 1, 0, 200, 1, 0, 0, 196]);
    let capture = followed(&[hello]);
    assert_eq!((capture.connections[0].client.port(), capture.connections[0].from_the_beginning), (7, true));
}

#[test]
fn reused_ports_start_another_connection() {
    let (opening, data) = conversation(2);
    let mut end = ends();
    end.skip(Direction::ToServer, 1 + TEXT.len() as u64);
    let end = end.packet(Direction::ToServer, FIN | RST | ACK, &[]);
    let once = || opening.iter().chain(&data);
    let capture = followed(once().chain([&end]).chain(once()));
    assert_eq!(capture.connections.len(), 2);
    assert_eq!(capture.connections[0].chunks.len(), capture.connections[1].chunks.len());
    // A retransmitted SYN does not open another connection.
    assert_eq!(followed(opening.iter().chain(once())).connections.len(), 1);
}

#[test]
fn every_link_header_is_parsed() {
    let (opening, data) = conversation(1);
    let in_front = |link: u16, header: &[u8], behind: &[u8]| {
        let mut packets = Packets::default();
        for packet in opening.iter().chain(&data) {
            packets.packet(link, None, &[header, packet, behind].concat());
        }
        text(&packets.finish().unwrap(), Direction::ToServer).1
    };
    let mac = [7; 12];
    for (link, header) in [
        (101, vec![]),
        (12, vec![]),
        (14, vec![]),
        (228, vec![]),
        (0, vec![2, 0, 0, 0]),
        (108, vec![0, 0, 0, 2]),
        (1, [&mac[..], &[0x08, 0x00]].concat()),
        (1, [&mac[..], &[0x81, 0x00, 0, 5, 0x08, 0x00]].concat()),
        (1, [&mac[..], &[0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00]].concat()),
        (113, [&[0; 14][..], &[0x08, 0x00]].concat()),
        (276, [&[0x08, 0x00][..], &[0; 18]].concat()),
    ] {
        // Padding of short Ethernet frames is not part of the packet.
        assert_eq!(in_front(link, &header, &[0; 6]), TEXT, "{link} {header:?}");
    }
    assert_eq!(in_front(1, &[&mac[..], &[0x08, 0x06]].concat(), &[]), b"", "ARP");
    let mut packets = Packets::default();
    packets.packet(105, None, &data[0]);
    assert_eq!(packets.finish(), Err(CaptureError::Link(105)));
}

#[test]
fn ipv6_extension_headers_and_truncated_packets_are_parsed() {
    let mut ends = Ends::new("[::1]:1234".parse().unwrap(), "[::2]:5".parse().unwrap());
    let syn = ends.packet(Direction::ToServer, SYN, &[]);
    let mut data = ends.packet(Direction::ToServer, PSH | ACK, TEXT);
    // Hop-by-hop options of sixteen bytes before TCP.
    data[6] = 0;
    data[5] += 16;
    data.splice(40..40, [6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let after = ends.packet(Direction::ToServer, PSH | ACK, b"after");
    assert_eq!(text(&followed([&syn, &data]), Direction::ToServer), (0, TEXT.to_vec()));
    // The snap length cut off its last ten bytes.
    let cut = data[..data.len() - 10].to_vec();
    let kept = [&TEXT[..TEXT.len() - 10], b"after"].concat();
    assert_eq!(text(&followed([&syn, &cut, &after]), Direction::ToServer), (10, kept));
}

#[test]
fn written_pcapng_is_read_back() {
    let (client, server) = addresses();
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let mut file = begin("the test");
    let mut connection = PcapngConnection::new(client, server, began);
    connection.open(Duration::ZERO, "a comment", &mut file);
    let long = vec![3; 200_000];
    connection.bytes(Duration::from_nanos(17), Direction::ToServer, TEXT, &mut file);
    connection.bytes(Duration::from_nanos(19), Direction::ToClient, &long, &mut file);
    connection.lose(Direction::ToServer, 5);
    connection.bytes(Duration::from_nanos(20), Direction::ToServer, b"after", &mut file);
    connection.end(Duration::from_nanos(23), Direction::ToServer, &mut file);
    let capture = read(&file).unwrap();
    assert_eq!((capture.began, capture.notes.len(), &capture.cut_short), (began, 0, &None));
    let [read_again] = &capture.connections[..] else { panic!("{capture:?}") };
    assert_eq!((read_again.client, read_again.server), (client, server));
    assert_eq!(text(&capture, Direction::ToServer), (5, [TEXT, b"after"].concat()));
    assert_eq!(text(&capture, Direction::ToClient), (0, long));
    assert_eq!(read_again.chunks.last().unwrap().time, Duration::from_nanos(20));

    // A file that is cut anywhere is read up to there, and reported as truncated unless the cut is between two blocks.
    let mut whole = 0;
    for end in 200..file.len().min(800) {
        let capture = read(&file[..end]).unwrap();
        whole += usize::from(capture.cut_short.is_none());
    }
    assert!((2..8).contains(&whole), "{whole}");
}

#[test]
fn pcap_is_read_in_every_byte_order_and_resolution() {
    let (opening, data) = conversation(1);
    for (magic, nanos) in [(0xa1b2_c3d4_u32, 1000), (0xa1b2_3c4d, 1)] {
        for big in [true, false] {
            let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let mut file = [word(magic), word(0x0002_0004), word(0), word(0), word(65_535), word(101)].concat();
            for packet in opening.iter().chain(&data) {
                let length = word(packet.len() as u32);
                file.extend([word(1_000_000_000), word(42), length, length].concat());
                file.extend(packet);
            }
            let capture = read(&file).unwrap();
            assert_eq!(text(&capture, Direction::ToServer).1, TEXT);
            assert_eq!(capture.began, SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 42 * nanos));
            let cut = read(&file[..file.len() - 1]).unwrap();
            assert!(cut.cut_short.unwrap().contains("inside a packet"));
        }
    }
}

#[test]
fn pcapng_is_read_with_two_interfaces_and_every_packet_block() {
    let (opening, data) = conversation(2);
    for big in [true, false] {
        let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() }.to_vec();
        let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() }.to_vec();
        let block = |kind: u32, body: &[Vec<u8>]| {
            let mut body = body.concat();
            body.resize(body.len().next_multiple_of(4), 0);
            let length = word(body.len() as u32 + 12);
            [word(kind), length.clone(), body, length].concat()
        };
        let section = block(0x0a0d_0d0a, &[word(0x1a2b_3c4d), half(1), half(0), word(u32::MAX), word(u32::MAX)]);
        let ethernet = block(1, &[half(1), half(0), word(0)]);
        // Times of the second interface count 2^-10 seconds, with an offset of 1,000 seconds.
        let raw = block(
            1,
            &[
                half(101),
                half(0),
                word(0),
                half(9),
                half(1),
                vec![0x8a, 0, 0, 0],
                half(14),
                half(8),
                if big { [word(0), word(1000)].concat() } else { [word(1000), word(0)].concat() },
            ],
        );
        let framed = |packet: &Vec<u8>| [&[0; 12][..], &[8, 0], packet].concat();
        let length = |packet: &Vec<u8>| word(packet.len() as u32);
        let first = framed(&opening[0]);
        let file = [
            section,
            ethernet,
            raw,
            block(2, &[half(0), half(0), word(0), word(0), length(&first), length(&first), first]),
            block(0xbad, &[vec![1, 2, 3]]),
            block(3, &[length(&framed(&data[0])), framed(&data[0])]),
            block(6, &[word(1), word(0), word(512), length(&data[1]), length(&data[1]), data[1].clone()]),
            block(10, &[word(0x544c_534b), word(0)]),
        ];
        let capture = read(&file.concat()).unwrap();
        assert_eq!(text(&capture, Direction::ToServer), (0, TEXT.to_vec()));
        assert_eq!(capture.connections[0].chunks[1].time, Duration::from_millis(1_000_500));
        assert!(capture.notes.iter().any(|note| note.contains("secrets block")), "{:?}", capture.notes);
    }
}

#[test]
fn connection_ends_with_two_fins_or_a_reset() {
    let end = |flags: &[(Direction, u8)]| {
        let (mut packets, _) = conversation(1);
        let mut ends = ends();
        packets.push(ends.packet(Direction::ToServer, PSH | ACK, TEXT));
        packets.extend(flags.iter().map(|(direction, flags)| ends.packet(*direction, *flags, &[])));
        followed(&packets).connections[0].end
    };
    let (to_server, to_client) = (Direction::ToServer, Direction::ToClient);
    assert_eq!(end(&[]), None);
    assert_eq!(end(&[(to_server, FIN | ACK)]), None);
    let closed = end(&[(to_server, FIN | ACK), (to_client, FIN | ACK)]);
    assert_eq!(closed, Some(End { time: MILLISECOND * 5, reset: false }));
    assert_eq!(end(&[(to_client, RST)]), Some(End { time: MILLISECOND * 4, reset: true }));
}
