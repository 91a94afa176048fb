//! TCP within tunnels, packets that carry none, and packets that are cut.

use super::super::packet::{ACK, Ends, PSH, SYN};
use super::*;

const CLIENT: Direction = Direction::ToServer;
const TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A SYN, and the client's preface.
fn inner(client: &str, server: &str) -> [Vec<u8>; 2] {
    let mut ends = Ends::new(client.parse().unwrap(), server.parse().unwrap());
    [ends.packet(CLIENT, SYN, b""), ends.packet(CLIENT, PSH | ACK, TEXT)]
}

fn v4() -> [Vec<u8>; 2] {
    inner("10.0.0.1:40000", "10.0.0.2:50051")
}

fn v6() -> [Vec<u8>; 2] {
    inner("[fd00::1]:40000", "[fd00::2]:50051")
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 20) as u16;
    let [high, low] = length.to_be_bytes();
    [&[0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2][..], payload].concat()
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0, high, low, next, 64][..], &[1; 32], payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let length = (payload.len() as u16 + 8).to_be_bytes();
    ip(17, &[&[0xf0, 0, high, low][..], &length, &[0, 0], payload].concat())
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[0x02; 12][..], &kind.to_be_bytes(), payload].concat()
}

fn with(head: &[u8], rest: &[u8]) -> Vec<u8> {
    [head, rest].concat()
}

fn packets(link: u16, all: &[Vec<u8>]) -> Capture {
    let mut packets = Packets::default();
    all.iter().for_each(|packet| packets.packet(link, None, packet));
    packets.finish().unwrap()
}

fn text(capture: &Capture) -> Vec<u8> {
    capture.connections.iter().flat_map(|it| &it.chunks).flat_map(|chunk| chunk.bytes.clone()).collect()
}

type Wrap = fn(&[u8]) -> Vec<u8>;

