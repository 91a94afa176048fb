//! A frame of a conversation, with everything that is known of its bytes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::tree::{Node, Tree};
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Http2Error};

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A frame, or another piece of one direction's bytes; together they are all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the frames of both directions from 1, in the order in which they became complete.
    pub number: u64,
    /// Which way it went.
    pub direction: Direction,
    /// When it was complete, on the clock of whoever pushed its bytes ([`Conversation::set_time`](crate::inspector::Conversation::set_time)).
    pub time: Duration,
    /// Where it begins in the bytes of its direction.
    pub offset: u64,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// What piece of the connection it is.
    pub kind: FrameKind,
    /// What it means to gRPC.
    pub meaning: Meaning,
    /// Whether its direction of the stream ends with it: END_STREAM on DATA, or on the header block that it completes.
    pub ends_stream: bool,
    /// The headers, on the frame that completes a header block.
    pub headers: Vec<HeaderField>,
    /// The `google.rpc.Status` in `grpc-status-details-bin`, if the headers have one that is base64.
    pub details: Option<Restored>,
    /// The messages that became complete with this frame.
    pub messages: Vec<Message>,
    /// The tree over `bytes`: its leaves tile them. Ranges count from the frame's first byte.
    ///
    /// Where something lies in several frames, its part here is refined when the last of them is complete, provided
    /// that the conversation still has this frame.
    pub annotations: Tree,
    /// What is wrong with the frame as a whole, or at this place of the conversation.
    pub faults: Vec<String>,
}

/// One header as the block had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    /// The name; `None` if it stands in a part of the table that was not seen.
    pub name: Option<Arc<[u8]>>,
    /// The value; `None` if it stands in a part of the table that was not seen.
    pub value: Option<Arc<[u8]>>,
    /// Whether the sender asks that no one ever puts the header into a table.
    pub never_indexed: bool,
}

impl HeaderField {
    /// Whether this is the header of that name (lower case, as on the wire).
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name.as_bytes())
    }
}

/// What piece of a connection's bytes a [`Frame`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The client connection preface.
    Preface,
    /// A frame of HTTP/2.
    Http2(FrameHeader),
    /// Bytes that end before the frame or the preface does, which they begin.
    Truncated,
    /// Bytes of a direction that does not speak HTTP/2.
    NotHttp2,
    /// Bytes whose frame began before them, among bytes that were not recorded.
    Fragment,
    /// Bytes that passed here and were not recorded. The frame has none of its own.
    Lost {
        /// How many.
        count: u64,
    },
}

/// What a frame means in the grammar of gRPC, in its words.
///
/// ```text
/// Request  → Request-Headers *Length-Prefixed-Message EOS
/// Response → (Response-Headers *Length-Prefixed-Message Trailers) / Trailers-Only
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it serves the connection or the stream.
    None,
    /// Headers whose block goes on, or can't be decoded.
    Headers,
    /// The beginning of a call.
    RequestHeaders {
        /// The method: "/routeguide.RouteGuide/GetFeature".
        path: String,
    },
    /// An HTTP answer before the answer (1xx).
    Informational,
    /// The beginning of an answer with messages to follow.
    ResponseHeaders,
    /// The headers of an answer that is not one of gRPC.
    HttpResponse {
        /// The HTTP status.
        status: String,
    },
    /// The end of a call, after messages.
    Trailers {
        /// `grpc-status` in digits, if it is there.
        status: Option<String>,
    },
    /// The whole answer in one header block.
    TrailersOnly {
        /// `grpc-status` in digits.
        status: String,
    },
    /// DATA with messages, parts of messages, or both.
    Messages,
    /// DATA without a byte that ends the sender's side of the stream.
    HalfClose,
    /// DATA of which is not known that it belongs to gRPC.
    Data,
}

/// A complete Length-Prefixed-Message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts the messages of one direction of a stream, from 1.
    pub number: u64,
    /// The full name of its type, if the schema has the method.
    pub type_name: Option<Arc<str>>,
    /// Whether the Compressed-Flag is set.
    pub compressed: bool,
    /// Message-Length: the bytes after the prefix.
    pub length: u32,
    /// Where its bytes stand, prefix included: the number of each frame, and a range of the frame's bytes. Empty for a
    /// message over a limit.
    pub segments: Vec<(u64, Range<usize>)>,
    /// The tree over the bytes of a message that lies in several frames, prefix included; ranges count from the first
    /// byte of the prefix. For the others, and wherever it does not matter, [`Frame::message_tree`] has the tree.
    pub tree: Option<Box<Tree>>,
    /// What a compressed message was before, if it could be restored within the limits.
    pub restored: Option<Box<Restored>>,
}

/// Bytes that are not on the wire as they are: a compressed message as it was before, or a value behind base64. On the
/// wire they are one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The tree over `bytes`, which its leaves tile.
    pub annotations: Tree,
}

/// What a direction's bytes are that begin with a record of TLS, and not with HTTP/2.
pub(crate) const TLS: &str = "TLS";

impl Frame {
    /// Whether these are bytes of TLS where HTTP/2 is expected.
    pub(crate) fn is_tls(&self) -> bool {
        let label = self.annotations.all().first().map(|annotation| &annotation.label);
        self.kind == FrameKind::NotHttp2 && label.is_some_and(|label| *label == TLS)
    }

    /// The header of HTTP/2, if this is a whole frame of it.
    pub fn header(&self) -> Option<&FrameHeader> {
        match &self.kind {
            FrameKind::Http2(header) => Some(header),
            _ => None,
        }
    }

    /// What stands behind the header of a whole frame of HTTP/2.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.header().and_then(|_| self.bytes.get(FRAME_HEADER..))
    }

    fn payload_of(&self, kind: FrameType) -> Option<&[u8]> {
        self.payload().filter(|_| self.header().is_some_and(|header| header.kind == kind))
    }

    /// The last stream and the error code of a GOAWAY.
    pub(crate) fn goaway(&self) -> Option<(u32, Http2Error)> {
        let (last, rest) = self.payload_of(FrameType::GOAWAY)?.split_first_chunk()?;
        let code = rest.first_chunk()?;
        Some((u32::from_be_bytes(*last) & 0x7fff_ffff, Http2Error(u32::from_be_bytes(*code))))
    }

    /// The error code of an RST_STREAM.
    pub(crate) fn reset(&self) -> Option<Http2Error> {
        let code = self.payload_of(FrameType::RST_STREAM)?.first_chunk()?;
        Some(Http2Error(u32::from_be_bytes(*code)))
    }

    /// The bytes that this frame stands for and does not have.
    pub(crate) fn lost(&self) -> u64 {
        if let FrameKind::Lost { count } = self.kind { count } else { 0 }
    }

    /// The stream that the frame belongs to; 0 for the connection.
    pub fn stream(&self) -> u32 {
        self.header().map_or(0, |header| header.stream)
    }

    /// The node of one of this frame's messages; `None` for a message over a limit. Its ranges count from the first byte
    /// of the message or of the frame, wherever the node's own begins.
    pub fn message_tree<'a>(&'a self, message: &'a Message) -> Option<Node<'a>> {
        match &message.tree {
            Some(tree) => tree.iter().next(),
            None => message.segments.first().and_then(|(_, place)| self.annotations.at(place)),
        }
    }

    /// The memory that this frame takes, about.
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
    /// The other way.
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

impl Message {
    /// The bytes of the message as the application has it; `None` if it is compressed and was not restored.
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
