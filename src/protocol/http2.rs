//! The parts of HTTP/2 that this crate reads and writes itself: the preface, frame headers, and the names and numbers of frames,
//! flags, settings and errors (RFC 9113). h2 enforces their rules.
//!
//! ```text
//! frame → length(24) type(8) flags(8) reserved(1) stream(31) payload            section 4.1
//! ```

use std::fmt;

/// The bytes that a client sends before its first frame (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame's header in bytes.
pub const FRAME_HEADER: usize = 9;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The length of the payload in bytes, at most 2^24 - 1.
    pub length: u32,
    /// The type of the frame.
    pub kind: FrameType,
    /// The flags; what each bit means depends on the type.
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
}

/// The type of a frame. Any number is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameType(pub u8);

/// The identifier of a setting (section 6.5.2). Any number is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting(pub u16);

#[allow(missing_docs)] // The names are those of sections 6.1 to 6.10, which say what each means.
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
}

impl FrameType {
    /// Returns the name of a type of RFC 9113, or of an extension that is registered; `None` for other numbers.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::DATA => "DATA",
            Self::HEADERS => "HEADERS",
            Self::PRIORITY => "PRIORITY",
            Self::RST_STREAM => "RST_STREAM",
            Self::SETTINGS => "SETTINGS",
            Self::PUSH_PROMISE => "PUSH_PROMISE",
            Self::PING => "PING",
            Self::GOAWAY => "GOAWAY",
            Self::WINDOW_UPDATE => "WINDOW_UPDATE",
            Self::CONTINUATION => "CONTINUATION",
            Self(0xa) => "ALTSVC",
            Self(0xc) => "ORIGIN",
            Self(0x10) => "PRIORITY_UPDATE",
            _ => return None,
        })
    }

    /// Tells whether RFC 9113 itself defines the type.
    pub fn is_defined(self) -> bool {
        self.0 <= Self::CONTINUATION.0
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type 0x{:x}", self.0),
        }
    }
}

#[allow(missing_docs)] // The names are those of section 6.5.2, RFC 8441, RFC 9218 and gRFC G1, which say what each means.
impl Setting {
    pub const HEADER_TABLE_SIZE: Self = Self(0x1);
    pub const ENABLE_PUSH: Self = Self(0x2);
    pub const MAX_CONCURRENT_STREAMS: Self = Self(0x3);
    pub const INITIAL_WINDOW_SIZE: Self = Self(0x4);
    pub const MAX_FRAME_SIZE: Self = Self(0x5);
    pub const MAX_HEADER_LIST_SIZE: Self = Self(0x6);
    pub const ENABLE_CONNECT_PROTOCOL: Self = Self(0x8);
    pub const NO_RFC7540_PRIORITIES: Self = Self(0x9);
    pub const GRPC_ALLOW_TRUE_BINARY_METADATA: Self = Self(0xfe03);
}

impl Setting {
    /// Returns the name, without the SETTINGS_ that the specifications put before it; `None` for other numbers.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::HEADER_TABLE_SIZE => "HEADER_TABLE_SIZE",
            Self::ENABLE_PUSH => "ENABLE_PUSH",
            Self::MAX_CONCURRENT_STREAMS => "MAX_CONCURRENT_STREAMS",
            Self::INITIAL_WINDOW_SIZE => "INITIAL_WINDOW_SIZE",
            Self::MAX_FRAME_SIZE => "MAX_FRAME_SIZE",
            Self::MAX_HEADER_LIST_SIZE => "MAX_HEADER_LIST_SIZE",
            Self::ENABLE_CONNECT_PROTOCOL => "ENABLE_CONNECT_PROTOCOL",
            Self::NO_RFC7540_PRIORITIES => "NO_RFC7540_PRIORITIES",
            Self::GRPC_ALLOW_TRUE_BINARY_METADATA => "GRPC_ALLOW_TRUE_BINARY_METADATA",
            _ => return None,
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "setting 0x{:x}", self.0),
        }
    }
}