#[test]
fn tcp_in_every_tunnel() {
    let cases: [(&str, u16, Wrap); 34] = [
        ("VXLAN", 101, |it| udp(4789, &with(&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x0800, it)))),
        ("VXLAN, the port of Linux", 101, |it| udp(8472, &with(&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x0800, it)))),
        ("VXLAN with a VLAN inside", 101, |it| {
            udp(4789, &with(&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x8100, &with(&[0, 5, 8, 0], it))))
        }),
        ("VXLAN-GPE, IP", 101, |it| udp(4790, &with(&[0x0c, 0, 0, 1, 0, 0, 5, 0], it))),
        ("VXLAN-GPE, Ethernet", 101, |it| udp(4790, &with(&[0x0c, 0, 0, 3, 0, 0, 5, 0], &ethernet(0x0800, it)))),
        ("GENEVE", 101, |it| udp(6081, &with(&[0, 0, 0x65, 0x58, 0, 0, 5, 0], &ethernet(0x0800, it)))),
        ("GENEVE with options", 101, |it| {
            udp(6081, &with(&[2, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 1, 0, 0, 0, 0], &ethernet(0x0800, it)))
        }),
        ("GENEVE, IP", 101, |it| udp(6081, &with(&[0, 0, 8, 0, 0, 0, 5, 0], it))),
        ("GRE", 101, |it| ip(47, &with(&[0, 0, 8, 0], it))),
        ("GRE with a checksum", 101, |it| ip(47, &with(&[0x80, 0, 8, 0, 0xab, 0xcd, 0, 0], it))),
        ("GRE with a key", 101, |it| ip(47, &with(&[0x20, 0, 8, 0, 0, 0, 0, 7], it))),
        ("GRE with a sequence number", 101, |it| ip(47, &with(&[0x10, 0, 8, 0, 0, 0, 0, 7], it))),
        ("GRE with all", 101, |it| ip(47, &with(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], it))),
        ("GRE, Ethernet", 101, |it| ip(47, &with(&[0, 0, 0x65, 0x58], &ethernet(0x0800, it)))),
        ("GRE, MPLS", 101, |it| ip(47, &with(&[0, 0, 0x88, 0x47, 0, 1, 1, 64], it))),
        ("GRE in UDP", 101, |it| udp(4754, &with(&[0, 0, 8, 0], it))),
        ("GRE in IPv6", 101, |it| ip6(47, &with(&[0, 0, 8, 0], it))),
        ("PPTP", 101, |it| {
            ip(47, &with(&[0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], it))
        }),
        ("ERSPAN, type I", 101, |it| ip(47, &with(&[0, 0, 0x88, 0xbe], &ethernet(0x0800, it)))),
        ("ERSPAN, type II", 101, |it| {
            ip(47, &with(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &ethernet(0x0800, it)))
        }),
        ("IP in IP", 101, |it| ip(4, it)),
        ("IP in IP in IP", 101, |it| ip(4, &ip(4, it))),
        ("IPv4 in IPv6", 101, |it| ip6(4, it)),
        ("AH", 101, |it| ip(51, &with(&[4, 4, 0, 0], &with(&[0; 20], it)))),
        ("MPLS in IP", 101, |it| ip(137, &with(&[0, 1, 1, 64], it))),
        ("MPLS in UDP", 101, |it| udp(6635, &with(&[0, 1, 1, 64], it))),
        ("MPLS", 1, |it| ethernet(0x8847, &with(&[0, 1, 0, 64, 0, 2, 1, 64], it))),
        ("MPLS, Ethernet with a control word", 1, |it| {
            ethernet(0x8847, &with(&[0, 1, 1, 64, 0, 0, 0, 9], &ethernet(0x0800, it)))
        }),
        ("MPLS, Ethernet", 1, |it| ethernet(0x8847, &with(&[0, 1, 1, 64], &ethernet(0x0800, it)))),
        ("PPPoE", 1, |it| ethernet(0x8864, &with(&[0x11, 0, 0, 7, 0, 99, 0, 0x21], it))),
        ("PPPoE in VLANs", 1, |it| {
            ethernet(0x88a8, &with(&[0, 1, 0x81, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0, 7, 0, 99, 0x21], it))
        }),
        ("SNAP", 1, |it| ethernet(90, &with(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], it))),
        ("PPP", 9, |it| with(&[0xff, 3, 0, 0x21], it)),
        ("Linux cooked, VLAN", 276, |it| with(&[0x81, 0], &with(&[0; 18], &with(&[0, 5, 8, 0], it)))),
    ];
    for (name, link, wrap) in cases {
        let capture = packets(link, &v4().map(|packet| with(&wrap(&packet), &[0; 3])));
        assert_eq!((text(&capture), capture.notes.len()), (TEXT.to_vec(), 0), "{name}: {:?}", capture.notes);
        assert_eq!(capture.connections[0].client.to_string(), "10.0.0.1:40000", "{name}");
    }
    let cases: [(&str, u16, Wrap); 6] = [
        ("6in4", 101, |it| ip(41, it)),
        ("IPv6 in IPv6", 101, |it| ip6(41, it)),
        ("GRE", 101, |it| ip(47, &with(&[0, 0, 0x86, 0xdd], it))),
        ("PPPoE", 1, |it| ethernet(0x8864, &with(&[0x11, 0, 0, 7, 0, 99, 0, 0x57], it))),
        ("Teredo", 101, |it| udp(3544, it)),
        ("a fragment header without fragments", 101, |it| {
            let mut packet = with(&it[..40], &with(&[6, 0, 0, 0, 0, 0, 0, 1], &it[40..]));
            (packet[5], packet[6]) = (packet[5] + 8, 44);
            packet
        }),
    ];
    for (name, link, wrap) in cases {
        assert_eq!(text(&packets(link, &v6().map(|packet| wrap(&packet)))), TEXT, "{name}");
    }
}

