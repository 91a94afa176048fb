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

use super::annotation::{Annotation, Layer, Rule};
use super::text::{self, Say, Text};
use super::tree::Tree;

/// What a client sends before its first frame (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes before each frame's payload.
pub(super) const HEADER_LEN: usize = 9;

/// The nine bytes before a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The length of the payload in bytes, at most 2^24 - 1.
    pub length: u32,
    /// What the frame is for.
    pub kind: FrameType,
    /// The flags; what each bit means depends on the type.
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
}

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameType(pub u8);

#[allow(missing_docs)]
impl FrameType {
    pub const DATA: Self = Self(0x0);
    pub const HEADERS: Self = Self(0x1);
    pub const PRIORITY: Self = Self(0x2);
    pub const RST_STREAM: Self = Self(0x3);
    pub const SETTINGS: Self = Self(0x4);
    pub const PUSH_PROMISE: Self = Self(0x5);
    pub const PING: Self = Self(0x6);
    pub const GOAWAY: Self = Self(0x7);
    pub const WINDOW_UPDATE: Self = Self(0x8);
    pub const CONTINUATION: Self = Self(0x9);

    /// The names and rules; the position is the number.
    const KNOWN: [(&'static str, &'static Rule); 10] = [
        ("DATA", &Rule::http2("6.1")),
        ("HEADERS", &Rule::http2("6.2")),
        ("PRIORITY", &Rule::http2("6.3")),
        ("RST_STREAM", &Rule::http2("6.4")),
        ("SETTINGS", &Rule::http2("6.5")),
        ("PUSH_PROMISE", &Rule::http2("6.6")),
        ("PING", &Rule::http2("6.7")),
        ("GOAWAY", &Rule::http2("6.8")),
        ("WINDOW_UPDATE", &Rule::http2("6.9")),
        ("CONTINUATION", &Rule::http2("6.10")),
    ];

    fn rule(self) -> &'static Rule {
        // A frame of an unknown type is ignored, as section 4.1 has it.
        Self::KNOWN.get(usize::from(self.0)).map_or(FRAME_FORMAT, |(_, rule)| rule)
    }

    /// Whether such a frame belongs to a stream; `None` where it may belong to either, or where that is unknown.
    fn on_a_stream(self) -> Option<bool> {
        match self {
            Self::SETTINGS | Self::PING | Self::GOAWAY => Some(false),
            Self::WINDOW_UPDATE => None,
            _ => (self.0 <= 0x9).then_some(true),
        }
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Self::KNOWN.get(usize::from(self.0)), self.0) {
            (Some((name, _)), _) => f.write_str(name),
            (None, 0xa) => f.write_str("ALTSVC"),
            (None, 0xc) => f.write_str("ORIGIN"),
            (None, 0x10) => f.write_str("PRIORITY_UPDATE"),
            (None, number) => write!(f, "type 0x{number:x}"),
        }
    }
}

/// An error code of RST_STREAM or GOAWAY (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match usize::try_from(self.0).ok().and_then(|code| NAMES.get(code)) {
            Some(name) => f.write_str(name),
            None => write!(f, "error 0x{:x}", self.0),
        }
    }
}

impl FrameHeader {
    /// END_STREAM of DATA and HEADERS: the sender's last frame but for CONTINUATION.
    pub const END_STREAM: u8 = 0x1;
    /// ACK of SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    /// END_HEADERS of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub const END_HEADERS: u8 = 0x4;
    /// PADDED of DATA, HEADERS and PUSH_PROMISE.
    pub const PADDED: u8 = 0x8;
    /// PRIORITY of HEADERS.
    pub const PRIORITY: u8 = 0x20;

    /// Reads the first nine bytes; `None` if there are fewer.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: FrameType(kind),
            flags,
            stream: u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff,
        })
    }

    /// A text about the header that is made when it is read; `say` gets the header back with [`Self::unpack`].
    fn said(&self, say: Say) -> Text {
        Text::said(u64::from(self.length) << 16 | u64::from(self.kind.0) << 8 | u64::from(self.flags), self.stream, say)
    }

    fn unpack(packed: u64, stream: u32) -> Self {
        Self { length: (packed >> 16) as u32, kind: FrameType((packed >> 8) as u8), flags: packed as u8, stream }
    }

    /// Whether the frame has this flag. Only ask for a flag that the type defines.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the sender sends no more than this (and its CONTINUATION) on the stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, FrameType::DATA | FrameType::HEADERS) && self.has(Self::END_STREAM)
    }

    /// The names of the flags that are set, divided by spaces; those that the type does not define as one number.
    pub fn flag_names(&self) -> String {
        FlagNames(*self).to_string()
    }
}

/// [`FrameHeader::flag_names`] while they are written.
pub(super) struct FlagNames(pub(super) FrameHeader);

