//! A client under attack: its calls, and the server's bytes on the stream of each.

use barewire::{ClientOptions, compression};

use super::common::attack::id;
use super::common::service::note;
use super::memory_bound::{OPEN, Outcome, Scene};
use super::service::{TAKE, WAIT};

/// `:status` 200 and a content type, as a header block.
pub const RESPONSE: &[u8] = b"\x88\x0f\x10\x10application/grpc";

/// The event that the callers wait for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waits {
    /// Streaming calls whose callers never poll.
    Nothing,
    /// Streaming calls whose callers receive messages and drop each.
    Messages,
    /// Unary calls.
    Answer,
}

/// Checks the memory bound of a client with this many calls, while the server repeats these bytes on the stream of each.
/// `bytes_of` gets the stream, and true the first time. A message takes `message` bytes.
pub fn on_a_client(
    name: &str,
    calls: u32,
    waits: Waits,
    rounds: u32,
    message: usize,
    bytes_of: impl Fn(u32, bool) -> Vec<u8>,
) -> Outcome {
    let mut scene = Scene::empty();
    let mut options = ClientOptions::default();
    options.compressors = compression::all();
    let (client, line) = scene.client(options, &OPEN);
    let callers = client.clone();
    let begun = scene.step(async move {
        let mut begun = Vec::new();
        for _ in 0..calls {
            if waits == Waits::Answer {
                let client = callers.clone();
                tokio::spawn(async move { client.unary(WAIT, note("hello")).await.map(drop) });
                // The client opens the next stream only when the next call begins.
                tokio::task::yield_now().await;
                continue;
            }
            let (out, mut notes) = callers.bidi_streaming(TAKE).await.expect("it begins");
            if waits == Waits::Nothing {
                begun.push((out, notes));
            } else {
                tokio::spawn(async move {
                    while notes.recv().await.is_ok_and(|note| note.is_some()) {}
                    drop(out);
                });
            }
        }
        begun
    });
    scene.keep((begun, client));
    scene.rest();
    for round in 0..rounds {
        for n in 0..calls {
            if !scene.send(line, &bytes_of(id(n, 0, 1), round == 0 && n == 0)) {
                break;
            }
        }
    }
    scene.end(&format!("{name}, callers wait for {waits:?}, 1 x {calls}"), message)
}
