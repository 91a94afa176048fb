//! Writes a conversation as JSON lines: one object a line, for `jq`, for the page, and for storage.
//!
//! ```text
//! {"record":"connection","format":1,"connection":1,"client":"127.0.0.1:40114","server":"127.0.0.1:50051","began":1764079677.25}
//! {"record":"frame","connection":1,"number":6,"time":0.0012,"direction":"to_server","offset":151,"kind":"frame",…}
//! {"record":"end","connection":1,"time":1.5,"dropped":0}
//! {"record":"limit","text":"…"}
//! ```
//!
//! The last record is there only if the output reached its size limit; it is then the last line.
//! The line of a connection has `roles_guessed` if the ports alone suggest which side is the client.
//! The page gets two more records, which `json_notes.rs` describes: `finding` and `wait`.
//!
//! | of a frame | |
//! |---|---|
//! | `connection`, `number` | the connection; the number counts the frames of both directions from 1 |
//! | `time` | seconds since `began`, which is in the connection's line if it is known |
//! | `direction` | `to_server` or `to_client` |
//! | `offset` | the offset of the first byte in its direction |
//! | `kind` | `before` (HTTP/2 begins: the PROXY protocol, HTTP/1.1), `preface`, `frame`, `truncated`, `bytes` (of a direction that is not HTTP/2), `fragment` (its beginning was not captured), `lost` (`lost` bytes were not recorded) |
//! | `type`, `flags`, `flag_names`, `stream`, `length` | the header, if `kind` is `frame`; a request in HTTP/1.1 that asks for HTTP/2 has `stream` 1 |
//! | `meaning` | the meaning in gRPC: `request_headers`, `response_headers`, `messages`, `half_close`, `trailers`, `trailers_only`, `informational`, `http_response`, `headers` (not complete), `data` (not gRPC); absent for other frames |
//! | `path`, `call_kind`, `status` | the path of a request; `unary`, `server_streaming`, `client_streaming` or `bidi_streaming` if it is known; `grpc-status`, or the HTTP status of an `http_response` |
//! | `summary` | the same as text |
//! | `headers` | `name`, `value` (`null` if unknown), `value_hex` if it is not UTF-8, `never_indexed`, `redacted` |
//! | `messages` | the messages that the frame completes: `number`, `type`, `length`, `compressed`, `segments` (`frame`, `range`), `fields` (`name`, `value`, `fields`), `tree` if it spans several frames, `restored` (`bytes`, `annotations`) if it was compressed |
//! | `faults` | the errors of the frame |
//! | `bytes` | all bytes, in hex |
//! | `annotations` | the tree whose leaves tile the bytes |
//!
//! A node of the tree has `range` (from, to) and `layer` (`before`, `frame`, `payload`, `hpack`, `grpc`, `protobuf`, `opaque`).
//! It may have `label`, `value`, `detail`, `fault`, `rule` (`document`, `section`, `url`; if absent, the parent's rule
//! applies), `part` (`head`, `middle`, `tail` of something that spans several frames), `form` (`number`: the bytes are
//! one number; `redacted`: they were replaced) and `children`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::print::Gloss;
use crate::inspector::model::annotation::{Annotation, Form, Layer, Part, Rule};
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning, Message, Restored};
use crate::inspector::model::redaction::Redaction;
use crate::inspector::model::schema::{CallKind, Schema};
use crate::inspector::model::text::Text;
use crate::inspector::model::tree::Node;

/// Writes conversations as JSON lines; each line ends with a line break.
#[derive(Clone, Debug)]
pub struct JsonLines {
    pub(super) redaction: Redaction,
    kinds: Schema,
}

/// The properties of a connection besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The client's address.
    pub client: Option<String>,
    /// The server's address.
    pub server: Option<String>,
    /// The start of the times of its frames.
    pub began: Option<SystemTime>,
    /// True if the ports alone suggest which side is the client.
    pub roles_guessed: bool,
}

impl JsonLines {
    /// Returns a writer that applies `redaction` to every line.
    pub fn new(redaction: Redaction) -> Self {
        Self { redaction, kinds: Schema::new() }
    }

    /// Adds the kind of each call whose method the schema has.
    pub fn naming(self, schema: &Schema) -> Self {
        Self { kinds: schema.clone(), ..self }
    }

    /// Returns the first line of a connection.
    pub fn connection(&self, connection: u64, endpoints: &Endpoints) -> String {
        let began = endpoints.began.and_then(|began| began.duration_since(UNIX_EPOCH).ok());
        let Endpoints { client, server, roles_guessed, .. } = endpoints;
        line(&ConnectionLine {
            format: 1,
            connection,
            client: client.as_deref(),
            server: server.as_deref(),
            began: began.map(|began| began.as_secs_f64()),
            roles_guessed: *roles_guessed,
        })
    }

    /// Returns the line of a frame.
    pub fn frame(&self, connection: u64, frame: &Frame) -> String {
        self.frame_line(connection, frame, &self.redaction.apply(frame), None)
    }

