//! Conversations: the meaning of each frame, parts across frames, and faults.

use std::ops::Range;

use super::*;

fn titles(conversation: &Conversation) -> Vec<(Direction, String)> {
    let title = |frame: &Frame| match frame.header() {
        Some(header) => format!("{} {} {}", header.kind, header.flag_names(), frame.meaning),
        None => format!("{:?}", frame.kind),
    };
    conversation.frames().map(|frame| (frame.direction, title(frame).trim_end().replace("  ", " "))).collect()
}

fn frame(conversation: &Conversation, number: usize) -> &Frame {
    conversation.frames().nth(number - 1).unwrap()
}

fn first(frame: &Frame) -> Node<'_> {
    frame.annotations.iter().next().unwrap()
}

/// The node after the frame's header.
fn second(frame: &Frame) -> Node<'_> {
    frame.annotations.iter().nth(1).unwrap()
}

/// The part and the range of a node's child.
fn place(node: &Node<'_>, child: usize) -> (Part, Range<usize>) {
    let child = node.children().nth(child).unwrap();
    (child.part, child.range.clone())
}

/// The given nodes as "label: value".
fn texts<'a>(nodes: impl IntoIterator<Item = Node<'a>>) -> Vec<String> {
    nodes.into_iter().map(|node| format!("{}: {}", node.label, node.value)).collect()
}

/// GetFeature up to its Request-Headers, followed by the given pieces.
fn call_then(pieces: &[(Direction, &str)]) -> Conversation {
    let mut whole = bytes_of(&GET_FEATURE)[..5].to_vec();
    whole.extend(bytes_of(pieces));
    decode(route_guide(), &whole)
}

use Direction::{ToClient, ToServer};

#[test]
fn get_feature_is_decoded_frame_by_frame() {
    let conversation = decode(route_guide(), &bytes_of(&GET_FEATURE));
    let expected = [
        (ToServer, "Preface"),
        (ToServer, "SETTINGS"),
        (ToClient, "SETTINGS"),
        (ToServer, "SETTINGS ACK"),
        (ToServer, "HEADERS END_HEADERS Request-Headers"),
        (ToServer, "DATA END_STREAM Length-Prefixed-Message"),
        (ToClient, "SETTINGS ACK"),
        (ToClient, "HEADERS END_HEADERS Response-Headers"),
        (ToClient, "DATA Length-Prefixed-Message"),
        (ToClient, "HEADERS END_STREAM END_HEADERS Trailers"),
        (ToServer, "GOAWAY"),
    ];
    assert_eq!(titles(&conversation), expected.map(|(direction, title)| (direction, title.to_owned())));
    assert!(conversation.frames().all(|frame| frame.faults.is_empty()));
    assert!(conversation.frames().flat_map(|frame| frame.annotations.all()).all(|node| node.fault.is_none()));

    let path = "/routeguide.RouteGuide/GetFeature".to_owned();
    assert_eq!(frame(&conversation, 5).meaning, Meaning::RequestHeaders { path });
    assert_eq!(frame(&conversation, 10).meaning, Meaning::Trailers { status: Some("0".to_owned()) });
    let expected = [
        ":method: POST",
        ":scheme: http",
        ":path: /routeguide.RouteGuide/GetFeature",
        ":authority: localhost:50051",
        "content-type: application/grpc",
        "te: trailers",
        "grpc-timeout: 10S (10 seconds)",
    ];
    assert_eq!(texts(frame(&conversation, 5).annotations.iter().skip(1)), expected);

    let answer = frame(&conversation, 9);
    let [message] = answer.messages.as_slice() else { panic!("one message") };
    assert_eq!((message.number, message.length, message.compressed), (1, 59, false));
    assert_eq!(message.type_name.as_deref(), Some("routeguide.Feature"));
    assert_eq!(message.segments, [(9, 9..73)]);
    let tree = answer.message_tree(message).unwrap();
    let expected = [
        "Compressed-Flag: 0, uncompressed",
        "Message-Length: 59 bytes",
        "name: \"Berkshire Valley Management Area Trail\"",
        "location: routeguide.Point",
    ];
    assert_eq!(texts(tree.children()), expected);
    let location = tree.children().nth(3).unwrap();
    assert_eq!(
        texts(location.children()),
        ["tag: field 2, LEN", "length: 17", "latitude: 409172122", "longitude: -747065082"]
    );
    assert_eq!(location.children().nth(2).unwrap().range, 9 + 47..9 + 53);
    assert_eq!(
        location.children().nth(2).unwrap().rule.unwrap().link(),
        "https://protobuf.dev/programming-guides/encoding/#structure"
    );
}

