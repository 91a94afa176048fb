//! Marks frames that break rules, in the views that show each frame by itself.

use super::print::push_findings;
use super::view::View;
use crate::inspector::lint::Finding;
use crate::inspector::model::frame::Frame;

/// The findings that wait for their frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    findings: Vec<Finding>,
    /// The number of the last frame.
    last: u64,
}

impl Marks {
    /// Takes a finding; returns the line that shows it if its frame has passed.
    pub(super) fn add(&mut self, finding: &Finding) -> Option<String> {
        if finding.frame > self.last {
            self.findings.push(finding.clone());
            return None;
        }
        Some(format!("{} {finding}\n", finding.severity.sign()))
    }

    /// Returns the findings of this frame, which comes next.
    pub(super) fn of(&mut self, frame: &Frame) -> Vec<Finding> {
        self.last = frame.number;
        std::mem::take(&mut self.findings)
    }
}

/// A view that shows each frame independently, and its findings below it.
pub(super) struct Each<F> {
    show: F,
    marks: Marks,
}

impl<F> Each<F> {
    pub(super) fn new(show: F) -> Self {
        Self { show, marks: Marks::default() }
    }
}

impl<F: Fn(&Frame) -> String + Send> View for Each<F> {
    fn push(&mut self, frame: &Frame) -> String {
        let mut out = (self.show)(frame);
        let findings = self.marks.of(frame);
        if !findings.is_empty() {
            // Frames of some views are separated by empty lines.
            let gap = out.ends_with("\n\n");
            out.truncate(out.trim_end_matches('\n').len());
            out.push('\n');
            push_findings(&mut out, frame, findings.iter());
            out.push_str(if gap { "\n" } else { "" });
        }
        out
    }

    fn mark(&mut self, finding: &Finding) -> String {
        self.marks.add(finding).unwrap_or_default()
    }

    fn finish(&mut self) -> String {
        String::new()
    }
}
