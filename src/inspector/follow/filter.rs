//! Which calls and frames are shown.
//!
//! ```text
//! filter → term *( " " term )                   all of them must hold
//! term   → "stream" is number *( "," number )   stream=5  stream!=1,3
//!        / "method" ( is path / "~" part )      method=/routeguide.RouteGuide/GetFeature  method~Feature
//!        / "status" is code *( "," code )       status!=0  status=UNAVAILABLE,none
//!        / "frame" is type *( "," type )        frame=HEADERS,RST_STREAM
//! is     → "=" / "!="
//! ```
//!
//! A call's status is known when it has ended: where a filter asks for it, the call's frames wait until then.

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

/// What calls and frames must be like to be shown. The default lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// `!=`
    not: bool,
    of: Of,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Stream(Vec<u32>),
    Method(String),
    MethodPart(String),
    /// Digits, or nothing for calls that ended without a status.
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
    /// A filter of all these terms.
    ///
    /// # Errors
    ///
    /// [`FilterError`] names the first that is none.
    pub fn parse<'a>(terms: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        terms.into_iter().map(Term::parse).collect::<Result<_, _>>().map(|terms| Self { terms })
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a call is shown. Terms about frames say nothing of calls.
    pub fn shows_call(&self, call: &CallSummary) -> bool {
        self.terms.iter().all(|term| term.holds_for_call(call).unwrap_or(true))
    }

    fn asks_for_status(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.of, Of::Status(_)))
    }

    /// Whether a frame is shown if its call is, or if there is no such question.
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
        let at = text.find(['=', '~', '!']).ok_or_else(|| wrong("it needs a =, != or ~"))?;
        let (key, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        let (not, part, value) = match (rest.strip_prefix("!="), rest.strip_prefix('~'), rest.strip_prefix('=')) {
            (Some(value), ..) => (true, false, value),
            (_, Some(value), _) => (false, true, value),
            (.., Some(value)) => (false, false, value),
            _ => return Err(wrong("it needs a =, != or ~")),
        };
        if value.is_empty() {
            return Err(wrong("nothing stands behind the sign"));
        }
        // A method may be asked for as "=~part" too.
        let (part, value) = match value.strip_prefix('~') {
            Some(value) if key == "method" => (true, value),
            _ => (part, value),
        };
        if part && key != "method" {
            return Err(wrong("only a method can be searched with ~"));
        }
        let values = || value.split(',').map(str::trim);
        let of = match key {
            "stream" => {
                let streams = values().map(|number| number.parse().map_err(|_| number));
                Of::Stream(
                    streams
                        .collect::<Result<_, _>>()
                        .map_err(|number: &str| wrong(&format!("{number:?} is no number of a stream")))?,
                )
            }
            "method" if part => Of::MethodPart(value.to_owned()),
            "method" => Of::Method(format!("/{}", value.trim_start_matches('/'))),
            "status" => {
                let codes = values().map(|code| status(code).ok_or(code));
                Of::Status(codes.collect::<Result<_, _>>().map_err(|code: &str| {
                    wrong(&format!(
                        "{code:?} is no status: it is a number from 0 to 16, a name such as NOT_FOUND, or none"
                    ))
                })?)
            }
            "frame" => {
                let types = values().map(|name| frame_type(name).ok_or(name));
                Of::Frame(types.collect::<Result<_, _>>().map_err(|name: &str| {
                    wrong(&format!("{name:?} is no type of frame: HEADERS, DATA, RST_STREAM, … or a number"))
                })?)
            }
            _ => return Err(wrong("it begins with stream, method, status or frame")),
        };
        Ok(Self { not, of })
    }

    /// `None` if the term says nothing of calls.
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

/// The digits of a status by number or name; nothing within for "none".
fn status(text: &str) -> Option<Option<String>> {
    if text.eq_ignore_ascii_case("none") {
        return Some(None);
    }
    if let Some(number) = CODES.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Some(Some(number.to_string()));
    }
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let number = text.parse().ok().filter(|number: &usize| digits && *number < CODES.len());
    number.map(|number| Some(number.to_string()))
}

/// A type by its name, the beginning of one that no other has ("RST"), or its number.
fn frame_type(text: &str) -> Option<FrameType> {
    if let Ok(number) = text.parse() {
        return Some(FrameType(number));
    }
    let wanted = text.to_ascii_uppercase();
    let known = || (0..=9).map(FrameType).filter(|kind| kind.to_string().starts_with(&wanted));
    let exact = known().find(|kind| kind.to_string() == wanted);
    exact.or_else(|| known().next().filter(|_| known().count() == 1))
}

/// Lets the frames of a connection through a filter, as they come, or what is said of each in its place.
///
/// What passes comes out in its order, but for the frames of a call whose status must be known first: they come out together
/// when it has ended. What waits is bounded; of the call that has waited longest nothing is shown then.
#[derive(Clone, Debug)]
pub struct Sieve<T = Frame> {
    filter: Filter,
    calls: Calls,
    waiting: BTreeMap<u32, VecDeque<Waiting<T>>>,
    /// The streams of the last calls that have ended, and whether they are shown.
    ended: VecDeque<(u32, bool)>,
    /// The cost of what waits, and the most that it may be.
    cost: usize,
    limit: usize,
    dropped: u64,
}

