//! PUSH_PROMISE: its header block is a request that the server sends, also when it goes on in CONTINUATION (RFC 9113,
//! sections 6.6 and 8.4.1).

use super::*;
use Direction::{ToClient, ToServer};

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// A call of gRPC whose server promises something before, within or after its response, and the bytes of that promise.
fn call(place: usize, promise: &[u8]) -> Vec<(Direction, Vec<u8>)> {
    let path = b"/routeguide.RouteGuide/GetFeature";
    let block = [&[0x83, 0x86, 0x44, path.len() as u8][..], path, &[0x41, 1], b"a", &[0x5f, 16], b"application/grpc"];
    let block = [&block.concat()[..], &[0x40, 2], b"te", &[8], b"trailers", &[0x0f, 43, 1], b"x"].concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let headers = frame(1, 4, 1, &[&[0x88, 0x5f, 16][..], b"application/grpc"].concat());
    let trailers = frame(1, 5, 1, &[&[0x40, 11][..], b"grpc-status", &[1], b"0"].concat());
    let mut parts = vec![headers, frame(0, 0, 1, b"\0\0\0\0\x02\x0a\0"), trailers];
    parts.insert(place, promise.to_vec());
    let answer = [&frame(4, 0, 0, b"")[..], &frame(4, 1, 0, b""), &parts.concat()].concat();
    let pushed = [frame(1, 4, 2, &[0x88]), frame(0, 1, 2, b"css")].concat();
    vec![
        (ToServer, [&preface[..], &frame(1, 4, 1, &block), &frame(0, 1, 1, b"\0\0\0\0\x02\x08\x2a")].concat()),
        (ToClient, [answer, pushed].concat()),
        (ToServer, frame(4, 1, 0, b"")),
    ]
}

/// The promise of `GET /x` in as many frames as there are pieces.
fn promise(pieces: &[&[u8]]) -> Vec<u8> {
    let last = pieces.len() - 1;
    let frames = pieces.iter().enumerate().map(|(at, piece)| {
        let end = if at == last { 4 } else { 0 };
        if at == 0 { frame(5, end, 1, &[&[0, 0, 0, 2][..], piece].concat()) } else { frame(9, end, 1, piece) }
    });
    frames.collect::<Vec<_>>().concat()
}

#[test]
fn push_promise_in_any_number_of_frames_leaves_the_call_unchanged() {
    let block = b"\x82\x87\x44\x02/x\x41\x01a";
    for place in 0..3 {
        for cut in 0..block.len() {
            let (head, tail) = block.split_at(cut);
            for pieces in
                [vec![&block[..]], vec![head, tail], vec![head, &tail[..1], &tail[1..]], vec![head, tail, b""]]
            {
                let conversation = decode(route_guide(), &call(place, &promise(&pieces)));
                conversation.check().unwrap();
                assert!(conversation.frames().all(|frame| frame.faults.is_empty()), "{place} {pieces:02x?}");
                let mut lint = Lint::new(route_guide());
                let mut findings: Vec<_> = conversation.frames().flat_map(|frame| lint.check(frame)).collect();
                findings.extend(lint.finish());
                assert_eq!(findings, [], "{place} {pieces:02x?}");
                let mut calls = Calls::new(route_guide());
                let ended: Vec<_> = conversation.frames().flat_map(|frame| calls.advance(frame)).collect();
                let [call] = &ended[..] else { panic!("{ended:?}") };
                assert_eq!((call.stream, call.end, call.response.messages), (1, CallEnd::Trailers, 1));
                assert_eq!(calls.open().count(), 0);
                let promised: Vec<_> = conversation
                    .frames()
                    .filter(|frame| frame.header().is_some_and(|header| header.kind == FrameType::PUSH_PROMISE))
                    .collect();
                let request = Meaning::RequestHeaders { path: "/x".to_owned() };
                assert!(promised.iter().all(|frame| frame.meaning == request));
                assert!(lines(promised[0]).contains("promised Request-Headers"), "{}", lines(promised[0]));
            }
        }
    }
}

#[test]
fn push_promise_is_not_the_first_byte_of_the_response() {
    let mut conversation = Conversation::new(route_guide());
    let promise = promise(&[b"\x82", b"\x87", b"\x44\x02/x"]);
    for (at, (direction, bytes)) in call(0, &promise).into_iter().enumerate() {
        let (promised, rest) = bytes.split_at(if at == 1 { 18 + promise.len() } else { 0 });
        conversation.push(direction, promised);
        conversation.set_time(std::time::Duration::from_secs(at as u64));
        conversation.push(direction, rest);
    }
    let mut calls = Calls::new(route_guide());
    let ended: Vec<_> = conversation.frames().flat_map(|frame| calls.advance(frame)).collect();
    assert_eq!(ended[0].first_byte, Some(std::time::Duration::from_secs(1)));
}

/// A block that can't be decoded completely is not taken for a response or for trailers.
#[test]
fn push_promise_with_unknown_headers_is_shown_as_headers() {
    let mut conversation = Conversation::joined_late(route_guide());
    let promise = promise(&[b"\xc0", b"\xc1\x40\x0bgrpc-status\x010"]);
    conversation.push(ToClient, &[frame(6, 0, 0, &[0; 8]), frame(6, 0, 0, &[0; 8]), promise].concat());
    let meanings: Vec<_> = conversation.frames().skip(2).map(|frame| frame.meaning.clone()).collect();
    assert_eq!(meanings, [Meaning::Headers, Meaning::Headers]);
}

/// A request of HTTP/2 that is none of gRPC, and its response without a content-type: no messages, and no rules of gRPC.
#[test]
fn requests_of_other_kinds_are_not_judged_by_the_rules_of_grpc() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let pieces = [
        (ToServer, [&preface[..], &frame(1, 5, 1, b"\x82\x86\x44\x02/x\x41\x01a")].concat()),
        (ToClient, [frame(4, 0, 0, b""), frame(4, 1, 0, b""), frame(1, 4, 1, &[0x88])].concat()),
        (ToClient, frame(0, 1, 1, b"<html>")),
        (ToServer, frame(4, 1, 0, b"")),
    ];
    let conversation = decode(route_guide(), &pieces);
    let mut lint = Lint::new(route_guide());
    let mut findings: Vec<_> = conversation.frames().flat_map(|frame| lint.check(frame)).collect();
    findings.extend(lint.finish());
    assert_eq!(findings, []);
    assert!(conversation.frames().all(|frame| frame.messages.is_empty() && frame.faults.is_empty()));
}
