//! Watches that the peer keeps up: what HTTP/2 has it do at once, it does within [`PeerLimits::patience`].
//!
//! h2 waits for ever for the other half of a frame, for the end of a header block, for acknowledgements, and for room in a
//! socket whose reader has gone. [`Guard`] goes by the frame headers that pass ([`Frames`]), keeps the earliest time at which
//! something is overdue, and ends the connection there: a GOAWAY that says why, and an error for whoever reads. A window that
//! is not opened, a message that pauses between two frames and a silent call are the peer's right and do not count.
//!
//! It also sends the PINGs of keepalive, and counts those that the peer sends (gRFCs A8 and A9).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::blocks::BlockWatch;
use super::frames::Frames;
use crate::protocol::http2::{FrameHeader, FrameType, Http2Error, PREFACE};

/// The PING of keepalive. h2 passes over the acknowledgement of a PING that is not its own.
const KEEPALIVE: [u8; 8] = *b"alive?\r\n";

/// How long what may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerLimits {
    /// When the peer's preface and SETTINGS have to be there.
    pub greeting: Option<Instant>,
    /// For what HTTP/2 has the peer do at once.
    pub patience: Duration,
    /// After so long a silence the peer is asked by PING whether it is there.
    pub keepalive: Option<Duration>,
    /// The largest list of fields, in bytes; the peer is told.
    pub max_metadata_size: u32,
}

/// What a peer did not do in time, or did too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Greeting,
    Unfinished,
    SettingsAck,
    PingAck,
    Stuck,
    TooManyPings,
}

/// The two directions of a connection, and what is awaited.
///
/// ```text
///   awaited        set when                              cleared when
///   greeting       the connection begins, on a server    the peer's preface and SETTINGS are whole
///   settings_ack   our SETTINGS leave                    their acknowledgement comes
///   ping_ack       our PING leaves                       its acknowledgement comes
///   unfinished     a frame or header block begins        it is whole
///   stuck          the socket takes nothing              it takes a byte
///   keepalive      a byte comes                          the time has come: a PING leaves
///
///   watching ── one of them, keepalive apart, is overdue ──▶ fault: GOAWAY leaves, reading fails
/// ```
///
/// None is moved by a peer that dribbles: `unfinished` begins anew with the next frame, and when the socket takes bytes again after
/// it was stuck; the others wait from when they were set. The timer stands at the earliest of them. A fault is final.
pub(super) struct Guard {
    limits: PeerLimits,
    incoming: Frames,
    outgoing: Frames,
    /// The header blocks that come in.
    pub(super) blocks: BlockWatch,
    /// The stream with the highest number that the peer has opened.
    last_stream: u32,
    /// Whether anything has come.
    has_begun: bool,
    greeting: Option<Instant>,
    settings_ack: Option<Instant>,
    /// When what has begun to arrive has to be whole.
    unfinished: Option<Instant>,
    /// When the socket has to have taken something.
    stuck: Option<Instant>,
    ping_ack: Option<Instant>,
    keepalive: Option<Instant>,
    /// Whether keepalive has no use now.
    idle: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    waker: Option<Waker>,
    pings: Pings,
    fault: Option<Fault>,
}

/// PINGs of the peer since they were last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pings {
    /// How many have come.
    pub fresh: u32,
    /// Whether HEADERS or DATA were written meanwhile.
    pub data_sent: bool,
}

impl Guard {
    /// Watches one connection, of a server's side or of a client's.
    pub(super) fn new(limits: PeerLimits, is_server: bool) -> Guard {
        let (incoming, outgoing) = if is_server { (PREFACE.len(), 0) } else { (0, PREFACE.len()) };
        let mut guard = Guard {
            limits,
            incoming: Frames::after_preface(incoming),
            outgoing: Frames::after_preface(outgoing),
            blocks: BlockWatch::new(limits.max_metadata_size, is_server),
            last_stream: 0,
            has_begun: false,
            greeting: limits.greeting,
            settings_ack: None,
            unfinished: None,
            stuck: None,
            ping_ack: None,
            keepalive: None,
            idle: false,
            timer: None,
            waker: None,
            pings: Pings::default(),
            fault: None,
        };
        // A client is about to know whether it talks to a server at all: until it does, its connect timeout counts.
        guard.settings_ack = guard.later(is_server.then_some(limits.patience));
        guard.keepalive = guard.later(limits.keepalive);
        guard
    }

    /// `None` where that is further away than there is time.
    fn later(&self, patience: Option<Duration>) -> Option<Instant> {
        Instant::now().checked_add(patience?)
    }

