//! The rules that a wire can break, checked frame by frame.
//!
//! Each rule is an entry of a table: its name, how bad it is to break it, where it is written, and a function that looks at
//! one frame, and at what was said before it, and reports. The tables stand in the files below by what they are about.
//!
//! ```text
//! framing.rs      frames by themselves: lengths, flags, padding, settings      RFC 9113, sections 4 and 6
//! connection.rs   streams, windows, PING, GOAWAY over time                     RFC 9113, section 5; gRFC A8
//! fields.rs       header fields wherever they stand                            RFC 9113, section 8; metadata
//! request.rs      Request-Headers                                              PROTOCOL-HTTP2.md
//! response.rs     Response-Headers, Trailers, status                           PROTOCOL-HTTP2.md, statuscodes.md
//! messages.rs     Length-Prefixed-Messages                                     PROTOCOL-HTTP2.md, compression.md
//! ```
//!
//! Nobody is accused of what may stand in bytes that were not seen: each rule says what it [needs](Needs) to have seen.

mod connection;
mod fields;
mod framing;
mod held;
mod messages;
mod request;
mod response;
mod state;
mod stream;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use self::held::{Held, Needs};
use self::state::{Place, State};
use self::stream::Stream;
use super::annotation::{Annotation, Layer, Rule};
use super::frame::{Direction, Frame};
use super::hpack::SIZE_UPDATE;
use super::http2::{FrameHeader, FrameType, HEADER_LEN};
use super::limits::Limits;
use super::schema::Schema;
use super::text;
use super::tree::Node;
use super::view::View;

/// A rule that bytes on a wire can break.
#[derive(Clone, Copy)]
pub struct LintRule {
    /// A short name: "te-missing".
    pub name: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// Where it is written.
    pub rule: Rule,
    /// Its number in `docs/rules.md`, if it has one.
    pub number: Option<u8>,
    /// What it says, in one sentence.
    pub says: &'static str,
    needs: Needs,
    check: fn(&mut Probe<'_>),
}

/// How bad it is to break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Allowed, and worth knowing.
    Note,
    /// Against a recommendation, or something that peers take differently.
    Warning,
    /// Against what must be so.
    Error,
}

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where the rule is written.
    pub rule: Rule,
    /// Its number in `docs/rules.md`, if it has one.
    pub number: Option<u8>,
    /// The number of the frame.
    pub frame: u64,
    /// Which way the frame went.
    pub direction: Direction,
    /// The type of the frame, if it is one of HTTP/2.
    pub kind: Option<FrameType>,
    /// The stream of the frame; 0 for the connection.
    pub stream: u32,
    /// The bytes of the frame that break it; where something is missing, those of the frame's header.
    pub range: Range<usize>,
    /// What is wrong, in one sentence.
    pub sentence: String,
}

/// Checks the frames of one connection.
#[derive(Clone, Debug)]
pub struct Lint {
    state: State,
    held: Held,
    findings: u64,
}

impl Lint {
    /// Checks a connection from its first frame on; the schema knows how many messages are due.
    pub fn new(schema: Schema) -> Self {
        Self { state: State::new(schema, Limits::default().calls), held: Held::default(), findings: 0 }
    }

    /// All rules.
    pub fn rules() -> impl Iterator<Item = &'static LintRule> {
        TABLES.into_iter().flatten()
    }

    /// Takes the next frame; gives what is wrong with it, where it stands, and what was wrong with frames before it where it is
    /// only known now that nothing was missed.
    pub fn check(&mut self, frame: &Frame) -> Vec<Finding> {
        self.state.begin(frame);
        let place = frame.header().and_then(|header| self.state.place(frame, header));
        let fields = place.and_then(|_| fields(frame));
        let faults = faults(frame);
        let mut findings = self.held.go_on(frame, self.state.lossy);
        for rule in TABLES.into_iter().flatten().filter(|rule| rule.needs == Needs::Frame || !self.state.lossy) {
            let (state, fields, faults, before) = (&self.state, fields.as_deref(), faults.as_slice(), findings.len());
            (rule.check)(&mut Probe { state, frame, place, fields, faults, rule, findings: &mut findings });
            if findings.len() > before && rule.needs > Needs::Side {
                self.held.hold(rule.needs, findings.drain(before..));
            }
        }
        self.state.end(frame, place);
        self.findings += findings.len() as u64;
        findings
    }

    /// Says that no more frames come; gives what is known to be wrong only now.
    pub fn finish(&mut self) -> Vec<Finding> {
        let findings = self.held.finish();
        self.findings += findings.len() as u64;
        findings
    }

    /// The number of findings so far.
    pub fn findings(&self) -> u64 {
        self.findings
    }
}

static TABLES: [&[LintRule]; 7] = [
    &framing::RULES,
    &connection::RULES,
    &fields::RULES,
    &fields::MORE,
    &request::RULES,
    &response::RULES,
    &messages::RULES,
];

impl View for Lint {
    fn push(&mut self, frame: &Frame) -> String {
        self.check(frame).iter().map(|finding| format!("{finding}\n")).collect()
    }

