//! The meaning of a range of bytes: a node of a [`Tree`](crate::inspector::Tree), which every layer of the inspector
//! produces.

use std::fmt;
use std::ops::Range;

use super::text::Text;

/// The meaning of a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The range of the bytes, counted from the first byte of the frame (of the message, in
    /// [`Message`](crate::inspector::Message)).
    pub range: Range<usize>,
    /// The protocol layer of the bytes.
    pub layer: Layer,
    /// The name of the bytes in the specification: "Length", ":path", "latitude".
    pub label: Text,
    /// The value for display; control characters are escaped and long values are shortened. Empty if an earlier frame
    /// shows it.
    pub value: Text,
    /// The encoding: "static 3", "field 1, varint". May be empty.
    pub detail: Text,
    /// The section of a specification that defines these bytes.
    pub rule: Option<&'static Rule>,
    /// The error in these bytes, if there is one.
    pub fault: Option<Box<str>>,
    /// The way to display the bytes.
    pub form: Form,
    /// The part that this is of something that spans several frames.
    pub part: Part,
    /// The number of annotations below this one in its [`Tree`](crate::inspector::Tree): its children, and theirs.
    pub(crate) below: u32,
}

/// The protocol layer of a byte, from the connection inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Bytes before HTTP/2: the PROXY protocol, messages of HTTP/1.1.
    Before,
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
    /// Bytes whose meaning is unknown.
    Opaque,
}

/// The way to display the bytes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One big-endian number: its hex digits are the number itself.
    Number,
    /// Single bytes, one after the other.
    Bytes,
    /// Redacted: other bytes replace them ([`Redaction`](crate::inspector::Redaction)).
    Redacted,
}

/// The part of something that spans several frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first part; it continues in a later frame.
    Head,
    /// A middle part; it began in an earlier frame and continues in a later one.
    Middle,
    /// The last part; it began in an earlier frame.
    Tail,
}

impl Annotation {
    /// Returns a leaf without value, detail, rule or fault; the methods below add them.
    pub(crate) fn new(range: Range<usize>, layer: Layer, label: impl Into<Text>) -> Self {
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
            below: 0,
        }
    }

    pub(crate) fn value(self, value: impl Into<Text>) -> Self {
        Self { value: value.into(), ..self }
    }

    pub(crate) fn detail(self, detail: impl Into<Text>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    pub(crate) fn rule(self, rule: &'static Rule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    pub(crate) fn number(self) -> Self {
        Self { form: Form::Number, ..self }
    }

    pub(crate) fn fault(self, fault: Option<impl Into<Box<str>>>) -> Self {
        Self { fault: fault.map(Into::into), ..self }
    }

    /// Returns true if no annotation is below this one.
    pub fn is_leaf(&self) -> bool {
        self.below == 0
    }

    /// Returns true for a dynamic table size update of HPACK. A peer may give a header the same label.
    pub(crate) fn is_size_update(&self) -> bool {
        self.rule.is_some_and(|rule| rule.document == Document::Hpack && rule.section == "6.3")
    }

    /// Returns true for a header that its sender marked as never indexed.
    pub(crate) fn is_never_indexed(&self) -> bool {
        self.rule.is_some_and(|rule| rule.document == Document::Hpack && rule.section == "6.2.3")
    }

    /// Returns the part of this annotation within `keep`, moved so that `keep.start` becomes `to`, without the
    /// annotations below it. `keep` and the annotation must overlap.
    pub(super) fn clip(&self, keep: &Range<usize>, to: usize) -> Annotation {
        let start = self.range.start.max(keep.start);
        let end = self.range.end.min(keep.end);
        let moved = |at: usize| at.saturating_sub(keep.start).saturating_add(to);
        let part = match (self.range.start < start, self.range.end > end) {
            (false, false) => self.part,
            (false, true) => Part::Head,
            (true, true) => Part::Middle,
            (true, false) => Part::Tail,
        };
        Self {
            range: moved(start)..moved(end),
            part,
            below: 0,
            layer: self.layer,
            label: self.label.clone(),
            value: if part.is_continued() { Text::EMPTY } else { self.value.clone() },
            detail: self.detail.clone(),
            rule: self.rule,
            fault: self.fault.clone(),
            form: self.form,
        }
    }

    /// Returns the approximate memory of this annotation, without the struct itself.
    pub(crate) fn cost(&self) -> usize {
        let fault = self.fault.as_ref().map_or(0, |fault| fault.len());
        self.label.cost() + self.value.cost() + self.detail.cost() + fault
    }
}

impl Part {
    /// Returns true if the beginning is in an earlier frame. A continued part has no value: the first part shows it.
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
    /// proxy-protocol.txt of HAProxy, the PROXY protocol.
    ProxyProtocol,
    /// RFC 9112, HTTP/1.1.
    Http1,
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
    pub(crate) const fn new(document: Document, section: &'static str) -> Self {
        Self { document, section }
    }

    pub(crate) const fn http1(section: &'static str) -> Self {
        Self { document: Document::Http1, section }
    }

    pub(crate) const fn http2(section: &'static str) -> Self {
        Self { document: Document::Http2, section }
    }

    pub(crate) const fn hpack(section: &'static str) -> Self {
        Self { document: Document::Hpack, section }
    }

    pub(crate) const fn grpc(section: &'static str) -> Self {
        Self { document: Document::Grpc, section }
    }

    pub(crate) const fn protobuf(section: &'static str) -> Self {
        Self { document: Document::Protobuf, section }
    }

    /// Returns the address of the section.
    pub fn link(&self) -> String {
        let section = self.section;
        match self.document {
            // The text has no anchors.
            Document::ProxyProtocol => "https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt".to_owned(),
            Document::Http1 => format!("https://www.rfc-editor.org/rfc/rfc9112#section-{section}"),
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
    /// Returns the document's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Document::ProxyProtocol => "proxy-protocol.txt",
            Document::Http1 => "RFC 9112",
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
            Document::ProxyProtocol | Document::Http1 | Document::Http2 | Document::Hpack => {
                write!(f, "{document}, section {section}")
            }
            Document::Proposal => write!(f, "{document} {}", section.split('-').next().unwrap_or(section)),
            _ => write!(f, "{document}, {section}"),
        }
    }
}
