//! Something that lies in several frames: a header block, or a message. Its bytes are gathered, decoded when they are
//! complete, and what was decoded is given back to each frame.

use std::ops::Range;

use crate::inspector::model::tree::Tree;

/// Bytes gathered from frames, and where they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
struct Segment {
    /// The number of the frame, and the bytes' place in it.
    frame: u64,
    range: Range<usize>,
    /// Their place in the whole.
    at: usize,
}

impl Assembly {
    /// Appends bytes which stand in a frame from `start` on.
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

    /// The memory that is held, about.
    pub(crate) fn cost(&self) -> usize {
        self.bytes.len() + self.segments.len() * size_of::<Segment>()
    }

    pub(crate) fn segments(&self) -> Vec<(u64, Range<usize>)> {
        self.segments.iter().map(|segment| (segment.frame, segment.range.clone())).collect()
    }

    /// Annotations over the whole as each frame's own: its number, the place that they tile, and they themselves.
    pub(super) fn distribute(&self, annotations: &Tree) -> impl Iterator<Item = (u64, Range<usize>, Tree)> {
        let mut cutter = annotations.cutter();
        self.segments.iter().map(move |Segment { frame, range, at }| {
            (*frame, range.clone(), cutter.part(&(*at..at.saturating_add(range.len())), range.start))
        })
    }
}
