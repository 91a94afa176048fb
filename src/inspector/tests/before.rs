//! Bytes before HTTP/2: the PROXY protocol, an upgrade from HTTP/1.1, a tunnel.

use super::*;
use Direction::{ToClient, ToServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const V1: &[u8] = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const CONNECT: &[u8] =
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n";
const POINT: &[u8] = b"\0\0\0\0\x02\x08\x2a";

pub(super) type Pieces = Vec<(Direction, Vec<u8>)>;

/// A PROXY protocol header of version 2 with this command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let head = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20 | command, family, (rest.len() >> 8) as u8, rest.len() as u8]];
    [&head.concat(), rest].concat()
}

/// A request in HTTP/1.1 that asks for HTTP/2, with a window of 7 bytes for its streams.
fn upgrade(method: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} /routeguide.RouteGuide/GetFeature HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAAAH\r\nContent-Type: application/grpc\r\nTE: trailers\r\n\
         Authorization: Bearer secret\r\n{lines}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn of_length(body: &[u8]) -> Vec<u8> {
    upgrade("POST", &format!("Content-Length: {}\r\n", body.len()), body)
}

/// A response on stream 1: headers, a message, trailers.
fn response(stream: u8) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let headers = frame(1, 4, &[&[0x88, 0x5f, 16][..], b"application/grpc"].concat());
    let trailers = frame(1, 5, &[&[0x40, 11][..], b"grpc-status", &[1], b"0"].concat());
    [headers, frame(0, 0, b"\0\0\0\0\x02\x0a\0"), trailers].concat()
}

/// A call on a stream of HTTP/2.
fn request(stream: u8) -> Vec<u8> {
    let path = b"/routeguide.RouteGuide/GetFeature";
    let block = [&[0x83, 0x86, 0x44, path.len() as u8][..], path, &[0x41, 1], b"a"].concat();
    let block = [&block[..], &[0x5f, 16], b"application/grpc", &[0x40, 2], b"te", &[8], b"trailers"].concat();
    let block = [&block[..], &[0x0f, 43, 1], b"x", &[0x0f, 8, 6], b"secret"].concat();
    let headers = [&[0, 0, block.len() as u8, 1, 4, 0, 0, 0, stream][..], &block].concat();
    [&headers[..], &[0, 0, 7, 0, 1, 0, 0, 0, stream], POINT].concat()
}

/// Conversations that begin with something else, and the number of pieces before HTTP/2.
pub(super) fn openings() -> Vec<(&'static str, usize, Pieces)> {
    let ipv4 = [10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 1, 0xbb];
    let ipv6 = [&[0; 15][..], &[1], &[0; 15], &[2, 0x9c, 0x40, 1, 0xbb]].concat();
    let unix = [&b"/run/a"[..], &[0; 102], b"/run/b", &[0; 102]].concat();
    let extended = [&ipv4[..], &[2, 0, 1], b"a", &[3, 0, 4, 1, 2, 3, 4, 4, 0, 2, 0, 0]].concat();
    let chunks = upgrade(
        "POST",
        "Transfer-Encoding: chunked\r\n",
        b"3\r\n\0\0\0\r\n4;x=y\r\n\0\x02\x08\x2a\r\n0\r\nA: b\r\n\r\n",
    );
    let refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno";
    let established: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let proxied = |header: &[u8]| {
        let client = [header, PREFACE, &request(1)].concat();
        (1, vec![(ToServer, client), (ToClient, [SETTINGS, &response(1)].concat())])
    };
    let upgraded = |count: usize, client: Vec<u8>, server: &[u8]| {
        let answer = [server, SETTINGS, &response(1)].concat();
        (count, vec![(ToServer, client), (ToClient, answer), (ToServer, PREFACE.to_vec())])
    };
    let named = [
        ("version 1", proxied(V1)),
        ("version 1, IPv6", proxied(b"PROXY TCP6 ::1 ::2 1 2\r\n")),
        ("version 1, unknown", proxied(b"PROXY UNKNOWN ffff::1 any thing\r\n")),
        ("version 2, IPv4", proxied(&v2(1, 0x11, &ipv4))),
        ("version 2, IPv6", proxied(&v2(1, 0x21, &ipv6))),
        ("version 2, Unix", proxied(&v2(1, 0x31, &unix))),
        ("version 2, extensions", proxied(&v2(1, 0x11, &extended))),
        ("version 2, local", proxied(&v2(0, 0, b""))),
        ("upgrade", upgraded(2, of_length(b""), SWITCH)),
        ("upgrade with a body", upgraded(3, of_length(POINT), SWITCH)),
        ("upgrade with a body in chunks", upgraded(5, chunks, SWITCH)),
        ("upgrade after 100", upgraded(4, of_length(POINT), &[b"HTTP/1.1 100 Continue\r\n\r\n", SWITCH].concat())),
        ("upgrade behind a proxy", upgraded(3, [V1, &of_length(b"")].concat(), SWITCH)),
        (
            "tunnel",
            (
                2,
                vec![
                    (ToServer, CONNECT.to_vec()),
                    (ToClient, established.to_vec()),
                    (ToServer, [PREFACE, &request(1)].concat()),
                    (ToClient, [SETTINGS, &response(1)].concat()),
                ],
            ),
        ),
        (
            "tunnel at the second attempt",
            (
                6,
                vec![
                    (ToServer, [V1, b"CONNECT a:1 HTTP/1.1\r\n\r\n"].concat()),
                    (ToClient, refused.to_vec()),
                    (ToServer, CONNECT.to_vec()),
                    (ToClient, established.to_vec()),
                    (ToServer, [PREFACE, &request(1)].concat()),
                    (ToClient, [SETTINGS, &response(1)].concat()),
                ],
            ),
        ),
    ];
    named.map(|(name, (count, pieces))| (name, count, pieces)).to_vec()
}

