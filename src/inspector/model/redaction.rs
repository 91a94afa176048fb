//! Redaction: removes the values of secret headers and fields from a frame before it is written or shown.
//!
//! Redacted bytes are replaced by the same number of bytes, so that ranges stay valid: by `X`, or in a Huffman-coded
//! string by 0xfc, which is the code of `X` (RFC 7541, appendix B). A header block therefore decodes as before, except
//! for the values.
//!
//! A header block or message whose beginning or end was not captured can't be searched, so all of it is redacted.

use std::borrow::Cow;

use super::annotation::{Annotation, Form, Layer};
use super::frame::{Frame, FrameKind, HIDDEN_LINES, UNKNOWN_NAME};
use super::tree::{Node, Tree};
use crate::inspector::model::frame::HeaderField;
use crate::wire::http2::{FrameHeader, FrameType};

/// The values that are redacted in frames written to disk or shown on a page.
///
/// By default these are the values of `authorization`, `proxy-authorization`, `cookie`, `set-cookie`, of headers whose
/// name ends in `-api-key`, and of headers that their sender marked as never indexed (RFC 7541, section 7.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    on: bool,
    headers: Vec<String>,
    fields: Vec<String>,
}

/// The value shown in place of a redacted one.
pub(super) const REDACTED: &str = "redacted";

const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
const SECRET_ENDING: &str = "-api-key";

impl Default for Redaction {
    fn default() -> Self {
        Self { on: true, headers: SECRET.map(str::to_owned).to_vec(), fields: Vec::new() }
    }
}

impl Redaction {
    /// Redacts nothing, whatever is added.
    pub fn none() -> Self {
        Self { on: false, headers: Vec::new(), fields: Vec::new() }
    }

    /// Returns true if anything is redacted.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Redacts the values of this header too.
    pub fn header(mut self, name: &str) -> Self {
        self.headers.push(name.to_ascii_lowercase());
        self
    }

    /// Redacts the values of every protobuf field of this name, in any message. Messages that can't be searched for it,
    /// because they are compressed or incomplete, are redacted as a whole.
    pub fn field(mut self, name: &str) -> Self {
        self.fields.push(name.to_owned());
        self
    }

