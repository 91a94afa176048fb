//! Connections written frame by frame, with a clock: the input of the tests of views and rules.

use std::time::Duration;

use super::*;

/// A conversation that is being built.
pub(super) struct Connection {
    conversation: Conversation,
    time: Duration,
}

/// The first headers of every gRPC request.
pub(super) const REQUEST: [(&str, &str); 7] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/Get"),
    (":authority", "localhost:50051"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.85.0"),
    ("te", "trailers"),
];

pub(super) const RESPONSE: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
pub(super) const TRAILERS: [(&str, &str); 2] = [("grpc-status", "0"), ("grpc-message", "")];

/// Flags.
pub(super) const NONE: u8 = 0;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;

impl Connection {
    /// Returns a connection on which both sides have sent and acknowledged SETTINGS.
    pub(super) fn new() -> Self {
        let mut connection = Self::bare();
        connection.bytes(Direction::ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.frame(Direction::ToServer, FrameType::SETTINGS, NONE, 0, &[]);
        connection.frame(Direction::ToClient, FrameType::SETTINGS, NONE, 0, &[]);
        connection.frame(Direction::ToClient, FrameType::SETTINGS, ACK, 0, &[]);
        connection.frame(Direction::ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        connection
    }

    /// Returns a connection without frames.
    pub(super) fn bare() -> Self {
        let mut schema = Schema::new();
        for (name, kind) in [
            ("Get", CallKind::Unary),
            ("List", CallKind::ServerStreaming),
            ("Record", CallKind::ClientStreaming),
            ("Chat", CallKind::BidiStreaming),
        ] {
            schema.add_method(&format!("/a.B/{name}"), "a.Question", "a.Answer");
            schema.set_kind(&format!("/a.B/{name}"), kind);
        }
        schema.add_field("a.Question", 1, "number", FieldType::Int32);
        schema.add_field("a.Answer", 1, "text", FieldType::String);
        Self { conversation: Conversation::new(schema), time: Duration::ZERO }
    }

    pub(super) fn schema() -> Schema {
        Self::bare().conversation.schema().clone()
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.time += Duration::from_millis(milliseconds);
        self
    }

    pub(super) fn bytes(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        self.conversation.set_time(self.time);
        self.conversation.push(direction, bytes);
        self
    }

    pub(super) fn frame(
        &mut self,
        way: Direction,
        kind: FrameType,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> &mut Self {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind.0, flags], &stream.to_be_bytes()].concat();
        self.bytes(way, &[&head[..], payload].concat())
    }

    pub(super) fn headers(&mut self, way: Direction, flags: u8, stream: u32, headers: &[(&str, &str)]) -> &mut Self {
        self.frame(way, FrameType::HEADERS, flags | END_HEADERS, stream, &block(headers))
    }

    /// Adds the Request-Headers of a call; `changes` replace headers of the same name, or follow the others.
    pub(super) fn request(&mut self, stream: u32, changes: &[(&str, &str)]) -> &mut Self {
        self.headers(Direction::ToServer, NONE, stream, &changed(&REQUEST, changes))
    }

    pub(super) fn response(&mut self, stream: u32, changes: &[(&str, &str)]) -> &mut Self {
        self.headers(Direction::ToClient, NONE, stream, &changed(&RESPONSE, changes))
    }

    pub(super) fn trailers(&mut self, stream: u32, changes: &[(&str, &str)]) -> &mut Self {
        self.headers(Direction::ToClient, END_STREAM, stream, &changed(&TRAILERS, changes))
    }

    pub(super) fn data(&mut self, way: Direction, flags: u8, stream: u32, data: &[u8]) -> &mut Self {
        self.frame(way, FrameType::DATA, flags, stream, data)
    }

    /// A message of its own in DATA.
    pub(super) fn message(&mut self, way: Direction, flags: u8, stream: u32, content: &[u8]) -> &mut Self {
        self.data(way, flags, stream, &prefixed(0, content))
    }

    pub(super) fn reset(&mut self, way: Direction, stream: u32, code: u32) -> &mut Self {
        self.frame(way, FrameType::RST_STREAM, NONE, stream, &code.to_be_bytes())
    }

    pub(super) fn go_away(&mut self, way: Direction, last: u32, code: u32) -> &mut Self {
        self.frame(way, FrameType::GOAWAY, NONE, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    pub(super) fn window(&mut self, way: Direction, stream: u32, increment: u32) -> &mut Self {
        self.frame(way, FrameType::WINDOW_UPDATE, NONE, stream, &increment.to_be_bytes())
    }

    pub(super) fn setting(&mut self, way: Direction, id: u16, value: u32) -> &mut Self {
        self.frame(way, FrameType::SETTINGS, NONE, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
    }

    /// A unary call from headers to trailers.
    pub(super) fn unary(&mut self, stream: u32) -> &mut Self {
        self.request(stream, &[]).message(Direction::ToServer, END_STREAM, stream, &[8, 42]);
        self.response(stream, &[])
            .message(Direction::ToClient, NONE, stream, &[10, 2, b'h', b'i'])
            .trailers(stream, &[])
    }

    /// Adds a PING in both directions, which shows that nothing was missed before.
    pub(super) fn go_on(&mut self) -> &mut Self {
        self.ping(Direction::ToClient, [9; 8])
    }

    /// Adds a PING and its answer; the answer shows that its sender has read all earlier frames.
    pub(super) fn ping(&mut self, way: Direction, data: [u8; 8]) -> &mut Self {
        self.frame(way, FrameType::PING, NONE, 0, &data);
        self.frame(way.opposite(), FrameType::PING, ACK, 0, &data)
    }

    /// Reports bytes as missing.
    pub(super) fn lose(&mut self, way: Direction, count: u64) -> &mut Self {
        self.conversation.set_time(self.time);
        self.conversation.lose(way, count);
        self
    }

    /// Ends the connection.
    pub(super) fn finish(&mut self) -> &mut Self {
        self.conversation.finish();
        self
    }

    /// Returns the frames so far.
    pub(super) fn frames(&mut self) -> Vec<Frame> {
        self.conversation.check().unwrap();
        self.conversation.take_frames()
    }

    /// Returns the output of a view for all frames.
    pub(super) fn shown(&mut self, view: &mut dyn View) -> String {
        let pushed: String = self.frames().iter().map(|frame| view.push(frame)).collect();
        pushed + &view.finish()
    }
}

/// Encodes headers as literals without indexing and Huffman coding, so that they are readable.
pub(super) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            match text.len() {
                length @ ..127 => block.push(length as u8),
                length => {
                    block.push(127);
                    let mut rest = length - 127;
                    while rest >= 128 {
                        block.push(rest as u8 & 0x7f | 0x80);
                        rest >>= 7;
                    }
                    block.push(rest as u8);
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(super) fn prefixed(flag: u8, content: &[u8]) -> Vec<u8> {
    [&[flag][..], &(content.len() as u32).to_be_bytes(), content].concat()
}

/// Applies changes to headers; an empty value removes a header, unless it was empty before.
pub(super) fn changed<'a>(base: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = base.to_vec();
    for (name, value) in changes {
        match headers.iter_mut().find(|header| header.0 == *name) {
            Some(header) => header.1 = value,
            None => headers.push((name, value)),
        }
    }
    headers.retain(|(name, value)| !value.is_empty() || *name == "grpc-message");
    headers.retain(|header| *header != ("grpc-message", ""));
    headers
}