fn ended_calls(conversation: &Conversation) -> Vec<CallSummary> {
    let mut calls = Calls::new(route_guide());
    conversation.frames().flat_map(|frame| calls.advance(frame)).collect()
}

fn findings(conversation: &Conversation) -> Vec<Finding> {
    let mut lint = Lint::new(route_guide());
    let mut findings: Vec<_> = conversation.frames().flat_map(|frame| lint.check(frame)).collect();
    findings.extend(lint.finish());
    findings
}

#[test]
fn http2_follows_what_comes_before_it() {
    for (name, count, pieces) in openings() {
        let conversation = decode(route_guide(), &pieces);
        conversation.check().unwrap();
        let before = |frame: &&Frame| matches!(frame.kind, FrameKind::Before(_));
        assert_eq!(conversation.frames().filter(before).count(), count, "{name}");
        let mut other = conversation.frames().filter(|frame| !before(frame));
        assert!(other.all(|frame| matches!(frame.kind, FrameKind::Preface | FrameKind::Http2(_))), "{name}");
        assert!(conversation.frames().all(|frame| frame.faults.is_empty()), "{name}");
        let calls = ended_calls(&conversation);
        let [call] = &calls[..] else { panic!("{name}: {calls:?}") };
        assert_eq!((call.stream, call.end), (1, CallEnd::Trailers), "{name}");
        assert_eq!(call.path, "/routeguide.RouteGuide/GetFeature", "{name}");
        assert_eq!(call.response.messages, 1, "{name}");
        assert_eq!(findings(&conversation), [], "{name}");
    }
}

#[test]
fn it_may_be_cut_anywhere() {
    for (name, _, pieces) in openings() {
        let whole = decode(route_guide(), &pieces);
        for size in [1, 2, 7, 50] {
            let cut = pieces.iter().flat_map(|(way, bytes)| bytes.chunks(size).map(|piece| (*way, piece.to_vec())));
            let cut: Pieces = cut.collect();
            assert!(whole.frames().eq(decode(route_guide(), &cut).frames()), "{name} in pieces of {size}");
        }
        for (at, (way, bytes)) in pieces.iter().enumerate() {
            for end in (0..bytes.len().min(400)).step_by(3) {
                let mut cut = pieces[..at].to_vec();
                cut.push((*way, bytes[..end].to_vec()));
                let conversation = decode(route_guide(), &cut);
                conversation.check().unwrap();
                let leaves: usize = conversation
                    .frames()
                    .flat_map(|frame| frame.annotations.leaves())
                    .map(|leaf| leaf.range.len())
                    .sum();
                assert_eq!(leaves, cut.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), "{name} up to {end}");
            }
        }
    }
}

