//! What a range of bytes means: the tree that every layer of the inspector produces.
//!
//! A node covers exactly what its children cover, one after the other; a leaf has no children and at least one byte.
//! Ranges count from the first byte of the frame that the tree belongs to.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use super::text::Text;

/// The meaning of a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The bytes, counted from the first byte of the frame (of the message, in [`Message`](super::Message)).
    pub range: Range<usize>,
    /// The protocol that the bytes speak.
    pub layer: Layer,
    /// What stands here, in the words of the specification: "Length", ":path", "latitude".
    pub label: Text,
    /// The value, for a person; control characters are escaped and long values are shortened. Empty where it stands in
    /// an earlier frame.
    pub value: Text,
    /// How it is encoded: "static 3", "field 1, varint". Empty where there is nothing to say.
    pub detail: Text,
    /// The rule of a specification that gives the bytes their meaning.
    pub rule: Option<Rule>,
    /// What is wrong with these bytes, if something is.
    pub fault: Option<String>,
    /// How the bytes want to be read.
    pub form: Form,
    /// Whether this is the whole or a part of something that lies in several frames.
    pub part: Part,
    /// The parts, which tile `range`; none for a leaf.
    pub children: Vec<Annotation>,
}

/// The protocol that a byte belongs to, from the connection inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The connection preface and the nine bytes before each frame's payload.
    Frame,
    /// A field in a frame's payload: settings, priorities, padding, error codes.
    Payload,
    /// A header block.
    Hpack,
    /// The prefix of a gRPC message.
    Grpc,
    /// A message's content.
    Protobuf,
    /// Bytes of which nothing more is known.
    Opaque,
}

/// How the bytes of an annotation want to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One big-endian number, whose hex digits read as the number itself.
    Number,
    /// Byte after byte.
    Bytes,
    /// Not at all: others stand in their place ([`Redaction`](super::Redaction)).
    Redacted,
}

/// Which part of something the bytes of an annotation are, when a border between frames cuts through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// It begins here and goes on in a later frame.
    Head,
    /// It began in an earlier frame and goes on in a later one.
    Middle,
    /// It began in an earlier frame and ends here.
    Tail,
}

impl Annotation {
    /// A leaf without value, detail, rule or fault; the methods below add them.
    pub(super) fn new(range: Range<usize>, layer: Layer, label: impl Into<Text>) -> Self {
        Self {
            range,
            layer,
            label: label.into(),
            value: Text::EMPTY,
            detail: Text::EMPTY,
            rule: None,
            fault: None,
            form: Form::Bytes,
            part: Part::Whole,
            children: Vec::new(),
        }
    }

    pub(super) fn value(self, value: impl Into<Text>) -> Self {
        Self { value: value.into(), ..self }
    }

