//! Segments that open a connection again, or only seem to.

use super::super::packet::{ACK, Ends, FIN, PSH, RST, SYN};
use super::*;

const CLIENT: Direction = Direction::ToServer;
const SERVER: Direction = Direction::ToClient;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// Two ends whose sequence numbers begin with these.
fn ends(client: u32, server: u32) -> Ends {
    let mut ends = Ends::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:50051".parse().unwrap());
    ends.skip(CLIENT, client.into());
    ends.skip(SERVER, server.into());
    ends
}

/// The handshake, the client's preface in two segments, and the server's SETTINGS.
fn opening(client: u32, server: u32) -> (Ends, Vec<Vec<u8>>) {
    let mut ends = ends(client, server);
    let packets = vec![
        ends.packet(CLIENT, SYN, b""),
        ends.packet(SERVER, SYN | ACK, b""),
        ends.packet(CLIENT, ACK, b""),
        ends.packet(CLIENT, PSH | ACK, &PREFACE[..10]),
        ends.packet(CLIENT, PSH | ACK, &PREFACE[10..]),
        ends.packet(SERVER, PSH | ACK, SETTINGS),
    ];
    (ends, packets)
}

/// The bytes of each connection, to the server and to the client, and the bytes that are missing.
fn connections(packets: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
    let mut followed = Packets::default();
    for (at, packet) in packets.iter().enumerate() {
        followed.packet(101, Some(Duration::from_millis(at as u64)), packet);
    }
    let said = |connection: Connection| {
        let of = |direction| {
            let chunks = connection.chunks.iter().filter(move |chunk| chunk.direction == direction);
            chunks.flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<u8>>()
        };
        (of(CLIENT), of(SERVER), connection.chunks.iter().map(|chunk| chunk.lost).sum())
    };
    followed.finish().unwrap().connections.into_iter().map(said).collect()
}

fn whole() -> (Vec<u8>, Vec<u8>, u64) {
    (PREFACE.to_vec(), SETTINGS.to_vec(), 0)
}

#[test]
fn old_syn_does_not_begin_a_connection() {
    for start in [0, 1_000, u32::MAX - 12] {
        let (mut last, packets) = opening(start, 5_000);
        let (syn, answer) = (packets[0].clone(), packets[1].clone());
        let in_window = ends(start.wrapping_add(5), 0).packet(CLIENT, SYN, b"");
        // The server answers a SYN on an open connection with an acknowledgement of what it has.
        let challenge = last.packet(SERVER, ACK, b"");
        let packets_and_challenge = [&packets[..], &[syn.clone(), challenge], &packets[3..]].concat();
        assert_eq!(connections(&packets_and_challenge), [whole()]);
        for late in [vec![syn.clone()], vec![syn, answer], vec![in_window]] {
            for at in 1..=packets.len() {
                let packets = [&packets[..at], &late[..], &packets[at..]].concat();
                assert_eq!(connections(&packets), [whole()], "{start}: {} after {at}", late.len());
            }
        }
    }
}

#[test]
fn reused_ports_with_new_sequence_numbers_begin_a_connection() {
    let (mut first, packets) = opening(1_000, 5_000);
    let (_, again) = opening(9_000_000, 77);
    let fin = [first.packet(CLIENT, FIN | ACK, b""), first.packet(SERVER, FIN | ACK, b"")];
    let reset = [first.packet(SERVER, RST, b"")];
    // One that has ended, one whose end was not captured, and one whose second SYN-ACK was not captured either.
    for end in [&fin[..], &reset, &[]] {
        let both = [&packets[..], end, &again].concat();
        assert_eq!(connections(&both), [whole(), whole()]);
    }
    let without_answer = [&packets[..], &again[..1], &again[2..]].concat();
    assert_eq!(connections(&without_answer), [whole(), whole()]);
    // The same numbers again, after an end: only a SYN-ACK can tell.
    assert_eq!(connections(&[&packets[..], &reset, &packets].concat()), [whole(), whole()]);
    // A connection that was not answered, and then one that was.
    assert_eq!(connections(&[&again[..1], &packets].concat()), [whole()]);
    assert_eq!(connections(&[&packets[..1], &packets[..1], &packets].concat()), [whole()]);
}

#[test]
fn data_in_the_syn_counts_once() {
    let mut ends = ends(7, 9);
    let syn = ends.packet(CLIENT, SYN, &PREFACE[..10]);
    let rest = [
        ends.packet(SERVER, SYN | ACK, b""),
        ends.packet(CLIENT, PSH | ACK, &PREFACE[10..]),
        ends.packet(SERVER, PSH | ACK, SETTINGS),
    ];
    assert_eq!(connections(&[std::slice::from_ref(&syn), &rest[..]].concat()), [whole()]);
    assert_eq!(connections(&[&[syn.clone(), syn.clone()], &rest[..]].concat()), [whole()]);
    // On the ports of an open connection.
    let (_, before) = opening(4_000_000, 3);
    assert_eq!(connections(&[&before[..], &[syn], &rest].concat()), [whole(), whole()]);
}

#[test]
fn probes_are_not_bytes() {
    let (mut last, packets) = opening(100, 200);
    // A probe repeats the last number, without bytes or with one.
    let probe = |bytes: &[u8]| {
        let mut ends = ends(100 + PREFACE.len() as u32, 201 + SETTINGS.len() as u32);
        ends.packet(CLIENT, ACK, bytes)
    };
    let after = last.packet(CLIENT, PSH | ACK, SETTINGS);
    let expected = [([PREFACE, SETTINGS].concat(), SETTINGS.to_vec(), 0)];
    for bytes in [&b""[..], b"\0"] {
        assert_eq!(connections(&[&packets[..], &[probe(bytes), after.clone()]].concat()), expected);
    }
    // A capture that begins with a probe.
    let late = [probe(b""), after];
    assert_eq!(connections(&late), [(SETTINGS.to_vec(), vec![], 0)]);
}
