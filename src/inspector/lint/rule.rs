//! What a rule is, what it looks at, and what it finds.

use std::fmt;
use std::ops::Range;

use super::state::{Place, State};
use super::stream::Stream;
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::{Direction, Frame};
use crate::inspector::model::text;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType};

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
    pub(super) needs: Needs,
    pub(super) check: fn(&mut Probe<'_>),
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

/// What must have been seen before a rule can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// The frame, and what it refers to in what was seen.
    Frame,
    /// All that was said before it in its own direction.
    Side,
    /// All that was said before it in both directions.
    Both,
    /// As `Both`, or else that the connection was followed to its end: somebody is silent who should not be.
    Silence,
    /// The end of its direction.
    End,
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
pub(super) const fn rule(
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
    pub(super) const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// What the nine bytes before a payload stand for when something is missing in a frame.
pub(super) const HEADER: Range<usize> = 0..FRAME_HEADER;

/// A frame under the eyes of one rule.
pub(super) struct Probe<'a> {
    pub(super) state: &'a State,
    pub(super) frame: &'a Frame,
    pub(super) place: Option<Place>,
    pub(super) fields: Option<&'a [Field<'a>]>,
    pub(super) faults: &'a [&'a Annotation],
    pub(super) rule: &'static LintRule,
    pub(super) findings: &'a mut Vec<Finding>,
}

/// A header with its place in the frame.
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) range: Range<usize>,
}

impl<'a> Probe<'a> {
    /// The rule is broken by these bytes of the frame.
    pub(super) fn report(&mut self, range: Range<usize>, sentence: impl Into<String>) {
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
    pub(super) fn report_if(&mut self, broken: bool, range: Range<usize>) {
        if broken {
            self.report(range, self.rule.says);
        }
    }

    pub(super) fn header(&self) -> Option<&'a FrameHeader> {
        self.frame.header()
    }

    /// The header block of such a place that is complete with this frame, if it was understood.
    pub(super) fn fields(&self, places: &[Place]) -> Option<&'a [Field<'a>]> {
        self.place.filter(|place| places.contains(place))?;
        self.fields
    }

    /// What is known of the frame's stream.
    pub(super) fn stream(&self) -> Option<&'a Stream> {
        self.state.streams.get(&self.frame.stream())
    }

    /// The bytes behind the frame's header.
    pub(super) fn payload_range(&self) -> Range<usize> {
        FRAME_HEADER.min(self.frame.bytes.len())..self.frame.bytes.len()
    }

    /// Reports what the decoder has marked in nodes of a layer, if it says this.
    pub(super) fn report_faults(&mut self, layer: Layer, says: fn(&str) -> bool) {
        for node in self.faults.iter().filter(|node| node.layer == layer) {
            if let Some(fault) = node.fault.as_deref().filter(|fault| says(fault)) {
                self.report(node.range.clone(), fault);
            }
        }
    }
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The value for a sentence.
    pub(super) fn shown(&self) -> String {
        text::plain(self.value)
    }

    /// Whether it is binary metadata as gRFC G1 has it: the bytes as they are, behind a NUL.
    pub(super) fn is_true_binary(&self) -> bool {
        self.name.ends_with(b"-bin") && self.value.starts_with(&[0])
    }
}

/// The first field of a name.
pub(super) fn find<'f, 'a>(fields: &'f [Field<'a>], name: &str) -> Option<&'f Field<'a>> {
    fields.iter().find(|field| field.is(name))
}
