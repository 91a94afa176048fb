//! The lint rules for captured bytes, checked frame by frame.
//!
//! Each rule is an entry of a table: its name, its severity, its specification, and a function that checks one frame
//! against the state before it. The files below group the rules by subject.
//!
//! ```text
//! rule.rs         the definition of a rule, and the input of its check
//! framing.rs      single frames: lengths, flags, padding, settings      RFC 9113, sections 4 and 6
//! connection.rs   streams, windows, PING, GOAWAY over time                     RFC 9113, section 5; gRFC A8
//! fields.rs       header fields of any block                                 RFC 9113, section 8; metadata
//! request.rs      Request-Headers                                              PROTOCOL-HTTP2.md
//! response.rs     Response-Headers, Trailers, status                           PROTOCOL-HTTP2.md, statuscodes.md
//! messages.rs     Length-Prefixed-Messages                                     PROTOCOL-HTTP2.md, compression.md
//! ```
//!
//! A rule reports only if everything it depends on was captured: each rule declares what it [needs](rule::Needs).

mod connection;
mod coverage;
mod fields;
mod framing;
mod held;
mod messages;
mod request;
mod response;
mod rule;
mod speaker;
mod state;
mod stream;

use std::time::Duration;

use self::coverage::Coverage;
use self::held::PendingFindings;
use self::rule::{Field, HEADER, Needs, Probe};
use self::state::State;
use crate::inspector::model::annotation::{Annotation, Layer};
use crate::inspector::model::frame::Frame;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::Schema;
use crate::inspector::model::text;
use crate::inspector::model::tree::Node;

pub use self::rule::{Finding, LintRule, Severity};

/// Checks the frames of one connection.
#[derive(Clone, Debug)]
pub struct Lint {
    state: State,
    held: PendingFindings,
    findings: u64,
    /// The findings by severity: notes, warnings, errors.
    by_severity: [u64; 3],
    coverage: Coverage,
    /// The findings that were held back at the end.
    uncertain: u64,
}

impl Lint {
    /// Checks a connection from its first frame on; the schema defines the allowed number of messages.
    pub fn new(schema: Schema) -> Self {
        Self {
            state: State::new(schema, Limits::default().calls),
            held: PendingFindings::default(),
            findings: 0,
            by_severity: [0; 3],
            coverage: Coverage::default(),
            uncertain: 0,
        }
    }

    /// Returns all rules.
    pub fn rules() -> impl Iterator<Item = &'static LintRule> {
        TABLES.into_iter().flatten()
    }

    /// Takes the next frame; returns its findings, and findings of earlier frames that only now became certain.
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
        self.coverage.add(frame, place, &self.state.schema, self.state.lossy);
        self.state.end(frame, place);
        self.count(&findings);
        findings
    }

    /// Lets time pass without a frame: up to the end of the connection, or of its recording.
    pub fn until(&mut self, time: Duration) {
        self.state.stalls.until(time);
    }

    /// Ends the connection; returns the findings that only now became certain.
    pub fn finish(&mut self) -> Vec<Finding> {
        let waits = self.state.finish();
        if !self.state.lossy {
            self.held.hold(Needs::Silence, waits.iter().map(connection::waited));
        }
        let (findings, uncertain) = self.held.finish();
        self.uncertain += uncertain;
        self.count(&findings);
        findings
    }

    fn count(&mut self, findings: &[Finding]) {
        self.findings += findings.len() as u64;
        for finding in findings {
            if let Some(count) = self.by_severity.get_mut(finding.severity as usize) {
                *count += 1;
            }
        }
    }

    /// Returns the result as lines: the number of findings, what was checked, and what could not be checked.
    pub fn summary(&self) -> Vec<String> {
        let [notes, warnings, errors] = self.by_severity;
        let counts = [(errors, "error"), (warnings, "warning"), (notes, "note")];
        let counts: Vec<_> =
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, name)| text::count(count, name)).collect();
        let result = if counts.is_empty() { "no violations found".to_owned() } else { counts.join(", ") };
        let gaps = self.coverage.gaps(self.uncertain);
        let extent = self.coverage.extent(Self::rules().count());
        let mut lines = vec![format!("{result}  ({extent})")];
        lines.extend(gaps.iter().map(|gap| format!("not checked: {gap}")));
        lines
    }

    /// Returns the number of findings so far.
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

/// Returns the header block that a frame completes, if all of it is known.
fn fields(frame: &Frame) -> Option<Vec<Field<'_>>> {
    let is_field = |node: &Node<'_>| node.layer == Layer::Hpack && !node.is_size_update();
    let mut nodes: Vec<_> = frame.annotations.iter().filter(is_field).map(|node| node.range.clone()).collect();
    nodes.reverse();
    // If a block spans several frames, the last frame contains the last fields.
    let ranges = nodes.into_iter().chain(std::iter::repeat(HEADER));
    let headers = frame.headers.iter().rev().zip(ranges);
    let field = headers
        .map(|(field, range)| Some(Field { name: field.name.as_deref()?, value: field.value.as_deref()?, range }));
    let mut fields = field.collect::<Option<Vec<_>>>()?;
    fields.reverse();
    Some(fields)
}

/// Returns the nodes with a fault from the decoder, in their order.
fn faults(frame: &Frame) -> Vec<&Annotation> {
    frame.annotations.all().iter().filter(|annotation| annotation.fault.is_some()).collect()
}