/// What waits for the status of its call.
#[derive(Clone, Debug)]
struct Waiting<T> {
    /// The number of the frame.
    number: u64,
    cost: usize,
    said: T,
}

/// Calls that have ended and are remembered.
const ENDED: usize = 1_024;

/// What becomes of a frame.
enum Verdict {
    Shown,
    Waits,
    Hidden,
}

impl<T> Sieve<T> {
    /// A sieve for the frames of one connection.
    pub fn new(filter: Filter, schema: Schema) -> Self {
        let limits = Limits::default();
        Self::with_limits(filter, schema, &limits)
    }

    /// A sieve in which at most [`Limits::calls`] calls wait, with what costs [`Limits::waiting`] at most.
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

    /// Takes what is said of the next frame, which takes so many bytes; gives what is to be shown now.
    pub fn push_said(&mut self, frame: &Frame, said: T, cost: usize) -> Vec<T> {
        let (verdict, ended) = self.judge(frame);
        self.keep(verdict, &ended, frame.stream(), Waiting { number: frame.number, cost, said })
    }

    /// Takes what is said late of an earlier frame, of which the type and the stream are known, and which takes so many bytes;
    /// gives it back if it is to be shown now.
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

    fn judge(&mut self, frame: &Frame) -> (Verdict, Vec<CallSummary>) {
        let kind = frame.header().map(|header| header.kind);
        let of_frame = if self.filter.shows_frame(kind, frame.stream()) { Verdict::Shown } else { Verdict::Hidden };
        if !self.filter.asks_for_calls() {
            return (of_frame, Vec::new());
        }
        let ended = self.calls.advance(frame);
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
            // Of the connection, or of a call that is not followed.
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

    /// Says that the connection has ended; gives what is said of calls that ended with it.
    pub fn finish(&mut self) -> Vec<T> {
        let ended = self.calls.close(None);
        ended.iter().flat_map(|call| self.release(call)).collect()
    }

    /// Frames that were not shown although they might have been, because too many waited.
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
    /// Takes the next frame; gives those that are to be shown now.
    pub fn push(&mut self, frame: Frame) -> Vec<Frame> {
        let (verdict, ended) = self.judge(&frame);
        let cost = if matches!(verdict, Verdict::Waits) { frame.cost() } else { 0 };
        self.keep(verdict, &ended, frame.stream(), Waiting { number: frame.number, cost, said: frame })
    }
}

/// A term is not one of a filter; says which and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    term: String,
    why: String,
}

impl FilterError {
    /// Why, without the term.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a filter: {}", self.term, self.why)
    }
}

impl Error for FilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_named_with_the_reason() {
        for (text, expected) in [
            ("stream", "\"stream\" is not a filter: it needs a =, != or ~"),
            ("stream=x", "\"stream=x\" is not a filter: \"x\" is no number of a stream"),
            ("stream=", "\"stream=\" is not a filter: nothing stands behind the sign"),
            ("status~1", "\"status~1\" is not a filter: only a method can be searched with ~"),
            ("color=red", "\"color=red\" is not a filter: it begins with stream, method, status or frame"),
            (
                "frame=HEADER,P",
                "\"frame=HEADER,P\" is not a filter: \"P\" is no type of frame: HEADERS, DATA, RST_STREAM, … or a number",
            ),
            (
                "status=17",
                "\"status=17\" is not a filter: \"17\" is no status: it is a number from 0 to 16, a name such as NOT_FOUND, or none",
            ),
            (
                "status=FINE",
                "\"status=FINE\" is not a filter: \"FINE\" is no status: it is a number from 0 to 16, a name such as NOT_FOUND, or none",
            ),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn terms_by_every_spelling() {
        let of = |text: &str| text.parse::<Filter>().unwrap().terms.remove(0);
        assert_eq!(of("stream=1,3"), Term { not: false, of: Of::Stream(vec![1, 3]) });
        assert_eq!(of("status!=ok"), Term { not: true, of: Of::Status(vec![Some("0".into())]) });
        assert_eq!(of("status=14,none"), Term { not: false, of: Of::Status(vec![Some("14".into()), None]) });
        assert_eq!(of("frame=rst"), Term { not: false, of: Of::Frame(vec![FrameType::RST_STREAM]) });
        assert_eq!(of("frame=PING,16").of, Of::Frame(vec![FrameType::PING, FrameType(16)]));
        assert_eq!(of("method~Get").of, Of::MethodPart("Get".into()));
        assert_eq!(of("method=~Get").of, Of::MethodPart("Get".into()));
        assert_eq!(of("method=a.B/C").of, Of::Method("/a.B/C".into()));
        assert!("".parse::<Filter>().unwrap().is_empty());
    }
}
