//! Filters that select the calls and frames to show.
//!
//! ```text
//! filter → term *( " " term )                   all terms must match
//! term   → "stream" is number *( "," number )   stream=5  stream!=1,3
//!        / "method" ( is path / "~" part )      method=/routeguide.RouteGuide/GetFeature  method~Feature
//!        / "status" is code *( "," code )       status!=0  status=UNAVAILABLE,none
//!        / "frame" is type *( "," type )        frame=HEADERS,RST_STREAM
//! is     → "=" / "!="
//! ```
//!
//! A call's status is known when the call has ended. A filter on the status therefore delays the call's frames until
//! then.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::calls::{CallSummary, Calls};
use crate::inspector::decode::headers::CODES;
use crate::inspector::model::frame::Frame;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::Schema;
use crate::wire::http2::FrameType;

/// The conditions for calls and frames to be shown. The default shows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// True for `!=`.
    not: bool,
    of: Of,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Stream(Vec<u32>),
    Method(String),
    MethodPart(String),
    /// The status digits; `None` matches calls that ended without a status.
    Status(Vec<Option<String>>),
    Frame(Vec<FrameType>),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text.split_whitespace())
    }
}

impl Filter {
    /// Returns a filter that requires all these terms.
    ///
    /// # Errors
    ///
    /// [`FilterError`] names the first invalid term.
    pub fn parse<'a>(terms: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        terms.into_iter().map(Term::parse).collect::<Result<_, _>>().map(|terms| Self { terms })
    }

    /// Returns true if the filter shows everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns true if a call is shown. Terms about frames do not affect calls.
    pub fn shows_call(&self, call: &CallSummary) -> bool {
        self.terms.iter().all(|term| term.holds_for_call(call).unwrap_or(true))
    }

    fn asks_for_status(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.of, Of::Status(_)))
    }

    /// Returns true if a frame is shown, provided that its call is shown.
    fn shows_frame(&self, kind: Option<FrameType>, stream: u32) -> bool {
        self.terms.iter().all(|term| match &term.of {
            Of::Frame(types) => term.not != kind.is_some_and(|kind| types.contains(&kind)),
            Of::Stream(streams) => term.not != streams.contains(&stream),
            Of::Method(_) | Of::MethodPart(_) | Of::Status(_) => true,
        })
    }

    fn asks_for_calls(&self) -> bool {
        self.terms.iter().any(|term| !matches!(term.of, Of::Frame(_) | Of::Stream(_)))
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let wrong = |why: &str| FilterError { term: text.to_owned(), why: why.to_owned() };
        let at = text.find(['=', '~', '!']).ok_or_else(|| wrong("expected =, != or ~"))?;
        let (key, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        let (not, part, value) = match (rest.strip_prefix("!="), rest.strip_prefix('~'), rest.strip_prefix('=')) {
            (Some(value), ..) => (true, false, value),
            (_, Some(value), _) => (false, true, value),
            (.., Some(value)) => (false, false, value),
            _ => return Err(wrong("expected =, != or ~")),
        };
        if value.is_empty() {
            return Err(wrong("the value is missing"));
        }
        // The form "method=~part" is accepted too.
        let (part, value) = match value.strip_prefix('~') {
            Some(value) if key == "method" => (true, value),
            _ => (part, value),
        };
        if part && key != "method" {
            return Err(wrong("~ works only with method"));
        }
        let values = || value.split(',').map(str::trim);
        let of = match key {
            "stream" => {
                let streams = values().map(|number| number.parse().map_err(|_| number));
                Of::Stream(
                    streams
                        .collect::<Result<_, _>>()
                        .map_err(|number: &str| wrong(&format!("invalid stream number {number:?}")))?,
                )
            }
            "method" if part => Of::MethodPart(value.to_owned()),
            "method" => Of::Method(format!("/{}", value.trim_start_matches('/'))),
            "status" => {
                let codes = values().map(|code| status(code).ok_or(code));
                Of::Status(codes.collect::<Result<_, _>>().map_err(|code: &str| {
                    wrong(&format!(
                        "invalid status {code:?}: use a number from 0 to 16, a name such as NOT_FOUND, or none"
                    ))
                })?)
            }
            "frame" => {
                let types = values().map(|name| frame_type(name).ok_or(name));
                Of::Frame(types.collect::<Result<_, _>>().map_err(|name: &str| {
                    wrong(&format!("invalid frame type {name:?}: use HEADERS, DATA, RST_STREAM, … or a number"))
                })?)
            }
            _ => return Err(wrong("use stream, method, status or frame")),
        };
        Ok(Self { not, of })
    }

    /// Returns `None` if the term does not apply to calls.
    fn holds_for_call(&self, call: &CallSummary) -> Option<bool> {
        let found = match &self.of {
            Of::Stream(streams) => streams.contains(&call.stream),
            Of::Method(path) => *path == call.path,
            Of::MethodPart(part) => call.path.contains(part.as_str()),
            Of::Status(_) if call.status_is_unknown => return Some(false),
            Of::Status(codes) => {
                let code = call.status.as_ref().map(|status| status.code.as_str());
                codes.iter().any(|wanted| wanted.as_deref() == code)
            }
            Of::Frame(_) => return None,
        };
        Some(found != self.not)
    }
}