#[test]
fn unread_encapsulation_is_named() {
    let tcp = v4()[1].clone();
    for (link, packet, expected) in [
        (101, udp(2152, &[0x30; 40]), "GTP-U is not read: 1 packet was skipped"),
        (101, ip(50, &[1; 40]), "IP protocol 50 (ESP) is not read: 1 packet was skipped"),
        (101, ip(132, &[1; 40]), "IP protocol 132 (SCTP) is not read: 1 packet was skipped"),
        (101, udp(1701, &[1; 40]), "L2TP is not read: 1 packet was skipped"),
        (101, udp(51820, &[1; 40]), "WireGuard is not read: 1 packet was skipped"),
        (1, ethernet(0x88e5, &[1; 40]), "MACsec is not read: 1 packet was skipped"),
        (1, ethernet(0x9999, &[1; 40]), "EtherType 0x9999 is not read: 1 packet was skipped"),
        (
            101,
            (0..20).fold(tcp.clone(), |packet, _| ip(4, &packet)),
            "tunnels within tunnels is not read: 1 packet was skipped",
        ),
    ] {
        let capture = packets(link, &[packet]);
        assert_eq!(capture.notes, ["it contains no TCP packets", expected]);
    }
    let only = |all: &[Vec<u8>]| packets(101, all).notes;
    assert_eq!(
        only(&[udp(53, b"x"), udp(443, b"y"), ip(1, &[8; 20])]),
        ["it contains no TCP packets, only ICMP (1 packet), UDP (2 packets)"]
    );
    assert_eq!(only(&[]), ["it contains no TCP packets"]);
    // Beside TCP, only what may hide TCP is worth a note.
    assert_eq!(only(&[tcp.clone(), udp(53, b"x")]), [""; 0]);
    assert_eq!(
        only(&[tcp.clone(), udp(2152, b"12345678"), udp(2152, b"12345678")]),
        ["GTP-U is not read: 2 packets were skipped"]
    );
    let mut fragment = ip(6, &[0; 40]);
    fragment[6] = 0x20;
    assert_eq!(only(&[tcp, fragment]), ["fragments are not joined: 1 fragment of IP packets skipped"]);
    let many: Vec<_> = (200..230).map(|protocol| ip(protocol, &[0; 8])).collect();
    let notes = only(&many);
    assert_eq!((notes.len(), notes.last().unwrap().as_str()), (10, "22 more protocols are not read"));
}

/// Returns the notes of a capture with this snap length, and the bytes that are missing.
fn cut(snap: usize, all: &[Vec<u8>]) -> (Vec<String>, u64) {
    let mut packets = Packets::default();
    for packet in all {
        packets.packet_of(101, None, &packet[..snap.min(packet.len())], packet.len());
    }
    let capture = packets.finish().unwrap();
    let lost = capture.connections.iter().flat_map(|it| &it.chunks).map(|chunk| chunk.lost).sum();
    (capture.notes, lost)
}

#[test]
fn snap_length_is_reported() {
    let mut ends = Ends::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:50051".parse().unwrap());
    let all = [
        ends.packet(CLIENT, SYN, b""),
        ends.packet(CLIENT, PSH | ACK, TEXT),
        ends.packet(CLIENT, PSH | ACK, &[7; 100]),
        ends.packet(CLIENT, PSH | ACK, b"short"),
    ];
    let note = |bytes: usize, packets: &str| {
        format!("the capture was made with a snap length of {bytes} bytes: {packets} cut")
    };
    // Every payload, some payloads, part of one.
    assert_eq!(cut(40, &all), (vec![note(40, "3 packets are")], 33 + 100 + 5));
    assert_eq!(cut(50, &all), (vec![note(50, "2 packets are")], 23 + 90));
    assert_eq!(cut(100, &all), (vec![note(100, "1 packet is")], 40));
    assert_eq!(cut(1_000, &all), (vec![], 0));
    // Even the headers: nothing of TCP is left.
    let (notes, _) = cut(30, &all);
    assert_eq!(notes, ["it contains no TCP packets".to_owned(), note(30, "4 packets are")]);
    // A program that cuts payloads only.
    let mut packets = Packets::default();
    for (packet, kept) in [(&all[1], 40), (&all[2], 60)] {
        packets.packet_of(101, None, &packet[..kept], packet.len());
    }
    assert_eq!(packets.finish().unwrap().notes[..1], ["2 packets are cut: the capture has at most 60 bytes of each"]);
}

/// Any prefix of any packet is read or named, without a panic.
#[test]
fn packets_that_end_anywhere() {
    let deep = udp(
        4789,
        &with(
            &[8, 0, 0, 0, 0, 0, 5, 0],
            &ethernet(
                0x8847,
                &with(
                    &[0, 1, 1, 64, 0, 0, 0, 9],
                    &ethernet(
                        0x8864,
                        &with(
                            &[0x11, 0, 0, 7, 0, 99, 0, 0x21],
                            &ip(47, &with(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], &v4()[1])),
                        ),
                    ),
                ),
            ),
        ),
    );
    assert_eq!(text(&packets(101, std::slice::from_ref(&deep))), TEXT);
    for end in 0..deep.len() {
        let (notes, _) = cut(end, std::slice::from_ref(&deep));
        assert!(
            notes.iter().any(|note| note.contains(&format!("snap length of {end} bytes: 1 packet is cut"))),
            "{notes:?}"
        );
    }
}
