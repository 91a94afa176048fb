//! Enforces timeouts on the peer: everything that HTTP/2 requires at once must happen within [`PeerLimits::patience`].
//!
//! h2 waits for ever for the rest of a frame, for the end of a header block, for acknowledgements, and for a peer that stopped
//! reading its socket. [`Guard`] follows the frame headers in both directions ([`Frames`]) and keeps the earliest deadline. When
//! that passes, it ends the connection with a GOAWAY that gives the reason and an error for the reader. The peer may leave a
//! flow-control window closed, pause a message between two frames and keep a call silent: none of these has a deadline.
//!
//! The guard also sends keepalive PINGs and counts the PINGs of the peer (gRFCs A8 and A9).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::blocks::BlockWatch;
use super::frames::Frames;
use super::goaway::MAX_AGE;
use super::timer::poll_timer;
use crate::protocol::http2::{FrameHeader, FrameType, Http2Error, PREFACE};

/// The payload of a keepalive PING. h2 ignores the acknowledgement of a PING that it did not send.
const KEEPALIVE: [u8; 8] = *b"alive?\r\n";

/// The timeouts and the metadata limit that apply to the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerLimits {
    /// Deadline for the peer's preface and SETTINGS.
    pub greeting: Option<Instant>,
    /// Timeout for everything that HTTP/2 requires the peer to do at once.
    pub patience: Duration,
    /// Time without any byte from the peer after which a keepalive PING is sent.
    pub keepalive: Option<Duration>,
    /// Largest list of fields, in bytes, as announced to the peer.
    pub max_metadata_size: u32,
}

/// The reason for ending a connection: something the peer did not do in time, or did too often, or the end of the time that its
/// calls had (gRFC A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Greeting,
    Unfinished,
    SettingsAck,
    PingAck,
    Stuck,
    TooManyPings,
    TooOld,
}

/// The two directions of a connection, and the deadlines of its peer.
///
/// ```text
///   deadline       set when                              cleared when
///   greeting       the connection begins, on a server    the peer's preface and SETTINGS are complete
///   settings_ack   our SETTINGS are sent                 their acknowledgement arrives
///   ping_ack       our PING is sent                      its acknowledgement arrives
///   unfinished     a frame or header block begins        it is complete
///   stuck          the socket accepts no data            it accepts a byte
///   keepalive      a byte arrives                        it has passed: a PING is sent
///
///   watching ── one of them, except keepalive, has passed ──▶ fault: GOAWAY is sent, reading fails
/// ```
///
/// A peer that sends a byte at a time moves none of them: `unfinished` starts again only with the next frame, or when a stuck
/// socket accepts bytes again; the others never start again. The timer is set to the earliest deadline. A fault is final.
pub(super) struct Guard {
    limits: PeerLimits,
    incoming: Frames,
    outgoing: Frames,
    /// The header blocks that come in.
    pub(super) blocks: BlockWatch,
    /// The highest stream number that the peer has opened.
    last_stream: u32,
    /// True if any byte has arrived.
    has_begun: bool,
    greeting: Option<Instant>,
    settings_ack: Option<Instant>,
    /// Deadline for completing the current frame or header block.
    unfinished: Option<Instant>,
    /// Deadline for the socket to accept data.
    stuck: Option<Instant>,
    ping_ack: Option<Instant>,
    keepalive: Option<Instant>,
    /// True while no call is in progress, when keepalive waits.
    idle: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// The waker of the task that last polled the timer.
    waker: Option<Waker>,
    pings: Pings,
    fault: Option<Fault>,
}

/// The PINGs of the peer since they were last taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pings {
    /// Number of PINGs received.
    pub fresh: u32,
    /// True if HEADERS or DATA were written in the same time.
    pub data_sent: bool,
}

