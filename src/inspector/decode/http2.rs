//! Frames of HTTP/2 (RFC 9113, sections 4 and 6): the nine bytes before each, and the fields of every type.
//!
//! ```text
//! frame → length(24) type(8) flags(8) reserved(1) stream(31) payload            section 4.1
//!
//! DATA           [pad length(8)] data padding                                    6.1
//! HEADERS        [pad length(8)] [exclusive(1) dependency(31) weight(8)]
//!                header block fragment, padding                                  6.2
//! PRIORITY       exclusive(1) dependency(31) weight(8)                           6.3
//! RST_STREAM     error code(32)                                                  6.4
//! SETTINGS       (identifier(16) value(32))*                                     6.5
//! PUSH_PROMISE   [pad length(8)] reserved(1) promised stream(31)
//!                header block fragment, padding                                  6.6
//! PING           opaque data(64)                                                 6.7
//! GOAWAY         reserved(1) last stream(31) error code(32) debug data           6.8
//! WINDOW_UPDATE  reserved(1) increment(31)                                       6.9
//! CONTINUATION   header block fragment                                           6.10
//! ```

use std::fmt;
use std::ops::Range;

use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::text::{self, Format, Text};
use crate::inspector::model::tree::Tree;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Http2Error, Setting, settings};

/// The specification of each frame type, by number.
const RULES: [&Rule; 10] = [
    &Rule::http2("6.1"),
    &Rule::http2("6.2"),
    &Rule::http2("6.3"),
    &Rule::http2("6.4"),
    &Rule::http2("6.5"),
    &Rule::http2("6.6"),
    &Rule::http2("6.7"),
    &Rule::http2("6.8"),
    &Rule::http2("6.9"),
    &Rule::http2("6.10"),
];

/// Returns the rule of a frame type; section 4.1 for unknown types, which are ignored.
fn rule(kind: FrameType) -> &'static Rule {
    RULES.get(usize::from(kind.0)).copied().unwrap_or(FRAME_FORMAT)
}

/// Returns true if the type belongs to a stream, false for the connection; `None` if both are allowed, or if the type
/// is unknown.
fn on_a_stream(kind: FrameType) -> Option<bool> {
    match kind {
        FrameType::SETTINGS | FrameType::PING | FrameType::GOAWAY => Some(false),
        FrameType::WINDOW_UPDATE => None,
        _ => kind.is_defined().then_some(true),
    }
}

/// Returns a text about a header, formatted when it is read; `say` gets the header back with [`unpack`].
fn text(header: &FrameHeader, format: Format) -> Text {
    let packed = u64::from(header.length) << 16 | u64::from(header.kind.0) << 8 | u64::from(header.flags);
    Text::format(packed, header.stream, format)
}

fn unpack(packed: u64, stream: u32) -> FrameHeader {
    FrameHeader { length: (packed >> 16) as u32, kind: FrameType((packed >> 8) as u8), flags: packed as u8, stream }
}

/// A dissected frame without its body: the part of a header block, or of a stream's data, that it carries.
pub(crate) struct Dissection {
    pub(crate) before: Tree,
    pub(crate) body: Range<usize>,
    /// The padding.
    pub(crate) after: Option<Annotation>,
}

/// Dissects a whole frame. `frame` contains the nine bytes and the payload of the declared length.
pub(crate) fn dissect(header: &FrameHeader, frame: &[u8]) -> Dissection {
    let mut fields = FieldReader {
        frame,
        at: FRAME_HEADER,
        end: frame.len(),
        rule: rule(header.kind),
        tree: Tree::with_room_for(ROOM),
    };
    push_header(&mut fields.tree, header, frame);
    let size_fault = match (header.kind, header.length) {
        (FrameType::PRIORITY, length) if length != 5 => Some("PRIORITY must have 5 bytes"),
        (FrameType::RST_STREAM, length) if length != 4 => Some("RST_STREAM must have 4 bytes"),
        (FrameType::PING, length) if length != 8 => Some("PING must have 8 bytes"),
        (FrameType::WINDOW_UPDATE, length) if length != 4 => Some("WINDOW_UPDATE must have 4 bytes"),
        (FrameType::GOAWAY, length) if length < 8 => Some("GOAWAY must have at least 8 bytes"),
        (FrameType::SETTINGS, length) if length % 6 != 0 => Some("SETTINGS must have 6 bytes for each setting"),
        (FrameType::SETTINGS, 1..) if header.has(FrameHeader::ACK) => Some("SETTINGS with ACK must be empty"),
        _ => None,
    };
    if let Some(fault) = size_fault {
        if let Some(node) = fields.tree.all_mut().get_mut(0) {
            node.fault = Some(format!("FRAME_SIZE_ERROR: {fault}").into());
        }
        fields.rule = const { &Rule::http2("4.2") };
        fields.rest("payload", Layer::Payload);
        return fields.dissected(None);
    }
    let mut after = None;
    match header.kind {
        FrameType::DATA | FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => {
            after = fields.around_the_body(header);
        }
        FrameType::PRIORITY => fields.priority(),
        FrameType::RST_STREAM => fields.error_code(),
        FrameType::SETTINGS => fields.settings(),
        FrameType::GOAWAY => {
            fields.number(4, "last stream", |value| Text::number(value & 0x7fff_ffff));
            fields.error_code();
            fields.rest("debug data", Layer::Payload);
        }
        FrameType::WINDOW_UPDATE => {
            let increment = frame.last_chunk().map_or(0, |&last| u32::from_be_bytes(last) & 0x7fff_ffff);
            fields.number(4, "increment", |_| Text::bytes(increment.into()));
            if let (0, Some(leaf)) = (increment, fields.tree.last_mut()) {
                leaf.fault = Some("PROTOCOL_ERROR: the increment must not be 0".into());
            }
        }
        FrameType::PING => fields.opaque_data(),
        _ => fields.rest("payload of an unknown type", Layer::Opaque),
    }
    fields.dissected(after)
}

