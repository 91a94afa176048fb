//! The definition of a rule, the input of its check, and its findings.

use std::fmt;
use std::ops::Range;

use super::state::{Place, State};
use super::stream::{Mark, Stream};
use crate::inspector::follow::borders::Prefix;
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::{Direction, Frame};
use crate::inspector::model::text;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType};

/// A rule about the bytes of a connection.
#[derive(Clone, Copy)]
pub struct LintRule {
    /// A short name: "te-missing".
    pub name: &'static str,
    /// The severity of a violation.
    pub severity: Severity,
    /// The section of the specification.
    pub rule: Rule,
    /// Its number in `docs/rules.md`, if it has one.
    pub number: Option<u8>,
    /// The rule in one sentence.
    pub text: &'static str,
    pub(super) needs: Needs,
    pub(super) check: fn(&mut Probe<'_>),
}

/// The severity of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Allowed, but worth knowing.
    Note,
    /// Violates a recommendation, or is handled differently by different peers.
    Warning,
    /// Violates a requirement.
    Error,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule.
    pub name: &'static str,
    /// The severity of the violation.
    pub severity: Severity,
    /// The section of the specification.
    pub rule: Rule,
    /// Its number in `docs/rules.md`, if it has one.
    pub number: Option<u8>,
    /// The number of the frame.
    pub frame: u64,
    /// The direction of the frame.
    pub direction: Direction,
    /// The type of the frame, if it is an HTTP/2 frame.
    pub kind: Option<FrameType>,
    /// The stream of the frame; 0 for the connection.
    pub stream: u32,
    /// The bytes of the frame that violate the rule. If something is missing, the bytes of the frame's header.
    pub range: Range<usize>,
    /// The problem, in one sentence.
    pub sentence: String,
}

/// The frames that must have been captured for a rule to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// The frame itself and the captured frames that it refers to.
    Frame,
    /// All earlier frames of the same direction.
    Side,
    /// All earlier frames of both directions.
    Both,
    /// As `Both`, or the end of the connection: the rule reports that an expected frame is missing.
    Silence,
    /// The end of the direction.
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

impl Finding {
    /// Returns the finding without its frame, as a mark below that frame: "✗ error  bytes 9..14  te-missing: …". The
    /// sentence can be left out if the frame shows it already.
    pub(crate) fn mark(&self, with_sentence: bool) -> String {
        let Range { start, end } = self.range;
        let (severity, name) = (self.severity, self.name);
        let sentence = if with_sentence { format!(": {}", self.sentence) } else { String::new() };
        format!("{} {severity}  bytes {start}..{end}  {name}{sentence}", severity.sign())
    }
}

impl Severity {
    /// Returns a sign for marks.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Note => '·',
            Self::Warning => '!',
            Self::Error => '✗',
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

/// Returns a table entry; the number 0 means that `docs/rules.md` has no such rule.
pub(super) const fn rule(
    name: &'static str,
    severity: Severity,
    rule: Rule,
    number: u8,
    text: &'static str,
    check: fn(&mut Probe<'_>),
) -> LintRule {
    let number = if number == 0 { None } else { Some(number) };
    LintRule { name, severity, rule, number, text, needs: Needs::Frame, check }
}

impl LintRule {
    /// Returns the entry, restricted to connections where this was captured.
    pub(super) const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }
}

/// The range reported when something is missing in a frame: the nine bytes of the frame header.
pub(super) const HEADER: Range<usize> = 0..FRAME_HEADER;

/// A frame that one rule checks.
pub(super) struct Probe<'a> {
    pub(super) state: &'a State,
    pub(super) frame: &'a Frame,
    pub(super) place: Option<Place>,
    pub(super) fields: Option<&'a [Field<'a>]>,
    pub(super) faults: &'a [&'a Annotation],
    pub(super) rule: &'static LintRule,
    pub(super) findings: &'a mut Vec<Finding>,
}

/// A header with its range in the frame.
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) range: Range<usize>,
}

impl<'a> Probe<'a> {
    /// Reports a violation at these bytes of the frame.
    pub(super) fn report(&mut self, range: Range<usize>, sentence: impl Into<String>) {
        // A piece before HTTP/2 may be shorter than the header of a frame.
        let length = self.frame.bytes.len();
        let range = if range.end > length { 0..length } else { range };
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

    /// Reports a violation at the prefix of a message, which may be in an earlier frame.
    pub(super) fn report_prefix(&mut self, prefix: &Prefix, sentence: impl Into<String>) {
        self.report(HEADER, sentence);
        if let Some(finding) = self.findings.last_mut() {
            // The frame of the prefix may be longer than this one.
            (finding.frame, finding.kind, finding.range) = (prefix.frame, Some(FrameType::DATA), prefix.range.clone());
        }
    }

    /// Reports a violation by an earlier frame of the connection itself.
    pub(super) fn report_at(&mut self, mark: Mark, direction: Direction, kind: FrameType, sentence: String) {
        self.report(HEADER, sentence);
        if let Some(finding) = self.findings.last_mut() {
            (finding.frame, finding.direction, finding.kind, finding.stream) = (mark.number, direction, Some(kind), 0);
        }
    }

    /// Reports a violation with the rule's own sentence if `broken` is true.
    pub(super) fn report_if(&mut self, broken: bool, range: Range<usize>) {
        if broken {
            self.report(range, self.rule.text);
        }
    }

    pub(super) fn header(&self) -> Option<&'a FrameHeader> {
        self.frame.header()
    }

    /// Returns the decoded header block that this frame completes, if its role is one of `places`.
    pub(super) fn fields(&self, places: &[Place]) -> Option<&'a [Field<'a>]> {
        self.place.filter(|place| places.contains(place))?;
        self.fields
    }

    /// Returns the state of the frame's stream.
    pub(super) fn stream(&self) -> Option<&'a Stream> {
        self.state.streams.get(&self.frame.stream())
    }

    /// Returns the range of the payload.
    pub(super) fn payload_range(&self) -> Range<usize> {
        FRAME_HEADER.min(self.frame.bytes.len())..self.frame.bytes.len()
    }

    /// Reports the decoder's faults in nodes of a layer for which `is_fault` returns true.
    pub(super) fn report_faults(&mut self, layer: Layer, is_fault: fn(&str) -> bool) {
        for node in self.faults.iter().filter(|node| node.layer == layer) {
            if let Some(fault) = node.fault.as_deref().filter(|fault| is_fault(fault)) {
                self.report(node.range.clone(), fault);
            }
        }
    }
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// Returns the value as text for a sentence.
    pub(super) fn shown(&self) -> String {
        text::plain(self.value)
    }

    /// Returns true for binary metadata without base64: raw bytes after a NUL (gRFC G1).
    pub(super) fn is_true_binary(&self) -> bool {
        self.name.ends_with(b"-bin") && self.value.starts_with(&[0])
    }
}

/// Returns the first field of this name.
pub(super) fn find<'f, 'a>(fields: &'f [Field<'a>], name: &str) -> Option<&'f Field<'a>> {
    fields.iter().find(|field| field.is(name))
}
