//! Shows frames in outline: a line for each, followed by the headers and messages that it completes.
//!
//! ```text
//! frame 5 client ──▶ server  HEADERS  stream 1  END_HEADERS  Request-Headers
//!     :path: /routeguide.RouteGuide/GetFeature
//! frame 6 client ──▶ server  DATA  stream 1  END_STREAM  Length-Prefixed-Message, EOS  11 bytes
//!     routeguide.Point, 6 bytes: latitude: 409172122
//! ```

use std::fmt::{self, Write as _};

use super::print::{Description, Gloss};
use crate::inspector::model::annotation::Layer;
use crate::inspector::model::frame::{Frame, FrameKind, Message, Preamble};
use crate::inspector::model::text::{self, Count, Plain};
use crate::inspector::model::tree::{Node, Nodes};
use crate::wire::http2::FrameType;

/// The most characters of a header value or a message that are shown.
const SHOWN: usize = 200;

/// Returns a frame in outline; each line ends with a line break.
pub fn lines(frame: &Frame) -> String {
    let mut out = String::with_capacity(ROOM);
    push(&mut out, format_args!("frame {} {}", frame.number, frame.direction));
    push_word(&mut out, Description(frame));
    push_word(&mut out, Gloss(frame));
    match frame.header().filter(|header| header.kind == FrameType::DATA) {
        Some(header) => push_word(&mut out, Count(header.length.into(), "byte")),
        None if matches!(frame.kind, FrameKind::Before(_)) => push_word(&mut out, before(frame)),
        None if frame.headers.is_empty() => push_word(&mut out, values(&frame.annotations, Layer::Payload)),
        None => {}
    }
    match frame.kind {
        FrameKind::NotHttp2 if frame.is_tls() => push_word(&mut out, Count(frame.bytes.len() as u64, "byte")),
        FrameKind::NotHttp2 | FrameKind::Truncated | FrameKind::Fragment => {
            push_word(&mut out, shorten(&text::plain(&frame.bytes)));
        }
        _ => {}
    }
    out.push('\n');
    for field in &frame.headers {
        let [name, value] = [&field.name, &field.value].map(|part| Plain(part.as_deref().unwrap_or(b"unknown")));
        push(&mut out, format_args!("    {name}: "));
        push_short(&mut out, |out| push(out, value));
        out.push('\n');
    }
    if let Some(details) = &frame.details {
        let status = values(&details.annotations, Layer::Protobuf);
        push(&mut out, format_args!("    google.rpc.Status: {status}\n"));
    }
    for message in &frame.messages {
        out.push_str("    ");
        push_outline(&mut out, frame, message);
        out.push('\n');
    }
    let of_bytes = frame.annotations.all().iter().filter_map(|annotation| annotation.fault.as_deref());
    let mut last = None;
    for fault in frame.faults.iter().map(String::as_str).chain(of_bytes) {
        if last.replace(fault) != Some(fault) {
            push(&mut out, format_args!("    ✗ {fault}\n"));
        }
    }
    out
}

/// Returns one of a frame's messages as a line: "routeguide.Point, 6 bytes: latitude: 409172122".
pub fn outline(frame: &Frame, message: &Message) -> String {
    let mut out = String::new();
    push_outline(&mut out, frame, message);
    out
}

fn push_outline(out: &mut String, frame: &Frame, message: &Message) {
    let name = message.type_name.as_deref().unwrap_or("message");
    push(out, format_args!("{name}, {}", Count(message.length.into(), "byte")));
    match &message.restored {
        Some(restored) => {
            push(out, format_args!(", compressed from {}", Count(restored.bytes.len() as u64, "byte")));
        }
        None if message.compressed => out.push_str(", compressed"),
        None => {}
    }
    if let Some(limit) = message.hidden_by {
        push(out, format_args!(", not decoded: over --limit {limit}"));
    }
    let nodes = match &message.restored {
        Some(restored) => Some(restored.annotations.iter()),
        None => frame.message_tree(message).map(Node::children),
    };
    let head = out.len();
    out.push_str(": ");
    let fields = out.len();
    nodes.into_iter().for_each(|nodes| push_values(out, nodes, Layer::Protobuf));
    if out.len() == fields {
        out.truncate(head);
    }
}

/// Returns what bytes before HTTP/2 contain: the addresses of the PROXY protocol, the first line of a message.
pub(crate) fn before(frame: &Frame) -> String {
    match frame.kind {
        FrameKind::Before(Preamble::Proxy) => values(&frame.annotations, Layer::Before),
        FrameKind::Before(Preamble::Body) => text::count(frame.bytes.len() as u64, "byte"),
        _ => {
            let line = frame.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            shorten(&text::plain(line.trim_ascii_end()))
        }
    }
}