impl fmt::Display for FlagNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(header) = self;
        let defined: &[(u8, &str)] = match header.kind {
            FrameType::DATA => &[(0x1, "END_STREAM"), (0x8, "PADDED")],
            FrameType::HEADERS => &[(0x1, "END_STREAM"), (0x4, "END_HEADERS"), (0x8, "PADDED"), (0x20, "PRIORITY")],
            FrameType::SETTINGS | FrameType::PING => &[(0x1, "ACK")],
            FrameType::PUSH_PROMISE => &[(0x4, "END_HEADERS"), (0x8, "PADDED")],
            FrameType::CONTINUATION => &[(0x4, "END_HEADERS")],
            _ => &[],
        };
        let (mut rest, mut gap) = (header.flags, "");
        for (flag, name) in defined.iter().filter(|(flag, _)| header.has(*flag)) {
            write!(f, "{gap}{name}")?;
            (rest, gap) = (rest & !flag, " ");
        }
        if rest == 0 { Ok(()) } else { write!(f, "{gap}0x{rest:x}") }
    }
}

/// A frame taken apart, but for its body: the part of a header block, or of a stream's data, that it carries.
pub(super) struct Dissection {
    pub(super) before: Tree,
    pub(super) body: Range<usize>,
    /// The padding.
    pub(super) after: Option<Annotation>,
}

/// Takes a whole frame apart. `frame` has the nine bytes and the payload that they declare.
pub(super) fn dissect(header: &FrameHeader, frame: &[u8]) -> Dissection {
    let mut fields = FieldReader {
        frame,
        at: HEADER_LEN,
        end: frame.len(),
        rule: header.kind.rule(),
        tree: Tree::with_room_for(ROOM),
    };
    push_header(&mut fields.tree, header, frame);
    let size_fault = match (header.kind, header.length) {
        (FrameType::PRIORITY, length) if length != 5 => Some("a PRIORITY has 5 bytes"),
        (FrameType::RST_STREAM, length) if length != 4 => Some("an RST_STREAM has 4 bytes"),
        (FrameType::PING, length) if length != 8 => Some("a PING has 8 bytes"),
        (FrameType::WINDOW_UPDATE, length) if length != 4 => Some("a WINDOW_UPDATE has 4 bytes"),
        (FrameType::GOAWAY, length) if length < 8 => Some("a GOAWAY has at least 8 bytes"),
        (FrameType::SETTINGS, length) if length % 6 != 0 => Some("SETTINGS have 6 bytes each"),
        (FrameType::SETTINGS, 1..) if header.has(FrameHeader::ACK) => Some("an acknowledgement has no settings"),
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
                leaf.fault = Some("PROTOCOL_ERROR: an increment of 0".into());
            }
        }
        FrameType::PING => fields.opaque_data(),
        _ => fields.rest("payload of an unknown type", Layer::Opaque),
    }
    fields.dissected(after)
}

/// Most frames have no more annotations: those of the nine bytes, and of a small message or a header block of indices.
const ROOM: usize = 16;

/// The settings of a SETTINGS frame's payload: identifier and value.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    payload.chunks_exact(6).filter_map(|setting| {
        let (&id, value) = setting.split_first_chunk()?;
        Some((u16::from_be_bytes(id), u32::from_be_bytes(*value.first_chunk()?)))
    })
}

/// SETTINGS_HEADER_TABLE_SIZE (section 6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;

/// GRPC_ALLOW_TRUE_BINARY_METADATA (gRFC G1): binary metadata may be sent to who says 1 as it is, behind a NUL.
pub(super) const ALLOW_TRUE_BINARY_METADATA: u16 = 0xfe03;

/// The nine bytes as a node: a summary of them, and a leaf for each field.
pub(super) fn push_header(tree: &mut Tree, header: &FrameHeader, frame: &[u8]) {
    let reserved = frame.get(5).is_some_and(|byte| byte & 0x80 != 0);
    let stream_fault = match (header.kind.on_a_stream(), header.stream) {
        _ if reserved => Some("the reserved bit is set".to_owned()),
        (Some(true), 0) => Some(format!("PROTOCOL_ERROR: {} belongs to a stream", header.kind)),
        (Some(false), 1..) => Some(format!("PROTOCOL_ERROR: {} belongs to the connection", header.kind)),
        _ => None,
    };
    let summary = header.said(|packed, stream, f| {
        let header = FrameHeader::unpack(packed, stream);
        let (length, flags) = (text::count(header.length.into(), "byte"), header.flag_names());
        let flags = if flags.is_empty() { flags } else { format!(" {flags},") };
        write!(f, "{length}, {},{flags} {}", header.kind, stream_name(stream))
    });
    let node = tree.open(header_leaf(0..HEADER_LEN, "", summary).detail("frame header"));
    tree.push(header_leaf(0..3, "length", Text::bytes(header.length.into())));
    let kind = header.said(|packed, _, f| write!(f, "{}", FrameHeader::unpack(packed, 0).kind));
    tree.push(header_leaf(3..4, "type", kind));
    tree.push(header_leaf(4..5, "flags", header.said(say_flags)));
    let stream = header.said(|_, stream, f| f.write_str(&stream_name(stream)));
    tree.push(header_leaf(5..9, "stream", stream).fault(stream_fault));
    tree.close(node);
}