#[test]
fn message_in_three_frames_is_shown_in_each_of_them() {
    let conversation = call_then(&[
        (ToServer, "000007 00 00 00000001  00 00000008 08 9a"),
        (ToServer, "000003 00 00 00000001  f18dc3"),
        (ToServer, "000003 00 01 00000001  01 10 05"),
    ]);
    let parts: Vec<_> = conversation.frames().skip(5).map(|frame| (second(frame), frame.messages.len())).collect();
    let [(head, 0), (middle, 0), (tail, 1)] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!([head.part, middle.part, tail.part], [Part::Head, Part::Middle, Part::Tail]);
    assert_eq!(texts(head.children())[2], "latitude: 409172122");
    assert_eq!(place(head, 2), (Part::Head, 14..16));
    assert_eq!(place(middle, 0), (Part::Middle, 9..12));
    assert_eq!(texts(tail.children()), ["latitude: ", "longitude: 5"]);
    let segments = &frame(&conversation, 8).messages[0].segments;
    assert_eq!(*segments, [(6, 9..16), (7, 9..12), (8, 9..12)]);
}

#[test]
fn taken_frames_do_not_change_later() {
    let mut conversation = Conversation::new(route_guide());
    for (direction, bytes) in &bytes_of(&GET_FEATURE)[..5] {
        conversation.push(*direction, bytes);
    }
    conversation.push(ToServer, &hex("000003 00 00 00000001  00 0000"));
    conversation.push(ToServer, &hex("000005 00 00 00000001  0004 089af1"));
    let taken = conversation.take_frames();
    assert_eq!(taken.len(), 7);
    assert_eq!(second(&taken[6]).value, "message 1: bytes 0 to 3 of 4");
    conversation.push(ToServer, &hex("000001 00 00 00000001  01"));
    assert_eq!(conversation.frames().len(), 1);
    let last = frame(&conversation, 1);
    assert_eq!(last.messages[0].segments.len(), 3);
    assert_eq!(texts(last.message_tree(&last.messages[0]).unwrap().children())[2], "latitude: 30874");
    conversation.check().unwrap();
}

#[test]
fn several_messages_in_one_frame_are_decoded() {
    let conversation = call_then(&[(ToServer, "000010 00 00 00000001  00 00000000  00 00000002 0801  00 00 00 00")]);
    let data = frame(&conversation, 6);
    assert_eq!(
        data.messages.iter().map(|message| (message.number, message.length)).collect::<Vec<_>>(),
        [(1, 0), (2, 2)]
    );
    let values: Vec<_> = data.annotations.iter().skip(1).map(|node| node.value.to_string()).collect();
    let expected = [
        "uncompressed, 0 bytes: routeguide.Point",
        "uncompressed, 2 bytes: routeguide.Point",
        "message 3: inside the prefix",
    ];
    assert_eq!(values, expected);
}

#[test]
fn compressed_messages_name_their_encoding() {
    let conversation = call_then(&[
        (
            ToClient,
            "000027 01 04 00000001
             88
             5f 10 6170706c69636174696f6e2f67727063
             40 0d 677270632d656e636f64696e67 04 677a6970",
        ),
        (ToClient, "000008 00 00 00000001  01 00000003 1f8b08"),
    ]);
    assert_eq!(second(frame(&conversation, 7)).value, "compressed with gzip, 3 bytes: routeguide.Feature");
    assert!(frame(&conversation, 7).messages[0].compressed);
}

