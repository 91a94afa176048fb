//! What the rules must know of a connection: what was said before the frame that is judged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::call::{encoding, is_grpc, value};
use super::super::calls::{goaway, reset};
use super::super::frame::{Direction, Frame, FrameKind};
use super::super::headers::timeout;
use super::super::hpack::HeaderField;
use super::super::http2::{FrameHeader, FrameType, settings};
use super::super::schema::{CallKind, Schema};
use super::super::windows::{Change, Windows};
use super::PATIENCE;

/// A connection up to the frame that is judged.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) schema: Schema,
    pub(super) client: Side,
    pub(super) server: Side,
    pub(super) streams: BTreeMap<u32, Stream>,
    /// Those of `streams` that are over, in the order in which they ended.
    over: VecDeque<u32>,
    /// The highest stream that the client has opened.
    pub(super) last_stream: u32,
    windows: Windows,
    /// What the frame that is judged does to the windows.
    pub(super) changes: Vec<Change>,
    limit: usize,
    /// The client's preface was seen.
    preface: bool,
    /// Bytes of the connection were not recorded.
    pub(super) lossy: bool,
}

/// What one side has said of the connection.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Its frames of HTTP/2.
    pub(super) frames: u64,
    /// The largest SETTINGS_MAX_FRAME_SIZE that it has announced.
    pub(super) max_frame: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS: the largest since the last acknowledgement.
    pub(super) max_streams: Option<u32>,
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub(super) max_headers: Option<u32>,
    /// SETTINGS_ENABLE_PUSH.
    pub(super) push: bool,
    /// When it sent SETTINGS that were not acknowledged.
    pub(super) settings: VecDeque<Duration>,
    /// Its PINGs without an answer.
    pub(super) pings: VecDeque<([u8; 8], Duration)>,
    /// When it sent its last PING, and how many came too soon since it was given something to do.
    pub(super) last_ping: Option<Duration>,
    pub(super) strikes: u32,
    /// The last stream of its GOAWAY.
    pub(super) goaway: Option<u32>,
    /// A header block that is not complete: its stream.
    block: Option<u32>,
}

/// A call, or what is left to know of one that is over.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) kind: Option<CallKind>,
    /// What the client takes.
    pub(super) accepts: Option<String>,
    pub(super) begun: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) request: Way,
    pub(super) response: Way,
}

/// One direction of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// The headers that begin it were seen.
    pub(super) begun: bool,
    /// It has ended with END_STREAM.
    pub(super) ended: bool,
    /// Its sender has reset the stream.
    pub(super) reset: bool,
    /// The content-type is one of gRPC.
    pub(super) grpc: bool,
    pub(super) encoding: Option<String>,
    pub(super) messages: u64,
    /// Bytes of DATA without padding, and how many there should be.
    pub(super) data: u64,
    pub(super) content_length: Option<u64>,
}

/// What a complete header block is, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Request,
    /// Behind Request-Headers, where gRPC has no place for any.
    RequestTrailers,
    /// 1xx, before the answer.
    Informational,
    Response,
    /// The first block with END_STREAM: the whole answer.
    ResponseAlone,
    Trailers,
    /// Behind an end, of a stream that is not followed, or pushed.
    Elsewhere,
}

impl State {
    pub(super) fn new(schema: Schema, limit: usize) -> Self {
        let side = Side {
            frames: 0,
            max_frame: 16_384,
            max_streams: None,
            max_headers: None,
            push: true,
            settings: VecDeque::new(),
            pings: VecDeque::new(),
            last_ping: None,
            strikes: 0,
            goaway: None,
            block: None,
        };
        Self {
            schema,
            client: side.clone(),
            server: side,
            streams: BTreeMap::new(),
            over: VecDeque::new(),
            last_stream: 0,
            windows: Windows::new(limit),
            changes: Vec::new(),
            limit,
            preface: false,
            lossy: false,
        }
    }