fn say_flags(packed: u64, stream: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match FrameHeader::unpack(packed, stream).flag_names().as_str() {
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

/// The client connection preface, or as much of it as there is.
pub(super) fn preface_leaf(length: usize) -> Annotation {
    Annotation::new(0..length, Layer::Frame, "")
        .value("\"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\"")
        .detail("connection preface")
        .rule(const { &Rule::http2("3.4") })
}

const FRAME_FORMAT: &Rule = &Rule::http2("4.1");

/// A cursor over a payload's fixed fields, each of which becomes a leaf; `at` never passes `end`.
struct FieldReader<'a> {
    frame: &'a [u8],
    at: usize,
    end: usize,
    rule: &'static Rule,
    tree: Tree,
}

impl FieldReader<'_> {
    /// The next `length` bytes as a big-endian number. Fewer where the payload ends, which its length has ruled out.
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

    /// The eight bytes of a PING, in hex digits.
    fn opaque_data(&mut self) {
        let range = self.at..self.end;
        self.at = self.end;
        let data =
            self.frame.get(range.clone()).and_then(<[u8]>::first_chunk).map_or(0, |data| u64::from_be_bytes(*data));
        let shown = Text::said(data, 0, |data, _, f| write!(f, "{data:016x}"));
        self.tree.push(Annotation::new(range, Layer::Payload, "opaque data").value(shown).rule(self.rule));
    }

    fn error_code(&mut self) {
        let of_frame = std::mem::replace(&mut self.rule, const { &Rule::http2("7") });
        self.number(4, "error code", |code| Text::said(code, 0, |code, _, f| write!(f, "{}", ErrorCode(code as u32))));
        self.rule = of_frame;
    }

    fn priority(&mut self) {
        self.number(4, "stream dependency", |value| {
            let exclusive = if value >> 31 == 1 { ", exclusive" } else { "" };
            format!("stream {}{exclusive}", value & 0x7fff_ffff).into()
        });
        // Deprecated, and still sent (RFC 9113, section 5.3.2).
        self.number(1, "weight", |value| Text::number(value + 1));
    }

    fn settings(&mut self) {
        // There are nine; a frame that repeats them without end is not told apart to its end.
        const MOST: usize = 1024;
        for _ in 0..MOST {
            let place = self.at..self.at.saturating_add(6);
            let bytes = self.frame.get(place.clone()).unwrap_or_default();
            let Some((id, value)) = settings(bytes).next() else { break };
            let (name, fault) = setting(id, value);
            let detail = Text::said(id.into(), 0, |id, _, f| write!(f, "setting {id}"));
            let node = Annotation::new(place, Layer::Payload, name.clone()).value(Text::number(value.into()));
            let node = self.tree.open(node.detail(detail).rule(self.rule).fault(fault));
            self.number(2, "identifier", |_| name.clone());
            self.number(4, "value", Text::number);
            self.tree.close(node);
        }
        self.rest("more settings", Layer::Payload);
    }

    /// What stands around a header block fragment or data; leaves `at..end` as the body, and gives the padding behind it.
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

/// The name of a setting and what is wrong with its value (RFC 9113, section 6.5.2).
fn setting(id: u16, value: u32) -> (Text, Option<&'static str>) {
    let (name, fault) = match (id, value) {
        (HEADER_TABLE_SIZE, _) => ("HEADER_TABLE_SIZE", None),
        (2, 0..=1) => ("ENABLE_PUSH", None),
        (2, _) => ("ENABLE_PUSH", Some("PROTOCOL_ERROR: neither 0 nor 1")),
        (3, _) => ("MAX_CONCURRENT_STREAMS", None),
        (4, 0..=0x7fff_ffff) => ("INITIAL_WINDOW_SIZE", None),
        (4, _) => ("INITIAL_WINDOW_SIZE", Some("FLOW_CONTROL_ERROR: over 2147483647")),
        (5, 0x4000..=0xff_ffff) => ("MAX_FRAME_SIZE", None),
        (5, _) => ("MAX_FRAME_SIZE", Some("PROTOCOL_ERROR: not within 16384 to 16777215")),
        (6, _) => ("MAX_HEADER_LIST_SIZE", None),
        (8, _) => ("ENABLE_CONNECT_PROTOCOL", None),
        (9, _) => ("NO_RFC7540_PRIORITIES", None),
        (ALLOW_TRUE_BINARY_METADATA, _) => ("GRPC_ALLOW_TRUE_BINARY_METADATA", None),
        _ => return (Text::said(id.into(), 0, |id, _, f| write!(f, "setting 0x{id:x}")), None),
    };
    (name.into(), fault)
}
