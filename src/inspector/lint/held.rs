//! What a rule needs to have seen, and findings that wait for it.
//!
//! Directions are recorded side by side. That a packet of one is missing shows only when more of that direction comes, and until
//! then the other may have answered what was in it:
//!
//! ```text
//! client ──▶ server   HEADERS 1              lost: HEADERS 3              DATA 5: there is a gap
//! client ◀── server               HEADERS 1               HEADERS 3                              who opened 3?
//! ```
//!
//! So what rests on the other direction counts when that has gone on without a gap. Where it never does, as in the dump of one
//! direction alone, nothing is said.

use super::rule::{Finding, Needs};
use crate::inspector::model::frame::{Direction, Frame};

/// Findings of which it is not known yet that nothing is missing for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    findings: Vec<(Needs, Finding)>,
    /// Which directions something was seen of.
    seen: [bool; 2],
}

/// Beyond so many, what else is found is not held.
const MOST: usize = 1_024;

impl Held {
    pub(super) fn hold(&mut self, needs: Needs, findings: impl Iterator<Item = Finding>) {
        let room = MOST.saturating_sub(self.findings.len());
        self.findings.extend(findings.take(room).map(|finding| (needs, finding)));
    }

    /// The next frame has come: gives what is certain now. Where bytes were lost, nothing that waits ever will be.
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

    /// No more frames come.
    pub(super) fn finish(&mut self) -> Vec<Finding> {
        let both = self.seen == [true; 2];
        let certain = |needs: Needs| needs == Needs::End || (needs == Needs::Silence && both);
        let findings = self.findings.drain(..).filter(|(needs, _)| certain(*needs));
        findings.map(|(_, finding)| finding).collect()
    }
}
