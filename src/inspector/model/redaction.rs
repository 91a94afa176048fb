//! Redaction: removes the values of secret headers and fields from a frame before it is written or shown.
//!
//! Redacted bytes are replaced by the same number of bytes, so that ranges stay valid: by `X`, or in a Huffman-coded
//! string by 0xfc, which is the code of `X` (RFC 7541, appendix B). A header block therefore decodes as before, except
//! for the values.
//!
//! A header block or message whose beginning or end was not captured can't be searched, so all of it is redacted.

use std::borrow::Cow;

use super::annotation::{Annotation, Document, Form, Layer};
use super::frame::{Frame, FrameKind, HIDDEN_LINES, HeaderField, Meaning, UNKNOWN_NAME};
use super::tree::{Node, Tree};
use crate::wire::http2::{FrameHeader, FrameType};

/// The values that are redacted in frames written to disk or shown on a page.
///
/// By default these are the values of headers that carry credentials, such as `authorization`, `cookie`, `x-api-key` and
/// every name that ends in `-token`, and of headers that their sender marked as never indexed (RFC 7541, section 7.1.3).
/// [`Redaction::header`] adds names.
///
/// Names are compared without regard to case, to `_` or `-`, to the colon of a pseudo-header field, and to a `-bin` at
/// the end: `x-token` and `x-token-bin` are one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    on: bool,
    /// The names to hide in addition to the built-in ones, as [`key`] returns them.
    headers: Vec<String>,
    fields: Vec<String>,
}

/// The value shown in place of a redacted one.
pub(super) const REDACTED: &str = "redacted";

/// Headers with credentials, as [`key`] returns them. Names with one of [`SECRET_ENDINGS`] are not repeated here.
const SECRET: [&str; 24] = [
    "api-key",
    "apikey",
    "auth",
    "authentication",
    "authentication-info",
    "authorization",
    "bearer",
    "cookie",
    "cookie2",
    "credentials",
    "dpop",
    "jwt",
    "ocp-apim-subscription-key",
    "password",
    "proxy-authentication-info",
    "secret",
    "session",
    "sessionid",
    "set-cookie2",
    "token",
    "uptrace-dsn",
    "x-auth",
    "x-functions-key",
    "x-honeycomb-team",
];

/// The endings of names of headers with credentials: `proxy-authorization`, `x-amz-security-token`, `grpcgateway-cookie`.
const SECRET_ENDINGS: [&str; 18] = [
    "-access-key",
    "-accesstoken",
    "-api-key",
    "-apikey",
    "-assertion",
    "-authorization",
    "-cookie",
    "-credential",
    "-credentials",
    "-jwt",
    "-oidc-data",
    "-passwd",
    "-password",
    "-private-key",
    "-secret",
    "-secret-key",
    "-session-id",
    "-token",
];