#[test]
fn header_block_in_three_frames_is_decoded() {
    let conversation = call_then(&[
        (ToClient, "000001 01 01 00000001  88"),
        (ToClient, "000008 09 00 00000001  40 0b 677270632d73"),
        (ToClient, "000008 09 04 00000001  7461747573 02 31 34"),
    ]);
    let status = Meaning::TrailersOnly { status: "14".to_owned() };
    assert_eq!(frame(&conversation, 6).meaning, status);
    assert_eq!(frame(&conversation, 8).meaning, status);
    assert_eq!(frame(&conversation, 8).headers.len(), 2);
    assert_eq!(texts(frame(&conversation, 6).annotations.iter().skip(1)), [":status: 200"]);
    assert_eq!(texts(frame(&conversation, 7).annotations.iter().skip(1)), ["grpc-status: 14 (UNAVAILABLE)"]);
    assert_eq!(second(frame(&conversation, 8)).part, Part::Tail);
}

#[test]
fn stream_that_ends_inside_a_message_is_a_fault() {
    let faults = |digits| frame(&call_then(&[(ToServer, digits)]), 6).faults.clone();
    assert_eq!(faults("000006 00 01 00000001  00 00000008 08"), ["the stream ends inside a message: 1 of its 8 bytes"]);
    assert_eq!(faults("000002 00 01 00000001  00 00"), ["the stream ends inside a message's prefix: 2 of 5 bytes"]);
    assert_eq!(faults("000005 00 01 00000001  00 00000000"), [""; 0]);
}

#[test]
fn only_continuation_may_follow_an_open_header_block() {
    let conversation = call_then(&[
        (ToClient, "000001 01 00 00000001  88"),
        (ToClient, "000008 06 00 00000000  0000000000000000"),
        (ToClient, "000001 09 04 00000001  88"),
        (ToClient, "000002 01 04 00000001  88 be"),
    ]);
    assert_eq!(frame(&conversation, 7).faults, ["PROTOCOL_ERROR: the header block of stream 1 is not complete"]);
    assert_eq!(frame(&conversation, 8).faults, ["PROTOCOL_ERROR: CONTINUATION without an open header block"]);
    assert_eq!(texts(frame(&conversation, 9).annotations.iter().skip(2))[0].split(':').next(), Some("unknown name"));
}

#[test]
fn invalid_header_block_is_a_compression_error() {
    let conversation = call_then(&[(ToClient, "000002 01 04 00000001  88 ff")]);
    let expected = ["COMPRESSION_ERROR: the header block ends inside an instruction"];
    assert_eq!(frame(&conversation, 6).faults, expected);
    assert_eq!(frame(&conversation, 6).meaning, Meaning::Headers);
}

#[test]
fn bytes_that_are_not_http2_are_shown_as_such() {
    let mut conversation = Conversation::new(Schema::new());
    conversation.push(ToServer, b"PRI * HTTP/2");
    assert_eq!(conversation.frames().len(), 0);
    conversation.push(ToServer, b"!");
    conversation.push(ToServer, b"more");
    conversation.push(ToClient, b"HTT");
    conversation.push(ToClient, b"P/1.1 400 Bad Request\r\n");
    conversation.finish();
    conversation.check().unwrap();
    let kinds: Vec<_> = conversation.frames().map(|frame| (frame.direction, frame.kind, frame.bytes.len())).collect();
    let raw = FrameKind::NotHttp2;
    assert_eq!(kinds, [(ToServer, raw, 13), (ToServer, raw, 4), (ToClient, raw, 26)]);
    let text = frame(&conversation, 3).annotations.leaves().next().unwrap();
    assert_eq!(text.value, r"HTTP/1.1 400 Bad Request\r\n");
    assert!(lines(frame(&conversation, 3)).contains("not HTTP/2: HTTP/1.1"));
}

