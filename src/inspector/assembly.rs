//! Something that lies in several frames: a header block, or a message. Its bytes are gathered, decoded when they are
//! complete, and what was decoded is given back to each frame.

use std::ops::Range;

use super::annotation::{Annotation, clip_all};

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
    pub(super) fn push(&mut self, frame: u64, start: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            let range = start..start.saturating_add(bytes.len());
            self.segments.push(Segment { frame, range, at: self.bytes.len() });
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that is held, about.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + self.segments.len() * size_of::<Segment>()
    }

    pub(super) fn segments(&self) -> Vec<(u64, Range<usize>)> {
        self.segments.iter().map(|segment| (segment.frame, segment.range.clone())).collect()
    }

    /// Where the bytes stand, if all of them stand in one frame.
    pub(super) fn only_segment(&self) -> Option<(u64, Range<usize>)> {
        match self.segments.as_slice() {
            [only] => Some((only.frame, only.range.clone())),
            _ => None,
        }
    }

    /// Annotations over the whole as each frame's own: its number, the place that they tile, and they themselves.
    pub(super) fn distribute(
        &self,
        annotations: &[Annotation],
    ) -> impl DoubleEndedIterator<Item = (u64, Range<usize>, Vec<Annotation>)> {
        self.segments.iter().map(move |Segment { frame, range, at }| {
            let keep = *at..at.saturating_add(range.len());
            (*frame, range.clone(), clip_all(annotations, &keep, range.start))
        })
    }
}
