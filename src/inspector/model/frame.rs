//! A frame of a conversation, with all its decoded information.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::tree::{Node, Tree};
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Http2Error};

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A frame, or another piece of one direction's bytes. Together the frames of a direction contain all its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the frames of both directions from 1, in the order in which they were completed.
    pub number: u64,
    /// The direction of the frame.
    pub direction: Direction,
    /// The time of completion, as the caller set it
    /// ([`Conversation::set_time`](crate::inspector::Conversation::set_time)).
    pub time: Duration,
    /// The offset of the first byte in its direction.
    pub offset: u64,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// The kind of piece.
    pub kind: FrameKind,
    /// The meaning of the frame in gRPC.
    pub meaning: Meaning,
    /// True if this frame ends its direction of the stream: END_STREAM on DATA, or on the header block that it
    /// completes.
    pub ends_stream: bool,
    /// The decoded headers, on the frame that completes a header block.
    pub headers: Vec<HeaderField>,
    /// The `google.rpc.Status` in `grpc-status-details-bin`, if the headers have a valid base64 value.
    pub details: Option<Restored>,
    /// The messages that this frame completes.
    pub messages: Vec<Message>,
    /// The tree over `bytes`, whose leaves tile them. Ranges count from the frame's first byte.
    ///
    /// If something spans several frames, its part here is refined when its last frame arrives, provided that the
    /// conversation still has this frame.
    pub annotations: Tree,
    /// Errors of the frame as a whole, or of its place in the conversation.
    pub faults: Vec<String>,
}

/// One decoded header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// The name; `None` if it refers to an unknown table entry.
    pub name: Option<Arc<[u8]>>,
    /// The value; `None` if it refers to an unknown table entry.
    pub value: Option<Arc<[u8]>>,
    /// True if the sender marked the header as never indexed.
    pub never_indexed: bool,
}

impl HeaderField {
    /// Returns true if the header has this name (lower case, as on the wire).
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name.as_bytes())
    }
}

/// The kind of piece that a [`Frame`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Bytes that lead to HTTP/2, before it begins.
    Before(Preamble),
    /// The client connection preface.
    Preface,
    /// A frame of HTTP/2.
    Http2(FrameHeader),
    /// Bytes that end inside a frame or inside the preface.
    Truncated,
    /// Bytes of a direction that does not speak HTTP/2.
    NotHttp2,
    /// The rest of a frame whose beginning was not recorded.
    Fragment,
    /// Bytes that were sent but not recorded. The frame itself contains no bytes.
    Lost {
        /// The number of bytes.
        count: u64,
    },
}

/// The kind of bytes before HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// A header of the PROXY protocol, version 1 or 2.
    Proxy,
    /// The head of a request in HTTP/1.1 that asks for HTTP/2 (`Upgrade: h2c`). It is the request of stream 1.
    Upgrade,
    /// The head of a request in HTTP/1.1 for a tunnel.
    Connect,
    /// The head of a response in HTTP/1.1.
    Response,
    /// A part of a body in HTTP/1.1.
    Body,
}

/// The meaning of a frame in gRPC's grammar.
///
/// ```text
/// Request  → Request-Headers *Length-Prefixed-Message EOS
/// Response → (Response-Headers *Length-Prefixed-Message Trailers) / Trailers-Only
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Not part of gRPC: it manages the connection or the stream.
    None,
    /// Headers whose block is incomplete, or can't be decoded.
    Headers,
    /// The beginning of a call.
    RequestHeaders {
        /// The method: "/routeguide.RouteGuide/GetFeature".
        path: String,
    },
    /// An informational HTTP response (1xx) before the final one.
    Informational,
    /// The beginning of a response with messages to follow.
    ResponseHeaders,
    /// The headers of a response that is not gRPC.
    HttpResponse {
        /// The HTTP status.
        status: String,
    },
    /// The end of a call, after messages.
    Trailers {
        /// `grpc-status` in digits, if it is there.
        status: Option<String>,
    },
    /// A response without messages, in one header block.
    TrailersOnly {
        /// `grpc-status` in digits.
        status: String,
    },
    /// DATA with messages, parts of messages, or both.
    Messages,
    /// Empty DATA with END_STREAM.
    HalfClose,
    /// DATA that is not known to belong to gRPC.
    Data,
}

