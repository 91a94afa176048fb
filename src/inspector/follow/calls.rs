//! Summaries of calls: one line for each call that has ended.
//!
//! ```text
//! stream 1  /routeguide.RouteGuide/GetFeature  unary  ↑ 1 message, 77 bytes on the wire  ↓ 1 message, 54 bytes on the wire
//!           first byte 1.2 ms  total 1.4 ms  OK  ended by the server's trailers
//! ```
//!
//! A call lasts from its Request-Headers to the end of both directions of its stream. The end is classified from the
//! frames alone: "deadline" means that the client sent RST_STREAM with CANCEL when `grpc-timeout` had passed. `ending.rs`
//! has the ways to end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::ending::CallEnd;
use super::stall::{Stall, StallEnd};
use super::stalls::Stalls;
use crate::inspector::decode::call::{is_grpc, value};
use crate::inspector::decode::headers::{percent_decoded, status_name, timeout};
use crate::inspector::model::frame::{Direction, Frame, Meaning};
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::{CallKind, Schema};
use crate::inspector::model::text::{self, Count, Plain, Time};
use crate::wire::http2::FrameType;

/// The summary of a call, up to the last frame seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSummary {
    /// The HTTP/2 stream of the call.
    pub stream: u32,
    /// The method: "/routeguide.RouteGuide/GetFeature". Empty if it is unknown.
    pub path: String,
    /// Its kind, from the schema. Otherwise the narrowest kind that allows the messages that were seen; the method may allow
    /// more.
    pub kind: CallKind,
    /// True if the schema defines the kind.
    pub kind_is_known: bool,
    /// The number of the frame that completed the Request-Headers.
    pub first_frame: u64,
    /// The number of the last frame of the call.
    pub last_frame: u64,
    /// The time at which the Request-Headers were complete.
    pub begun: Duration,
    /// Traffic to the server.
    pub request: Traffic,
    /// Traffic to the client.
    pub response: Traffic,
    /// Time from the Request-Headers to the first frame of the response.
    pub first_byte: Option<Duration>,
    /// Time from the Request-Headers to the frame that ended the call, or to the end of its connection. Of a call that is
    /// open when the recording ends, the time up to there.
    pub total: Option<Duration>,
    /// `grpc-timeout`.
    pub timeout: Option<Duration>,
    /// The gRPC status of the call, if one was received.
    pub status: Option<CallStatus>,
    /// True if the server ended the call with headers that could not be decoded, so that the status is unknown too.
    pub status_is_unknown: bool,
    /// The HTTP status of a response that is not gRPC.
    pub http_status: Option<String>,
    /// The way in which the call ended.
    pub end: CallEnd,
}

/// The traffic of a call in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Complete messages.
    pub messages: u64,
    /// Bytes of all frames of the stream, with their headers and padding.
    pub wire: u64,
    /// Bytes of the messages on the wire, without prefixes.
    pub sent: u64,
    /// Bytes of the uncompressed messages. Messages that could not be decompressed count with their size on the wire.
    pub plain: u64,
    /// Compressed messages that could not be decompressed.
    pub unrestored: u64,
    /// Waits for flow-control windows.
    pub waits: u64,
    /// The duration of these waits together.
    pub waited: Duration,
    /// The longest of those that did not end with an open window; otherwise the longest of all.
    pub longest_wait: Option<Stall>,
}

/// `grpc-status` and `grpc-message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallStatus {
    /// `grpc-status` as it was sent.
    pub code: String,
    /// `grpc-message`, decoded.
    pub message: String,
}

impl CallSummary {
    fn way_mut(&mut self, direction: Direction) -> &mut Traffic {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }
}

impl CallStatus {
    /// Returns the name of the code, if it has one.
    pub fn name(&self) -> Option<&'static str> {
        status_name(self.code.as_bytes())
    }
}

/// The calls of a connection, from its frames.
#[derive(Clone, Debug)]
pub struct Calls {
    schema: Schema,
    limit: usize,
    open: BTreeMap<u32, Open>,
    stalls: Stalls,
    /// The end of calls that the connection's end cuts off: by a GOAWAY that reports an error, or by the end alone.
    broken: Option<CallEnd>,
    /// The last stream and the code of the server's GOAWAY.
    excluded: Option<(u32, CallEnd)>,
}