/// Initial capacity, enough for most frames: the nine bytes, and a small message or a header block of indices.
const ROOM: usize = 16;

/// Adds the nine bytes as a node: a summary, and a leaf for each field.
pub(super) fn push_header(tree: &mut Tree, header: &FrameHeader, frame: &[u8]) {
    let reserved = frame.get(5).is_some_and(|byte| byte & 0x80 != 0);
    let stream_fault = match (on_a_stream(header.kind), header.stream) {
        _ if reserved => Some("the reserved bit is set".to_owned()),
        (Some(true), 0) => Some(format!("PROTOCOL_ERROR: {} belongs to a stream", header.kind)),
        (Some(false), 1..) => Some(format!("PROTOCOL_ERROR: {} belongs to the connection", header.kind)),
        _ => None,
    };
    let summary = text(header, |packed, stream, f| {
        let header = unpack(packed, stream);
        let (length, flags) = (text::count(header.length.into(), "byte"), header.flag_names());
        let flags = if flags.is_empty() { flags } else { format!(" {flags},") };
        write!(f, "{length}, {},{flags} {}", header.kind, stream_name(stream))
    });
    let node = tree.open(header_leaf(0..FRAME_HEADER, "", summary).detail("frame header"));
    tree.push(header_leaf(0..3, "length", Text::bytes(header.length.into())));
    let kind = text(header, |packed, _, f| write!(f, "{}", unpack(packed, 0).kind));
    tree.push(header_leaf(3..4, "type", kind));
    tree.push(header_leaf(4..5, "flags", text(header, say_flags)));
    let stream = text(header, |_, stream, f| f.write_str(&stream_name(stream)));
    tree.push(header_leaf(5..9, "stream", stream).fault(stream_fault));
    tree.close(node);
}

fn say_flags(packed: u64, stream: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match unpack(packed, stream).flag_names().as_str() {
        "" => f.write_str("none"),
        names => f.write_str(names),
    }
}

fn stream_name(stream: u32) -> String {
    if stream == 0 { "the connection".to_owned() } else { format!("stream {stream}") }
}

fn header_leaf(range: Range<usize>, label: &'static str, value: Text) -> Annotation {
    Annotation::new(range, Layer::Frame, label).value(value).rule(FRAME_FORMAT).number()
}

/// Returns the leaf of the client connection preface, or of a part of it.
pub(super) fn preface_leaf(length: usize) -> Annotation {
    Annotation::new(0..length, Layer::Frame, "")
        .value("\"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\"")
        .detail("connection preface")
        .rule(const { &Rule::http2("3.4") })
}

const FRAME_FORMAT: &Rule = &Rule::http2("4.1");

/// A cursor over the fixed fields of a payload, each of which becomes a leaf; `at` never exceeds `end`.
struct FieldReader<'a> {
    frame: &'a [u8],
    at: usize,
    end: usize,
    rule: &'static Rule,
    tree: Tree,
}