/// Parses a status number or name into digits; "none" gives `Some(None)`. Names may be spelled in any case, with other
/// separators or none: "deadline-exceeded", "DeadlineExceeded", "StatusCode.CANCELLED", "CANCELED", "CANCEL".
fn status(text: &str) -> Option<Option<String>> {
    let plain = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>()
    };
    let name = plain(text.rsplit('.').next().unwrap_or(text));
    let name = match name.as_str() {
        "none" => return Some(None),
        "canceled" | "cancel" => "cancelled".to_owned(),
        _ => name,
    };
    if let Some(number) = CODES.iter().position(|code| plain(code) == name) {
        return Some(Some(number.to_string()));
    }
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let number = text.parse().ok().filter(|number: &usize| digits && *number < CODES.len());
    number.map(|number| Some(number.to_string()))
}

/// Parses a frame type: its name, an unambiguous beginning of it ("RST"), or its number.
fn frame_type(text: &str) -> Option<FrameType> {
    if let Ok(number) = text.parse() {
        return Some(FrameType(number));
    }
    let wanted = text.to_ascii_uppercase();
    let known = || (0..=9).map(FrameType).filter(|kind| kind.to_string().starts_with(&wanted));
    let exact = known().find(|kind| kind.to_string() == wanted);
    exact.or_else(|| known().next().filter(|_| known().count() == 1))
}

/// Filters the frames of a connection as they arrive, or the output that belongs to each frame.
///
/// The output keeps its order, except that frames of a call whose status decides are returned together when the call
/// has ended. Waiting frames are bounded; beyond the limit, the frames of the call that has waited longest are dropped.
#[derive(Clone, Debug)]
pub struct Sieve<T = Frame> {
    filter: Filter,
    calls: Calls,
    waiting: BTreeMap<u32, VecDeque<Waiting<T>>>,
    /// The streams of the last ended calls; true if the call is shown.
    ended: VecDeque<(u32, bool)>,
    /// The cost of the waiting frames, and its limit.
    cost: usize,
    limit: usize,
    dropped: u64,
}

/// A frame, or its output, that waits for the status of its call.
#[derive(Clone, Debug)]
struct Waiting<T> {
    /// The number of the frame.
    number: u64,
    cost: usize,
    said: T,
}

/// Number of ended calls that are remembered.
const ENDED: usize = 1_024;

/// The decision about a frame.
enum Verdict {
    Shown,
    Waits,
    Hidden,
}

impl<T> Sieve<T> {
    /// Returns a sieve for the frames of one connection.
    pub fn new(filter: Filter, schema: Schema) -> Self {
        let limits = Limits::default();
        Self::with_limits(filter, schema, &limits)
    }

    /// Returns a sieve in which at most [`Limits::calls`] calls wait, with a total cost of at most [`Limits::waiting`].
    pub fn with_limits(filter: Filter, schema: Schema, limits: &Limits) -> Self {
        let calls = Calls::with_limit(schema, limits.calls);
        Self {
            filter,
            calls,
            waiting: BTreeMap::new(),
            ended: VecDeque::new(),
            cost: 0,
            limit: limits.waiting,
            dropped: 0,
        }
    }