impl Guard {
    /// Watches one connection, as its server or as its client.
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
        // A client does not know yet whether the peer is an HTTP/2 server. Until then its connect timeout applies.
        guard.settings_ack = guard.later(is_server.then_some(limits.patience));
        guard.keepalive = guard.later(limits.keepalive);
        guard
    }

    /// Returns the time after `patience`; `None` without patience or if the clock can't represent that time.
    fn later(&self, patience: Option<Duration>) -> Option<Instant> {
        Instant::now().checked_add(patience?)
    }

    /// Processes bytes that arrived from the peer; empty at the end of the stream.
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

    /// Processes bytes that will be sent to the peer.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Guard { pings, blocks, .. } = self;
        self.outgoing.headers(bytes, |header| {
            pings.data_sent |= matches!(header.kind, FrameType::HEADERS | FrameType::DATA);
            if header.kind == FrameType::HEADERS {
                blocks.sent();
            }
        });
    }

    /// Tells whether the next byte to the peer begins a frame.
    pub(super) fn is_sending_at_border(&self) -> bool {
        self.outgoing.is_at_border()
    }

    /// Returns the position in the frames that are sent.
    pub(super) fn sending(&self) -> Frames {
        self.outgoing.clone()
    }

    /// Returns the limit of metadata that is announced to the peer.
    pub(super) fn max_metadata_size(&self) -> u32 {
        self.limits.max_metadata_size
    }

    /// Starts the deadline of a socket that accepts no more data.
    pub(super) fn is_stuck(&mut self) {
        if self.stuck.is_none() {
            self.stuck = self.later(Some(self.limits.patience));
        }
    }

    /// Clears the deadline of the socket, which has accepted data.
    pub(super) fn has_moved(&mut self) {
        // While nothing could be written, nothing was read either, so that time does not count against the peer.
        if self.stuck.take().is_some() && self.unfinished.is_some() {
            self.unfinished = self.later(Some(self.limits.patience));
        }
    }

    /// Ends the connection and returns the GOAWAY to write before, if one can be written now.
    pub(super) fn end(&mut self, fault: Fault) -> Option<Vec<u8>> {
        self.fault = Some(fault);
        self.outgoing.is_at_border().then(|| {
            let debug = fault.to_string();
            let payload = [&self.last_stream.to_be_bytes(), &fault.code().0.to_be_bytes(), debug.as_bytes()].concat();
            frame(FrameType::GOAWAY, &payload)
        })
    }

    /// Returns the reason for ending the connection, if it has to end.
    pub(super) fn fault(&self) -> Option<io::Error> {
        self.fault.map(|fault| io::Error::new(io::ErrorKind::TimedOut, fault.to_string()))
    }

    /// Returns the PINGs received since the last call that returned `Some`; `None` if none arrived.
    pub(super) fn take_pings(&mut self) -> Option<Pings> {
        (self.pings.fresh > 0).then(|| std::mem::take(&mut self.pings))
    }

    /// Suspends keepalive while no call is in progress (gRFC A8). Its time goes on.
    pub(super) fn set_idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    /// Polled while waiting for the peer. Ready when an action is due: to end the connection, or to send a PING.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let is_calm = self.greeting.is_none()
            && self.settings_ack.is_none()
            && self.unfinished.is_none()
            && self.stuck.is_none()
            && self.ping_ack.is_none();
        // With keepalive alone, wait for the timer.
        if is_calm && (self.keepalive.is_none() || self.idle || self.is_timer_set(cx)) {
            return Poll::Pending;
        }
        self.poll_timer(cx)
    }

    /// Tells whether the timer is running and will wake this task.
    fn is_timer_set(&self, cx: &Context<'_>) -> bool {
        let is_for = |waker: &Waker| waker.will_wake(cx.waker());
        self.waker.as_ref().is_some_and(is_for) && self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed())
    }

    #[cold]
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let deadlines = [
            (self.greeting, Fault::Greeting),
            (self.settings_ack, Fault::SettingsAck),
            (self.unfinished, Fault::Unfinished),
            (self.stuck, Fault::Stuck),
            (self.ping_ack, Fault::PingAck),
        ];
        let fault =
            deadlines.into_iter().filter_map(|(at, fault)| Some((at?, Due::End(fault)))).min_by_key(|(at, _)| *at);
        let ping = self.keepalive.filter(|_| self.ping_ack.is_none() && !self.idle).map(|at| (at, Due::Ping));
        let Some((at, due)) = fault.into_iter().chain(ping).min_by_key(|(at, _)| *at) else { return Poll::Pending };
        self.waker = Some(cx.waker().clone());
        poll_timer(&mut self.timer, at, cx).map(|()| due)
    }

    /// Returns a keepalive PING, if one can be sent now.
    pub(super) fn ping(&mut self) -> Option<Vec<u8>> {
        self.keepalive = self.later(self.limits.keepalive);
        if !self.outgoing.is_at_border() {
            return None;
        }
        self.ping_ack = self.later(Some(self.limits.patience));
        Some(frame(FrameType::PING, &KEEPALIVE))
    }
}

/// The action that is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    End(Fault),
    Ping,
}

impl Fault {
    fn code(self) -> Http2Error {
        match self {
            Fault::Greeting | Fault::SettingsAck => Http2Error::SETTINGS_TIMEOUT,
            Fault::PingAck | Fault::Stuck | Fault::TooOld => Http2Error::NO_ERROR,
            Fault::Unfinished | Fault::TooManyPings => Http2Error::ENHANCE_YOUR_CALM,
        }
    }
}

/// Writes the debug data of GOAWAY, which is also the reason in the calls of this side.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Greeting => "no HTTP/2 preface and SETTINGS arrived in time",
            Fault::Unfinished => "a frame or header block was not completed in time",
            Fault::SettingsAck => "SETTINGS were not acknowledged in time",
            Fault::PingAck => "a PING was not acknowledged in time",
            Fault::Stuck => "the peer did not read from its socket in time",
            // The texts that gRFCs A8 and A9 prescribe.
            Fault::TooManyPings => "too_many_pings",
            Fault::TooOld => MAX_AGE,
        })
    }
}

/// Returns a frame of stream 0, the connection, without flags.
fn frame(kind: FrameType, payload: &[u8]) -> Vec<u8> {
    [&FrameHeader { length: payload.len() as u32, kind, flags: 0, stream: 0 }.encode(), payload].concat()
}
