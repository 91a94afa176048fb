//! Shows the calls of a connection as lines, each when the call has ended.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::view::View;
use crate::inspector::follow::calls::{CallSummary, Calls};
use crate::inspector::follow::ending::CallEnd;
use crate::inspector::lint::{Finding, Severity};
use crate::inspector::model::frame::Frame;
use crate::inspector::model::schema::Schema;
use crate::inspector::model::text;

/// Shows the calls of a connection as lines, each when the call has ended, with its findings.
#[derive(Clone, Debug)]
pub struct CallLines {
    calls: Calls,
    last: Option<Duration>,
    /// The findings by stream; 0 for those of the connection.
    findings: BTreeMap<u32, Marked>,
    /// The streams of the last calls that were shown.
    shown: VecDeque<u32>,
}

/// The findings of a call.
#[derive(Clone, Debug, Default)]
struct Marked {
    /// Their numbers: notes, warnings, errors.
    counts: [u64; 3],
    /// The first of them, the most severe first.
    first: Vec<(Severity, u64, &'static str)>,
}

/// The most findings of a call that are named, and the most streams that are remembered.
const NAMED: usize = 3;
const REMEMBERED: usize = 1_024;

impl CallLines {
    /// Follows the calls of a connection; the schema defines their kinds.
    pub fn new(schema: Schema) -> Self {
        Self { calls: Calls::new(schema), last: None, findings: BTreeMap::new(), shown: VecDeque::new() }
    }

    /// Returns the lines of calls that have ended.
    fn lines(&mut self, ended: Vec<CallSummary>, recording_ends: bool) -> String {
        let mut out = String::new();
        for call in ended {
            out.push_str(&call.to_string());
            if recording_ends && call.end == CallEnd::Open {
                out.push_str(" when the recording ends");
            }
            if let Some(marked) = self.findings.remove(&call.stream) {
                out.push_str(&format!("  {}", marked.text()));
            }
            out.push('\n');
            self.shown.push_back(call.stream);
        }
        let surplus = self.shown.len().saturating_sub(REMEMBERED);
        self.shown.drain(..surplus);
        out
    }

    /// Returns a line with the findings of the connection, and of streams without a call.
    fn rest(&mut self) -> String {
        let rest = std::mem::take(&mut self.findings);
        let line = |(stream, marked): (u32, Marked)| match stream {
            0 => format!("the connection  {}\n", marked.text()),
            stream => format!("stream {stream}  {}\n", marked.text()),
        };
        rest.into_iter().map(line).collect()
    }
}

impl Marked {
    fn add(&mut self, finding: &Finding) {
        if let Some(count) = self.counts.get_mut(finding.severity as usize) {
            *count += 1;
        }
        self.first.push((finding.severity, finding.frame, finding.name));
        self.first.sort_by_key(|(severity, frame, _)| (std::cmp::Reverse(*severity), *frame));
        self.first.truncate(NAMED);
    }

    /// Returns the findings in short: "✗ 1 error, 2 notes: status-missing in frame 9, …".
    fn text(&self) -> String {
        let sign = self.first.first().map_or('·', |(severity, ..)| severity.sign());
        let names = [Severity::Error, Severity::Warning, Severity::Note].into_iter().rev().zip(self.counts);
        let counts: Vec<_> = names
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| text::count(count, &severity.to_string()))
            .rev()
            .collect();
        let mut first: Vec<_> = self.first.iter().map(|(_, frame, name)| format!("{name} in frame {frame}")).collect();
        if self.counts.iter().sum::<u64>() > self.first.len() as u64 {
            first.push("…".to_owned());
        }
        format!("{sign} {}: {}", counts.join(", "), first.join(", "))
    }
}

impl View for CallLines {
    fn push(&mut self, frame: &Frame) -> String {
        self.last = self.last.max(Some(frame.time));
        let ended = self.calls.advance(frame);
        self.lines(ended, false)
    }

    fn mark(&mut self, finding: &Finding) -> String {
        if self.shown.contains(&finding.stream) {
            return format!("stream {}  {} found later: {finding}\n", finding.stream, finding.severity.sign());
        }
        if self.findings.len() < REMEMBERED || self.findings.contains_key(&finding.stream) {
            self.findings.entry(finding.stream).or_default().add(finding);
        }
        String::new()
    }

    fn until(&mut self, time: Duration) {
        self.calls.until(time);
        self.last = self.last.max(Some(time));
    }

    fn finish(&mut self) -> String {
        let ended = self.calls.close(self.last);
        self.lines(ended, false) + &self.rest()
    }

    fn leave(&mut self) -> String {
        let left = self.calls.leave();
        self.lines(left, true) + &self.rest()
    }
}