    /// These bytes have come from the peer; none at the end of the stream.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.has_begun, true) && self.settings_ack.is_none() {
            self.settings_ack = self.later(Some(self.limits.patience));
        }
        let Guard { greeting, settings_ack, ping_ack, pings, last_stream, blocks, .. } = self;
        let passed = self.incoming.headers(bytes, |header| match header {
            FrameHeader { kind: FrameType::HEADERS, stream, .. } => {
                *last_stream = stream.max(*last_stream);
                blocks.received(header);
            }
            FrameHeader { kind: FrameType::CONTINUATION, .. } => blocks.received(header),
            FrameHeader { kind: FrameType::SETTINGS, flags, .. } if flags & FrameHeader::ACK != 0 => {
                *settings_ack = None
            }
            FrameHeader { kind: FrameType::PING, flags, .. } if flags & FrameHeader::ACK != 0 => *ping_ack = None,
            FrameHeader { kind: FrameType::PING, .. } => pings.fresh += 1,
            _ => {}
        });
        if passed {
            *greeting = None;
        }
        if self.incoming.is_at_border() {
            self.unfinished = None;
        } else if passed || self.unfinished.is_none() {
            self.unfinished = self.later(Some(self.limits.patience));
        }
        if self.keepalive.is_some() {
            self.keepalive = self.later(self.limits.keepalive);
        }
    }

    /// These bytes will go to the peer.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Guard { pings, blocks, .. } = self;
        self.outgoing.headers(bytes, |header| {
            pings.data_sent |= matches!(header.kind, FrameType::HEADERS | FrameType::DATA);
            if header.kind == FrameType::HEADERS {
                blocks.sent();
            }
        });
    }

    /// Whether the next byte to the peer begins a frame.
    pub(super) fn is_sending_at_border(&self) -> bool {
        self.outgoing.is_at_border()
    }

    /// The limit of metadata that the peer is told.
    pub(super) fn max_metadata_size(&self) -> u32 {
        self.limits.max_metadata_size
    }

    /// The socket takes no more.
    pub(super) fn is_stuck(&mut self) {
        if self.stuck.is_none() {
            self.stuck = self.later(Some(self.limits.patience));
        }
    }

    /// The socket has taken something.
    pub(super) fn has_moved(&mut self) {
        // While nothing could be written, nothing was read either: the peer is not to blame for that time.
        if self.stuck.take().is_some() && self.unfinished.is_some() {
            self.unfinished = self.later(Some(self.limits.patience));
        }
    }

    /// The connection is to end, and what is to be written before it does.
    pub(super) fn end(&mut self, fault: Fault) -> Option<Vec<u8>> {
        self.fault = Some(fault);
        self.outgoing.is_at_border().then(|| {
            let debug = fault.to_string();
            let payload = [&self.last_stream.to_be_bytes(), &fault.code().0.to_be_bytes(), debug.as_bytes()].concat();
            frame(FrameType::GOAWAY, &payload)
        })
    }

    /// Why the connection is to end.
    pub(super) fn fault(&self) -> Option<io::Error> {
        self.fault.map(|fault| io::Error::new(io::ErrorKind::TimedOut, fault.to_string()))
    }

    /// The PINGs that have come since this was last asked and the answer was some.
    pub(super) fn take_pings(&mut self) -> Option<Pings> {
        (self.pings.fresh > 0).then(|| std::mem::take(&mut self.pings))
    }

    /// Keepalive waits while there is no call (gRFC A8). Its time goes on.
    pub(super) fn set_idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    /// Called while the peer is waited for. Ready when something is due: the end of the connection, or a PING to send.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let is_calm = self.greeting.is_none()
            && self.settings_ack.is_none()
            && self.unfinished.is_none()
            && self.stuck.is_none()
            && self.ping_ack.is_none();
        // A silence far ahead is looked at when the timer says so.
        if is_calm && (self.keepalive.is_none() || self.idle || self.timer_will_tell(cx)) {
            return Poll::Pending;
        }
        self.poll_timer(cx)
    }

    /// Whether the timer is set and nothing but its end has to be waited for.
    fn timer_will_tell(&self, cx: &Context<'_>) -> bool {
        let is_for = |waker: &Waker| waker.will_wake(cx.waker());
        self.waker.as_ref().is_some_and(is_for) && self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed())
    }

    #[cold]
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let awaited = [
            (self.greeting, Fault::Greeting),
            (self.settings_ack, Fault::SettingsAck),
            (self.unfinished, Fault::Unfinished),
            (self.stuck, Fault::Stuck),
            (self.ping_ack, Fault::PingAck),
        ];
        let fault =
            awaited.into_iter().filter_map(|(at, fault)| Some((at?, Due::End(fault)))).min_by_key(|(at, _)| *at);
        let ping = self.keepalive.filter(|_| self.ping_ack.is_none() && !self.idle).map(|at| (at, Due::Ping));
        let Some((at, due)) = fault.into_iter().chain(ping).min_by_key(|(at, _)| *at) else { return Poll::Pending };
        self.waker = Some(cx.waker().clone());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            let set = timer.deadline();
            if set > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if set >= at {
                return Poll::Ready(due);
            }
            timer.as_mut().reset(at);
        }
    }

    /// The PING of keepalive, if one can be sent now.
    pub(super) fn ping(&mut self) -> Option<Vec<u8>> {
        self.keepalive = self.later(self.limits.keepalive);
        if !self.outgoing.is_at_border() {
            return None;
        }
        self.ping_ack = self.later(Some(self.limits.patience));
        Some(frame(FrameType::PING, &KEEPALIVE))
    }
}

/// What is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    End(Fault),
    Ping,
}

impl Fault {
    fn code(self) -> Http2Error {
        match self {
            Fault::Greeting | Fault::SettingsAck => Http2Error::SETTINGS_TIMEOUT,
            Fault::PingAck | Fault::Stuck => Http2Error::NO_ERROR,
            Fault::Unfinished | Fault::TooManyPings => Http2Error::ENHANCE_YOUR_CALM,
        }
    }
}

/// GOAWAY's debug data, and for the calls of this side the reason.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Greeting => "no HTTP/2 preface with SETTINGS came in time",
            Fault::Unfinished => "a frame or header block was begun and not ended in time",
            Fault::SettingsAck => "SETTINGS were not acknowledged in time",
            Fault::PingAck => "a PING was not acknowledged in time",
            Fault::Stuck => "the peer did not read what was written to it in time",
            // The words that gRFC A8 has.
            Fault::TooManyPings => "too_many_pings",
        })
    }
}

/// A frame of the connection, stream 0, without flags.
fn frame(kind: FrameType, payload: &[u8]) -> Vec<u8> {
    [&FrameHeader { length: payload.len() as u32, kind, flags: 0, stream: 0 }.encode(), payload].concat()
}