/// A complete Length-Prefixed-Message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts the messages of one direction of a stream, from 1.
    pub number: u64,
    /// The full name of its type, if the schema has the method.
    pub type_name: Option<Arc<str>>,
    /// True if the Compressed-Flag is set.
    pub compressed: bool,
    /// Message-Length: the bytes after the prefix.
    pub length: u32,
    /// The places of its bytes, prefix included: the number of each frame, and a range of the frame's bytes. Empty for
    /// a message over a limit.
    pub segments: Vec<(u64, Range<usize>)>,
    /// The tree over a message that spans several frames, prefix included; ranges count from the first byte of the
    /// prefix. [`Frame::message_tree`] returns the tree of any message.
    pub tree: Option<Box<Tree>>,
    /// The limit that keeps it from being decoded, as [`Limits::set`](super::limits::Limits::set) names it.
    pub hidden_by: Option<&'static str>,
    /// The decompressed bytes of a compressed message, if it could be decompressed within the limits.
    pub restored: Option<Box<Restored>>,
}

/// Bytes that are encoded on the wire: a decompressed message, or a value decoded from base64. The encoded bytes are
/// one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The tree over `bytes`, whose leaves tile them.
    pub annotations: Tree,
}

/// The label of a direction's bytes that begin with a TLS record instead of HTTP/2.
pub(crate) const TLS: &str = "TLS";

/// The label of further bytes of such a direction.
pub(crate) const MORE_TLS: &str = "TLS, continued";

/// The label of the lines of HTTP/1, in a direction of HTTP/2 or instead of it.
pub(crate) const HTTP1: &str = "HTTP/1.1";

/// The label of a header line whose name was not captured.
pub(crate) const UNKNOWN_NAME: &str = "unknown name";

/// The label of lines over a limit, which are not told apart.
pub(crate) const HIDDEN_LINES: &str = "more lines";

impl Frame {
    /// Returns true if these are bytes of TLS where HTTP/2 is expected.
    pub(crate) fn is_tls(&self) -> bool {
        self.begins_tls() || self.is_not_http2_but(MORE_TLS)
    }

    /// Returns true if these are the first bytes of TLS in a direction.
    pub(crate) fn begins_tls(&self) -> bool {
        self.is_not_http2_but(TLS)
    }

    /// Returns true if these are bytes of HTTP/1 where HTTP/2 is expected.
    pub(crate) fn is_http1(&self) -> bool {
        self.is_not_http2_but(HTTP1)
    }

    fn is_not_http2_but(&self, name: &str) -> bool {
        let label = self.annotations.all().first().map(|annotation| &annotation.label);
        self.kind == FrameKind::NotHttp2 && label.is_some_and(|label| *label == name)
    }

    /// Returns true if this is a request in HTTP/1.1 that becomes stream 1 if the server agrees.
    pub(crate) fn is_upgrade(&self) -> bool {
        self.kind == FrameKind::Before(Preamble::Upgrade)
    }

    /// Returns the HTTP/2 header, if this is a whole HTTP/2 frame.
    pub fn header(&self) -> Option<&FrameHeader> {
        match &self.kind {
            FrameKind::Http2(header) => Some(header),
            _ => None,
        }
    }