    /// Returns the line of a frame without its headers, the content of its messages and its annotations. The reason is in
    /// `summary` and in the only annotation.
    pub fn brief(&self, connection: u64, frame: &Frame, why: &str) -> String {
        let mut shown = self.redaction.apply(frame).into_owned();
        shown.headers.clear();
        for message in &mut shown.messages {
            (message.tree, message.restored) = (None, None);
        }
        let whole = Annotation::new(0..shown.bytes.len(), Layer::Opaque, "not shown in full");
        shown.annotations = whole.value(why.to_owned()).into();
        self.frame_line(connection, frame, &shown, Some(why))
    }

    fn frame_line(&self, connection: u64, frame: &Frame, shown: &Frame, brief: Option<&str>) -> String {
        let header = shown.header();
        let hidden = |field| self.redaction.hides(field);
        line(&FrameLine {
            connection,
            number: shown.number,
            time: shown.time.as_secs_f64(),
            direction: match shown.direction {
                Direction::ToServer => "to_server",
                Direction::ToClient => "to_client",
            },
            offset: shown.offset,
            kind: match shown.kind {
                FrameKind::Before(_) => "before",
                FrameKind::Preface => "preface",
                FrameKind::Http2(_) => "frame",
                FrameKind::Truncated => "truncated",
                FrameKind::NotHttp2 => "bytes",
                FrameKind::Fragment => "fragment",
                FrameKind::Lost { .. } => "lost",
            },
            lost: match shown.kind {
                FrameKind::Lost { count } => Some(count),
                _ => None,
            },
            kind_of_frame: header.map(|header| header.kind.to_string()),
            flags: header.map(|header| header.flags),
            flag_names: header.map(|header| header.flag_names().split_whitespace().map(str::to_owned).collect()),
            stream: header.map(|header| header.stream).or(Some(shown.stream()).filter(|stream| *stream != 0)),
            length: header.map(|header| header.length),
            meaning: meaning(&shown.meaning),
            path: match &shown.meaning {
                Meaning::RequestHeaders { path } => Some(path),
                _ => None,
            },
            call_kind: match &shown.meaning {
                Meaning::RequestHeaders { path } => self.kinds.method(path).and_then(|types| types.kind).map(kind),
                _ => None,
            },
            status: match &shown.meaning {
                Meaning::Trailers { status } => status.as_deref(),
                Meaning::TrailersOnly { status } | Meaning::HttpResponse { status } => Some(status),
                _ => None,
            },
            summary: match brief {
                None => Gloss(shown).to_string(),
                Some(why) => format!("{} (not shown in full: {why})", Gloss(shown)),
            },
            headers: frame
                .headers
                .iter()
                .zip(&shown.headers)
                .map(|(own, field)| header_of(field, hidden(own)))
                .collect(),
            messages: shown.messages.iter().map(|message| message_of(shown, message)).collect(),
            faults: &shown.faults,
            bytes: Hex(&shown.bytes),
            annotations: nodes(&shown.annotations, None),
        })
    }

    /// Returns the last line of an output that has reached its size limit; the text says so.
    pub fn limit(&self, text: &str) -> String {
        line(&LimitLine { text })
    }

    /// Returns the last line of a connection: the end time, and the number of frames dropped because of the limit.
    pub fn end(&self, connection: u64, time: Duration, dropped: u64) -> String {
        line(&EndLine { connection, time: time.as_secs_f64(), dropped })
    }
}

pub(super) fn line(record: &impl Serialize) -> String {
    // Serialising a record can't fail: its keys are strings, its numbers finite.
    let mut line = serde_json::to_string(record).unwrap_or_default();
    line.push('\n');
    line
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "connection")]
struct ConnectionLine<'a> {
    format: u32,
    connection: u64,
    client: Option<&'a str>,
    server: Option<&'a str>,
    began: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    roles_guessed: bool,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "frame")]
struct FrameLine<'a> {
    connection: u64,
    number: u64,
    time: f64,
    direction: &'static str,
    offset: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind_of_frame: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag_names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    summary: String,
    headers: Vec<HeaderLine<'a>>,
    messages: Vec<MessageLine<'a>>,
    faults: &'a [String],
    bytes: Hex<'a>,
    annotations: Vec<NodeLine<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "end")]
struct EndLine {
    connection: u64,
    time: f64,
    dropped: u64,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "limit")]
struct LimitLine<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    name: Option<std::borrow::Cow<'a, str>>,
    value: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<Hex<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    never_indexed: bool,
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
}

#[derive(Serialize)]
struct MessageLine<'a> {
    number: u64,
    #[serde(rename = "type")]
    type_name: Option<&'a str>,
    length: u32,
    compressed: bool,
    segments: Vec<Segment>,
    fields: Vec<Field<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<NodeLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<RestoredLine<'a>>,
}

#[derive(Serialize)]
struct RestoredLine<'a> {
    bytes: Hex<'a>,
    annotations: Vec<NodeLine<'a>>,
}

#[derive(Serialize)]
struct Segment {
    frame: u64,
    range: [usize; 2],
}

