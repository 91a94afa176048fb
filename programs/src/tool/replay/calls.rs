//! The calls in a connection's bytes: what the client sent, in its order, and how it was answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use barewire::inspector::capture::Connection;
use barewire::inspector::{Direction, Frame, FrameType, HeaderField, Meaning, Message, Schema, outline};

/// One call as it was on the wire.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) stream: u32,
    pub(super) path: String,
    /// When its headers were there.
    pub(super) began: Duration,
    /// Request-Headers with their pseudo-header fields.
    pub(super) headers: Vec<Field>,
    /// Whether END_STREAM stood on them.
    pub(super) is_only_headers: bool,
    /// What the client sent behind them.
    pub(super) sent: Vec<Sent>,
    pub(super) answer: Answer,
}

/// A header field; what HPACK can't know has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Option<Arc<[u8]>>,
    pub(super) value: Option<Arc<[u8]>>,
}

/// Something that the client sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) time: Duration,
    /// How many messages had come by then.
    pub(super) answered: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Message { body: Body, end_stream: bool },
    HalfClose,
    Reset(u32),
}

/// A message: its first byte, what stands behind its prefix, and the same in a line for a person.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) flag: u8,
    pub(super) payload: Vec<u8>,
    pub(super) type_name: Option<Arc<str>>,
    pub(super) outline: String,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) headers: Vec<Field>,
    pub(super) messages: Vec<Body>,
    /// Trailers, or the headers of Trailers-Only.
    pub(super) trailers: Vec<Field>,
    pub(super) end: Option<End>,
}

/// How the server ended it.
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

/// The calls of a connection, in the order in which they began.
pub(super) fn calls(connection: &Connection, schema: &Schema) -> Vec<Call> {
    let mut gathering = Gathering::default();
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
struct Gathering {
    open: BTreeMap<u32, Call>,
    done: Vec<Call>,
    /// Streams of which the client's last HEADERS had END_STREAM: with CONTINUATION that is not where the headers end.
    ended: BTreeSet<u32>,
    /// The DATA of streams, for messages that lie in several.
    data: HashMap<u32, Vec<Frame>>,
}

impl Gathering {
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
                is_only_headers: self.ended.contains(&header.stream),
                sent: Vec::new(),
                answer: Answer::default(),
            };
            self.done.extend(self.open.insert(header.stream, call));
            self.data.remove(&header.stream);
        }
        let Some(call) = self.open.get_mut(&header.stream) else { return };
        let frames = self.data.entry(header.stream).or_default();
        if header.kind == FrameType::DATA {
            frames.push(frame.clone());
        }
        let bodies: Vec<Body> = frame.messages.iter().filter_map(|message| body(frames, &frame, message)).collect();
        match frame.direction {
            Direction::ToServer => call.sent(&frame, bodies),
            Direction::ToClient => call.answer.add(&frame, bodies),
        }
        // A frame in which a message begins that is not complete has to stay.
        if frame.messages.last().is_some_and(|message| ends_with(&frame, message)) {
            frames.retain(|kept| kept.direction != frame.direction);
        }
    }
}

fn ends_with(frame: &Frame, message: &Message) -> bool {
    message.segments.last().is_some_and(|(number, place)| *number == frame.number && place.end == frame.bytes.len())
}

/// A message out of the frames that it lies in; `None` where it is too large for the inspector to keep.
fn body(frames: &[Frame], frame: &Frame, message: &Message) -> Option<Body> {
    let mut bytes = Vec::new();
    for (number, place) in &message.segments {
        let within = frames.iter().find(|frame| frame.number == *number)?;
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
        let mut push = |what| self.sent.push(Sent { time, answered, what });
        if header.kind == FrameType::RST_STREAM {
            return push(What::Reset(error_code(frame)));
        }
        let count = bodies.len();
        for (at, body) in bodies.into_iter().enumerate() {
            push(What::Message { body, end_stream: header.ends_stream() && at + 1 == count });
        }
        if header.ends_stream() && count == 0 && header.kind == FrameType::DATA {
            push(What::HalfClose);
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

/// What RST_STREAM carries.
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
    fn a_call_with_messages_in_pieces_and_an_answer() {
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
            .map(|sent| match &sent.what {
                What::Message { body, end_stream } => {
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
