//! One connection on the server: the HTTP/2 handshake, the streams that the client opens, and the end.
//!
//! A call runs on its connection's task first. Most unary calls end there, and the answers of all that arrived together leave
//! in one write; a call that has to wait moves to a task of its own. A handler that computes for long would hold up its
//! neighbours, so a method that did once is given tasks at once for its next calls (`Route::took_long`).
//!
//! RFC 9113 sections 3.4 (preface), 6.8 (GOAWAY).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;

use super::call::Call;
use super::{ServerOptions, Shared, until};
use crate::call::receive::Receiving;
use crate::call::send::Sending;
use crate::io::{Connected, Gather, Outlet, Peer, gather};

/// What h2 may spend on DATA frames that were not taken out yet, in bytes by its own count (it charges a small frame up to
/// 256). Calls take DATA out as it arrives, so that only a burst within one read of the socket counts; the default, half the
/// connection window, ends connections of well-behaved clients that send small messages.
pub(crate) const DATA_FRAME_BUDGET: usize = 36 << 20;

/// For how long a stream that this side reset is remembered: what the peer sent before it knew is passed over (RFC 9113
/// section 5.1). On a stream that is forgotten it counts as an error of the peer, and a thousand of those end the connection.
pub(crate) const RESET_MEMORY: Duration = Duration::from_secs(10);

/// Serves a connection until it ends.
pub(super) async fn serve(connected: Connected, shared: Arc<Shared>) {
    let (io, outlet) = gather(connected.io);
    let handshake = builder(&shared.options).handshake(io);
    let handshake = drive_handshake(handshake, &outlet, shared.options.handshake_timeout);
    let mut draining = Box::pin(shared.draining());
    // A peer that has not spoken yet has nothing to lose by a server that shuts down.
    if let Some(Some(connection)) = until(draining.as_mut(), handshake).await {
        let peer = Arc::new(connected.peer);
        let mut driver =
            Driver { connection, shared: shared.clone(), peer, began: Vec::new(), draining: false, calls: 0 };
        let mut registered = false;
        poll_fn(|cx| {
            // Registered once, this task is woken when the server shuts down: until then a look at the phase is enough.
            if !driver.draining && (!registered || shared.phase_has_changed()) {
                registered = true;
                if draining.as_mut().poll(cx).is_ready() {
                    driver.draining = true;
                    driver.connection.graceful_shutdown();
                }
            }
            let ended = driver.poll(cx);
            // An error of writing shows when h2 reads or writes next.
            let _: Poll<std::io::Result<()>> = outlet.poll_flush(cx);
            ended
        })
        .await;
    }
    outlet.linger().await;
}

fn builder(options: &ServerOptions) -> Builder {
    // A client may give up at once as many calls as it may have, and one who does is no attacker; h2's own limits are 20 and 50.
    let resets = usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX);
    let mut builder = Builder::new();
    builder
        .max_pending_accept_reset_streams(resets)
        .max_concurrent_reset_streams(resets)
        .reset_stream_duration(RESET_MEMORY)
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_header_list_size(options.max_metadata_size)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}

/// Waits for the client's preface, while our SETTINGS leave. `None` where none comes in time.
async fn drive_handshake(
    handshake: h2::server::Handshake<Gather, Bytes>,
    outlet: &Outlet,
    timeout: Duration,
) -> Option<Connection<Gather, Bytes>> {
    let mut handshake = Box::pin(handshake);
    let shaken = poll_fn(|cx| {
        let shaken = handshake.as_mut().poll(cx);
        let _: Poll<std::io::Result<()>> = outlet.poll_flush(cx);
        shaken
    });
    tokio::time::timeout(timeout, shaken).await.ok()?.ok()
}

struct Driver {
    connection: Connection<Gather, Bytes>,
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    /// The streams that arrived in this turn.
    began: Vec<(Request<RecvStream>, SendResponse<Bytes>)>,
    draining: bool,
    /// Calls so far, to count which are timed.
    calls: u32,
}

impl Driver {
    /// Ready when the connection has ended: no more streams will come and none is open.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Every poll_accept also writes: calls are run after the last of them, or each answer would leave alone.
            let ended = loop {
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok(stream))) => self.began.push(stream),
                    Poll::Ready(None | Some(Err(_))) => break true,
                    Poll::Pending => break false,
                }
            };
            let progressed = !self.began.is_empty();
            self.run_calls(cx);
            if ended {
                return Poll::Ready(());
            }
            if !progressed {
                return Poll::Pending;
            }
        }
    }

    fn run_calls(&mut self, cx: &mut Context<'_>) {
        for (request, respond) in self.began.drain(..) {
            let (parts, stream) = request.into_parts();
            let receiving = Receiving::request(stream, self.shared.options.max_receive_message_size);
            let sending = Sending::Response(respond);
            let (call, route) = Call::begin(parts, receiving, sending, &self.shared, &self.peer);
            self.calls = self.calls.wrapping_add(1);
            match route {
                Some(route) if route.spawns() => drop(tokio::spawn(call)),
                Some(route) if route.is_suspected() || self.calls.is_multiple_of(TIMED) => {
                    let before = Instant::now();
                    run(call, cx);
                    if before.elapsed() > self.shared.options.inline_limit {
                        route.took_long();
                    }
                }
                _ => run(call, cx),
            }
        }
    }
}

/// One call in this many is timed; looking at the clock for each would be a noticeable part of a small one.
const TIMED: u32 = 8;

/// Runs a call as far as it goes, and gives it a task if that is not to its end.
fn run(mut call: Call, cx: &mut Context<'_>) {
    if Pin::new(&mut call).poll(cx).is_pending() {
        tokio::spawn(call);
    }
}
