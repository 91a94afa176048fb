//! HTTP/2 frames (RFC 9113 sections 4 and 6) and the gRPC messages in them, for tests to write and read.
//!
//! The same constructors serve both ways: `peer.send(data(1, text("hi")))` and `peer.expect(data(1, text("hi")))`.

use std::borrow::Borrow;
use std::fmt;

use barewire::inspector::FrameType;
use barewire::inspector::write::RawFrame;
pub use barewire::wire::http2::Http2Error;
use bytes::{BufMut, Bytes, BytesMut};

use super::hpack;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

/// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING.
pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

/// SETTINGS_MAX_CONCURRENT_STREAMS, SETTINGS_INITIAL_WINDOW_SIZE, SETTINGS_MAX_HEADER_LIST_SIZE.
pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// The first bytes of every client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame header, and the largest payload allowed without SETTINGS.
pub const FRAME_HEADER: usize = 9;
pub const MAX_FRAME_SIZE: usize = 16_384;

/// A frame. HEADERS include their CONTINUATIONs.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    Data {
        stream: u32,
        payload: Bytes,
        padding: Option<u8>,
        end_stream: bool,
    },
    Headers {
        stream: u32,
        fields: Vec<Field>,
        end_stream: bool,
    },
    ResetStream {
        stream: u32,
        error: Http2Error,
    },
    Settings {
        ack: bool,
        values: Vec<(u16, u32)>,
    },
    Ping {
        ack: bool,
        payload: [u8; 8],
    },
    GoAway {
        last: u32,
        error: Http2Error,
        debug: Bytes,
    },
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    /// Any other frame, and frames that the variants above can't express.
    Raw {
        kind: u8,
        flags: u8,
        stream: u32,
        payload: Bytes,
    },
}

/// A header field; its name and value may be invalid in HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub value: Vec<u8>,
}

/// HEADERS with these fields, without END_STREAM.
pub fn headers<const N: usize>(stream: u32, fields: [(&str, &str); N]) -> Frame {
    let fields = fields.map(|(name, value)| Field { name: name.into(), value: value.into() }).to_vec();
    Frame::Headers { stream, fields, end_stream: false }
}

/// The Request-Headers of a call in their usual order, without END_STREAM.
pub fn request(stream: u32, path: &str) -> Frame {
    headers(
        stream,
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", path),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ],
    )
}

/// The Response-Headers of a call, without END_STREAM.
pub fn response(stream: u32) -> Frame {
    headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
}

/// The Trailers of a call with this status and no message.
pub fn trailers(stream: u32, status: &str) -> Frame {
    headers(stream, [("grpc-status", status)]).end_stream()
}

pub fn data(stream: u32, payload: impl AsRef<[u8]>) -> Frame {
    let payload = Bytes::copy_from_slice(payload.as_ref());
    Frame::Data { stream, payload, padding: None, end_stream: false }
}

/// Splits a body into DATA frames of the largest size.
pub fn chunks(stream: u32, payload: &[u8]) -> Vec<Frame> {
    payload.chunks(MAX_FRAME_SIZE).map(|chunk| data(stream, chunk)).collect()
}

/// An empty DATA with END_STREAM.
pub fn half_close(stream: u32) -> Frame {
    data(stream, []).end_stream()
}

pub fn reset(stream: u32, error: Http2Error) -> Frame {
    Frame::ResetStream { stream, error }
}

pub fn settings<const N: usize>(values: [(u16, u32); N]) -> Frame {
    Frame::Settings { ack: false, values: values.to_vec() }
}

pub fn settings_ack() -> Frame {
    Frame::Settings { ack: true, values: Vec::new() }
}

pub fn ping(payload: [u8; 8]) -> Frame {
    Frame::Ping { ack: false, payload }
}

pub fn goaway(last: u32, error: Http2Error) -> Frame {
    Frame::GoAway { last, error, debug: Bytes::new() }
}

pub fn window_update(stream: u32, increment: u32) -> Frame {
    Frame::WindowUpdate { stream, increment }
}

/// A frame with any type, flags and payload.
pub fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
    Frame::Raw { kind, flags, stream, payload: Bytes::copy_from_slice(payload) }
}

/// Encodes frames as bytes.
pub fn wire(frames: impl IntoIterator<Item = impl Borrow<Frame>>) -> Vec<u8> {
    let mut wire = BytesMut::new();
    frames.into_iter().for_each(|frame| frame.borrow().encode(&mut wire));
    wire.to_vec()
}

/// A Length-Prefixed-Message.
pub fn message(payload: impl AsRef<[u8]>) -> Bytes {
    flagged(0, payload)
}

/// A Length-Prefixed-Message with any first byte.
pub fn flagged(flag: u8, payload: impl AsRef<[u8]>) -> Bytes {
    let payload = payload.as_ref();
    [&prefix(flag, payload.len() as u32), payload].concat().into()
}