    /// Who sends in a direction.
    pub(super) fn sender(&self, direction: Direction) -> &Side {
        match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        }
    }

    /// Who receives in a direction.
    pub(super) fn receiver(&self, direction: Direction) -> &Side {
        self.sender(direction.opposite())
    }

    fn sender_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    /// The streams that count against SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.len() - self.over.len()
    }

    /// Notices what was not seen, and counts what the frame does to the windows, before it is judged.
    pub(super) fn begin(&mut self, frame: &Frame) {
        let late = self.client.frames == 0 && !self.preface && frame.direction == Direction::ToServer;
        match frame.kind {
            FrameKind::Preface => self.preface = true,
            FrameKind::Lost { .. } | FrameKind::Fragment => self.lose_track(),
            // The beginning was not seen.
            FrameKind::Http2(_) if late => self.lose_track(),
            _ => {}
        }
        self.changes = self.windows.push(frame);
    }

    /// What the header block is that is complete with this frame.
    pub(super) fn place(&self, frame: &Frame, header: &FrameHeader) -> Option<Place> {
        let ends_block = matches!(header.kind, FrameType::HEADERS | FrameType::CONTINUATION)
            && header.has(FrameHeader::END_HEADERS)
            && (!frame.headers.is_empty() || frame.faults.is_empty());
        if !ends_block {
            return None;
        }
        let stream = self.streams.get(&header.stream);
        Some(match (frame.direction, stream) {
            (Direction::ToServer, None) if header.stream > self.last_stream => Place::Request,
            (Direction::ToServer, Some(stream)) if !stream.request.ended => Place::RequestTrailers,
            (Direction::ToClient, Some(stream)) if !stream.response.ended => {
                let status = value(&frame.headers, ":status");
                let informational = status.is_some_and(|status| status.len() == 3 && status.starts_with('1'));
                match stream.response.begun {
                    true => Place::Trailers,
                    false if informational => Place::Informational,
                    false if frame.ends_stream => Place::ResponseAlone,
                    false => Place::Response,
                }
            }
            _ => Place::Elsewhere,
        })
    }

    /// Bytes were lost: what was said in them is not known, and with it what may follow.
    fn lose_track(&mut self) {
        self.lossy = true;
        self.streams.clear();
        self.over.clear();
        for side in [&mut self.client, &mut self.server] {
            (side.max_frame, side.max_headers, side.block) = (u32::MAX, None, None);
            side.settings.clear();
            side.pings.clear();
        }
    }

    /// Takes note of the frame, after it was judged.
    pub(super) fn end(&mut self, frame: &Frame, place: Option<Place>) {
        for side in [&mut self.client, &mut self.server] {
            // What is overdue was said once.
            let overdue = |since: &Duration| frame.time.saturating_sub(*since) > PATIENCE;
            side.settings.retain(|since| !overdue(since));
            side.pings.retain(|(_, since)| !overdue(since));
        }
        let FrameKind::Http2(header) = &frame.kind else { return };
        self.connection(frame, header);
        if let Some(place) = place {
            self.headers(frame, header, place);
        }
        let Some(stream) = self.streams.get_mut(&header.stream) else { return };
        let was_over = stream.is_over();
        let way = stream.way_mut(frame.direction);
        way.messages += frame.messages.len() as u64;
        if header.kind == FrameType::DATA {
            way.data += data_length(frame, header);
        }
        way.ended |= frame.ends_stream;
        way.reset |= header.kind == FrameType::RST_STREAM;
        if stream.is_over() && !was_over {
            self.over.push_back(header.stream);
        }
        let overdue = stream.timeout.is_some_and(|timeout| stream.is_overdue(timeout, frame.time));
        if overdue {
            stream.timeout = None;
        }
    }

    fn connection(&mut self, frame: &Frame, header: &FrameHeader) {
        let time = frame.time;
        let idle = header.kind == FrameType::PING && self.open_streams() == 0;
        let opposite = frame.direction.opposite();
        let payload = frame.payload().unwrap_or_default();
        let last = goaway(frame).map(|(last, _)| last);
        match header.kind {
            FrameType::SETTINGS | FrameType::PING if header.has(FrameHeader::ACK) => {
                let peer = self.sender_mut(opposite);
                match header.kind {
                    FrameType::SETTINGS => drop(peer.settings.pop_front()),
                    _ => peer.pings.retain(|(data, _)| data.as_slice() != payload),
                }
            }
            FrameType::DATA | FrameType::HEADERS => self.sender_mut(opposite).strikes = 0,
            _ => {}
        }
        let side = self.sender_mut(frame.direction);
        side.frames += 1;
        side.block = match header.kind {
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => {
                (!header.has(FrameHeader::END_HEADERS)).then_some(header.stream)
            }
            _ => None,
        };
        side.goaway = last.or(side.goaway);
        match header.kind {
            FrameType::SETTINGS if !header.has(FrameHeader::ACK) => {
                side.settings.push_back(time);
                side.settings.truncate(1_024);
                for (id, value) in settings(payload) {
                    match id {
                        2 => side.push = value == 1,
                        3 => side.max_streams = Some(value),
                        5 => side.max_frame = side.max_frame.max(value),
                        6 => side.max_headers = Some(value),
                        _ => {}
                    }
                }
            }
            FrameType::PING if !header.has(FrameHeader::ACK) => {
                if let Some(data) = payload.first_chunk().filter(|_| side.pings.len() < 1_024) {
                    side.pings.push_back((*data, time));
                }
                side.strikes += u32::from(side.is_ping_too_soon(time, idle));
                side.last_ping = Some(time);
            }
            _ => {}
        }
        if frame.direction == Direction::ToServer && header.kind == FrameType::HEADERS {
            self.opened(header.stream);
        }
        if reset(frame).is_some() {
            self.forget();
        }
    }

    fn opened(&mut self, stream: u32) {
        if stream > self.last_stream && !self.streams.contains_key(&stream) {
            self.forget();
        }
    }

    /// Keeps the map within its limit: what is over goes first, then what is oldest.
    fn forget(&mut self) {
        while self.streams.len() >= self.limit {
            let Some(id) = self.over.pop_front().or_else(|| self.streams.keys().next().copied()) else { return };
            self.streams.remove(&id);
        }
    }

    fn headers(&mut self, frame: &Frame, header: &FrameHeader, place: Place) {
        let fields = &frame.headers;
        match place {
            Place::Request => {
                self.last_stream = header.stream;
                let path = value(fields, ":path").unwrap_or_default();
                let stream = Stream {
                    kind: self.schema.method(&path).and_then(|types| types.kind),
                    accepts: joined(fields, "grpc-accept-encoding"),
                    begun: frame.time,
                    timeout: value(fields, "grpc-timeout").and_then(|value| timeout(value.as_bytes())),
                    request: Way::begin(fields),
                    response: Way::default(),
                };
                self.streams.insert(header.stream, stream);
            }
            Place::Response | Place::ResponseAlone => {
                if let Some(stream) = self.streams.get_mut(&header.stream) {
                    stream.response = Way { reset: stream.response.reset, ..Way::begin(fields) };
                }
            }
            _ => {}
        }
    }
}

