//! Extracts the calls from a connection's bytes: the client's messages, in order, and the server's answer.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use barewire::inspector::capture::Connection;
use barewire::inspector::{Direction, Frame, FrameType, HeaderField, Meaning, Message, Schema, outline};

/// A call as it was on the wire.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) stream: u32,
    pub(super) path: String,
    /// The time of its headers.
    pub(super) began: Duration,
    /// Request-Headers, including pseudo-header fields.
    pub(super) headers: Vec<Field>,
    /// True if it came over TLS: what it says was never sent in the clear.
    pub(super) is_secret: bool,
    /// True if the headers have END_STREAM.
    pub(super) is_only_headers: bool,
    /// The client's messages after the headers, its half-close or reset.
    pub(super) sent: Vec<Step>,
    pub(super) answer: Answer,
}

/// A header field. A name or value that is unknown, because the capture misses earlier header blocks, is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Option<Arc<[u8]>>,
    pub(super) value: Option<Arc<[u8]>>,
}

/// A step of the client.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) time: Duration,
    /// Number of messages that the client had received by then.
    pub(super) answered: usize,
    pub(super) action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Message { body: Body, end_stream: bool },
    HalfClose,
    Reset(u32),
}

/// A message: the first byte of its prefix, its payload, and a line that describes it.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) flag: u8,
    pub(super) payload: Vec<u8>,
    pub(super) type_name: Option<Arc<str>>,
    pub(super) outline: String,
}

/// The server's response.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) headers: Vec<Field>,
    pub(super) messages: Vec<Body>,
    /// The trailers, or the headers of Trailers-Only.
    pub(super) trailers: Vec<Field>,
    pub(super) end: Option<End>,
}

/// The way in which the server ended the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stream,
    Reset(u32),
}

impl Field {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name.as_bytes())
    }

    fn of(fields: &[HeaderField]) -> Vec<Field> {
        fields.iter().map(|field| Field { name: field.name.clone(), value: field.value.clone() }).collect()
    }
}

/// Returns the calls of a connection, in the order in which they began.
pub(super) fn calls(connection: &Connection, schema: &Schema) -> Vec<Call> {
    let mut gathering = CallCollector { decrypted: connection.decrypted, ..CallCollector::default() };
    let mut conversation = connection.begin(schema.clone());
    for chunk in &connection.chunks {
        chunk.push_into(&mut conversation);
        conversation.take_frames().into_iter().for_each(|frame| gathering.take(frame));
    }
    gathering.done.extend(gathering.open.into_values());
    gathering.done.sort_by_key(|call| (call.began, call.stream));
    gathering.done
}

#[derive(Default)]
struct CallCollector {
    decrypted: bool,
    open: BTreeMap<u32, Call>,
    done: Vec<Call>,
    /// Streams whose last HEADERS from the client had END_STREAM. The headers may continue in CONTINUATION.
    ended: BTreeSet<u32>,
    /// The DATA frames of streams, for messages that span several of them.
    data: HashMap<u32, Data>,
}

/// The last DATA frames of a stream, at most [`Data::MOST`] bytes of them. A message that is longer has no segments.
#[derive(Debug, Default)]
struct Data {
    frames: VecDeque<DataFrame>,
    bytes: usize,
}

#[derive(Debug)]
struct DataFrame {
    number: u64,
    direction: Direction,
    bytes: Vec<u8>,
}

impl Data {
    /// More than the inspector keeps of a message with its segments.
    const MOST: usize = 8 << 20;

    fn push(&mut self, frame: &Frame) {
        let Frame { number, direction, ref bytes, .. } = *frame;
        self.bytes += bytes.len();
        self.frames.push_back(DataFrame { number, direction, bytes: bytes.clone() });
        while self.bytes > Self::MOST && self.frames.len() > 1 {
            self.bytes -= self.frames.pop_front().map_or(0, |oldest| oldest.bytes.len());
        }
    }

    /// Forgets the frames of a direction.
    fn clear(&mut self, direction: Direction) {
        self.frames.retain(|frame| frame.direction != direction);
        self.bytes = self.frames.iter().map(|frame| frame.bytes.len()).sum();
    }
}

impl CallCollector {
    fn take(&mut self, frame: Frame) {
        let Some(header) = frame.header().copied() else { return };
        if frame.direction == Direction::ToServer && header.kind == FrameType::HEADERS {
            self.ended.remove(&header.stream);
            self.ended.extend(header.ends_stream().then_some(header.stream));
        }
        if let Meaning::RequestHeaders { path } = &frame.meaning
            && frame.direction == Direction::ToServer
            && !frame.headers.is_empty()
        {
            let call = Call {
                stream: header.stream,
                path: path.clone(),
                began: frame.time,
                headers: Field::of(&frame.headers),
                is_secret: self.decrypted || frame.headers.iter().any(is_https),
                is_only_headers: self.ended.contains(&header.stream),
                sent: Vec::new(),
                answer: Answer::default(),
            };
            self.done.extend(self.open.insert(header.stream, call));
            self.data.remove(&header.stream);
        }
        let Some(call) = self.open.get_mut(&header.stream) else { return };
        let frames = self.data.entry(header.stream).or_default();
        if header.kind == FrameType::DATA && header.length > 0 {
            frames.push(&frame);
        }
        let bodies: Vec<Body> = frame.messages.iter().filter_map(|message| body(frames, &frame, message)).collect();
        match frame.direction {
            Direction::ToServer => call.sent(&frame, bodies),
            Direction::ToClient => call.answer.add(&frame, bodies),
        }
        // Keeps the frame if another message begins in it and is not complete.
        if frame.messages.last().is_some_and(|message| ends_with(&frame, message)) {
            frames.clear(frame.direction);
        }
    }
}

