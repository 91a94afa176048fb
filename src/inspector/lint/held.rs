//! Findings that wait until it is certain that the captured bytes have no gap.
//!
//! Each direction is recorded separately. A missing packet shows only when the next packet of the same direction
//! arrives. Until then the other direction may already answer the missing packet:
//!
//! ```text
//! client ──▶ server   HEADERS 1              lost: HEADERS 3              DATA 5: there is a gap
//! client ◀── server               HEADERS 1               HEADERS 3                              not opened?
//! ```
//!
//! A rule that depends on the other direction therefore reports only after that direction has continued without a gap.
//! If it never does, for example in a capture of one direction only, the rule reports nothing.

use super::rule::{Finding, Needs};
use crate::inspector::model::frame::{Direction, Frame};

/// Findings that may still prove wrong because of missing bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingFindings {
    findings: Vec<(Needs, Finding)>,
    /// True for each direction of which a frame was seen.
    seen: [bool; 2],
}

/// The number of findings that may wait; further ones are dropped.
const MOST: usize = 1_024;

impl PendingFindings {
    pub(super) fn hold(&mut self, needs: Needs, findings: impl Iterator<Item = Finding>) {
        let room = MOST.saturating_sub(self.findings.len());
        self.findings.extend(findings.take(room).map(|finding| (needs, finding)));
    }

    /// Takes the next frame; returns the findings that are now certain. If bytes were lost, all waiting findings are
    /// dropped.
    pub(super) fn go_on(&mut self, frame: &Frame, lossy: bool) -> Vec<Finding> {
        let way = frame.direction;
        if let Some(seen) = self.seen.get_mut(usize::from(way == Direction::ToClient)) {
            *seen |= frame.header().is_some();
        }
        if lossy {
            self.findings.clear();
        }
        if self.findings.is_empty() || frame.header().is_none() {
            return Vec::new();
        }
        let certain = |(needs, finding): &mut (Needs, Finding)| *needs != Needs::End && finding.direction != way;
        self.findings.extract_if(.., certain).map(|(_, finding)| finding).collect()
    }

    /// Returns the waiting findings that are valid at the end of the capture, and the number of those that may not be.
    pub(super) fn finish(&mut self) -> (Vec<Finding>, u64) {
        let waiting = self.findings.len();
        let both = self.seen == [true; 2];
        let certain = |needs: Needs| needs == Needs::End || (needs == Needs::Silence && both);
        let findings = self.findings.drain(..).filter(|(needs, _)| certain(*needs));
        let findings: Vec<_> = findings.map(|(_, finding)| finding).collect();
        let uncertain = waiting - findings.len();
        (findings, uncertain as u64)
    }
}