    /// Returns the payload of a whole HTTP/2 frame.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.header().and_then(|_| self.bytes.get(FRAME_HEADER..))
    }

    fn payload_of(&self, kind: FrameType) -> Option<&[u8]> {
        self.payload().filter(|_| self.header().is_some_and(|header| header.kind == kind))
    }

    /// Returns the last stream and the error code of a GOAWAY.
    pub(crate) fn goaway(&self) -> Option<(u32, Http2Error)> {
        let (last, rest) = self.payload_of(FrameType::GOAWAY)?.split_first_chunk()?;
        let code = rest.first_chunk()?;
        Some((u32::from_be_bytes(*last) & 0x7fff_ffff, Http2Error(u32::from_be_bytes(*code))))
    }

    /// Returns the error code of an RST_STREAM.
    pub(crate) fn reset(&self) -> Option<Http2Error> {
        let code = self.payload_of(FrameType::RST_STREAM)?.first_chunk()?;
        Some(Http2Error(u32::from_be_bytes(*code)))
    }

    /// Returns the number of unrecorded bytes that this frame stands for.
    pub(crate) fn lost(&self) -> u64 {
        if let FrameKind::Lost { count } = self.kind { count } else { 0 }
    }

    /// Returns the stream of the frame; 0 for the connection. A request in HTTP/1.1 that asks for HTTP/2, with its body,
    /// and a response that refuses it, belong to stream 1.
    pub fn stream(&self) -> u32 {
        match self.kind {
            FrameKind::Http2(header) => header.stream,
            FrameKind::Before(Preamble::Body) if self.direction == Direction::ToServer => 1,
            FrameKind::NotHttp2 if matches!(self.meaning, Meaning::HttpResponse { .. }) => 1,
            _ => u32::from(self.is_upgrade()),
        }
    }

    /// Returns the node of one of this frame's messages; `None` for a message over a limit. Ranges count from the first
    /// byte of the message or of the frame, not from the node's own beginning.
    pub fn message_tree<'a>(&'a self, message: &'a Message) -> Option<Node<'a>> {
        match &message.tree {
            Some(tree) => tree.iter().next(),
            None => message.segments.first().and_then(|(_, place)| self.annotations.at(place)),
        }
    }

    /// Returns the approximate memory of this frame.
    pub(crate) fn cost(&self) -> usize {
        let text = |text: &Option<Arc<[u8]>>| text.as_ref().map_or(0, |text| text.len());
        let headers =
            self.headers.iter().map(|field| size_of::<HeaderField>() + text(&field.name) + text(&field.value));
        let messages = self.messages.iter().map(|message| {
            let segments = message.segments.len() * size_of::<(u64, Range<usize>)>();
            let restored = message.restored.as_ref().map_or(0, |restored| size_of::<Restored>() + restored.cost());
            size_of::<Message>() + segments + message.tree.as_ref().map_or(0, |tree| tree.cost()) + restored
        });
        let details = self.details.as_ref().map_or(0, Restored::cost);
        let beside = headers.chain(messages).sum::<usize>() + details;
        size_of::<Self>() + self.bytes.len() + self.annotations.cost() + beside
    }
}

impl Direction {
    /// Returns the other direction.
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

impl Message {
    /// Returns the size of the uncompressed message; `None` if it is compressed and was not decompressed.
    pub fn size(&self) -> Option<u64> {
        match (&self.restored, self.compressed) {
            (Some(restored), _) => Some(restored.bytes.len() as u64),
            (None, true) => None,
            (None, false) => Some(self.length.into()),
        }
    }
}

impl Restored {
    fn cost(&self) -> usize {
        self.bytes.len() + self.annotations.cost()
    }
}

impl fmt::Display for Preamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proxy => "PROXY protocol",
            Self::Upgrade | Self::Connect => "HTTP/1.1 request",
            Self::Response => "HTTP/1.1 response",
            Self::Body => "HTTP/1.1 body",
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToServer => "client ──▶ server",
            Self::ToClient => "client ◀── server",
        })
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Headers => "headers",
            Self::RequestHeaders { .. } => "Request-Headers",
            Self::Informational => "informational headers",
            Self::ResponseHeaders => "Response-Headers",
            Self::HttpResponse { .. } => "HTTP response, not gRPC",
            Self::Trailers { .. } => "Trailers",
            Self::TrailersOnly { .. } => "Trailers-Only",
            Self::Messages => "Length-Prefixed-Message",
            Self::HalfClose => "EOS",
            Self::Data => "data",
        })
    }
}
