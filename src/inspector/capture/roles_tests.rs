//! Client and server of connections whose beginning was not captured.

use super::super::packet::{ACK, Ends, PSH, SYN};
use super::super::read;
use super::*;

const CLIENT: Direction = Direction::ToServer;
const SERVER: Direction = Direction::ToClient;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// Returns the client's port, and true if it was guessed.
fn client_of(ports: (u16, u16), said: &[(Direction, Vec<u8>)]) -> (u16, bool) {
    let address = |host: u8, port: u16| SocketAddr::from(([10, 0, 0, host], port));
    let mut ends = Ends::new(address(1, ports.0), address(2, ports.1));
    let mut packets = Packets::default();
    for (direction, bytes) in said {
        packets.packet(101, None, &ends.packet(*direction, PSH | ACK, bytes));
    }
    let capture = packets.finish().unwrap();
    let connection = &capture.connections[0];
    let from_client = |chunk: &Chunk| said.iter().any(|(way, bytes)| *way == CLIENT && *bytes == chunk.bytes);
    for chunk in &connection.chunks {
        let to_server = chunk.direction == CLIENT;
        assert_eq!(to_server == (connection.client.port() == ports.0), from_client(chunk), "{chunk:?}");
    }
    (connection.client.port(), connection.roles_guessed)
}

#[test]
fn sender_of_requests_is_the_client_at_any_port() {
    let request = frame(1, 4, 5, &[0x83, 0x86, 0xc5, 0xc4]);
    let response = frame(1, 4, 5, &[0x88, 0xc1]);
    let literal = frame(1, 4, 5, &[&[0x10, 7][..], b":method", &[4], b"POST"].concat());
    let ping = frame(6, 0, 0, &[0; 8]);
    let parts = [frame(1, 0, 5, &[0xc1]), frame(9, 4, 5, &[0x0f, 0, 0xc2, 0x88][3..])].concat();
    let promise = [frame(5, 0, 5, &[0, 0, 0, 2, 0x82]), frame(9, 4, 5, &[0x86, 0x84])].concat();
    let data = frame(0, 0, 5, b"data");
    let unknown = |flags| frame(1, flags, 5, &[0xc1]);
    for said in [
        vec![(CLIENT, request.clone())],
        vec![(SERVER, response.clone())],
        vec![(CLIENT, literal)],
        vec![(CLIENT, request.clone()), (SERVER, response.clone())],
        vec![(SERVER, [&ping[..], &response].concat()), (CLIENT, ping.clone())],
        vec![(CLIENT, [&b"rest of a frame"[..], &ping, &request, &ping].concat())],
        vec![(SERVER, parts)],
        // The server promises a request; it does not become the client.
        vec![(SERVER, promise.clone())],
        vec![(SERVER, [promise, response].concat()), (CLIENT, request)],
        // Headers, and trailers whose names are in the dynamic table.
        vec![(SERVER, [unknown(4), data, unknown(5)].concat())],
        vec![(SERVER, [frame(0, 0, 5, b"data"), unknown(5)].concat())],
        // Who sends headers on a stream first.
        vec![(CLIENT, unknown(5)), (SERVER, unknown(4))],
        vec![(SERVER, frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]))],
        vec![(CLIENT, frame(4, 0, 0, &[0, 2, 0, 0, 0, 1]))],
    ] {
        for ports in [(33_000, 65_000), (65_000, 33_000), (50_051, 40_000), (40_000, 50_051), (80, 81)] {
            assert_eq!(client_of(ports, &said), (ports.0, false), "{ports:?}: {said:02x?}");
        }
    }
}

#[test]
fn ports_decide_only_if_no_frame_does() {
    let ping = frame(6, 0, 0, &[0; 8]);
    let said = [(CLIENT, ping), (SERVER, frame(0, 1, 5, b"data"))];
    assert_eq!(client_of((40_000, 50_051), &said), (40_000, true));
    assert_eq!(client_of((40_000, 443), &said), (40_000, true));
}

#[test]
fn guessed_roles_are_noted() {
    let mut ends = Ends::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:443".parse().unwrap());
    let ping = frame(6, 0, 0, &[0; 8]);
    let packet = ends.packet(CLIENT, PSH | ACK, &ping);
    let header = [&0xa1b2_c3d4_u32.to_be_bytes()[..], &[0; 16], &[0, 0, 0, 101]].concat();
    let length = (packet.len() as u32).to_be_bytes();
    let file = [&header[..], &[0; 8], &length, &length, &packet].concat();
    let capture = read(&file).unwrap();
    assert_eq!(capture.notes, ["connection 1: roles guessed from the port numbers"]);
    // A SYN is certain.
    let mut packets = Packets::default();
    packets.packet(
        101,
        None,
        &Ends::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()).packet(CLIENT, SYN, b""),
    );
    packets.packet(101, None, &packet);
    assert!(packets.finish().unwrap().connections[0].roles_guessed, "another connection");
    let mut ends = Ends::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
    let mut packets = Packets::default();
    packets.packet(101, None, &ends.packet(CLIENT, SYN, b""));
    packets.packet(101, None, &ends.packet(CLIENT, PSH | ACK, &ping));
    let capture = packets.finish().unwrap();
    assert_eq!((capture.connections[0].client.port(), capture.connections[0].roles_guessed), (1, false));
}

/// A raw dump has one direction: requests make it the client's.
#[test]
fn raw_dump_decides_its_sender_by_its_frames() {
    let ping = frame(6, 0, 0, &[0; 8]);
    for (headers, direction) in [(vec![0x83, 0x86, 0xc4], CLIENT), (vec![0x88, 0xc4], SERVER)] {
        for first in [&b""[..], b"\0\0\0\x04\0\0\0\0\0"] {
            let capture = read(&[first, &frame(1, 4, 5, &headers), &ping].concat()).unwrap();
            assert_eq!(capture.connections[0].chunks[0].direction, direction);
        }
    }
}
