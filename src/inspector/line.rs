//! Frames in outline: a line for each, and below it the headers and messages that it completes.
//!
//! ```text
//! client ──▶ server  HEADERS  stream 1  END_HEADERS  Request-Headers
//!     :path: /routeguide.RouteGuide/GetFeature
//! client ──▶ server  DATA  stream 1  END_STREAM  Length-Prefixed-Message, EOS  11 bytes
//!     routeguide.Point, 6 bytes: latitude: 409172122
//! ```

use super::annotation::Layer;
use super::frame::{Frame, FrameKind, Message};
use super::http2::FrameType;
use super::print::{describe, gloss};
use super::text;
use super::tree::Node;

/// The most characters of a header value or of a message that are shown.
const SHOWN: usize = 200;

/// A frame in outline; each line ends with a line break.
pub fn lines(frame: &Frame) -> String {
    let mut words = vec![frame.direction.to_string()];
    words.push(match &frame.kind {
        FrameKind::Preface => "connection preface".to_owned(),
        FrameKind::Http2(header) => describe(header),
        FrameKind::Truncated => "incomplete".to_owned(),
        FrameKind::NotHttp2 => "bytes".to_owned(),
        FrameKind::Fragment => "part of a frame".to_owned(),
        FrameKind::Lost { .. } => "lost".to_owned(),
    });
    words.push(gloss(frame));
    let data = frame.header().filter(|header| header.kind == FrameType::DATA);
    words.extend(data.map(|header| text::count(header.length.into(), "byte")));
    if data.is_none() && frame.headers.is_empty() {
        words.push(shorten(&values(&frame.annotations, Layer::Payload)));
    }
    if matches!(frame.kind, FrameKind::NotHttp2 | FrameKind::Truncated | FrameKind::Fragment) {
        words.push(shorten(&text::plain(&frame.bytes)));
    }
    let mut out = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ");
    out.push('\n');
    let unknown = || "unknown".to_owned();
    for field in &frame.headers {
        let [name, value] = [&field.name, &field.value].map(|part| part.as_deref().map_or_else(unknown, text::plain));
        out.push_str(&format!("    {name}: {}\n", shorten(&value)));
    }
    if let Some(details) = &frame.details {
        out.push_str(&format!("    google.rpc.Status: {}\n", shorten(&values(&details.annotations, Layer::Protobuf))));
    }
    for message in &frame.messages {
        out.push_str(&format!("    {}\n", outline(frame, message)));
    }
    let mut faults = Vec::new();
    faults.extend(frame.faults.iter().map(String::as_str));
    faults.extend(frame.annotations.all().iter().filter_map(|annotation| annotation.fault.as_deref()));
    faults.dedup();
    for fault in faults {
        out.push_str(&format!("    ✗ {fault}\n"));
    }
    out
}

/// One of a frame's messages in a line: "routeguide.Point, 6 bytes: latitude: 409172122".
pub fn outline(frame: &Frame, message: &Message) -> String {
    let name = message.type_name.as_deref().unwrap_or("message");
    let compressed = match &message.restored {
        Some(restored) => format!(", compressed from {}", text::count(restored.bytes.len() as u64, "byte")),
        None if message.compressed => ", compressed".to_owned(),
        None => String::new(),
    };
    let head = format!("{name}, {}{compressed}", text::count(message.length.into(), "byte"));
    let fields = match &message.restored {
        Some(restored) => Some(values(&restored.annotations, Layer::Protobuf)),
        None => frame.message_tree(message).map(|tree| values(tree.children(), Layer::Protobuf)),
    };
    match fields.filter(|fields| !fields.is_empty()) {
        Some(fields) => format!("{head}: {}", shorten(&fields)),
        None => head,
    }
}

/// What the nodes of a layer say, in the order of their bytes.
pub(super) fn values<'a>(nodes: impl IntoIterator<Item = Node<'a>>, layer: Layer) -> String {
    let mut values = Vec::new();
    nodes.into_iter().for_each(|node| collect_values(node, layer, &mut values));
    values.join(", ")
}

fn collect_values(node: Node<'_>, layer: Layer, values: &mut Vec<String>) {
    let says = node.layer == layer && !node.label.is_empty() && !node.value.is_empty();
    // The leaves of a node that says what it means are how that is encoded.
    let children = node.children().filter(|child| !says || !child.is_leaf());
    if !says {
        return children.for_each(|child| collect_values(child, layer, values));
    }
    let mut within = Vec::new();
    children.for_each(|child| collect_values(child, layer, &mut within));
    let within = if within.is_empty() { String::new() } else { format!(" {{ {} }}", within.join(", ")) };
    values.push(format!("{}: {}{within}", node.label, node.value));
}

pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Conversation, Direction, FieldType, Schema};
    use super::*;

    /// What is pushed, in outline.
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
    fn a_call_is_a_line_a_frame_with_its_headers_and_messages() {
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
client ──▶ server  connection preface  this is HTTP/2
client ──▶ server  SETTINGS  what this side accepts  MAX_CONCURRENT_STREAMS: 9
client ──▶ server  HEADERS  stream 1  END_HEADERS  Request-Headers
    :method: POST
    :path: /a.B/C
    te: yes
client ──▶ server  DATA  stream 1  END_STREAM  Length-Prefixed-Message, EOS  7 bytes
    a.Question, 2 bytes: latitude: 42
client ──▶ server  incomplete  the bytes end here  \\0\\0
"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let seen = outline_of(Direction::ToClient, &[b"HTTP/1.1 400 Bad Request\r\n\r\n"]);
        assert!(seen.contains("HTTP/1.1 400 Bad Request"), "{seen}");
        let reset = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 3, 3, 0, 0, 0, 0, 1, 0, 0, 8];
        let seen = outline_of(Direction::ToClient, &[&reset]);
        assert!(seen.contains("    ✗ "), "{seen}");
    }
}