/// An error code of HTTP/2, as RST_STREAM and GOAWAY carry it (section 7). Any number is possible.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Http2Error(pub u32);

#[allow(missing_docs)] // The names are those of section 7, which says what each means.
impl Http2Error {
    pub const NO_ERROR: Http2Error = Http2Error(0x0);
    pub const PROTOCOL_ERROR: Http2Error = Http2Error(0x1);
    pub const INTERNAL_ERROR: Http2Error = Http2Error(0x2);
    pub const FLOW_CONTROL_ERROR: Http2Error = Http2Error(0x3);
    pub const SETTINGS_TIMEOUT: Http2Error = Http2Error(0x4);
    pub const STREAM_CLOSED: Http2Error = Http2Error(0x5);
    pub const FRAME_SIZE_ERROR: Http2Error = Http2Error(0x6);
    pub const REFUSED_STREAM: Http2Error = Http2Error(0x7);
    pub const CANCEL: Http2Error = Http2Error(0x8);
    pub const COMPRESSION_ERROR: Http2Error = Http2Error(0x9);
    pub const CONNECT_ERROR: Http2Error = Http2Error(0xa);
    pub const ENHANCE_YOUR_CALM: Http2Error = Http2Error(0xb);
    pub const INADEQUATE_SECURITY: Http2Error = Http2Error(0xc);
    pub const HTTP_1_1_REQUIRED: Http2Error = Http2Error(0xd);
}

/// The names of the errors, at the position that is the number.
const ERRORS: [&str; 14] = [
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

impl fmt::Display for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ERRORS.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "error 0x{:x}", self.0),
        }
    }
}

impl fmt::Debug for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the payload of SETTINGS: identifiers and values in their order. Ignores an incomplete setting at the end.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (Setting, u32)> + '_ {
    payload.chunks_exact(6).filter_map(|setting| {
        let (&id, value) = setting.split_first_chunk()?;
        Some((Setting(u16::from_be_bytes(id)), u32::from_be_bytes(*value.first_chunk()?)))
    })
}

impl FrameHeader {
    /// END_STREAM of DATA and HEADERS: the sender's last frame, except for CONTINUATION.
    pub const END_STREAM: u8 = 0x1;
    /// ACK of SETTINGS and PING.
    pub const ACK: u8 = 0x1;
    /// END_HEADERS of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub const END_HEADERS: u8 = 0x4;
    /// PADDED of DATA, HEADERS and PUSH_PROMISE.
    pub const PADDED: u8 = 0x8;
    /// PRIORITY of HEADERS.
    pub const PRIORITY: u8 = 0x20;

    /// Reads the header at the beginning of `bytes`; `None` if there are fewer than [`FRAME_HEADER`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::of)
    }

    /// Reads a header. Ignores the reserved bit.
    #[inline]
    pub fn of(bytes: &[u8; FRAME_HEADER]) -> Self {
        let &[a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: FrameType(kind),
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }

    /// Returns the header's bytes: the low 24 bits of the length, and all 32 bits of the stream, the highest of which is the
    /// reserved one.
    pub fn encode(self) -> [u8; FRAME_HEADER] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind.0, self.flags, d, e, f, g]
    }

    /// Tells whether the frame has this flag, which must be one that its type defines.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Tells whether this frame, with its CONTINUATION, is the sender's last one on the stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, FrameType::DATA | FrameType::HEADERS) && self.has(Self::END_STREAM)
    }

    /// Tells whether the payload contains a header block or a part of one.
    pub fn carries_header_block(&self) -> bool {
        matches!(self.kind, FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION)
    }

    /// Returns the names of the set flags, separated by spaces; flags that the type does not define as one number at the end.
    pub fn flag_names(&self) -> String {
        FlagNames(*self).to_string()
    }
}

/// Writes the text that [`FrameHeader::flag_names`] returns.
pub(crate) struct FlagNames(pub(crate) FrameHeader);

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
