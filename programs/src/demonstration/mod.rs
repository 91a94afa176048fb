//! The demonstration: the route guide's server and client in one process, and the bytes between them.
//!
//! [`run`] is what the program `barewire` does without a command. It starts a server on a free port of the loopback interface,
//! calls all four methods over a real connection, and prints the bytes of the first call, as they went through the socket.
//! [`four_kinds`] returns the frames of one call of each kind, and [`failures`] those of calls that fail or wait. [`wire_format`] writes `docs/wire-format.md`; its calls use the
//! in-memory transport, so that the text does not depend on time or ports. [`wire_format_svg`] draws its first call.

mod document;
mod failure;
mod failures;
mod kinds;
mod picture;
mod recorded;
mod story;

pub use document::{wire_format, wire_format_svg};
pub use failure::Failure;
pub use failures::failures;
pub use kinds::{RecordedCall, four_kinds};

use std::io::Write;

use barewire::inspector::{PrintOptions, print};
use barewire::services::route_guide::{self, Features, Guide, RouteGuideClient};
use barewire::transport::record::Recording;
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::{Client, Server};
use recorded::{RECORDING_LIMIT, conversation, record};
use story::{Story, Style};

/// The seed of the route, which makes it the same every time.
const SEED: u64 = 1;

/// Runs the route guide and prints its calls to `out`, with ANSI colours if `color` is true.
///
/// # Errors
///
/// [`Failure`] says which step failed.
pub async fn run(out: &mut dyn Write, color: bool) -> Result<(), Failure> {
    let listener = tcp::listen("127.0.0.1:0").await.map_err(Failure::Listen)?;
    let address = listener.local_addr().map_err(Failure::Listen)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(route_guide::router(Guide::new(Features::published())));
    let server = tokio::spawn(server.serve_until(listener, async { drop(stopped.await) }));

    let recording = Recording::with_limit(RECORDING_LIMIT);
    let connector = Tap::to(recording.clone()).around(tcp::connect(address.to_string()));
    let client = Client::connect(connector).await.map_err(Failure::Connect)?;
    let mut story = Story::new(out, Style { color }, &recording);
    story.begin(address).map_err(Failure::Output)?;
    let called = route_guide::run(&RouteGuideClient::new(client), SEED, |event| story.show(event)).await;
    let first_call = story.end().map_err(Failure::Output)?;
    called.map_err(|failure| Failure::Call(failure.to_string()))?;

    let mut conversation = conversation();
    record(&mut conversation, &first_call);
    let bytes = print(conversation.frames(), &PrintOptions { color, ..PrintOptions::default() });
    writeln!(out, "{bytes}").map_err(Failure::Output)?;
    drop(stop);
    // No connection is left to wait for. Had the server failed, the calls would have failed too.
    drop(server.await);
    Ok(())
}
