//! Messages that are small on the wire and large in memory, with handlers that hold them and wait.

use barewire::compression;
use barewire::wire::encoding::Encoding;
use bytes::BytesMut;
use prost::Message as _;

use super::common::attack::{id, opens_at};
use super::common::frames::*;
use super::common::service::note;
use super::kinds::{Kind, head};
use super::law::{MIB, OPEN, Outcome, Scene, all};
use super::service::{self, HOLD, TAKE, TAKE_PARTS, WAIT, WAIT_PARTS};

/// As long as a message may be.
const LIMIT: usize = 4 << 20;

/// One message, compressed.
fn compressed(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    compression::all().get(encoding).expect("it was compiled in").compress(plain, &mut out).expect("memory");
    flagged(1, out).to_vec()
}

/// Opens a call whose messages are compressed and says one.
fn compressed_call(n: u32, path: &str, encoding: Encoding, message: &[u8]) -> Vec<u8> {
    let stream = id(n, 0, 1);
    // A literal without indexing, its name in full.
    let name = encoding.name();
    let field = [&b"\x00\x0dgrpc-encoding"[..], &[name.len() as u8], name.as_bytes()].concat();
    let headers = raw(HEADERS, END_HEADERS, stream, &[head(path), field].concat());
    let mut frames = vec![headers];
    frames.extend(chunks(stream, message));
    wire(frames)
}

fn is_lawful(kind: &Kind, connections: usize, streams: u32, name: &str, message: usize) -> Outcome {
    let mut scene = Scene::serving(service::router(), |options| options.compressors = compression::all());
    kind.play(&mut scene, connections, streams);
    scene.end(&format!("{name}, {connections} x {streams}"), message)
}

/// What the state of a decoder takes: brotli's holds the window that its stream names.
fn state(encoding: Encoding) -> usize {
    if encoding == Encoding::Brotli { 9 * MIB } else { MIB / 2 }
}

/// A message of 4 MiB, restored by every call. `half_closed` is what a unary handler waits for.
fn texts(path: &'static str, encoding: Encoding, half_closed: bool, streams: u32) -> Outcome {
    let message = compressed(encoding, &note("x".repeat(LIMIT - 16)).encode_to_vec());
    let name = format!("4 MiB in {} bytes of {encoding} to {path}", message.len());
    let kind = Kind::new("", &OPEN, move |n| {
        let mut said = compressed_call(n, path, encoding, &message);
        if half_closed {
            said.extend(wire([half_close(id(n, 0, 1))]));
        }
        said
    });
    // The restored one is there with the one that is decoded, and twice while it grows.
    is_lawful(&kind, 1, streams, &name, 3 * LIMIT + state(encoding))
}

#[test]
fn compressed_texts_that_unary_handlers_hold() {
    all([Encoding::Gzip, Encoding::Zstd, Encoding::Brotli].map(|encoding| texts(WAIT.path(), encoding, true, 40)));
}

#[test]
fn compressed_texts_that_streaming_handlers_hold() {
    all([Encoding::Gzip, Encoding::Zstd, Encoding::Brotli].map(|encoding| texts(TAKE.path(), encoding, false, 40)));
}

/// Restored when they are taken, and not before.
#[test]
fn compressed_texts_that_nobody_takes() {
    all([texts(HOLD.path(), Encoding::Gzip, false, 700), texts(HOLD.path(), Encoding::Zstd, false, 700)]);
}

/// So many parts of two bytes each, which are a hundred in memory.
fn parts(count: usize) -> Vec<u8> {
    [0x0a, 0x00].repeat(count)
}

#[test]
fn parts_of_two_bytes_are_structures() {
    let message = message(parts(4 << 10));
    let unary = message.clone();
    let unary = Kind::new("", &OPEN, move |n| {
        let stream = id(n, 0, 1);
        wire([opens_at(stream, WAIT_PARTS.path(), 0), data(stream, &unary).end_stream()])
    });
    let streaming = Kind::new("", &OPEN, move |n| {
        let stream = id(n, 0, 1);
        wire([opens_at(stream, TAKE_PARTS.path(), 0), data(stream, &message)])
    });
    all([
        is_lawful(&unary, 1, 300, "4,096 parts to a unary handler", MIB),
        is_lawful(&streaming, 1, 300, "4,096 parts to a streaming handler", MIB),
    ]);
}

#[test]
fn parts_of_two_bytes_compressed() {
    let message = compressed(Encoding::Gzip, &parts(32 << 10));
    let (unary, streaming) = (message.clone(), message);
    let unary = Kind::new("", &OPEN, move |n| {
        let call = compressed_call(n, WAIT_PARTS.path(), Encoding::Gzip, &unary);
        [call, wire([half_close(id(n, 0, 1))])].concat()
    });
    let streaming = Kind::new("", &OPEN, move |n| compressed_call(n, TAKE_PARTS.path(), Encoding::Gzip, &streaming));
    // One of them is some 3 MiB, and twice while it grows.
    all([
        is_lawful(&unary, 1, 50, "32,768 parts in gzip to a unary handler", 12 * MIB),
        is_lawful(&streaming, 1, 50, "32,768 parts in gzip to a streaming handler", 12 * MIB),
    ]);
}
