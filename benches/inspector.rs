//! Measures how fast a capture is decoded, with an annotation for every byte.
//!
//! `cargo bench --bench inspector`. Bytes are those of the wire, frame headers included.

use barewire::inspector::{CallKind, Conversation, Direction, FieldType, Lint, Schema, lines};
use divan::Bencher;
use divan::counter::BytesCount;

/// The approximate number of bytes of DATA in each capture.
const SIZE: usize = 8 << 20;

/// The size of the pieces in which a file is read.
const CHUNK: usize = 64 << 10;

fn main() {
    divan::main();
}

/// A stream of messages of this many bytes, in DATA frames of 16 KiB; 22 bytes are a point of a route.
#[divan::bench(args = [22, 256, 4_096, 65_536, 1_048_576])]
fn packed(bencher: Bencher, length: usize) {
    decode(bencher, &stream(length, 16 << 10));
}

/// The same with one DATA frame for each message.
#[divan::bench(args = [22, 256, 4_096])]
fn one_by_one(bencher: Bencher, length: usize) {
    decode(bencher, &stream(length, length));
}

/// Unary calls, a hundred at a time: headers, a message each way, trailers.
#[divan::bench]
fn calls(bencher: Bencher) {
    decode(bencher, &unary_calls());
}

/// The same, with a line for each frame and all rules checked.
#[divan::bench]
fn calls_shown_and_checked(bencher: Bencher) {
    let wire = unary_calls();
    bencher.counter(BytesCount::new(length(&wire))).bench(|| {
        let (mut lint, mut shown) = (Lint::new(schema()), 0);
        read(&wire, |conversation| {
            for frame in conversation.take_frames() {
                shown += lines(&frame).len() + lint.check(&frame).len();
            }
        });
        shown
    });
}

/// The recorded bytes of both directions, in the order in which they would be read.
type Wire = Vec<(Direction, Vec<u8>)>;

fn length(wire: &Wire) -> usize {
    wire.iter().map(|(_, bytes)| bytes.len()).sum()
}

fn decode(bencher: Bencher, wire: &Wire) {
    bencher.counter(BytesCount::new(length(wire))).bench(|| {
        let mut frames = 0;
        read(wire, |conversation| frames += conversation.take_frames().len());
        frames
    });
}

fn read(wire: &Wire, mut each: impl FnMut(&mut Conversation)) {
    let mut conversation = Conversation::new(schema());
    conversation.push(Direction::ToClient, &frame(4, 0, 0, &[]));
    for (direction, bytes) in wire {
        for chunk in bytes.chunks(CHUNK) {
            conversation.push(*direction, chunk);
            each(&mut conversation);
        }
    }
}

fn stream(length: usize, frame_length: usize) -> Wire {
    let mut wire = preface();
    wire.extend(request(1, "/routeguide.RouteGuide/RecordRoute"));
    let message = message(length);
    let messages = message.repeat((SIZE / message.len()).max(1));
    for data in messages.chunks(frame_length) {
        wire.extend(frame(0, 0, 1, data));
    }
    vec![(Direction::ToServer, wire)]
}

fn unary_calls() -> Wire {
    let mut wire = vec![(Direction::ToServer, preface())];
    let (message, mut first) = (message(22), 1);
    while length(&wire) < SIZE / 4 {
        let streams = || (first..first + 200).step_by(2);
        let call =
            |stream| [request(stream, "/routeguide.RouteGuide/GetFeature"), frame(0, 1, stream, &message)].concat();
        wire.push((Direction::ToServer, streams().flat_map(call).collect()));
        let answer = |stream| [response(stream), frame(0, 0, stream, &message), trailers(stream)].concat();
        wire.push((Direction::ToClient, streams().flat_map(answer).collect()));
        first += 200;
    }
    wire
}

/// Returns a message of this many bytes, prefix included: a point, padded with text.
fn message(length: usize) -> Vec<u8> {
    let mut content = vec![8, 0x9a, 0xf1, 0x8d, 0xc3, 1, 16, 0x86, 0xe2, 0xe2, 0x9b, 0xfd, 0xff, 0xff, 0xff, 0xff, 1];
    if let Some(rest) = length.checked_sub(5 + 17 + 5).filter(|rest| *rest > 0) {
        content.push(0x1a);
        content.extend([rest as u8 | 0x80, (rest >> 7) as u8 | 0x80, (rest >> 14) as u8 | 0x80, (rest >> 21) as u8]);
        content.resize(content.len() + rest, b'x');
    }
    [&[0][..], &(content.len() as u32).to_be_bytes(), &content].concat()
}

fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(4, 0, 0, &[]).as_slice()].concat()
}

/// Returns Request-Headers as h2 sends them once its table is filled: mostly indices.
fn request(stream: u32, path: &str) -> Vec<u8> {
    let literal = |name: &str, value: &str| {
        [&[0x40, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let block = match stream {
        1 => {
            let fields = [("te", "trailers"), ("user-agent", "grpc-rust"), (":path", path)];
            let fields = fields.map(|(name, value)| literal(name, value)).concat();
            [&[0x83, 0x86, 0x0f, 0x10, 16][..], b"application/grpc", &fields].concat()
        }
        _ => [&[0x83, 0x86, 0x0f, 0x10, 16][..], b"application/grpc", &[0xc0, 0xbf, 0xbe]].concat(),
    };
    frame(1, 4, stream, &block)
}

/// Returns `:status: 200`, and a content-type that is in the table after the first answer.
fn response(stream: u32) -> Vec<u8> {
    let added = [&[0x88, 0x5f, 16][..], b"application/grpc"].concat();
    frame(1, 4, stream, if stream == 1 { &added } else { &[0x88, 0xbe] })
}

/// Returns `grpc-status: 0` as a literal.
fn trailers(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[&[0x00, 11][..], b"grpc-status", &[1], b"0"].concat())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn schema() -> Schema {
    let mut schema = Schema::new();
    for (name, kind) in [("RecordRoute", CallKind::ClientStreaming), ("GetFeature", CallKind::Unary)] {
        let path = format!("/routeguide.RouteGuide/{name}");
        schema.add_method(&path, "routeguide.Point", "routeguide.Feature");
        schema.set_kind(&path, kind);
    }
    schema.add_field("routeguide.Point", 1, "latitude", FieldType::Int32);
    schema.add_field("routeguide.Point", 2, "longitude", FieldType::Int32);
    schema.add_field("routeguide.Point", 3, "text", FieldType::String);
    schema
}