#[derive(Serialize)]
struct Field<'a> {
    name: TextLine<'a>,
    value: TextLine<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct NodeLine<'a> {
    range: [usize; 2],
    layer: &'static str,
    #[serde(skip_serializing_if = "TextLine::is_empty")]
    label: TextLine<'a>,
    #[serde(skip_serializing_if = "TextLine::is_empty")]
    value: TextLine<'a>,
    #[serde(skip_serializing_if = "TextLine::is_empty")]
    detail: TextLine<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<NodeLine<'a>>,
}

#[derive(Serialize)]
struct RuleLine {
    document: &'static str,
    section: &'static str,
    url: String,
}

/// A text that is formatted while it is written.
struct TextLine<'a>(&'a Text);

struct Hex<'a>(&'a [u8]);

fn meaning(meaning: &Meaning) -> Option<&'static str> {
    Some(match meaning {
        Meaning::None => return None,
        Meaning::Headers => "headers",
        Meaning::RequestHeaders { .. } => "request_headers",
        Meaning::Informational => "informational",
        Meaning::ResponseHeaders => "response_headers",
        Meaning::HttpResponse { .. } => "http_response",
        Meaning::Trailers { .. } => "trailers",
        Meaning::TrailersOnly { .. } => "trailers_only",
        Meaning::Messages => "messages",
        Meaning::HalfClose => "half_close",
        Meaning::Data => "data",
    })
}

fn kind(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Unary => "unary",
        CallKind::ServerStreaming => "server_streaming",
        CallKind::ClientStreaming => "client_streaming",
        CallKind::BidiStreaming => "bidi_streaming",
    }
}

fn header_of(field: &HeaderField, redacted: bool) -> HeaderLine<'_> {
    let value = field.value.as_deref();
    HeaderLine {
        name: field.name.as_deref().map(String::from_utf8_lossy),
        value: value.map(String::from_utf8_lossy),
        value_hex: value.filter(|value| std::str::from_utf8(value).is_err()).map(Hex),
        never_indexed: field.never_indexed,
        redacted,
    }
}

fn message_of<'a>(frame: &'a Frame, message: &'a Message) -> MessageLine<'a> {
    let segment =
        |(frame, range): &(u64, std::ops::Range<usize>)| Segment { frame: *frame, range: [range.start, range.end] };
    MessageLine {
        number: message.number,
        type_name: message.type_name.as_deref(),
        length: message.length,
        compressed: message.compressed,
        segments: message.segments.iter().map(segment).collect(),
        fields: match &message.restored {
            Some(restored) => fields(&restored.annotations),
            None => frame.message_tree(message).map(|tree| fields(tree.children())).unwrap_or_default(),
        },
        tree: message.tree.as_ref().and_then(|tree| tree.iter().next()).map(|tree| node(tree, None)),
        restored: message.restored.as_deref().map(|Restored { bytes, annotations }| RestoredLine {
            bytes: Hex(bytes),
            annotations: nodes(annotations, None),
        }),
    }
}

/// Returns the protobuf fields among the nodes: those with children. The leaves between them are their encoding.
fn fields<'a>(nodes: impl IntoIterator<Item = Node<'a>>) -> Vec<Field<'a>> {
    let fields_below = nodes.into_iter().filter(|node| node.layer == Layer::Protobuf && !node.is_leaf());
    let field = |node: Node<'a>| {
        let annotation = node.annotation();
        Field { name: TextLine(&annotation.label), value: TextLine(&annotation.value), fields: fields(node.children()) }
    };
    fields_below.map(field).collect()
}

fn nodes<'a>(nodes: impl IntoIterator<Item = Node<'a>>, above: Option<&'static Rule>) -> Vec<NodeLine<'a>> {
    nodes.into_iter().map(|child| node(child, above)).collect()
}

/// Returns a node whose parent has the rule `above`.
fn node<'a>(node: Node<'a>, above: Option<&'static Rule>) -> NodeLine<'a> {
    let annotation = node.annotation();
    NodeLine {
        range: [annotation.range.start, annotation.range.end],
        layer: match annotation.layer {
            Layer::Before => "before",
            Layer::Frame => "frame",
            Layer::Payload => "payload",
            Layer::Hpack => "hpack",
            Layer::Grpc => "grpc",
            Layer::Protobuf => "protobuf",
            Layer::Opaque => "opaque",
        },
        label: TextLine(&annotation.label),
        value: TextLine(&annotation.value),
        detail: TextLine(&annotation.detail),
        rule: annotation.rule.filter(|rule| above != Some(rule)).map(|rule| RuleLine {
            document: rule.document.name(),
            section: rule.section,
            url: rule.link(),
        }),
        fault: annotation.fault.as_deref(),
        part: match annotation.part {
            Part::Whole => None,
            Part::Head => Some("head"),
            Part::Middle => Some("middle"),
            Part::Tail => Some("tail"),
        },
        form: match annotation.form {
            Form::Bytes => None,
            Form::Number => Some("number"),
            Form::Redacted => Some("redacted"),
        },
        children: nodes(node.children(), annotation.rule.or(above)),
    }
}

impl TextLine<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for TextLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
        let digits: String = self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect();
        serializer.serialize_str(&digits)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