/// The five bytes before a message.
pub fn prefix(flag: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [flag, a, b, c, d]
}

/// A Length-Prefixed-Message with a text in field 1 of its protobuf.
pub fn text(text: &str) -> Bytes {
    let mut payload = vec![0x0a];
    prost::encoding::encode_varint(text.len() as u64, &mut payload);
    payload.extend_from_slice(text.as_bytes());
    message(payload)
}

/// A Length-Prefixed-Message with a number, not 0, in field 2 of its protobuf.
pub fn number(number: u64) -> Bytes {
    let mut payload = vec![0x10];
    prost::encoding::encode_varint(number, &mut payload);
    message(payload)
}

impl Frame {
    /// Adds END_STREAM.
    #[must_use]
    pub fn end_stream(mut self) -> Frame {
        match &mut self {
            Frame::Data { end_stream, .. } | Frame::Headers { end_stream, .. } => *end_stream = true,
            other => panic!("{other:?} can't end a stream"),
        }
        self
    }

    /// Adds this many bytes of padding.
    #[must_use]
    pub fn padded(mut self, count: u8) -> Frame {
        match &mut self {
            Frame::Data { padding, .. } => *padding = Some(count),
            other => panic!("{other:?} has no padding here"),
        }
        self
    }

    /// Appends a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Frame {
        self.fields_mut().push(Field { name: name.into(), value: value.as_ref().into() });
        self
    }

    /// Replaces the value of an existing field.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Frame {
        let field = self.fields_mut().iter_mut().find(|field| field.name == name);
        field.unwrap_or_else(|| panic!("no {name}")).value = value.into();
        self
    }

    /// Removes the fields of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Frame {
        self.fields_mut().retain(|field| field.name != name);
        self
    }

    fn fields_mut(&mut self) -> &mut Vec<Field> {
        match self {
            Frame::Headers { fields, .. } => fields,
            other => panic!("{other:?} has no fields"),
        }
    }

    /// Moves the frame to another stream.
    #[must_use]
    pub fn on(mut self, other: u32) -> Frame {
        match &mut self {
            Frame::Data { stream, .. }
            | Frame::Headers { stream, .. }
            | Frame::ResetStream { stream, .. }
            | Frame::WindowUpdate { stream, .. }
            | Frame::Raw { stream, .. } => *stream = other,
            frame => panic!("{frame:?} is the connection's"),
        }
        self
    }

    /// Returns the stream of the frame; 0 is the connection.
    pub fn stream(&self) -> u32 {
        match self {
            Frame::Data { stream, .. }
            | Frame::Headers { stream, .. }
            | Frame::ResetStream { stream, .. }
            | Frame::WindowUpdate { stream, .. }
            | Frame::Raw { stream, .. } => *stream,
            Frame::Settings { .. } | Frame::Ping { .. } | Frame::GoAway { .. } => 0,
        }
    }

    /// Appends the frame as it is on the wire.
    pub fn encode(&self, wire: &mut BytesMut) {
        let stream = self.stream();
        match self {
            Frame::Data { payload, padding: None, end_stream, .. } => {
                put(wire, DATA, u8::from(*end_stream), stream, payload);
            }
            Frame::Data { payload, padding: Some(count), end_stream, .. } => {
                let padded = [&[*count], &payload[..], &vec![0; usize::from(*count)]].concat();
                put(wire, DATA, PADDED | u8::from(*end_stream), stream, &padded);
            }
            Frame::Headers { fields, end_stream, .. } => {
                let block = hpack::encode(fields);
                let (head, mut rest) = block.split_at(block.len().min(MAX_FRAME_SIZE));
                let end_headers = |rest: &[u8]| if rest.is_empty() { END_HEADERS } else { 0 };
                put(wire, HEADERS, end_headers(rest) | u8::from(*end_stream), stream, head);
                while !rest.is_empty() {
                    let (piece, left) = rest.split_at(rest.len().min(MAX_FRAME_SIZE));
                    put(wire, CONTINUATION, end_headers(left), stream, piece);
                    rest = left;
                }
            }
            Frame::ResetStream { error, .. } => put(wire, RST_STREAM, 0, stream, &error.0.to_be_bytes()),
            Frame::Settings { ack, values } => {
                let payload: Vec<u8> = values
                    .iter()
                    .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
                    .collect();
                put(wire, SETTINGS, u8::from(*ack), 0, &payload);
            }
            Frame::Ping { ack, payload } => put(wire, PING, u8::from(*ack), 0, payload),
            Frame::GoAway { last, error, debug } => {
                put(wire, GOAWAY, 0, 0, &[&last.to_be_bytes(), &error.0.to_be_bytes(), &debug[..]].concat());
            }
            Frame::WindowUpdate { increment, .. } => put(wire, WINDOW_UPDATE, 0, stream, &increment.to_be_bytes()),
            Frame::Raw { kind, flags, payload, .. } => put(wire, *kind, *flags, stream, payload),
        }
    }
}