    fn finish(&mut self) -> String {
        let rest = Lint::finish(self);
        match self.findings {
            0 => "no rule is broken\n".to_owned(),
            _ => rest.iter().map(|finding| format!("{finding}\n")).collect(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        write!(f, "{}  frame {} {}", self.severity, self.frame, self.direction)?;
        if self.stream != 0 {
            write!(f, "  stream {}", self.stream)?;
        }
        write!(f, "  bytes {start}..{end}  {}: {}  ({}", self.name, self.sentence, self.rule)?;
        match self.number {
            Some(number) => write!(f, "; rule {number})"),
            None => f.write_str(")"),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Debug for LintRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LintRule").field("name", &self.name).field("severity", &self.severity).finish_non_exhaustive()
    }
}

/// An entry of a table; the number 0 is none.
const fn rule(
    name: &'static str,
    severity: Severity,
    rule: Rule,
    number: u8,
    says: &'static str,
    check: fn(&mut Probe<'_>),
) -> LintRule {
    let number = if number == 0 { None } else { Some(number) };
    LintRule { name, severity, rule, number, says, needs: Needs::Frame, check }
}

impl LintRule {
    /// The entry, which is judged only where this was seen.
    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// How long a peer may take for what it has to do at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the nine bytes before a payload stand for when something is missing in a frame.
const HEADER: Range<usize> = 0..HEADER_LEN;

/// A frame under the eyes of one rule.
struct Probe<'a> {
    state: &'a State,
    frame: &'a Frame,
    place: Option<Place>,
    fields: Option<&'a [Field<'a>]>,
    faults: &'a [&'a Annotation],
    rule: &'static LintRule,
    findings: &'a mut Vec<Finding>,
}

/// A header with its place in the frame.
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    range: Range<usize>,
}

impl<'a> Probe<'a> {
    /// The rule is broken by these bytes of the frame.
    fn report(&mut self, range: Range<usize>, sentence: impl Into<String>) {
        self.findings.push(Finding {
            name: self.rule.name,
            severity: self.rule.severity,
            rule: self.rule.rule,
            number: self.rule.number,
            frame: self.frame.number,
            direction: self.frame.direction,
            kind: self.frame.header().map(|header| header.kind),
            stream: self.frame.stream(),
            range,
            sentence: sentence.into(),
        });
    }

    /// The rule is broken as its sentence says.
    fn report_if(&mut self, broken: bool, range: Range<usize>) {
        if broken {
            self.report(range, self.rule.says);
        }
    }

    fn header(&self) -> Option<&'a FrameHeader> {
        self.frame.header()
    }

    /// The header block of such a place that is complete with this frame, if it was understood.
    fn fields(&self, places: &[Place]) -> Option<&'a [Field<'a>]> {
        self.place.filter(|place| places.contains(place))?;
        self.fields
    }

    /// What is known of the frame's stream.
    fn stream(&self) -> Option<&'a Stream> {
        self.state.streams.get(&self.frame.stream())
    }

    /// The bytes behind the frame's header.
    fn payload_range(&self) -> Range<usize> {
        HEADER_LEN.min(self.frame.bytes.len())..self.frame.bytes.len()
    }

    /// Reports what the decoder has marked in nodes of a layer, if it says this.
    fn report_faults(&mut self, layer: Layer, says: fn(&str) -> bool) {
        for node in self.faults.iter().filter(|node| node.layer == layer) {
            if let Some(fault) = node.fault.as_deref().filter(|fault| says(fault)) {
                self.report(node.range.clone(), fault);
            }
        }
    }
}

/// The header block that is complete with a frame, if all of it is known.
fn fields(frame: &Frame) -> Option<Vec<Field<'_>>> {
    let is_field = |node: &Node<'_>| node.layer == Layer::Hpack && node.label != *SIZE_UPDATE;
    let mut nodes: Vec<_> = frame.annotations.iter().filter(is_field).map(|node| node.range.clone()).collect();
    nodes.reverse();
    // Where a block lies in several frames, the last of them has the last fields.
    let ranges = nodes.into_iter().chain(std::iter::repeat(HEADER));
    let headers = frame.headers.iter().rev().zip(ranges);
    let field = headers
        .map(|(field, range)| Some(Field { name: field.name.as_deref()?, value: field.value.as_deref()?, range }));
    let mut fields = field.collect::<Option<Vec<_>>>()?;
    fields.reverse();
    Some(fields)
}

/// The nodes in which the decoder has marked something, in their order.
fn faults(frame: &Frame) -> Vec<&Annotation> {
    frame.annotations.all().iter().filter(|annotation| annotation.fault.is_some()).collect()
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The value for a sentence.
    fn shown(&self) -> String {
        text::plain(self.value)
    }

    /// Whether it is binary metadata as gRFC G1 has it: the bytes as they are, behind a NUL.
    fn is_true_binary(&self) -> bool {
        self.name.ends_with(b"-bin") && self.value.starts_with(&[0])
    }
}

/// The first field of a name.
fn find<'f, 'a>(fields: &'f [Field<'a>], name: &str) -> Option<&'f Field<'a>> {
    fields.iter().find(|field| field.is(name))
}