impl FieldReader<'_> {
    /// Reads the next `length` bytes as a big-endian number. At the end of the payload it reads fewer; the length check
    /// already reported that.
    fn number(&mut self, length: usize, label: &'static str, show: impl Fn(u64) -> Text) {
        let end = self.at.saturating_add(length).min(self.end);
        let range = self.at..end;
        self.at = end;
        let bytes = self.frame.get(range.clone()).unwrap_or_default();
        let value = bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        self.tree.push(Annotation::new(range, Layer::Payload, label).value(show(value)).rule(self.rule).number());
    }

    fn rest(&mut self, label: &'static str, layer: Layer) {
        let range = self.at..self.end;
        self.at = self.end;
        let shown = text::plain(self.frame.get(range.clone()).unwrap_or_default());
        self.tree.push(Annotation::new(range, layer, label).value(shown).rule(self.rule));
    }

    /// Adds the eight bytes of a PING as hex digits.
    fn opaque_data(&mut self) {
        let range = self.at..self.end;
        self.at = self.end;
        let data =
            self.frame.get(range.clone()).and_then(<[u8]>::first_chunk).map_or(0, |data| u64::from_be_bytes(*data));
        let shown = Text::format(data, 0, |data, _, f| write!(f, "{data:016x}"));
        self.tree.push(Annotation::new(range, Layer::Payload, "opaque data").value(shown).rule(self.rule));
    }

    fn error_code(&mut self) {
        let of_frame = std::mem::replace(&mut self.rule, const { &Rule::http2("7") });
        self.number(4, "error code", |code| {
            Text::format(code, 0, |code, _, f| write!(f, "{}", Http2Error(code as u32)))
        });
        self.rule = of_frame;
    }

    fn priority(&mut self) {
        self.number(4, "stream dependency", |value| {
            let exclusive = if value >> 31 == 1 { ", exclusive" } else { "" };
            format!("stream {}{exclusive}", value & 0x7fff_ffff).into()
        });
        // Deprecated, but still sent (RFC 9113, section 5.3.2).
        self.number(1, "weight", |value| Text::number(value + 1));
    }

    fn settings(&mut self) {
        // Nine settings are defined. The limit bounds the annotations of a frame that repeats them.
        const MOST: usize = 1024;
        for _ in 0..MOST {
            let place = self.at..self.at.saturating_add(6);
            let bytes = self.frame.get(place.clone()).unwrap_or_default();
            let Some((id, value)) = settings(bytes).next() else { break };
            let (name, fault) = setting(id, value);
            let detail = Text::format(id.0.into(), 0, |id, _, f| write!(f, "setting {id}"));
            let node = Annotation::new(place, Layer::Payload, name.clone()).value(Text::number(value.into()));
            let node = self.tree.open(node.detail(detail).rule(self.rule).fault(fault));
            self.number(2, "identifier", |_| name.clone());
            self.number(4, "value", Text::number);
            self.tree.close(node);
        }
        self.rest("more settings", Layer::Payload);
    }

    /// Adds the fields around a header block fragment or data; leaves `at..end` as the body and returns the padding.
    fn around_the_body(&mut self, header: &FrameHeader) -> Option<Annotation> {
        let mut padding = 0;
        let padded = header.has(FrameHeader::PADDED) && header.kind != FrameType::CONTINUATION;
        let pad_place = self.tree.len();
        if padded && self.at < self.end {
            padding = self.frame.get(self.at).copied().unwrap_or_default();
            self.number(1, "pad length", Text::bytes);
        }
        if header.kind == FrameType::HEADERS && header.has(FrameHeader::PRIORITY) {
            self.priority();
        }
        if header.kind == FrameType::PUSH_PROMISE {
            self.number(4, "promised stream", |value| Text::number(value & 0x7fff_ffff));
        }
        let padding = usize::from(padding);
        if padding > self.end - self.at {
            if let Some(leaf) = self.tree.all_mut().get_mut(pad_place) {
                leaf.fault = Some("PROTOCOL_ERROR: more padding than payload".into());
            }
            return None;
        }
        if padding == 0 {
            return None;
        }
        let range = self.end - padding..self.end;
        self.end = range.start;
        let zeros = self.frame.get(range.clone()).unwrap_or_default().iter().all(|&byte| byte == 0);
        let leaf = Annotation::new(range, Layer::Payload, "padding").value(Text::bytes(padding as u64));
        Some(leaf.rule(self.rule).fault((!zeros).then_some("padding is not all zeros")))
    }

    fn dissected(self, after: Option<Annotation>) -> Dissection {
        Dissection { before: self.tree, body: self.at..self.end, after }
    }
}

/// Returns the name of a setting, and the fault of its value (RFC 9113, section 6.5.2).
fn setting(id: Setting, value: u32) -> (Text, Option<&'static str>) {
    let fault = match (id, value) {
        (Setting::ENABLE_PUSH, 2..) => Some("PROTOCOL_ERROR: must be 0 or 1"),
        (Setting::INITIAL_WINDOW_SIZE, 0x8000_0000..) => Some("FLOW_CONTROL_ERROR: must not exceed 2147483647"),
        (Setting::MAX_FRAME_SIZE, ..0x4000 | 0x100_0000..) => Some("PROTOCOL_ERROR: must be 16384 to 16777215"),
        _ => None,
    };
    let unknown = || Text::format(id.0.into(), 0, |id, _, f| write!(f, "{}", Setting(id as u16)));
    (id.name().map_or_else(unknown, Text::from), fault)
}
