//! One connection on the server: the HTTP/2 handshake, the streams that the client opens, and the shutdown.
//!
//! A call runs on its connection's task first. Most unary calls end there, and the responses to all requests that arrived
//! together are sent in one write; a call that has to wait moves to its own task. A handler that computes for long
//! delays the other calls of its connection, so the next calls of such a method get their own tasks at once
//! ([`Pace`](super::pace::Pace)).
//!
//! RFC 9113 sections 3.4 (preface), 6.8 (GOAWAY).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;

use super::age::Due;
use super::call::Call;
use super::options::ServerOptions;
use super::shared::{Shared, until};
use super::upkeep::Upkeep;
use crate::call::body::Body;
use crate::call::budget::Budget;
use crate::call::link::{Link, Side};
use crate::call::piece::Piece;
use crate::call::send::SendHalf;
use crate::io::{ByteStream, ConnectionInfo, Gather, Outlet, PeerLimits, Pings, gather, h2_limit};
use crate::limits::{
    DATA_FRAME_BUDGET, PENDING_RESETS, RESET_MEMORY, RESETS_REMEMBERED, TURN, TURN_CALLS, UNSENT_OF_CALL,
};

/// Serves a connection until it ends. The client's preface and SETTINGS must arrive before `greeting`.
pub(super) async fn serve(connected: ByteStream, shared: Arc<Shared>, greeting: Option<tokio::time::Instant>) {
    let options = &shared.options;
    let mut info = shared.watched_by(ConnectionInfo::new(connected.peer));
    if shared.hooks.on_accept.as_ref().is_some_and(|accepts| !accepts(&mut info)) {
        return;
    }
    let limits = PeerLimits {
        greeting,
        patience: options.limits.peer_timeout,
        keepalive: Some(options.keepalive_time),
        max_metadata_size: options.limits.max_metadata_size,
    };
    let (io, outlet) = gather(connected.io, limits, true);
    let handshake = drive_handshake(builder(options).handshake(io), &outlet);
    let mut draining = Box::pin(shared.draining());
    // On shutdown, a peer that has not sent its preface can be disconnected: it has no calls.
    if let Some(Some(connection)) = until(draining.as_mut(), handshake).await {
        let link = Link {
            side: Side::Server,
            connection: Arc::new(info),
            budget: Budget::new(options.limits.max_connection_memory, options.limits.peer_timeout),
            blocks: outlet.blocks(),
            witness: connected.witness,
            keepalive: None,
        };
        let mut driver = Driver::new(connection, shared.clone(), link);
        let mut registered = false;
        poll_fn(|cx| {
            // After the first poll, shutdown wakes this task: until then checking the phase is enough.
            if !driver.draining && (!registered || shared.phase_has_changed()) {
                registered = true;
                if draining.as_mut().poll(cx).is_ready() {
                    driver.draining = true;
                    driver.upkeep.stop_age();
                    driver.connection.graceful_shutdown();
                }
            }
            let ended = driver.poll(cx);
            let pings = outlet.end_turn(cx);
            if ended.is_pending() && driver.upkeep.is_needed(pings) {
                return driver.poll_upkeep(cx, &outlet, pings);
            }
            ended
        })
        .await;
    }
    outlet.linger().await;
}

fn builder(options: &ServerOptions) -> Builder {
    // A legitimate client may reset all its concurrent calls at once, and any number one after the other. The memory of a
    // connection allows fewer than `RESETS_REMEMBERED` calls, whatever the options say.
    let streams = usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX);
    let resets = streams.clamp(PENDING_RESETS, RESETS_REMEMBERED);
    let mut builder = Builder::new();
    builder
        .max_pending_accept_reset_streams(resets)
        .max_concurrent_reset_streams(resets)
        .reset_stream_duration(RESET_MEMORY)
        .initial_window_size(options.limits.stream_window)
        .initial_connection_window_size(options.limits.connection_window)
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_header_list_size(h2_limit(options.limits.max_metadata_size, true))
        .max_send_buffer_size(UNSENT_OF_CALL)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}

/// Waits for the client's preface while our SETTINGS are sent. Returns `None` if the preface does not arrive.
async fn drive_handshake(
    handshake: h2::server::Handshake<Gather, Piece>,
    outlet: &Outlet,
) -> Option<Connection<Gather, Piece>> {
    let mut handshake = Box::pin(handshake);
    poll_fn(|cx| {
        let shaken = handshake.as_mut().poll(cx);
        outlet.end_turn(cx);
        shaken
    })
    .await
    .ok()
}