/// Returns the values of a layer's nodes, in the order of their bytes, shortened.
pub(crate) fn values<'a>(nodes: impl IntoIterator<IntoIter = Nodes<'a>>, layer: Layer) -> String {
    let mut values = String::new();
    push_values(&mut values, nodes.into_iter(), layer);
    values
}

fn push_values(out: &mut String, nodes: Nodes<'_>, layer: Layer) {
    // The rest is cut off; a character has at most four bytes.
    let enough = out.len() + 4 * (SHOWN + 1);
    push_short(out, |out| {
        let mut first = true;
        nodes.for_each(|node| push_value(out, node, layer, &mut first, enough));
    });
}

fn push_value(out: &mut String, node: Node<'_>, layer: Layer, first: &mut bool, enough: usize) {
    if out.len() >= enough {
        return;
    }
    let says = node.layer == layer && !node.label.is_empty() && !node.value.is_empty();
    // If a node has a value, its leaves are only the encoding of that value.
    let children = node.children().filter(|child| !says || !child.is_leaf());
    if !says {
        return children.for_each(|child| push_value(out, child, layer, first, enough));
    }
    out.push_str(if std::mem::take(first) { "" } else { ", " });
    push(out, format_args!("{}: {}", node.label, node.value));
    let end = out.len();
    out.push_str(" { ");
    let (inside, mut first) = (out.len(), true);
    children.for_each(|child| push_value(out, child, layer, &mut first, enough));
    match out.len() == inside {
        true => out.truncate(end),
        false => out.push_str(" }"),
    }
}

/// Initial capacity, enough for most frames.
const ROOM: usize = 256;

fn push(out: &mut String, what: impl fmt::Display) {
    // Writing to a String can't fail.
    let _ = write!(out, "{what}");
}

/// Appends a word to a line, unless it is empty.
fn push_word(out: &mut String, word: impl fmt::Display) {
    let end = out.len();
    out.push_str("  ");
    push(out, word);
    if out.len() == end + 2 {
        out.truncate(end);
    }
}

/// Shortens the text that `push` appends.
fn push_short(out: &mut String, push: impl FnOnce(&mut String)) {
    let start = out.len();
    push(out);
    let written = out.get(start..).filter(|written| written.len() > SHOWN);
    if let Some((end, _)) = written.and_then(|written| written.char_indices().nth(SHOWN)) {
        out.truncate(start + end);
        out.push('…');
    }
}

pub(crate) fn shorten(text: &str) -> String {
    let mut out = String::new();
    push_short(&mut out, |out| out.push_str(text));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::{Conversation, Direction, FieldType, Schema};

    /// Returns the pushed bytes in outline.
    fn outline_of(direction: Direction, pieces: &[&[u8]]) -> String {
        let mut schema = Schema::new();
        schema.add_method("/a.B/C", "a.Question", "a.Answer");
        schema.add_field("a.Question", 1, "latitude", FieldType::Int32);
        let mut conversation = Conversation::new(schema);
        pieces.iter().for_each(|piece| conversation.push(direction, piece));
        conversation.finish();
        conversation.take_frames().iter().map(lines).collect()
    }

    #[test]
    fn call_is_printed_as_one_line_for_each_frame() {
        let path = b"\x04\x06/a.B/C";
        let headers =
            [&[0, 0, 23, 1, 4, 0, 0, 0, 1, 0x83, 0x40, 5], &b":path"[..], &path[1..], &[0x40, 2], b"te", &[3], b"yes"];
        let headers = headers.concat();
        let data = [0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 2, 8, 42];
        let pieces: [&[u8]; 5] = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9],
            &headers,
            &data,
            &[0, 0],
        ];
        assert_eq!(
            outline_of(Direction::ToServer, &pieces),
            "\
frame 1 client ──▶ server  connection preface  this is HTTP/2
frame 2 client ──▶ server  SETTINGS  settings of the sender  MAX_CONCURRENT_STREAMS: 9
frame 3 client ──▶ server  HEADERS  stream 1  END_HEADERS  Request-Headers
    :method: POST
    :path: /a.B/C
    te: yes
frame 4 client ──▶ server  DATA  stream 1  END_STREAM  Length-Prefixed-Message, EOS  7 bytes
    a.Question, 2 bytes: latitude: 42
frame 5 client ──▶ server  incomplete  the bytes end here  \\0\\0
"
        );
    }

    #[test]
    fn faults_are_printed_below_their_line() {
        let seen = outline_of(Direction::ToClient, &[b"HTTP/1.1 400 Bad Request\r\n\r\n"]);
        assert!(seen.contains("HTTP/1.1 400 Bad Request"), "{seen}");
        let reset = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 3, 3, 0, 0, 0, 0, 1, 0, 0, 8];
        let seen = outline_of(Direction::ToClient, &[&reset]);
        assert!(seen.contains("    ✗ "), "{seen}");
    }
}