    /// Takes the output of the next frame and its cost in bytes; returns the output that is to be shown now.
    pub fn push_text(&mut self, frame: &Frame, said: T, cost: usize) -> Vec<T> {
        let (verdict, ended) = self.judge(frame);
        self.keep(verdict, &ended, frame.stream(), Waiting { number: frame.number, cost, said })
    }

    /// Takes late output of an earlier frame of this type and stream, and its cost in bytes; returns it if it is to be
    /// shown now.
    pub fn push_late(&mut self, kind: Option<FrameType>, stream: u32, said: T, cost: usize) -> Vec<T> {
        let call = self.calls.open().find(|call| call.stream == stream);
        let ended = self.ended.iter().rfind(|(ended, _)| *ended == stream);
        let verdict = match (call, ended) {
            _ if !self.filter.shows_frame(kind, stream) => Verdict::Hidden,
            _ if !self.filter.asks_for_calls() => Verdict::Shown,
            (Some(_), _) if self.filter.asks_for_status() => Verdict::Waits,
            (Some(call), _) if self.filter.shows_call(call) => Verdict::Shown,
            (None, Some((_, true))) => Verdict::Shown,
            _ => Verdict::Hidden,
        };
        self.keep(verdict, &[], stream, Waiting { number: 0, cost, said })
    }

    /// Returns true if a call that the filter shows, or may show, is in progress: frames of the connection may matter to it.
    pub fn has_open_calls(&self) -> bool {
        let may_be = |call: &CallSummary| self.filter.asks_for_status() || self.filter.shows_call(call);
        self.calls.open().any(may_be)
    }

    fn judge(&mut self, frame: &Frame) -> (Verdict, Vec<CallSummary>) {
        let kind = frame.header().map(|header| header.kind);
        let of_frame = if self.filter.shows_frame(kind, frame.stream()) { Verdict::Shown } else { Verdict::Hidden };
        if self.filter.is_empty() {
            return (of_frame, Vec::new());
        }
        let ended = self.calls.advance(frame);
        if !self.filter.asks_for_calls() {
            return (of_frame, Vec::new());
        }
        for call in &ended {
            self.ended.push_back((call.stream, self.filter.shows_call(call)));
        }
        let surplus = self.ended.len().saturating_sub(ENDED);
        self.ended.drain(..surplus);
        let stream = frame.stream();
        let known = self
            .calls
            .open()
            .find(|call| call.stream == stream)
            .or_else(|| ended.iter().rfind(|call| call.stream == stream));
        let verdict = match (known, of_frame) {
            (Some(_), Verdict::Shown) if self.filter.asks_for_status() => Verdict::Waits,
            (Some(call), of_frame) if self.filter.shows_call(call) => of_frame,
            // A frame that crossed the end of its call.
            (None, of_frame) if self.ended.iter().rfind(|(ended, _)| *ended == stream).is_some_and(|it| it.1) => {
                of_frame
            }
            // A frame of the connection, or of a call that is not followed.
            _ => Verdict::Hidden,
        };
        (verdict, ended)
    }

    fn keep(&mut self, verdict: Verdict, ended: &[CallSummary], stream: u32, said: Waiting<T>) -> Vec<T> {
        let mut shown = Vec::new();
        match verdict {
            Verdict::Shown => shown.push(said.said),
            Verdict::Waits => {
                self.cost += said.cost;
                self.waiting.entry(stream).or_default().push_back(said);
            }
            Verdict::Hidden => {}
        }
        for call in ended {
            shown.extend(self.release(call));
        }
        while self.cost > self.limit {
            let oldest = self.waiting.iter().min_by_key(|(_, said)| said.front().map(|said| said.number));
            let Some(stream) = oldest.map(|(stream, _)| *stream) else { break };
            self.dropped += self.take(stream).len() as u64;
        }
        shown
    }

    /// Ends the connection; returns the output of calls that ended with it.
    pub fn finish(&mut self) -> Vec<T> {
        let ended = self.calls.close(None);
        ended.iter().flat_map(|call| self.release(call)).collect()
    }

    /// Returns the cost of everything that waits.
    pub fn held(&self) -> usize {
        self.cost
    }