struct Driver {
    connection: Connection<Gather, Piece>,
    shared: Arc<Shared>,
    link: Arc<Link>,
    /// Streams that have arrived and whose calls have not begun, oldest first.
    began: VecDeque<(Request<RecvStream>, SendResponse<Piece>)>,
    draining: bool,
    /// The number of calls so far, used to choose which are timed.
    calls: u32,
    upkeep: Upkeep,
}

impl Driver {
    fn new(connection: Connection<Gather, Piece>, shared: Arc<Shared>, link: Link) -> Driver {
        Driver {
            upkeep: Upkeep::new(&shared),
            connection,
            shared,
            link: Arc::new(link),
            began: VecDeque::new(),
            draining: false,
            calls: 0,
        }
    }

    /// Ready when the connection has ended: no stream is open and no more will arrive.
    ///
    /// A turn accepts the streams that have arrived, runs their calls, and leaves the responses to be written. It ends
    /// after [`TURN`] or [`TURN_CALLS`], even if calls are left that have not begun: other tasks run, and then the next
    /// turn goes on with them.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // poll_accept also writes: run the calls after the last one, or each response would be sent alone.
            let ended = loop {
                match self.connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok(stream))) => self.began.push_back(stream),
                    Poll::Ready(None | Some(Err(_))) => break true,
                    Poll::Pending => break false,
                }
            };
            let progressed = !self.began.is_empty();
            self.run_calls(cx);
            if ended {
                return Poll::Ready(());
            }
            if !self.began.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !progressed {
                return Poll::Pending;
            }
        }
    }

    /// Sends the client away, or ends the connection, if that is due. Ready when the connection has ended.
    fn poll_upkeep(&mut self, cx: &mut Context<'_>, outlet: &Outlet, pings: Option<Pings>) -> Poll<()> {
        let calls = (self.connection.has_streams(), self.calls);
        match ready!(self.upkeep.poll(cx, pings, calls, &self.shared, &self.link.connection)) {
            Due::Leave(reason) => {
                outlet.explain_goaway(reason);
                self.draining = true;
                self.connection.graceful_shutdown();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Due::Close(fault) => outlet.end(fault),
        }
        // h2 reads the fault, so that the calls fail with the reason.
        let _: Poll<()> = self.poll(cx);
        Poll::Ready(())
    }

    fn run_calls(&mut self, cx: &mut Context<'_>) {
        let mut begun: Option<Instant> = None;
        let mut clock = None;
        let mut count: u32 = 0;
        while let Some((request, respond)) = self.began.pop_front() {
            let (parts, stream) = request.into_parts();
            let mut call = Call::new(SendHalf::Response(respond, self.link.budget.clone()), &self.shared);
            let limit = self.shared.options.limits.max_receive_message_size;
            let body = Body::new(Some(stream), limit, self.link.clone());
            let route = call.begin(cx, &mut clock, parts, body, &self.shared);
            self.calls = self.calls.wrapping_add(1);
            // The call is not moved before it has to wait: moving it would cost a part of running it.
            let has_ended = match route {
                Some(route) if route.pace.spawns() => false,
                Some(route) if route.pace.is_suspected() || self.calls.is_multiple_of(TIMED) => {
                    let before = Instant::now();
                    let turn = Pin::new(&mut call).poll(cx);
                    if before.elapsed() > self.shared.options.inline_limit {
                        route.pace.took_long();
                    }
                    turn.is_ready()
                }
                _ => Pin::new(&mut call).poll(cx).is_ready(),
            };
            if !has_ended {
                tokio::spawn(call);
            }
            count += 1;
            if count.is_multiple_of(LOOKS_AT_THE_CLOCK) {
                match begun {
                    None => begun = Some(Instant::now()),
                    Some(begun) if count >= TURN_CALLS || begun.elapsed() > TURN => break,
                    Some(_) => {}
                }
            }
        }
    }
}

/// The number of calls of a turn after which the clock is read, to end the turn in time.
const LOOKS_AT_THE_CLOCK: u32 = 4;

/// One call in this many is timed; reading the clock for each would be a noticeable part of a small call's cost.
const TIMED: u32 = 8;
