//! A header block or message that spans several frames. Its bytes are collected and decoded once they are complete; the
//! annotations are then distributed to the frames.

use std::ops::Range;

use crate::inspector::model::tree::Tree;

/// Bytes collected from frames, and their places in these frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
struct Segment {
    /// The number of the frame, and the range of the bytes in it.
    frame: u64,
    range: Range<usize>,
    /// The offset of the bytes in the whole.
    at: usize,
}

impl Assembly {
    /// Appends bytes that begin at `start` of a frame.
    pub(crate) fn push(&mut self, frame: u64, start: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            let range = start..start.saturating_add(bytes.len());
            self.segments.push(Segment { frame, range, at: self.bytes.len() });
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the approximate memory used.
    pub(crate) fn cost(&self) -> usize {
        self.bytes.len() + self.segments.len() * size_of::<Segment>()
    }

    pub(crate) fn segments(&self) -> Vec<(u64, Range<usize>)> {
        self.segments.iter().map(|segment| (segment.frame, segment.range.clone())).collect()
    }

    /// Splits annotations over the whole by frame: the frame's number, the range that they tile, and the annotations.
    pub(super) fn distribute(&self, annotations: &Tree) -> impl Iterator<Item = (u64, Range<usize>, Tree)> {
        let mut cutter = annotations.cutter();
        self.segments.iter().map(move |Segment { frame, range, at }| {
            (*frame, range.clone(), cutter.part(&(*at..at.saturating_add(range.len())), range.start))
        })
    }
}