/// A call in progress.
#[derive(Clone, Debug)]
struct Open {
    summary: CallSummary,
    client_ended: bool,
    /// True if the last header block of the server is that of a PUSH_PROMISE.
    promised: bool,
    /// True if the response has begun with headers that did not end it.
    answered: bool,
    /// True if the response is not gRPC.
    foreign: bool,
}

impl Calls {
    /// Follows the calls of a connection, at most `Limits::default().calls` at a time; the schema defines their kinds.
    pub fn new(schema: Schema) -> Self {
        Self::with_limit(schema, Limits::default().calls)
    }

    /// Follows at most `limit` calls at a time.
    pub fn with_limit(schema: Schema, limit: usize) -> Self {
        let limit = limit.max(1);
        Self { schema, limit, open: BTreeMap::new(), stalls: Stalls::new(limit), broken: None, excluded: None }
    }

    /// Takes the next frame; returns the calls that ended with it.
    pub fn advance(&mut self, frame: &Frame) -> Vec<CallSummary> {
        let mut ended = Vec::new();
        let (_, stalls) = self.stalls.push(frame);
        self.waited(&stalls);
        let stream = frame.stream();
        if let (Meaning::RequestHeaders { path }, Direction::ToServer, false) =
            (&frame.meaning, frame.direction, frame.headers.is_empty())
        {
            ended.extend(self.begin(frame, stream, path));
        }
        if self.open.get_mut(&stream).is_some_and(|call| call.advance(frame)) {
            ended.extend(self.open.remove(&stream).map(|call| call.summary));
        }
        if frame.goaway().is_some() {
            ended.extend(self.go_away(frame));
        }
        ended
    }

    /// Returns the calls that have not ended, ordered by stream.
    pub fn open(&self) -> impl Iterator<Item = &CallSummary> {
        self.open.values().map(|call| &call.summary)
    }

    /// Lets time pass without a frame: up to the end of the connection, or of its recording.
    pub fn until(&mut self, time: Duration) {
        self.stalls.until(time);
    }

    /// Ends the connection at `time`, and with it the calls that are still open. Returns the calls by the times of their
    /// ends.
    pub fn close(&mut self, time: Option<Duration>) -> Vec<CallSummary> {
        self.stalls.until(time.unwrap_or_default());
        let stalls = self.stalls.finish(true);
        self.waited(&stalls);
        let end = self.broken.unwrap_or(CallEnd::ConnectionLost);
        let excluded = self.excluded;
        let open = std::mem::take(&mut self.open).into_values();
        let close = |call: Open| {
            // A request that crossed the GOAWAY.
            let excluded = excluded.filter(|(last, _)| call.summary.stream > *last).map(|(_, end)| end);
            call.close(excluded.unwrap_or(end), time)
        };
        in_order(open.map(close).collect())
    }

    /// Returns the open calls as still open, because no more of the connection is known.
    pub fn leave(&mut self) -> Vec<CallSummary> {
        let stalls = self.stalls.finish(false);
        self.waited(&stalls);
        let now = self.stalls.now();
        let open = std::mem::take(&mut self.open).into_values();
        in_order(open.map(|call| call.close(CallEnd::Open, Some(now))).collect())
    }

    /// Adds waits to their calls.
    fn waited(&mut self, stalls: &[Stall]) {
        for stall in stalls {
            let Some(call) = self.open.get_mut(&stall.stream) else { continue };
            let way = call.summary.way_mut(stall.direction);
            way.waits += 1;
            way.waited += stall.waited;
            let weight = |stall: Stall| (stall.end != StallEnd::Opened, stall.waited);
            if way.longest_wait.is_none_or(|longest| weight(longest) <= weight(*stall)) {
                way.longest_wait = Some(*stall);
            }
        }
    }