fn put(wire: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let mut bytes = Vec::with_capacity(FRAME_HEADER + payload.len());
    RawFrame::new(FrameType(kind), flags, stream, payload).write(&mut bytes);
    wire.put_slice(&bytes);
}

/// Decodes frames from bytes.
pub struct Reader {
    pub wire: BytesMut,
    hpack: hpack::Decoder,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { wire: BytesMut::new(), hpack: hpack::Decoder::new(hpack::Limits::default()) }
    }
}

impl Reader {
    /// Returns the next complete frame, including its CONTINUATIONs.
    pub fn next(&mut self) -> Option<Frame> {
        let (mut raw, mut length) = cut(&self.wire)?;
        if raw.kind == HEADERS {
            assert_eq!(raw.flags & !(END_STREAM | END_HEADERS), 0, "padding and priority are not expected");
            while raw.flags & END_HEADERS == 0 {
                let (more, more_length) = cut(&self.wire[length..])?;
                assert_eq!((more.kind, more.stream), (CONTINUATION, raw.stream));
                raw.payload = [&raw.payload[..], &more.payload].concat().into();
                raw.flags |= more.flags;
                length += more_length;
            }
        }
        let _ = self.wire.split_to(length);
        Some(self.interpret(raw))
    }

    fn interpret(&mut self, raw: Raw) -> Frame {
        let Raw { kind, flags, stream, payload } = raw;
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let first = flags & 1 != 0;
        match kind {
            DATA if flags & PADDED == 0 => Frame::Data { stream, payload, padding: None, end_stream: first },
            HEADERS => Frame::Headers { stream, fields: hpack::decode(&mut self.hpack, &payload), end_stream: first },
            RST_STREAM => Frame::ResetStream { stream, error: Http2Error(number(0)) },
            SETTINGS => {
                let pair = |at: usize| (u16::from_be_bytes([payload[at], payload[at + 1]]), number(at + 2));
                Frame::Settings { ack: first, values: (0..payload.len()).step_by(6).map(pair).collect() }
            }
            PING => Frame::Ping { ack: first, payload: payload[..].try_into().unwrap() },
            GOAWAY => Frame::GoAway { last: number(0), error: Http2Error(number(4)), debug: payload.slice(8..) },
            WINDOW_UPDATE => Frame::WindowUpdate { stream, increment: number(0) },
            _ => Frame::Raw { kind, flags, stream, payload },
        }
    }
}

struct Raw {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Bytes,
}

/// Returns a frame, and its length including its header.
fn cut(wire: &[u8]) -> Option<(Raw, usize)> {
    let (header, rest) = wire.split_at_checked(FRAME_HEADER)?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    let payload = Bytes::copy_from_slice(rest.get(..length)?);
    let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    Some((Raw { kind: header[3], flags: header[4], stream, payload }, FRAME_HEADER + length))
}

/// One frame or several frames, sent in one write.
impl From<Frame> for Vec<Frame> {
    fn from(frame: Frame) -> Vec<Frame> {
        vec![frame]
    }
}

/// Prints each frame on one line, with a readable body.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end_stream: &bool| if *end_stream { " END_STREAM" } else { "" };
        match self {
            Frame::Data { stream, payload, padding, end_stream } => {
                let shown = &payload[..payload.len().min(64)];
                write!(f, "DATA {stream}{} {} bytes {shown:02x?}", end(end_stream), payload.len())?;
                padding.map_or(Ok(()), |count| write!(f, " padding {count}"))
            }
            Frame::Headers { stream, fields, end_stream } => {
                write!(f, "HEADERS {stream}{} {fields:?}", end(end_stream))
            }
            Frame::ResetStream { stream, error } => write!(f, "RST_STREAM {stream} {error}"),
            Frame::Settings { ack, values } => write!(f, "SETTINGS{} {values:x?}", if *ack { " ACK" } else { "" }),
            Frame::Ping { ack, payload } => write!(f, "PING{} {payload:02x?}", if *ack { " ACK" } else { "" }),
            Frame::GoAway { last, error, debug } => write!(f, "GOAWAY {last} {error} {debug:?}"),
            Frame::WindowUpdate { stream, increment } => write!(f, "WINDOW_UPDATE {stream} {increment}"),
            Frame::Raw { kind, flags, stream, payload } => {
                write!(f, "type {kind:#x} flags {flags:#x} stream {stream} {payload:02x?}")
            }
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, String::from_utf8_lossy(&self.value))
    }
}