impl Default for Redaction {
    fn default() -> Self {
        Self { on: true, headers: Vec::new(), fields: Vec::new() }
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

    /// Redacts the values of this header too. A colon at the end, and a value behind it, don't count: "X-Key: 5" is the
    /// name "x-key".
    ///
    /// A pseudo-header field may be named without its colon. `method` then also stands for the path, which names the
    /// method of a call, and `status` for `grpc-status`. `:authority` and `host` are one name, because the first replaces
    /// the second (RFC 9113, section 8.3.1).
    pub fn header(mut self, name: &str) -> Self {
        let name = name.trim();
        let (colon, rest) = name.strip_prefix(':').map_or(("", name), |rest| (":", rest));
        let name = key(rest.split_once(':').map_or(rest, |(name, _)| name).as_bytes());
        let also: &[&str] = match (colon, &*name) {
            ("", "method") => &["path"],
            ("", "status") => &["grpc-status"],
            (_, "authority") => &["host"],
            ("", "host") => &["authority"],
            _ => &[],
        };
        self.headers.extend(also.iter().copied().map(str::to_owned).chain([name]));
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
                // The details repeat the code and the message of the status.
                let of_status = ["grpc-status-details-bin", "grpc-message", "grpc-status"];
                if of_status.iter().any(|name| self.hides_in(&frame, name)) || !self.fields.is_empty() {
                    frame.details = None;
                }
                frame.meaning = self.meaning(&frame);
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
        let secret = |name: &[u8]| self.hides_octets(name);
        self.on && field.value.is_some() && (field.never_indexed || field.name.as_deref().is_none_or(secret))
    }

    /// Returns true if the value of a header of this name is secret.
    pub(crate) fn hides_name(&self, name: &str) -> bool {
        self.hides_octets(name.as_bytes())
    }

    fn hides_octets(&self, name: &[u8]) -> bool {
        let name = key(name);
        self.on
            && (SECRET.contains(&&*name)
                || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
                || self.headers.contains(&name))
    }

    /// Returns true if the value of a header of this name is secret in any frame, or in this one, whose sender marked it as
    /// never indexed.
    fn hides_in(&self, frame: &Frame, name: &str) -> bool {
        let marked = |node: &Annotation| node.is_never_indexed() && node.label == name;
        self.hides_name(name)
            || frame.headers.iter().any(|field| field.is(name) && self.hides(field))
            || frame.annotations.all().iter().any(marked)
    }

    /// Returns the meaning of a frame without what it repeats of secret headers.
    fn meaning(&self, frame: &Frame) -> Meaning {
        let mut meaning = frame.meaning.clone();
        let (name, value) = match &mut meaning {
            Meaning::RequestHeaders { path } => (":path", path),
            Meaning::HttpResponse { status } => (":status", status),
            Meaning::Trailers { status: Some(status) } | Meaning::TrailersOnly { status } => ("grpc-status", status),
            _ => return meaning,
        };
        if self.hides_in(frame, name) {
            REDACTED.clone_into(value);
        }
        meaning
    }

    /// Redacts a node of a frame with a header block, or with a part of one. The rule of a node tells its kind: a peer
    /// chooses the names of headers, which are labels, and may choose those of other nodes.
    fn block(&self, node: Node<'_>, bytes: &mut [u8], shown: &mut Tree) {
        let section = node.rule.filter(|rule| rule.document == Document::Hpack).map(|rule| rule.section);
        match (node.layer, section) {
            (Layer::Hpack, Some("6.1" | "6.2.1" | "6.2.2" | "6.2.3")) => {}
            (Layer::Hpack, Some("6.3")) => return shown.push_node(node),
            // Fragments of a block, and the part that can't be decoded or exceeds a limit.
            (Layer::Hpack | Layer::Opaque, _) => return shown.push(hidden(&node, bytes, 0)),
            _ => return shown.push_node(node),
        }
        if !node.is_never_indexed() && node.label != UNKNOWN_NAME && !self.hides_octets(&node.label.octets_of()) {
            return shown.push_node(node);
        }
        if node.is_leaf() && section == Some("6.1") {
            return shown.push(without_index(&node, bytes));
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

/// Returns a header's name in the form in which names are compared.
fn key(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).trim().replace('_', "-").to_ascii_lowercase();
    let name = name.strip_prefix(':').unwrap_or(&name);
    name.strip_suffix("-bin").unwrap_or(name).to_owned()
}

/// Returns the leaf of an index without its value. An entry of the static table tells the value, so the index becomes that
/// of the first entry with the name.
fn without_index(node: &Annotation, bytes: &mut [u8]) -> Annotation {
    let leaf = node.clone().value(REDACTED);
    let Some(byte) = bytes.get_mut(node.range.clone()).and_then(|bytes| bytes.first_mut()) else { return leaf };
    match first_with_same_name(*byte & 0x7f) {
        Some(first) => {
            *byte = 0x80 | first;
            Annotation { form: Form::Redacted, ..leaf.detail("") }
        }
        None => leaf,
    }
}

/// Returns the first index of the static table with the name of this one; `None` for an index of the dynamic table. Each
/// range has the indices of one name with several values (RFC 7541, Appendix A).
pub(crate) fn first_with_same_name(index: u8) -> Option<u8> {
    match index {
        2..=3 => Some(2),
        4..=5 => Some(4),
        6..=7 => Some(6),
        8..=14 => Some(8),
        1..=61 => Some(index),
        _ => None,
    }
}

/// Masks the bytes of a node; returns the leaf that replaces it.
fn hidden(node: &Annotation, bytes: &mut [u8], mask: u8) -> Annotation {
    if let Some(bytes) = bytes.get_mut(node.range.clone()) {
        bytes.fill(mask);
    }
    Annotation { form: Form::Redacted, below: 0, ..node.clone().value(REDACTED) }
}
