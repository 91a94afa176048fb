//! HPACK makes much of little: a byte refers to an entry of the table, and each reference is a field in memory.

use barewire::ClientOptions;

use super::common::attack::id;
use super::common::frames::*;
use super::kinds::{in_headers, in_trailers};
use super::law::{OPEN, Outcome, Scene, all};
use super::said::{FULL, TINY, amplified, block};
use super::service::{DROP, HOLD, TAKE, WAIT};

#[test]
fn headers_of_requests() {
    all([
        in_headers(HOLD.path(), 1, TINY).is_lawful(1, 300),
        in_headers(HOLD.path(), 1, TINY).is_lawful(3, 200),
        in_headers(WAIT.path(), 1, TINY).is_lawful(1, 300),
        in_headers(HOLD.path(), 4000, FULL).is_lawful(1, 1000),
    ]);
}

#[test]
fn trailers_of_requests() {
    // A message that the handler does not take stands before them, or none.
    let waiting: &[u8] = &[0, 0, 0, 0, 0];
    all([
        in_trailers(HOLD.path(), waiting, 1, TINY).is_lawful(1, 300),
        in_trailers(DROP.path(), b"", 1, TINY).is_lawful(1, 300),
        in_trailers(WAIT.path(), waiting, 1, TINY).is_lawful(1, 300),
        in_trailers(HOLD.path(), waiting, 4000, FULL).is_lawful(1, 1000),
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
    let large = |stream, is_first| block(stream, 0, &[RESPONSE, &amplified(is_first, 4000, FULL)].concat());
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