#[test]
fn upgraded_request_is_stream_1_with_body_and_settings() {
    let (_, _, pieces) = openings().into_iter().find(|(name, ..)| *name == "upgrade with a body in chunks").unwrap();
    let conversation = decode(route_guide(), &pieces);
    let request = conversation.frames().next().unwrap();
    assert_eq!((request.stream(), request.kind), (1, FrameKind::Before(Preamble::Upgrade)));
    assert!(matches!(&request.meaning, Meaning::RequestHeaders { path } if path.ends_with("/GetFeature")));
    let messages: Vec<_> = conversation.frames().filter(|frame| frame.direction == ToServer).collect();
    let message = messages.iter().find_map(|frame| Some(outline(frame, frame.messages.first()?)));
    assert_eq!(message.as_deref(), Some("routeguide.Point, 2 bytes: latitude: 42"));
    assert_eq!(ended_calls(&conversation)[0].request.messages, 1);
    let said: String = conversation.frames().map(lines).collect();
    for expected in [
        "client ──▶ server  HTTP/1.1 request  Request-Headers, asks for HTTP/2  POST /routeguide.RouteGuide/GetFeature HTTP/1.1\n",
        "    http2-settings: AAMAAABkAAQAAAAH\n",
        "client ◀── server  HTTP/1.1 response  HTTP/1.1 101 Switching Protocols\n",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    // The window of stream 1 is that of the client's settings: 7 bytes, which the response uses up.
    let mut flow = Flow::new();
    conversation.frames().for_each(|frame| drop(flow.advance(frame)));
    let bytes = print(conversation.frames(), &PrintOptions::default());
    assert!(bytes.contains("INITIAL_WINDOW_SIZE: 7"), "{bytes}");
    let series = flow.series().find(|series| series.stream == 1 && series.direction == ToClient).unwrap();
    assert_eq!(series.points.last().unwrap().window, 0);
}

#[test]
fn upgrade_request_without_a_message_is_not_a_call() {
    let pieces = [
        (ToServer, upgrade("OPTIONS", "", b"")),
        (ToClient, [SWITCH, SETTINGS, b"\0\0\x01\x01\x05\0\0\0\x01\x89"].concat()),
        (ToServer, [PREFACE, &request(3)].concat()),
        (ToClient, response(3)),
    ];
    let conversation = decode(route_guide(), &pieces);
    assert_eq!(findings(&conversation).iter().map(|finding| finding.name).collect::<Vec<_>>(), ["answer-not-grpc"]);
    let calls = ended_calls(&conversation);
    assert_eq!(calls.iter().map(|call| call.stream).collect::<Vec<_>>(), [3]);
}

#[test]
fn refused_upgrade_is_not_http2_and_names_http1() {
    for status in ["200 OK", "400 Bad Request", "426 Upgrade Required", "505 No"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        let pieces = [
            (ToServer, of_length(POINT)),
            (ToClient, answer.into_bytes()),
            (ToServer, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ];
        let conversation = decode(route_guide(), &pieces);
        let said: String = conversation.frames().map(lines).collect();
        assert!(said.contains(&format!("not HTTP/2: refused with {} in HTTP/1.1", &status[..3])), "{said}");
        assert!(said.contains("client ──▶ server  bytes  not HTTP/2: HTTP/1.1  GET / HTTP/1.1"), "{said}");
        let calls = ended_calls(&conversation);
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((call.http_status.as_deref(), call.end), (Some(&status[..3]), CallEnd::HttpResponse));
        let named = |finding: &Finding| finding.name == "not-http2" && finding.sentence.starts_with("HTTP/1.1");
        assert!(findings(&conversation).iter().any(named));
    }
    for other in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"GET / HT", b"GET / HTTP/1.1\r\nHo", b"BREW /pot HTTP/1.0\n\n"]
    {
        let said: String = decode(Schema::new(), &[(ToServer, other.to_vec())]).frames().map(lines).collect();
        assert!(said.contains("not HTTP/2: HTTP/1.1"), "{said}");
    }
    for other in
        [&b"hello\r\n"[..], b"SSH-2.0-OpenSSH_9.6\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", b"GET  / HTTP/1.1\r\n"]
    {
        let said: String = decode(Schema::new(), &[(ToServer, other.to_vec())]).frames().map(lines).collect();
        assert!(said.contains("  not HTTP/2  "), "{said}");
    }
}

/// A body that is shorter than the header of a frame has findings within its bytes.
#[test]
fn finding_about_a_body_points_into_it() {
    let pieces = [
        (ToServer, of_length(&POINT[..6])),
        (ToClient, [SWITCH, SETTINGS, &response(1)].concat()),
        (ToServer, PREFACE.to_vec()),
    ];
    let conversation = decode(route_guide(), &pieces);
    let body = conversation.frames().find(|frame| frame.kind == FrameKind::Before(Preamble::Body)).unwrap();
    assert_eq!(body.faults, ["the stream ends inside a message: 1 of its 2 bytes"]);
    let findings = findings(&conversation);
    assert!(findings.iter().any(|finding| finding.name == "message-truncated"), "{findings:?}");
    for finding in findings {
        let frame = conversation.frames().find(|frame| frame.number == finding.frame).unwrap();
        assert!(!finding.range.is_empty() && finding.range.end <= frame.bytes.len(), "{finding}");
    }
}

/// TLS behind the PROXY protocol is named with its remedy, once.
#[test]
fn tls_behind_a_proxy_is_named() {
    let record = hex("16 03 01 0006 01 000002 0303");
    let pieces = [(ToServer, [V1, &record].concat()), (ToServer, record)];
    let said: Vec<_> = decode(Schema::new(), &pieces).frames().map(lines).collect();
    assert!(said[0].contains("PROXY protocol") && said[1].contains("TLS: decrypt with"), "{said:?}");
    assert!(said[2].ends_with("bytes  TLS  11 bytes\n"), "{said:?}");
}

#[test]
fn endless_http1_head_is_held_up_to_a_limit() {
    let mut conversation = Conversation::new(Schema::new());
    conversation.push(ToServer, b"POST / HTTP/1.1\r\nUpgrade: h2c\r\n");
    for _ in 0..20 {
        conversation.push(ToServer, &b"A: b\r\n".repeat(200));
    }
    assert!(conversation.frames().len() > 1);
    assert!(conversation.frames().all(|frame| frame.kind == FrameKind::NotHttp2));
    conversation.finish();
    conversation.check().unwrap();
}

#[test]
fn gap_before_http2_is_survived() {
    let request = of_length(POINT);
    for at in [3, 30, request.len() - 3] {
        let mut conversation = Conversation::new(route_guide());
        conversation.push(ToServer, &request[..at]);
        conversation.lose(ToServer, 2);
        conversation.push(ToServer, &request[at + 2..]);
        conversation.push(ToServer, &[PREFACE, &self::request(3)].concat());
        conversation.finish();
        conversation.check().unwrap();
        let said: String = conversation.frames().map(lines).collect();
        assert!(
            said.contains("connection preface") && said.contains("stream 3  END_HEADERS  Request-Headers"),
            "{said}"
        );
    }
}

#[test]
fn proxy_protocol_headers_are_recognized() {
    let words = |bytes: &[u8]| lines(decode(Schema::new(), &[(ToServer, bytes.to_vec())]).frames().next().unwrap());
    let said = words(V1);
    assert!(said.contains("family: TCP4, source: 192.168.0.1, destination: 192.168.0.11"), "{said}");
    let said = words(&v2(1, 0x21, &[&[0; 15][..], &[1], &[0; 15], &[2, 0x9c, 0x40, 1, 0xbb, 2, 0, 1, b'h']].concat()));
    let expected = "command: PROXY, family: TCP over IPv6, length: 40 bytes, source: ::1, destination: ::2, \
                    source port: 40000, destination port: 443, AUTHORITY: h";
    assert!(said.contains(expected), "{said}");
    assert!(words(&v2(0, 0, b"")).contains("command: LOCAL"));
    assert!(words(&v2(1, 0x31, &[&b"/run/a"[..], &[0; 210]].concat())).contains("source: /run/a"));
    for broken in [v2(1, 0x11, b"short"), v2(7, 0x11, &[0; 12]), v2(1, 0x44, b""), v2(1, 0x11, &[9; 14])] {
        let said = words(&broken);
        assert!(said.contains("✗"), "{said}");
    }
    assert!(words(b"PROXY TCP4 nowhere 1.1.1.1 1 99999\r\n").contains("✗ invalid source: \"nowhere\""));
    // A line of version 1 has at most 107 bytes.
    assert!(words(&[b"PROXY TCP4 ", &[b'1'; 200][..]].concat()).contains("not HTTP/2"));
}
