//! One connection on the server: the HTTP/2 handshake, the streams that the client opens, and the end.
//!
//! A call runs on its connection's task first. Most unary calls end there, and the answers of all that arrived together leave
//! in one write; a call that has to wait moves to a task of its own. A handler that computes for long would hold up its
//! neighbours, so a method that did once is given tasks at once for its next calls ([`Pace`](super::pace::Pace)).
//!
//! RFC 9113 sections 3.4 (preface), 6.8 (GOAWAY).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;

use super::call::Call;
use super::options::ServerOptions;
use super::shared::{Shared, until};
use crate::call::body::Body;
use crate::call::budget::Budget;
use crate::call::link::{Link, Side};
use crate::call::send::{Piece, Sending};
use crate::io::{Connected, Fault, Gather, Outlet, PeerLimits, Pings, gather, h2_limit};
use crate::limits::{
    DATA_FRAME_BUDGET, MAX_PING_STRIKES, MIN_IDLE_PING_INTERVAL, PENDING_RESETS, RESET_MEMORY, TURN, TURN_CALLS,
    UNSENT_OF_CALL,
};

/// Serves a connection until it ends. Its preface and SETTINGS have to be there at the time of `greeting`.
pub(super) async fn serve(connected: Connected, shared: Arc<Shared>, greeting: Option<tokio::time::Instant>) {
    let options = &shared.options;
    let limits = PeerLimits {
        greeting,
        patience: options.limits.peer_timeout,
        keepalive: Some(options.keepalive_time),
        max_metadata_size: options.limits.max_metadata_size,
    };
    let (io, outlet) = gather(connected.io, limits, true);
    let handshake = drive_handshake(builder(options).handshake(io), &outlet);
    let mut draining = Box::pin(shared.draining());
    // A peer that has not spoken yet has nothing to lose by a server that shuts down.
    if let Some(Some(connection)) = until(draining.as_mut(), handshake).await {
        let link = Link {
            side: Side::Server,
            peer: Arc::new(connected.peer),
            budget: Budget::new(options.limits.max_connection_memory, options.limits.peer_timeout),
            blocks: outlet.blocks(),
            witness: connected.witness,
        };
        let mut driver = Driver::new(connection, shared.clone(), link);
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
            if let Some(pings) = outlet.end_turn(cx)
                && driver.are_too_many(pings)
            {
                outlet.end(Fault::TooManyPings);
                cx.waker().wake_by_ref();
            }
            ended
        })
        .await;
    }
    outlet.linger().await;
}

fn builder(options: &ServerOptions) -> Builder {
    // A client may give up at once as many calls as it may have, and one after the other as many as it likes: it is no attacker.
    let resets = usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX).max(PENDING_RESETS);
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

/// Waits for the client's preface, while our SETTINGS leave. `None` where none comes.
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
    /// The streams that arrived and whose calls have not begun, the oldest first.
    began: VecDeque<(Request<RecvStream>, SendResponse<Piece>)>,
    draining: bool,
    /// Calls so far, to count which are timed.
    calls: u32,
    strikes: PingStrikes,
}

/// PINGs that came too soon after another (gRFC A8).
#[derive(Debug, Default)]
struct PingStrikes {
    count: u32,
    last: Option<tokio::time::Instant>,
}

impl Driver {
    fn new(connection: Connection<Gather, Piece>, shared: Arc<Shared>, link: Link) -> Driver {
        Driver {
            connection,
            shared,
            link: Arc::new(link),
            began: VecDeque::new(),
            draining: false,
            calls: 0,
            strikes: PingStrikes::default(),
        }
    }

    /// Ready when the connection has ended: no more streams will come and none is open.
    ///
    /// One turn accepts what has come, runs the calls, and leaves what they answered to be written. It ends after [`TURN`]
    /// or [`TURN_CALLS`], with calls left that have not begun: others have their turn, and then it goes on here.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Every poll_accept also writes: calls are run after the last of them, or each answer would leave alone.
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

    /// Counts PINGs: those that follow each other faster than [`ServerOptions::min_ping_interval`] are strikes, HEADERS and
    /// DATA of this side forgive them (gRFC A8, "Server Enforcement").
    fn are_too_many(&mut self, pings: Pings) -> bool {
        let mut interval = self.shared.options.min_ping_interval;
        if !interval.is_zero() && !self.connection.has_streams() {
            interval = interval.max(MIN_IDLE_PING_INTERVAL);
        }
        let now = tokio::time::Instant::now();
        let strikes = &mut self.strikes;
        if pings.data_sent {
            *strikes = PingStrikes::default();
        }
        let too_soon = strikes.last.is_some_and(|last| now < last + interval);
        let others = if interval.is_zero() { 0 } else { pings.fresh - 1 };
        strikes.count = strikes.count.saturating_add(u32::from(too_soon) + others);
        strikes.last = Some(now);
        strikes.count > MAX_PING_STRIKES
    }

    fn run_calls(&mut self, cx: &mut Context<'_>) {
        let mut begun: Option<Instant> = None;
        let mut count: u32 = 0;
        while let Some((request, respond)) = self.began.pop_front() {
            let (parts, stream) = request.into_parts();
            let mut call = Call::new(Sending::Response(respond, self.link.budget.clone()), &self.shared);
            let limit = self.shared.options.limits.max_receive_message_size;
            let body = Body::new(Some(stream), limit, self.link.clone());
            let route = call.begin(parts, body, &self.shared);
            self.calls = self.calls.wrapping_add(1);
            // Where a call stands is where it stays until it has to wait: moving it would cost a part of running it.
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

/// After so many calls of a turn the clock is looked at, to end the turn in time.
const LOOKS_AT_THE_CLOCK: u32 = 4;

/// One call in this many is timed; looking at the clock for each would be a noticeable part of a small one.
const TIMED: u32 = 8;
