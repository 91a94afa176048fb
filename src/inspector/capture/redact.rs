//! Redacts recorded bytes: overwrites the values of some headers in place.
//!
//! ```text
//! name, value → H(1) length(7) octets           RFC 7541, section 5.2
//!   raw       → as many octets, all "x"
//!   Huffman   → as many octets that decode to as many meaningless symbols
//! ```
//!
//! A [`Redaction`] selects the values. No length changes, on the wire or decoded, so every offset stays valid and every
//! HPACK table evicts the same entries. A later index that refers to the value finds its replacement. If a block can't
//! be decoded, or a header's name is unknown because earlier bytes were not captured, everything that may be secret is
//! overwritten. A direction that is not HTTP/2 is read as lines, `name: value`.
//!
//! The content of messages is not redacted, and the length of a secret stays visible.

use std::ops::Range;

use crate::inspector::decode::half::{Expects, Half, Piece};
use crate::inspector::decode::http1::Lines;
use crate::inspector::decode::http2;
use crate::inspector::decode::huffman;
use crate::inspector::decode::opening_state::Opening;
use crate::inspector::model::annotation::Layer;
use crate::inspector::model::frame::Direction;
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::redaction::{Redaction, first_with_same_name};
use crate::inspector::model::tree::Node;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Setting, settings};

/// The most bytes of frames that are buffered until their header block is complete.
const LONGEST_BLOCK: usize = 1 << 20;

/// Overwrites the values that a [`Redaction`] selects in the bytes of one connection, as they arrive.
///
/// A frame is written when it is complete, a header block when its last frame is.
#[derive(Clone, Debug)]
pub struct Redactor {
    redaction: Redaction,
    to_server: HalfRedactor,
    to_client: HalfRedactor,
}

#[derive(Clone, Debug)]
struct HalfRedactor {
    half: Half,
    /// The frames of the open header block, and the ranges of its fragments in them.
    block: Vec<u8>,
    fragments: Vec<Range<usize>>,
}

impl Redactor {
    /// Returns a redactor for a connection that is captured from its first byte on, or from the middle.
    pub fn new(redaction: Redaction, from_the_beginning: bool) -> Self {
        let side = |expects| {
            // All headers of a buffered block must be visible here.
            let limits = Limits { header_list: usize::MAX, ..Limits::default() };
            let mut half = Half::new(expects, limits);
            if !from_the_beginning {
                half.expects = Expects::Lost { from: 0 };
                half.hpack.lose_track();
            }
            HalfRedactor { half, block: Vec::new(), fragments: Vec::new() }
        };
        Self { redaction, to_server: side(Expects::Preface), to_client: side(Expects::Settings) }
    }

    /// Takes the next bytes of a direction, and appends the finished ones to `out`.
    pub fn push(&mut self, direction: Direction, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.redaction.is_on() {
            return out.extend_from_slice(bytes);
        }
        let (side, opposite) = match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        };
        side.half.pending.extend_from_slice(bytes);
        let mut pending = std::mem::take(&mut side.half.pending);
        let mut rest = pending.as_slice();
        while let Some((piece, tail)) = side.half.next_piece(&mut opposite.half, rest) {
            rest = tail;
            match piece {
                Piece::Preface(bytes) => out.extend_from_slice(bytes),
                Piece::Before(Opening::Proxy, bytes) => out.extend_from_slice(bytes),
                Piece::Before(Opening::Body { .. } | Opening::Chunk { last: false }, bytes) => {
                    out.extend_from_slice(bytes);
                }
                Piece::Before(_, bytes) => overwrite_lines(&self.redaction, &mut Lines::default(), bytes, out),
                Piece::NotHttp2(bytes) if side.half.tls => out.extend_from_slice(bytes),
                Piece::NotHttp2(bytes) => overwrite_lines(&self.redaction, &mut side.half.lines, bytes, out),
                Piece::Rest(bytes) | Piece::Lost(bytes) => out.extend(bytes.iter().map(|_| b'x')),
                Piece::Frame(header, bytes) => {
                    if header.kind == FrameType::SETTINGS {
                        let payload = bytes.get(FRAME_HEADER..).unwrap_or_default();
                        for (_, value) in settings(payload).filter(|(id, _)| *id == Setting::HEADER_TABLE_SIZE) {
                            opposite.half.hpack.allow_table_size(value);
                        }
                    }
                    side.frame(&self.redaction, &header, bytes, out);
                }
            }
        }
        let consumed = pending.len() - rest.len();
        pending.drain(..consumed);
        side.half.pending = pending;
    }

    /// Returns the number of bytes that wait for the rest of their frame or header block.
    pub fn held(&self) -> usize {
        [&self.to_server, &self.to_client].iter().map(|side| side.half.pending.len() + side.block.len()).sum()
    }

    /// Reports missing bytes of a direction. Buffered bytes are written; those that may be secret are overwritten.
    pub fn lose(&mut self, direction: Direction, count: u64, out: &mut Vec<u8>) {
        let side = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        side.cut(out);
        let (expected, pending) = side.half.lose(count);
        side.unfinished(&self.redaction, expected, &pending, out);
    }

    /// Ends a direction. Buffered bytes are written; those that may be secret are overwritten.
    pub fn finish(&mut self, direction: Direction, out: &mut Vec<u8>) {
        let side = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        side.cut(out);
        let pending = std::mem::take(&mut side.half.pending);
        side.unfinished(&self.redaction, side.half.expects, &pending, out);
    }
}