fn is_https(field: &HeaderField) -> bool {
    field.is(":scheme") && field.value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case(b"https"))
}

fn ends_with(frame: &Frame, message: &Message) -> bool {
    message.segments.last().is_some_and(|(number, place)| *number == frame.number && place.end == frame.bytes.len())
}

/// Assembles a message from its frames; returns `None` if it was too large for the inspector to keep.
fn body(data: &Data, frame: &Frame, message: &Message) -> Option<Body> {
    let mut bytes = Vec::new();
    for (number, place) in &message.segments {
        let at = data.frames.binary_search_by_key(number, |frame| frame.number).ok()?;
        let within = data.frames.get(at)?;
        bytes.extend_from_slice(within.bytes.get(place.clone())?);
    }
    let (prefix, payload) = bytes.split_at_checked(5)?;
    Some(Body {
        flag: *prefix.first()?,
        payload: payload.to_vec(),
        type_name: message.type_name.clone(),
        outline: outline(frame, message),
    })
}

impl Call {
    fn sent(&mut self, frame: &Frame, bodies: Vec<Body>) {
        let Some(header) = frame.header() else { return };
        let (time, answered) = (frame.time, self.answer.messages.len());
        let mut push = |action| self.sent.push(Step { time, answered, action });
        if header.kind == FrameType::RST_STREAM {
            return push(Action::Reset(error_code(frame)));
        }
        let count = bodies.len();
        for (at, body) in bodies.into_iter().enumerate() {
            push(Action::Message { body, end_stream: header.ends_stream() && at + 1 == count });
        }
        if header.ends_stream() && count == 0 && header.kind == FrameType::DATA {
            push(Action::HalfClose);
        }
    }
}

impl Answer {
    fn add(&mut self, frame: &Frame, bodies: Vec<Body>) {
        let Some(header) = frame.header() else { return };
        self.messages.extend(bodies);
        match frame.meaning {
            Meaning::ResponseHeaders | Meaning::HttpResponse { .. } => self.headers = Field::of(&frame.headers),
            Meaning::Trailers { .. } | Meaning::TrailersOnly { .. } => self.trailers = Field::of(&frame.headers),
            _ => {}
        }
        if header.kind == FrameType::RST_STREAM {
            self.end = Some(End::Reset(error_code(frame)));
        } else if header.ends_stream()
            || matches!(frame.meaning, Meaning::Trailers { .. } | Meaning::TrailersOnly { .. })
        {
            self.end = Some(End::Stream);
        }
    }
}

/// Returns the error code of an RST_STREAM.
fn error_code(frame: &Frame) -> u32 {
    let code = frame.bytes.get(9..13).and_then(|bytes| bytes.try_into().ok());
    code.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::flags::names::built_in;
    use barewire::inspector::capture::{Chunk, NOWHERE};
    use barewire::inspector::write::{RawFrame, header_block, message};
    use barewire::wire::http2::PREFACE;

    fn chunk(milliseconds: u64, direction: Direction, frames: &[RawFrame]) -> Chunk {
        let mut bytes = if milliseconds == 0 { PREFACE.to_vec() } else { Vec::new() };
        frames.iter().for_each(|frame| frame.write(&mut bytes));
        Chunk { time: Duration::from_millis(milliseconds), direction, lost: 0, bytes }
    }

    #[test]
    fn captured_call_with_split_messages_is_collected() {
        let request =
            header_block([(":method", "POST"), (":path", "/routeguide.RouteGuide/GetFeature"), ("te", "trailers")]);
        let answer = header_block([(":status", "200"), ("content-type", "application/grpc")]);
        let trailers = header_block([("grpc-status", "0")]);
        let (point, feature) = (message(0, &[8, 1, 16, 2]), message(0, &[10, 1, b'x']));
        let mut connection = Connection::new(NOWHERE, NOWHERE);
        connection.chunks = vec![
            chunk(0, Direction::ToServer, &[RawFrame::settings(&[])]),
            chunk(2, Direction::ToServer, &RawFrame::headers(1, &request, false, 10)),
            chunk(5, Direction::ToServer, &[RawFrame::data(1, &point[..3], false)]),
            chunk(
                6,
                Direction::ToClient,
                &[&[RawFrame::settings(&[])][..], &RawFrame::headers(1, &answer, false, 100)].concat(),
            ),
            chunk(7, Direction::ToServer, &[RawFrame::data(1, [&point[3..], &point].concat(), true)]),
            chunk(8, Direction::ToClient, &[RawFrame::data(1, &feature[..], false)]),
            chunk(9, Direction::ToClient, &RawFrame::headers(1, &trailers, true, 100)),
        ];
        let calls = calls(&connection, &built_in());
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(
            (call.stream, call.path.as_str(), call.began.as_millis()),
            (1, "/routeguide.RouteGuide/GetFeature", 2)
        );
        assert!(call.headers[2].is("te"));
        let sent: Vec<(u128, usize, &[u8], bool)> = call
            .sent
            .iter()
            .map(|sent| match &sent.action {
                Action::Message { body, end_stream } => {
                    (sent.time.as_millis(), sent.answered, &body.payload[..], *end_stream)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sent, [(7, 0, &[8, 1, 16, 2][..], false), (7, 0, &[8, 1, 16, 2], true)]);
        assert_eq!(call.answer.messages[0].outline, "routeguide.Feature, 3 bytes: name: \"x\"");
        assert!(call.answer.headers[0].is(":status") && call.answer.trailers[0].is("grpc-status"));
        assert_eq!(call.answer.end, Some(End::Stream));
    }
}