    /// Returns the frame without its secrets, or the frame itself if it has none.
    pub fn apply<'a>(&self, frame: &'a Frame) -> Cow<'a, Frame> {
        let kind = match &frame.kind {
            _ if !self.on => return Cow::Borrowed(frame),
            FrameKind::Http2(header) => Some(header.kind),
            FrameKind::Truncated => FrameHeader::parse(&frame.bytes).map(|header| header.kind),
            FrameKind::NotHttp2 | FrameKind::Before(_) => return self.lines(frame),
            FrameKind::Fragment => Some(FrameType::CONTINUATION),
            FrameKind::Preface | FrameKind::Lost { .. } => None,
        };
        match kind {
            Some(FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION) => {
                let mut frame = frame.clone();
                if self.hides_name("grpc-status-details-bin") || !self.fields.is_empty() {
                    frame.details = None;
                }
                for field in frame.headers.iter_mut().filter(|field| self.hides(field)) {
                    field.value = Some(REDACTED.as_bytes().into());
                }
                let mut annotations = Tree::default();
                for node in &frame.annotations {
                    self.block(node, &mut frame.bytes, &mut annotations);
                }
                frame.annotations = annotations;
                Cow::Owned(frame)
            }
            Some(FrameType::DATA) if !self.fields.is_empty() => {
                let mut frame = frame.clone();
                self.messages(&mut frame.annotations, &mut frame.bytes);
                // The tree of a message in several frames counts from the message's first byte.
                let trees = frame.messages.iter_mut().filter_map(|message| message.tree.as_mut());
                trees.for_each(|tree| self.messages(tree, &mut []));
                for restored in frame.messages.iter_mut().filter_map(|message| message.restored.as_mut()) {
                    self.messages(&mut restored.annotations, &mut restored.bytes);
                }
                Cow::Owned(frame)
            }
            _ => Cow::Borrowed(frame),
        }
    }

    /// Returns true if the value of a header is secret, or if its name is unknown.
    pub(crate) fn hides(&self, field: &HeaderField) -> bool {
        let secret = |name: &[u8]| self.hides_name(&String::from_utf8_lossy(name));
        self.on && field.value.is_some() && (field.never_indexed || field.name.as_deref().is_none_or(secret))
    }

    /// Returns true if the value of a header of this name is secret.
    pub(crate) fn hides_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        name.ends_with(SECRET_ENDING) || self.headers.contains(&name)
    }

    /// Redacts a node of a frame with a header block, or with a part of one.
    fn block(&self, node: Node<'_>, bytes: &mut [u8], shown: &mut Tree) {
        let opaque = node.layer == Layer::Opaque;
        let undecoded = ["header block fragment", "not decodable", "more headers"];
        if opaque || (node.layer == Layer::Hpack && undecoded.iter().any(|label| node.label == *label)) {
            return shown.push(hidden(&node, bytes, 0));
        }
        let never_indexed = node.rule.is_some_and(|rule| rule.section == "6.2.3");
        let secret = never_indexed || node.label == "unknown name" || self.hides_name(&node.label.to_string());
        if node.layer != Layer::Hpack || !secret || node.label.is_empty() {
            return shown.push_node(node);
        }
        let length = node.children().find(|child| child.label == "value length");
        let huffman = length.and_then(|length| bytes.get(length.range.start)).is_none_or(|first| first & 0x80 != 0);
        let open = shown.open(node.annotation().clone().value(REDACTED));
        for child in node.children() {
            match child.label == "value" {
                true => shown.push(hidden(&child, bytes, if huffman { 0xfc } else { b'X' })),
                false => shown.push_node(child),
            }
        }
        shown.close(open);
    }

    /// Redacts the nodes of a tree over messages.
    fn messages(&self, tree: &mut Tree, bytes: &mut [u8]) {
        let mut shown = Tree::default();
        tree.iter().for_each(|node| self.message(node, bytes, &mut shown));
        *tree = shown;
    }

    /// Redacts a node within a message.
    fn message(&self, node: Node<'_>, bytes: &mut [u8], shown: &mut Tree) {
        let unknown = node.layer == Layer::Opaque || ["not decodable", "more fields"].iter().any(|l| node.label == *l);
        if node.is_leaf() && unknown {
            return shown.push(hidden(&node, bytes, 0));
        }
        let named = node.layer == Layer::Protobuf && !node.is_leaf();
        if !named || !self.fields.iter().any(|field| node.label == field.as_str()) {
            let open = shown.open(node.annotation().clone());
            node.children().for_each(|child| self.message(child, bytes, shown));
            shown.close(open);
            return;
        }
        let open = shown.open(node.annotation().clone().value(REDACTED));
        let mut content = node.range.clone();
        let encoding = |child: &Node<'_>| child.is_leaf() && (child.label == "tag" || child.label == "length");
        for child in node.children().take_while(encoding) {
            content.start = child.range.end;
            shown.push_node(child);
        }
        shown.push(hidden(&Annotation::new(content, Layer::Protobuf, "value"), bytes, 0));
        shown.close(open);
    }

    /// Redacts the header lines of HTTP/1.1, before HTTP/2 or instead of it.
    fn lines<'a>(&self, frame: &'a Frame) -> Cow<'a, Frame> {
        let secret = |node: &Annotation| self.hides_line(&node.label.to_string());
        if !frame.annotations.all().iter().any(secret) && !frame.headers.iter().any(|field| self.hides(field)) {
            return Cow::Borrowed(frame);
        }
        let mut frame = frame.clone();
        for field in frame.headers.iter_mut().filter(|field| self.hides(field)) {
            field.value = Some(REDACTED.as_bytes().into());
        }
        let mut annotations = Tree::default();
        for node in &frame.annotations {
            self.line(node, &mut frame.bytes, &mut annotations);
        }
        frame.annotations = annotations;
        Cow::Owned(frame)
    }

    /// Redacts a node of lines: the value of a secret header, or lines that are not told apart.
    fn line(&self, node: Node<'_>, bytes: &mut [u8], shown: &mut Tree) {
        let secret = self.hides_line(&node.label.to_string());
        if node.is_leaf() {
            return shown.push(if secret { hidden(&node, bytes, b'X') } else { node.annotation().clone() });
        }
        let open = shown.open(node.annotation().clone());
        for child in node.children() {
            match secret && child.label == "value" {
                true => shown.push(hidden(&child, bytes, b'X')),
                false => self.line(child, bytes, shown),
            }
        }
        if let Some(node) = shown.close(open).filter(|_| secret) {
            node.value = REDACTED.into();
        }
    }

    /// Returns true if the value of a header line of this name is secret, or if its name is unknown.
    pub(crate) fn hides_line(&self, name: &str) -> bool {
        self.on && (name == UNKNOWN_NAME || name == HIDDEN_LINES || self.hides_name(name))
    }
}

/// Masks the bytes of a node; returns the leaf that replaces it.
fn hidden(node: &Annotation, bytes: &mut [u8], mask: u8) -> Annotation {
    if let Some(bytes) = bytes.get_mut(node.range.clone()) {
        bytes.fill(mask);
    }
    Annotation { form: Form::Redacted, below: 0, ..node.clone().value(REDACTED) }
}