impl Side {
    /// gRFC A8: five minutes are the least between two PINGs, two hours without a call.
    pub(super) fn is_ping_too_soon(&self, time: Duration, idle: bool) -> bool {
        let least = Duration::from_secs(if idle { 2 * 60 * 60 } else { 5 * 60 });
        self.last_ping.is_some_and(|last| time.saturating_sub(last) < least)
    }

    /// The stream of the header block that must go on.
    pub(super) fn open_block(&self) -> Option<u32> {
        self.block
    }
}

impl Stream {
    pub(super) fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::ToServer => &self.request,
            Direction::ToClient => &self.response,
        }
    }

    fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        (self.request.ended && self.response.ended) || self.request.reset || self.response.reset
    }

    /// Whether the call goes on long after its deadline.
    pub(super) fn is_overdue(&self, timeout: Duration, time: Duration) -> bool {
        time > self.begun.saturating_add(timeout).saturating_add(Duration::from_secs(1))
    }
}

impl Way {
    fn begin(fields: &[HeaderField]) -> Self {
        Self {
            begun: true,
            grpc: value(fields, "content-type").is_some_and(|content_type| is_grpc(&content_type)),
            encoding: encoding(fields),
            content_length: value(fields, "content-length").and_then(|length| length.parse().ok()),
            ..Self::default()
        }
    }
}

/// The bytes of DATA without padding.
pub(super) fn data_length(frame: &Frame, header: &FrameHeader) -> u64 {
    let length = u64::from(header.length);
    match frame.payload().and_then(|payload| payload.first()) {
        Some(padding) if header.has(FrameHeader::PADDED) => length.saturating_sub(1 + u64::from(*padding)),
        _ => length,
    }
}

/// All values of a header, as if it had come once.
fn joined(fields: &[HeaderField], name: &str) -> Option<String> {
    let values = fields.iter().filter(|field| field.is(name)).filter_map(|field| field.value.as_deref());
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    (!values.is_empty()).then(|| values.join(","))
}
