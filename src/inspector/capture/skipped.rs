//! Counts what a capture has besides TCP, and what it does not have completely, for its notes.

use std::collections::BTreeMap;

use super::segment::Other;
use crate::inspector::model::text;

/// The most protocols that are named.
const MOST_NAMED: usize = 8;

/// Packets without a segment, and packets that are cut.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    others: BTreeMap<Other, u64>,
    cut: u64,
    /// The shortest and the longest part of a packet that was kept.
    shortest: usize,
    longest: usize,
}

impl Skipped {
    pub(super) fn add(&mut self, other: Other) {
        *self.others.entry(other).or_default() += 1;
    }

    /// Adds a packet of which the capture has only this many bytes.
    pub(super) fn add_cut(&mut self, kept: usize) {
        self.shortest = if self.cut == 0 { kept } else { self.shortest.min(kept) };
        self.longest = self.longest.max(kept);
        self.cut += 1;
    }

    /// Returns a note for each kind; `tcp` is true if there were segments.
    pub(super) fn notes(&self, tcp: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !tcp {
            let plain = self.others.iter().filter(|(other, _)| !other.may_hide_tcp());
            let plain = plain.map(|(other, count)| format!("{other} ({})", packets(*count)));
            let plain: Vec<_> = plain.take(MOST_NAMED).collect();
            let only = if plain.is_empty() { String::new() } else { format!(", only {}", plain.join(", ")) };
            notes.push(format!("it contains no TCP packets{only}"));
        }
        let hidden: Vec<_> = self.others.iter().filter(|(other, _)| other.may_hide_tcp()).collect();
        notes.extend(hidden.iter().take(MOST_NAMED).map(|(other, count)| {
            let were = if **count == 1 { "was" } else { "were" };
            format!("{other} is not read: {} {were} skipped", packets(**count))
        }));
        if let Some(more) = hidden.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            notes.push(format!("{more} more protocols are not read"));
        }
        if let Some(count) = self.others.get(&Other::Fragment) {
            let fragments = text::count(*count, "fragment");
            notes.push(format!("fragments are not joined: {fragments} of IP packets skipped"));
        }
        let are = if self.cut == 1 { "is" } else { "are" };
        match self.shortest == self.longest {
            _ if self.cut == 0 => {}
            true => notes.push(format!(
                "the capture was made with a snap length of {} bytes: {} {are} cut",
                self.longest,
                packets(self.cut)
            )),
            false => notes.push(format!(
                "{} {are} cut: the capture has at most {} bytes of each",
                packets(self.cut),
                self.longest
            )),
        }
        notes
    }
}

fn packets(count: u64) -> String {
    text::count(count, "packet")
}