    /// Sets the total cost of what may wait from now on, so that several connections can share one limit.
    pub fn set_limit(&mut self, cost: usize) {
        self.limit = cost;
    }

    /// Returns the number of frames that were dropped because too many waited.
    pub fn dropped_frames(&self) -> u64 {
        self.dropped
    }

    fn release(&mut self, call: &CallSummary) -> Vec<T> {
        let waiting = self.take(call.stream);
        if self.filter.shows_call(call) { waiting.into_iter().map(|it| it.said).collect() } else { Vec::new() }
    }

    fn take(&mut self, stream: u32) -> VecDeque<Waiting<T>> {
        let waiting = self.waiting.remove(&stream).unwrap_or_default();
        self.cost = self.cost.saturating_sub(waiting.iter().map(|it| it.cost).sum());
        waiting
    }
}

impl Sieve {
    /// Takes the next frame; returns the frames that are to be shown now.
    pub fn push(&mut self, frame: Frame) -> Vec<Frame> {
        let (verdict, ended) = self.judge(&frame);
        let cost = if matches!(verdict, Verdict::Waits) { frame.cost() } else { 0 };
        self.keep(verdict, &ended, frame.stream(), Waiting { number: frame.number, cost, said: frame })
    }
}

/// An invalid filter term; names the term and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    term: String,
    why: String,
}

impl FilterError {
    /// Returns the reason, without the term.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid filter {:?}: {}", self.term, self.why)
    }
}

impl Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_filter_is_reported_with_the_reason() {
        for (text, expected) in [
            ("stream", "invalid filter \"stream\": expected =, != or ~"),
            ("stream=x", "invalid filter \"stream=x\": invalid stream number \"x\""),
            ("stream=", "invalid filter \"stream=\": the value is missing"),
            ("status~1", "invalid filter \"status~1\": ~ works only with method"),
            ("color=red", "invalid filter \"color=red\": use stream, method, status or frame"),
            (
                "frame=HEADER,P",
                "invalid filter \"frame=HEADER,P\": invalid frame type \"P\": use HEADERS, DATA, RST_STREAM, … or a number",
            ),
            (
                "status=17",
                "invalid filter \"status=17\": invalid status \"17\": use a number from 0 to 16, a name such as NOT_FOUND, or none",
            ),
            (
                "status=FINE",
                "invalid filter \"status=FINE\": invalid status \"FINE\": use a number from 0 to 16, a name such as NOT_FOUND, or none",
            ),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn every_spelling_of_a_term_is_parsed() {
        let of = |text: &str| text.parse::<Filter>().unwrap().terms.remove(0);
        assert_eq!(of("stream=1,3"), Term { not: false, of: Of::Stream(vec![1, 3]) });
        assert_eq!(of("status!=ok"), Term { not: true, of: Of::Status(vec![Some("0".into())]) });
        assert_eq!(of("status=14,none"), Term { not: false, of: Of::Status(vec![Some("14".into()), None]) });
        for cancelled in ["CANCEL", "CANCELLED", "CANCELED", "cancelled", "Canceled", "1", "01", "StatusCode.CANCELLED"]
        {
            assert_eq!(of(&format!("status={cancelled}")).of, Of::Status(vec![Some("1".into())]), "{cancelled}");
        }
        for late in ["DEADLINE_EXCEEDED", "deadline-exceeded", "DeadlineExceeded", "codes.DeadlineExceeded", "4"] {
            assert_eq!(of(&format!("status={late}")).of, Of::Status(vec![Some("4".into())]), "{late}");
        }
        assert!("status=+1".parse::<Filter>().is_err() && "status=-1".parse::<Filter>().is_err());
        assert_eq!(of("frame=rst"), Term { not: false, of: Of::Frame(vec![FrameType::RST_STREAM]) });
        assert_eq!(of("frame=PING,16").of, Of::Frame(vec![FrameType::PING, FrameType(16)]));
        assert_eq!(of("method~Get").of, Of::MethodPart("Get".into()));
        assert_eq!(of("method=~Get").of, Of::MethodPart("Get".into()));
        assert_eq!(of("method=a.B/C").of, Of::Method("/a.B/C".into()));
        assert!("".parse::<Filter>().unwrap().is_empty());
    }
}