    /// Starts a call. Returns the call that this ends: the one on the same stream, or the oldest of too many.
    fn begin(&mut self, frame: &Frame, stream: u32, path: &str) -> Option<CallSummary> {
        let crowded = self.open.len() >= self.limit && !self.open.contains_key(&stream);
        let oldest = if crowded { self.open.pop_first().map(|(_, call)| call) } else { self.open.remove(&stream) };
        let kind = self.schema.method(path).and_then(|types| types.kind);
        let summary = CallSummary {
            stream,
            path: path.to_owned(),
            kind: kind.unwrap_or(CallKind::Unary),
            kind_is_known: kind.is_some(),
            first_frame: frame.number,
            last_frame: frame.number,
            begun: frame.time,
            request: Traffic::default(),
            response: Traffic::default(),
            first_byte: None,
            total: None,
            timeout: value(&frame.headers, "grpc-timeout").and_then(|value| timeout(value.as_bytes())),
            status: None,
            status_is_unknown: false,
            http_status: None,
            end: CallEnd::Open,
        };
        let call = Open { summary, client_ended: false, promised: false, answered: false, foreign: false };
        self.open.insert(stream, call);
        oldest.map(|call| call.close(CallEnd::Forgotten, None))
    }

    /// Streams beyond a GOAWAY's last were not, and will not be, processed (RFC 9113, section 6.8).
    fn go_away(&mut self, frame: &Frame) -> Vec<CallSummary> {
        let Some((last, code)) = frame.goaway() else { return Vec::new() };
        let from_client = frame.direction == Direction::ToServer;
        if code.0 != 0 {
            self.broken = Some(if from_client { CallEnd::ClientGoAway(code) } else { CallEnd::GoAway(code) });
        }
        if from_client {
            return Vec::new();
        }
        self.excluded = Some((last, CallEnd::GoAway(code)));
        let beyond = self.open.split_off(&last.saturating_add(1));
        let end = |mut call: Open| {
            call.summary.last_frame = frame.number;
            call.close(CallEnd::GoAway(code), Some(frame.time))
        };
        beyond.into_values().map(end).collect()
    }
}

/// Returns true if a reset after this time is one at the deadline. Times on the way vary a little.
fn is_due(elapsed: Duration, timeout: Duration) -> bool {
    elapsed + (timeout / 20).min(Duration::from_millis(20)) >= timeout
}

/// Orders calls by the times of their ends.
fn in_order(mut calls: Vec<CallSummary>) -> Vec<CallSummary> {
    calls.sort_by_key(|call| call.total.map_or(Duration::MAX, |total| call.begun.saturating_add(total)));
    calls
}

impl Open {
    /// Takes a frame of the stream; returns true if it ends the call.
    fn advance(&mut self, frame: &Frame) -> bool {
        let call = &mut self.summary;
        let elapsed = frame.time.saturating_sub(call.begun);
        call.last_frame = frame.number;
        let way = call.way_mut(frame.direction);
        way.wire += frame.bytes.len() as u64;
        for message in &frame.messages {
            way.messages += 1;
            way.sent += u64::from(message.length);
            way.plain += message.size().unwrap_or(message.length.into());
            way.unrestored += u64::from(message.size().is_none());
        }
        if !call.kind_is_known {
            call.kind = CallKind::new(call.request.messages > 1, call.response.messages > 1);
        }
        let kind = frame.header().map(|header| header.kind);
        self.promised = match kind {
            Some(FrameType::CONTINUATION) => self.promised,
            kind => kind == Some(FrameType::PUSH_PROMISE),
        };
        let answers = matches!(kind, None | Some(FrameType::HEADERS | FrameType::DATA | FrameType::CONTINUATION));
        let answers = answers && !self.promised;
        if frame.direction == Direction::ToClient && answers && call.first_byte.is_none() {
            call.first_byte = Some(elapsed);
        }
        if let Some(code) = frame.reset() {
            // A reset after the trailers does not replace the end: it ends the other direction.
            if call.end == CallEnd::Open {
                call.end = match frame.direction {
                    Direction::ToServer
                        if code.0 == 8 && call.timeout.is_some_and(|timeout| is_due(elapsed, timeout)) =>
                    {
                        CallEnd::Deadline
                    }
                    Direction::ToServer => CallEnd::ClientReset(code),
                    Direction::ToClient => CallEnd::ServerReset(code),
                };
                call.total = Some(elapsed);
            }
            return true;
        }
        match &frame.meaning {
            Meaning::HttpResponse { status } => {
                self.foreign =
                    !value(&frame.headers, "content-type").is_some_and(|content_type| is_grpc(&content_type));
                call.http_status = Some(status.clone()).filter(|status| self.foreign || status != "200");
            }
            Meaning::Trailers { status: Some(code) } | Meaning::TrailersOnly { status: code }
                if !frame.headers.is_empty() && frame.direction == Direction::ToClient =>
            {
                let message = value(&frame.headers, "grpc-message").unwrap_or_default();
                let message = percent_decoded(message.as_bytes()).map_or(message, Into::into);
                call.status = Some(CallStatus { code: code.clone(), message: text::plain(message.as_bytes()) });
            }
            _ => {}
        }
        if frame.ends_stream && frame.direction == Direction::ToClient && call.end == CallEnd::Open {
            call.status_is_unknown = frame.meaning == Meaning::Headers;
            call.end = match kind {
                _ if self.foreign && call.status.is_none() => CallEnd::HttpResponse,
                Some(FrameType::DATA) => CallEnd::EndStream,
                _ if self.answered || matches!(frame.meaning, Meaning::Trailers { .. }) => CallEnd::Trailers,
                _ if call.status_is_unknown => CallEnd::UnknownHeaders,
                _ => CallEnd::TrailersOnly,
            };
            call.total = Some(elapsed);
        }
        let block = matches!(kind, Some(FrameType::HEADERS | FrameType::CONTINUATION)) && !self.promised;
        self.answered |= block && frame.direction == Direction::ToClient && frame.meaning != Meaning::Informational;
        self.client_ended |= frame.ends_stream && frame.direction == Direction::ToServer;
        self.client_ended && call.end != CallEnd::Open
    }