    pub(super) fn detail(self, detail: impl Into<Text>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    pub(super) fn rule(self, rule: Rule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    pub(super) fn number(self) -> Self {
        Self { form: Form::Number, ..self }
    }

    /// Children must tile the range; empty ones are left out, because a leaf has at least one byte.
    pub(super) fn children(self, mut children: Vec<Annotation>) -> Self {
        children.retain(|child| !child.range.is_empty());
        Self { children, ..self }
    }

    pub(super) fn fault(self, fault: Option<String>) -> Self {
        Self { fault, ..self }
    }

    /// The part of this annotation within `keep`, moved so that `keep.start` lands on `to`; `None` if it has no byte
    /// there. This is how what was decoded over several frames is given back to each of them.
    pub(super) fn clip(&self, keep: &Range<usize>, to: usize) -> Option<Annotation> {
        let start = self.range.start.max(keep.start);
        let end = self.range.end.min(keep.end);
        if start >= end {
            return None;
        }
        let moved = |at: usize| at.saturating_sub(keep.start).saturating_add(to);
        let part = match (self.range.start < start, self.range.end > end) {
            (false, false) => self.part,
            (false, true) => Part::Head,
            (true, true) => Part::Middle,
            (true, false) => Part::Tail,
        };
        Some(Self {
            range: moved(start)..moved(end),
            part,
            children: clip_all(&self.children, keep, to),
            layer: self.layer,
            label: self.label.clone(),
            value: if part.is_continued() { Text::EMPTY } else { self.value.clone() },
            detail: self.detail.clone(),
            rule: self.rule,
            fault: self.fault.clone(),
            form: self.form,
        })
    }

    /// The same tree, `by` bytes further on.
    pub(super) fn shift(&mut self, by: usize) {
        self.range = self.range.start.saturating_add(by)..self.range.end.saturating_add(by);
        for child in &mut self.children {
            child.shift(by);
        }
    }

    /// The memory that this tree takes, about.
    pub(super) fn cost(&self) -> usize {
        let texts =
            self.label.cost() + self.value.cost() + self.detail.cost() + self.fault.as_ref().map_or(0, String::len);
        size_of::<Self>() + texts + self.children.iter().map(Annotation::cost).sum::<usize>()
    }
}

/// Clips annotations that tile a range. Searched, not scanned: a message may lie in as many frames as it has bytes.
pub(super) fn clip_all(annotations: &[Annotation], keep: &Range<usize>, to: usize) -> Vec<Annotation> {
    let first = annotations.partition_point(|annotation| annotation.range.end <= keep.start);
    let clipped = annotations.iter().skip(first).take_while(|annotation| annotation.range.start < keep.end);
    clipped.filter_map(|annotation| annotation.clip(keep, to)).collect()
}

impl Part {
    /// Whether the beginning lies in an earlier frame. What continues has no value of its own: that stands there.
    pub fn is_continued(self) -> bool {
        matches!(self, Part::Middle | Part::Tail)
    }
}

/// A place in a specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The document.
    pub document: Document,
    /// The section's number, or its anchor where the document has no numbers.
    pub section: &'static str,
}

/// A specification that the inspector cites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Document {
    /// RFC 9113, HTTP/2.
    Http2,
    /// RFC 7541, HPACK.
    Hpack,
    /// PROTOCOL-HTTP2.md, gRPC over HTTP/2.
    Grpc,
    /// The page "Encoding" of the Protocol Buffers documentation.
    Protobuf,
    /// compression.md, compression in gRPC.
    Compression,
    /// statuscodes.md, the status codes of gRPC.
    StatusCodes,
    /// A proposal (gRFC) of the gRPC project; the section is the name of its file.
    Proposal,
}

impl Rule {
    pub(super) const fn new(document: Document, section: &'static str) -> Self {
        Self { document, section }
    }

    pub(super) const fn http2(section: &'static str) -> Self {
        Self { document: Document::Http2, section }
    }

    pub(super) const fn hpack(section: &'static str) -> Self {
        Self { document: Document::Hpack, section }
    }

    pub(super) const fn grpc(section: &'static str) -> Self {
        Self { document: Document::Grpc, section }
    }

    pub(super) const fn protobuf(section: &'static str) -> Self {
        Self { document: Document::Protobuf, section }
    }

    /// Where the rule can be read.
    pub fn link(&self) -> String {
        let section = self.section;
        match self.document {
            Document::Http2 => format!("https://www.rfc-editor.org/rfc/rfc9113#section-{section}"),
            Document::Hpack => format!("https://www.rfc-editor.org/rfc/rfc7541#section-{section}"),
            Document::Grpc => format!("https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#{section}"),
            Document::Compression => {
                format!("https://github.com/grpc/grpc/blob/master/doc/compression.md#{section}")
            }
            Document::StatusCodes => {
                format!("https://github.com/grpc/grpc/blob/master/doc/statuscodes.md#{section}")
            }
            Document::Proposal => format!("https://github.com/grpc/proposal/blob/master/{section}.md"),
            Document::Protobuf => format!("https://protobuf.dev/programming-guides/encoding/#{section}"),
        }
    }
}