/// Writes the beginning of an incomplete frame: keeps its nine bytes and everything that is not a header block.
fn overwrite_unfinished(pending: &[u8], out: &mut Vec<u8>) {
    let secret = FrameHeader::parse(pending).is_none_or(|header| header.kind != FrameType::DATA);
    let (head, rest) = pending.split_at_checked(FRAME_HEADER).unwrap_or((pending, &[]));
    out.extend_from_slice(head);
    if secret {
        out.extend(rest.iter().map(|_| b'x'));
    } else {
        out.extend_from_slice(rest);
    }
}

impl HalfRedactor {
    /// Writes bytes after which nothing follows, or a gap.
    fn unfinished(&self, redaction: &Redaction, expected: Expects, pending: &[u8], out: &mut Vec<u8>) {
        match expected {
            // These bytes may be from anywhere in a frame, or in a body.
            Expects::Lost { .. } | Expects::Body { .. } | Expects::Chunk => out.extend(pending.iter().map(|_| b'x')),
            _ if self.half.is_http1(expected, pending) => {
                overwrite_lines(redaction, &mut Lines::default(), pending, out);
            }
            _ => overwrite_unfinished(pending, out),
        }
    }

    fn frame(&mut self, redaction: &Redaction, header: &FrameHeader, bytes: &[u8], out: &mut Vec<u8>) {
        let carries = matches!(header.kind, FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION);
        if !carries {
            // Another frame inside a block is an error: the buffered block is incomplete.
            self.cut(out);
            return out.extend_from_slice(bytes);
        }
        if header.kind != FrameType::CONTINUATION {
            self.cut(out);
        }
        let body = http2::dissect(header, bytes).body;
        self.fragments.push(self.block.len() + body.start..self.block.len() + body.end);
        self.block.extend_from_slice(bytes);
        if self.block.len() > LONGEST_BLOCK {
            return self.cut(out);
        }
        if header.has(FrameHeader::END_HEADERS) {
            self.complete(redaction);
            out.append(&mut self.block);
        }
    }

    /// Overwrites the secrets of the complete block.
    fn complete(&mut self, redaction: &Redaction) {
        let fragments = std::mem::take(&mut self.fragments);
        let mut whole: Vec<u8> =
            fragments.iter().flat_map(|range| self.block.get(range.clone()).unwrap_or_default()).copied().collect();
        let decoded = self.half.hpack.decode(&whole);
        let mut fields = decoded.fields.iter();
        for instruction in &decoded.annotations {
            if decoded.error.is_some() && instruction.fault.is_some() && instruction.range.end == whole.len() {
                fill(&mut whole, &instruction.range, b'x');
            } else if !instruction.is_size_update()
                && let Some(field) = fields.next()
                && redaction.hides(field)
            {
                overwrite(&mut whole, instruction, field);
            }
        }
        let mut rest = whole.as_slice();
        for range in fragments {
            let Some(place) = self.block.get_mut(range) else { continue };
            let Some((part, after)) = rest.split_at_checked(place.len()) else { continue };
            place.copy_from_slice(part);
            rest = after;
        }
    }

    /// Writes the buffered block, overwritten because it is incomplete.
    fn cut(&mut self, out: &mut Vec<u8>) {
        if self.block.is_empty() {
            return;
        }
        for range in std::mem::take(&mut self.fragments) {
            fill(&mut self.block, &range, b'x');
        }
        out.append(&mut self.block);
        self.half.hpack.lose_track();
    }
}

/// Overwrites the value of an instruction that has one. An index has none, but one of the static table tells the value: it
/// becomes the first index with the same name.
fn overwrite(block: &mut [u8], instruction: Node<'_>, field: &HeaderField) {
    if instruction.is_leaf()
        && let Some(index) = block.get_mut(instruction.range.start)
        && let Some(first) = first_with_same_name(*index & 0x7f)
    {
        *index = 0x80 | first;
    }
    let Some((length, value)) = instruction.value_of_literal() else { return };
    let huffman = block.get(length.range.start).is_some_and(|first| first & 0x80 != 0);
    let symbols = field.value.as_ref().map_or(0, |value| value.len());
    match huffman.then(|| huffman::filler(value.range.len(), symbols)).flatten() {
        Some(filler) => {
            if let Some(place) = block.get_mut(value.range.clone()) {
                place.copy_from_slice(&filler);
            }
        }
        None => {
            if let Some(first) = block.get_mut(length.range.start) {
                *first &= 0x7f;
            }
            fill(block, &value.range, b'x');
        }
    }
}

fn fill(bytes: &mut [u8], range: &Range<usize>, with: u8) {
    if let Some(place) = bytes.get_mut(range.clone()) {
        place.fill(with);
    }
}

impl<'a> Node<'a> {
    /// Returns the last two leaves of a literal: the value's length and the value. An empty value has no leaf.
    fn value_of_literal(self) -> Option<(Node<'a>, Node<'a>)> {
        let (length, value) = self.children().zip(self.children().skip(1)).last()?;
        (value.label == "value").then_some((length, value))
    }
}

/// Appends lines, with the values of secret headers overwritten.
fn overwrite_lines(redaction: &Redaction, lines: &mut Lines, bytes: &[u8], out: &mut Vec<u8>) {
    let mut shown = bytes.to_vec();
    let tree = lines.annotate(bytes, Layer::Opaque, "", usize::MAX);
    for node in tree.iter().filter(|node| !node.is_leaf() && redaction.hides_line(&node.label.to_string())) {
        for value in node.children().filter(|child| child.label == "value") {
            let place = shown.get_mut(value.range.clone()).unwrap_or_default();
            // Keeps a line break that the next bytes complete.
            place.iter_mut().filter(|byte| **byte != b'\r').for_each(|byte| *byte = b'x');
        }
    }
    out.append(&mut shown);
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