    /// Returns the summary of a call that receives no more frames.
    fn close(mut self, end: CallEnd, time: Option<Duration>) -> CallSummary {
        if self.summary.end == CallEnd::Open {
            self.summary.end = end;
            self.summary.total = time.map(|time| time.saturating_sub(self.summary.begun));
        }
        self.summary
    }
}

impl fmt::Display for CallSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "method unknown" } else { &self.path };
        write!(f, "stream {}  {}  ", self.stream, Plain(path.as_bytes()))?;
        match (self.kind_is_known, self.kind) {
            (true, kind) | (false, kind @ CallKind::BidiStreaming) => write!(f, "{kind}")?,
            // One message each way at most, which every kind allows.
            (false, CallKind::Unary) => f.write_str("kind unknown")?,
            (false, kind) => write!(f, "at least {kind}")?,
        }
        write!(f, "  ↑ {}  ↓ {}", self.request, self.response)?;
        if let Some(first_byte) = self.first_byte {
            write!(f, "  first byte {}", Time(first_byte))?;
        }
        match (self.total, self.end) {
            (Some(total), CallEnd::Open) => write!(f, "  {} so far", Time(total))?,
            (Some(total), _) => write!(f, "  total {}", Time(total))?,
            (None, _) => {}
        }
        for way in [&self.request, &self.response] {
            way.write_waits(f)?;
        }
        match (&self.status, &self.http_status) {
            (Some(status), _) => write!(f, "  {status}")?,
            (None, Some(status)) => write!(f, "  HTTP {status}")?,
            (None, None) if self.status_is_unknown => write!(f, "  status unknown")?,
            (None, None) if self.end.is_answer() => write!(f, "  no grpc-status")?,
            (None, None) => {}
        }
        match self.timeout.filter(|_| self.end == CallEnd::Deadline) {
            Some(timeout) => write!(f, "  {} of {}", self.end, text::time(timeout)),
            None => write!(f, "  {}", self.end),
        }
    }
}

impl Traffic {
    /// Writes the waits that matter: those of a millisecond or more, and those that did not end with an open window.
    fn write_waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(longest) = self.longest_wait else { return Ok(()) };
        if self.waited < Duration::from_millis(1) && longest.end == StallEnd::Opened {
            return Ok(());
        }
        write!(f, "  {}", longest.of_call())?;
        match self.waits {
            1 => Ok(()),
            waits => write!(f, " ({} in {waits} waits)", Time(self.waited)),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} on the wire", Count(self.messages, "message"), Count(self.wire, "byte"))?;
        match (self.plain == self.sent, self.unrestored) {
            (_, 1..) => write!(f, " ({} compressed, not restored)", self.unrestored),
            (false, 0) => write!(f, " ({} of messages, {} uncompressed)", self.sent, self.plain),
            (true, 0) => Ok(()),
        }
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "grpc-status {}", text::plain(self.code.as_bytes()))?,
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}