/// The length of a ServerHello with a key share of ML-KEM has the type of SETTINGS at the place of a frame's type.
#[test]
fn tls_is_recognised_and_not_parsed_as_a_frame() {
    let mut conversation = Conversation::new(Schema::new());
    conversation.push(ToServer, &hex("16 03 01 0006 01 000002 0303"));
    conversation.push(ToClient, &hex("16 03 03 04ba 02"));
    conversation.push(ToClient, &hex("0004b6 0303"));
    conversation.finish();
    conversation.check().unwrap();
    let told: Vec<_> = conversation.frames().map(lines).collect();
    let hint = "TLS: decrypt with barewire tap --tls, or a recording with decode --key-log";
    assert_eq!(told[0], format!("frame 1 client ──▶ server  bytes  {hint}  11 bytes\n"));
    assert_eq!(told[1], format!("frame 2 client ◀── server  bytes  {hint}  6 bytes\n"));
    assert_eq!(told[2], "frame 3 client ◀── server  bytes  TLS  5 bytes\n");
}

#[test]
fn end_inside_a_frame_is_a_fault() {
    let conversation = call_then(&[(ToServer, "000008 06 00 00000000  0102"), (ToClient, "000008 06")]);
    assert_eq!(frame(&conversation, 6).kind, FrameKind::Truncated);
    assert_eq!(frame(&conversation, 6).faults, ["the bytes end inside a frame: 2 of 8 bytes of payload"]);
    assert_eq!(first(frame(&conversation, 7)).label, "incomplete frame header");
    let preface = decode(Schema::new(), &[(ToServer, b"PRI *".to_vec())]);
    assert_eq!(first(frame(&preface, 1)).label, "part of the preface");
}

#[test]
fn data_outside_a_grpc_call_is_shown_as_bytes() {
    let conversation = call_then(&[
        (ToClient, "00000c 01 04 00000001  88 5f 09 746578742f68746d6c"), // content-type: text/html
        (ToClient, "000005 00 01 00000001  3c68313e0a"),
        (ToClient, "000005 00 00 00000007  0000000000"),
    ]);
    assert_eq!(frame(&conversation, 6).meaning, Meaning::HttpResponse { status: "200".to_owned() });
    assert_eq!(frame(&conversation, 7).meaning, Meaning::Data);
    assert_eq!(second(frame(&conversation, 7)).value, "not messages: the content-type is not gRPC");
    assert_eq!(second(frame(&conversation, 8)).value, "of a call that has ended or was not captured");
}

#[test]
fn memory_is_bounded_by_the_limits() {
    let limits = Limits { message: 4, calls: 1, frames: 20_000, annotations: 30, ..Limits::default() };
    let mut conversation = Conversation::with_limits(route_guide(), limits);
    for (direction, bytes) in &bytes_of(&GET_FEATURE)[..5] {
        conversation.push(*direction, bytes);
    }
    conversation.push(ToServer, &hex("00000a 00 00 00000001  00 00000005 0801 1001 00"));
    let long = conversation.frames().last().unwrap();
    assert_eq!(second(long).value, "message 1: bytes 0 to 5 of 5, not decoded: over --limit message");
    assert_eq!((long.messages.len(), long.message_tree(&long.messages[0])), (1, None));

    let empty = [hex("0000fa 00 00 00000001"), hex("00 00000000").repeat(50)].concat();
    conversation.push(ToServer, &empty);
    let many = conversation.frames().last().unwrap();
    assert!(many.annotations.iter().count() < 15);
    assert_eq!(many.annotations.iter().last().unwrap().label, "more messages");

    for _ in 0..100 {
        conversation.push(ToServer, &hex("000005 00 00 00000001  00 00000000"));
    }
    conversation.check().unwrap();
    assert!(conversation.dropped_frames() > 50);
    assert!(conversation.frames().len() > 5);
    assert_eq!(conversation.frames().last().unwrap().number, 107);
}
