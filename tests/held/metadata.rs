//! HPACK makes much of little: a byte refers to an entry of the table, and each reference is a field in memory.

use barewire::ClientOptions;

use super::common::attack::id;
use super::common::frames::*;
use super::kinds::{Kind, block, head, open};
use super::law::{OPEN, Outcome, Scene, all};
use super::service::{DROP, HOLD, TAKE, WAIT};

/// How often a request refers to a tiny entry; so many are just below the limit of 64 KiB, as RFC 9113 section 6.5.2 counts.
const TINY: usize = 1900;
/// The same of an entry that fills the table.
const LARGE: usize = 15;

/// What is behind a header block's first fields: the entry, where it is new, and the references.
pub fn amplified(is_first: bool, value: usize, times: usize) -> Vec<u8> {
    let mut fields = Vec::new();
    if is_first {
        // A literal with indexing: a name of one byte and a value.
        fields.extend(b"\x40\x01a");
        match value {
            0..127 => fields.push(value as u8),
            // The rest of a length in sevens of bits (RFC 7541 section 5.1).
            _ => fields.extend([127, ((value - 127) % 128) as u8 | 128, ((value - 127) / 128) as u8]),
        }
        fields.resize(fields.len() + value, b'v');
    }
    fields.resize(fields.len() + times - usize::from(is_first), 0xbe);
    fields
}

/// In the headers of requests.
pub fn in_headers(name: &'static str, path: &'static str, value: usize, times: usize) -> Kind {
    Kind::new(name, &OPEN, move |n| block(id(n, 0, 1), 0, &[head(path), amplified(n == 0, value, times)].concat()))
}

/// In their trailers.
fn in_trailers(name: &'static str, path: &'static str, before: &'static [u8], value: usize, times: usize) -> Kind {
    Kind::new(name, &OPEN, move |n| {
        let stream = id(n, 0, 1);
        let trailers = block(stream, END_STREAM, &amplified(n == 0, value, times));
        [open(n, path), wire([data(stream, before)]), trailers].concat()
    })
}

#[test]
fn headers_of_requests() {
    all([
        in_headers("tiny fields in headers", HOLD.path(), 1, TINY).is_lawful(1, 300),
        in_headers("tiny fields in headers", HOLD.path(), 1, TINY).is_lawful(3, 200),
        in_headers("tiny fields in headers, unary", WAIT.path(), 1, TINY).is_lawful(1, 300),
        in_headers("large fields in headers", HOLD.path(), 4000, LARGE).is_lawful(1, 1000),
    ]);
}

#[test]
fn trailers_of_requests() {
    // A message that the handler does not take stands before them, or none.
    let waiting: &[u8] = &[0, 0, 0, 0, 0];
    all([
        in_trailers("tiny fields in trailers", HOLD.path(), waiting, 1, TINY).is_lawful(1, 300),
        in_trailers("tiny fields in trailers, dropped", DROP.path(), b"", 1, TINY).is_lawful(1, 300),
        in_trailers("tiny fields in trailers, unary", WAIT.path(), waiting, 1, TINY).is_lawful(1, 300),
        in_trailers("large fields in trailers", HOLD.path(), waiting, 4000, LARGE).is_lawful(1, 1000),
    ]);
}

/// A client with so many calls, whose callers wait for a message or look at nothing; the server says this on the stream of
/// each, so many times.
fn on_a_client(name: &str, calls: u32, waits: bool, rounds: u32, say: impl Fn(u32, bool) -> Vec<u8>) -> Outcome {
    let mut scene = Scene::empty();
    let (client, line) = scene.client(ClientOptions::default(), &OPEN);
    let callers = client.clone();
    let begun = scene.step(async move {
        let mut begun = Vec::new();
        for _ in 0..calls {
            let (out, mut notes) = callers.bidi_streaming(TAKE).await.expect("it begins");
            if waits {
                tokio::spawn(async move {
                    let _ = notes.recv().await;
                    drop(out);
                });
            } else {
                begun.push((out, notes));
            }
        }
        begun
    });
    scene.keep((begun, client));
    scene.rest();
    for round in 0..rounds {
        for n in 0..calls {
            if !scene.say(line, &say(id(n, 0, 1), round == 0 && n == 0)) {
                break;
            }
        }
    }
    scene.end(&format!("{name}, {}, 1 x {calls}", if waits { "waited for" } else { "unread" }), 0)
}

/// `:status` 200 and a content type.
const RESPONSE: &[u8] = b"\x88\x0f\x10\x10application/grpc";

#[test]
fn initial_metadata_of_answers() {
    let say = |stream, is_first| block(stream, 0, &[RESPONSE, &amplified(is_first, 1, TINY)].concat());
    let large = |stream, is_first| block(stream, 0, &[RESPONSE, &amplified(is_first, 4000, LARGE)].concat());
    all([
        on_a_client("tiny fields in initial metadata", 300, false, 1, say),
        on_a_client("tiny fields in initial metadata", 300, true, 1, say),
        on_a_client("large fields in initial metadata", 300, true, 1, large),
    ]);
}

#[test]
fn trailing_metadata_of_answers() {
    let status = b"\x00\x0bgrpc-status\x010";
    let say = |stream, is_first| {
        let trailers = block(stream, END_STREAM, &[&status[..], &amplified(is_first, 1, TINY)].concat());
        [block(stream, 0, RESPONSE), wire([data(stream, message([]))]), trailers].concat()
    };
    all([on_a_client("tiny fields in trailing metadata", 300, false, 1, say)]);
}

#[test]
fn informational_answers() {
    // `:status` 103, which nobody asks for.
    let say = |stream, is_first| block(stream, 0, &[&b"\x08\x03103"[..], &amplified(is_first, 1, TINY)].concat());
    all([on_a_client("tiny fields in 1xx", 100, false, 5, say), on_a_client("tiny fields in 1xx", 100, true, 5, say)]);
}