impl Document {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Document::Http2 => "RFC 9113",
            Document::Hpack => "RFC 7541",
            Document::Grpc => "PROTOCOL-HTTP2.md",
            Document::Protobuf => "Protocol Buffers encoding",
            Document::Compression => "compression.md",
            Document::StatusCodes => "statuscodes.md",
            Document::Proposal => "gRFC",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (document, section) = (self.document.name(), self.section);
        match self.document {
            Document::Http2 | Document::Hpack => write!(f, "{document}, section {section}"),
            Document::Proposal => write!(f, "{document} {}", section.split('-').next().unwrap_or(section)),
            _ => write!(f, "{document}, {section}"),
        }
    }
}

/// The leaves below `annotations`, in the order of their bytes.
pub fn leaves(annotations: &[Annotation]) -> Leaves<'_> {
    Leaves { open: vec![annotations.iter()] }
}

/// The iterator of [`leaves`].
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    open: Vec<std::slice::Iter<'a, Annotation>>,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = &'a Annotation;

    fn next(&mut self) -> Option<&'a Annotation> {
        loop {
            match self.open.last_mut()?.next() {
                Some(leaf) if leaf.children.is_empty() => return Some(leaf),
                Some(node) => self.open.push(node.children.iter()),
                None => {
                    self.open.pop();
                }
            }
        }
    }
}

/// Holds the law: the leaves tile `within` exactly, and every node covers what its children cover.
///
/// # Errors
///
/// [`Gap`] at the first place where a byte has no leaf, more than one, or none of its own in a node's children.
pub fn check_tiling(within: Range<usize>, annotations: &[Annotation]) -> Result<(), Gap> {
    let mut expected = within.start;
    for annotation in annotations {
        if annotation.range.start != expected || annotation.range.is_empty() {
            return Err(Gap { expected, found: annotation.range.start });
        }
        if !annotation.children.is_empty() {
            check_tiling(annotation.range.clone(), &annotation.children)?;
        }
        expected = annotation.range.end;
    }
    if expected == within.end { Ok(()) } else { Err(Gap { expected, found: within.end }) }
}

/// A place where annotations do not tile their input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where the next leaf, or the end, should have been.
    pub expected: usize,
    /// Where it is.
    pub found: usize,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the annotations do not tile the bytes: expected one at offset {}, found {}",
            self.expected, self.found
        )
    }
}

impl Error for Gap {}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(range: Range<usize>) -> Annotation {
        Annotation::new(range, Layer::Opaque, "leaf")
    }

    #[test]
    fn a_tree_that_tiles_and_trees_that_do_not() {
        let node = leaf(2..5).children(vec![leaf(2..4), leaf(4..4), leaf(4..5)]);
        let tree = [leaf(0..2), node, leaf(5..6)];
        assert_eq!(check_tiling(0..6, &tree), Ok(()));
        assert_eq!(leaves(&tree).map(|leaf| leaf.range.clone()).collect::<Vec<_>>(), [0..2, 2..4, 4..5, 5..6]);
        assert_eq!(check_tiling(0..7, &tree), Err(Gap { expected: 6, found: 7 }));
        assert_eq!(check_tiling(0..3, &[leaf(0..1), leaf(2..3)]), Err(Gap { expected: 1, found: 2 }));
        assert_eq!(check_tiling(0..3, &[leaf(0..2), leaf(1..3)]), Err(Gap { expected: 2, found: 1 }));
        let hollow = leaf(0..3).children(vec![leaf(0..2)]);
        assert_eq!(check_tiling(0..3, &[hollow]), Err(Gap { expected: 2, found: 3 }));
    }

    #[test]
    fn clipping_gives_each_frame_its_part() {
        let node = leaf(0..10).children(vec![leaf(0..4), leaf(4..10)]);
        let head = node.clip(&(0..6), 20).unwrap();
        assert_eq!((head.range.clone(), head.part), (20..26, Part::Head));
        assert_eq!(head.children[0].part, Part::Whole);
        assert_eq!((head.children[1].range.clone(), head.children[1].part), (24..26, Part::Head));
        let tail = node.clip(&(6..10), 9).unwrap();
        assert_eq!((tail.range.clone(), tail.part, tail.children.len()), (9..13, Part::Tail, 1));
        assert_eq!(node.clip(&(10..12), 0), None);
    }
}
