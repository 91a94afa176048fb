//! The state of a connection before the frame that is checked.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::speaker::{Speaker, TooSoon};
use super::stream::{Mark, Stream, Way, data_length};
use crate::inspector::decode::call::value;
use crate::inspector::decode::headers::timeout;
use crate::inspector::decode::http1::upgrade_settings;
use crate::inspector::follow::stall::Stall;
use crate::inspector::follow::stalls::Stalls;
use crate::inspector::follow::windows::Change;
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Frame, FrameKind};
use crate::inspector::model::schema::Schema;
use crate::wire::http2::{FrameHeader, FrameType, settings};

/// Unanswered SETTINGS and PINGs that are remembered for each side.
const MOST: usize = 1_024;

/// A generous upper bound for the time that bytes are in transit, unless answers are seen to take longer.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// The state of a connection up to the frame that is checked.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) schema: Schema,
    pub(super) client: Speaker,
    pub(super) server: Speaker,
    pub(super) streams: BTreeMap<u32, Stream>,
    /// The ended streams among `streams`, in the order in which they ended.
    over: VecDeque<u32>,
    /// The highest stream that the client has opened with Request-Headers.
    pub(super) last_stream: u32,
    /// The highest stream with HEADERS from the client, decoded or not.
    pub(super) highest_stream: u32,
    /// The highest stream that was forgotten because of the limit.
    pub(super) forgotten_stream: u32,
    /// The windows, the waits for them, and the boundaries of messages; the checked frame is counted.
    pub(super) stalls: Stalls,
    /// The changes of windows that the checked frame causes.
    pub(super) changes: Vec<Change>,
    /// The waits of a second or more that the checked frame proves.
    pub(super) long_waits: Vec<Stall>,
    limit: usize,
    /// The call of a request in HTTP/1.1 that asks for HTTP/2, until it is answered.
    upgraded: Option<Stream>,
    /// True if the client's preface was seen.
    preface: bool,
    /// True if bytes of the connection were not recorded.
    pub(super) lossy: bool,
    /// The time of the first frame. The flag is set when another time is seen, because captures may have no times.
    first: Option<Duration>,
    timed: bool,
    /// The time after which a frame has certainly arrived: a second, or twice the time that an acknowledgement took.
    on_the_way: Duration,
    /// The number of the last frame; a jump in the numbers means that frames were withheld.
    last_frame: u64,
}

/// The role of a complete header block, by its place on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Request,
    /// After Request-Headers, where gRPC allows no headers.
    RequestTrailers,
    /// 1xx, before the final response.
    Informational,
    Response,
    /// The first block, with END_STREAM: a complete response.
    ResponseAlone,
    Trailers,
    /// After the end of a stream, on a stream that is not followed, or pushed.
    Elsewhere,
}

impl State {
    pub(super) fn new(schema: Schema, limit: usize) -> Self {
        let side = Speaker {
            frames: 0,
            max_frame: 16_384,
            max_streams: None,
            max_headers: None,
            push: true,
            true_binary: false,
            settings: VecDeque::new(),
            pings: VecDeque::new(),
            forgotten: false,
            read: 0,
            foreign: false,
            last_ping: None,
            strikes: 0,
            too_soon: None,
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
            highest_stream: 0,
            forgotten_stream: 0,
            stalls: Stalls::new(limit),
            changes: Vec::new(),
            long_waits: Vec::new(),
            limit,
            upgraded: None,
            preface: false,
            lossy: false,
            first: None,
            timed: false,
            on_the_way: ON_THE_WAY,
            last_frame: 0,
        }
    }

    /// Returns the state of the sender in a direction.
    pub(super) fn sender(&self, direction: Direction) -> &Speaker {
        match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        }
    }

    /// Returns the state of the receiver in a direction.
    pub(super) fn receiver(&self, direction: Direction) -> &Speaker {
        self.sender(direction.opposite())
    }

    fn sender_mut(&mut self, direction: Direction) -> &mut Speaker {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    /// Returns true if the sender of a frame must have known of an earlier frame. The order of frames in the capture
    /// does not prove that, because frames cross on their way. Proof is that the sender has answered since, or that more
    /// time has passed than bytes are in transit.
    pub(super) fn must_know(&self, frame: &Frame, other: Mark) -> bool {
        self.sender(frame.direction).read >= other.number || frame.time.saturating_sub(other.time) >= self.on_the_way
    }

    /// Returns true if a call certainly goes on after its deadline.
    pub(super) fn is_overdue(&self, stream: &Stream, timeout: Duration, time: Duration) -> bool {
        stream.is_overdue(timeout, time, self.on_the_way)
    }

    /// Returns true if the receiver may accept binary metadata without base64.
    pub(super) fn may_be_true_binary(&self, direction: Direction) -> bool {
        let receiver = self.receiver(direction);
        receiver.true_binary || receiver.frames == 0 || self.lossy
    }

    /// Returns the number of streams that count against SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(super) fn open_streams(&self) -> usize {
        self.streams.len() - self.over.len()
    }

    /// Detects missing frames and updates the windows before the frame is checked.
    pub(super) fn begin(&mut self, frame: &Frame) {
        if frame.number != self.last_frame + 1 {
            self.lose_sight();
        }
        self.last_frame = frame.number;
        self.timed |= *self.first.get_or_insert(frame.time) != frame.time;
        let first = self.sender(frame.direction).frames == 0 && !self.preface;
        let late = |header: &FrameHeader| {
            first && (frame.direction == Direction::ToServer || header.kind != FrameType::SETTINGS)
        };
        match &frame.kind {
            FrameKind::Preface => self.preface = true,
            FrameKind::Lost { .. } | FrameKind::Fragment => self.lose_track(),
            // The beginning of the connection was not captured.
            FrameKind::Http2(header) if !self.lossy && late(header) => self.lose_track(),
            // The request in HTTP/1.1 was accepted.
            FrameKind::Http2(header) if header.stream == 1 && frame.direction == Direction::ToClient => {
                if let Some(stream) = self.upgraded.take() {
                    self.streams.insert(header.stream, stream);
                }
            }
            FrameKind::Before(_) => self.before(frame),
            _ => {}
        }
        let (changes, mut stalls) = self.stalls.push(frame);
        stalls.retain(|stall| stall.is_long() && !stall.told);
        stalls.extend(self.stalls.long());
        (self.changes, self.long_waits) = (changes, stalls);
    }

    /// Ends the connection; returns the waits of a second or more that were not reported yet.
    pub(super) fn finish(&mut self) -> Vec<Stall> {
        let mut stalls = self.stalls.finish(false);
        stalls.retain(|stall| stall.is_long() && !stall.told);
        stalls
    }

    /// Takes a piece before HTTP/2. A request that asks for HTTP/2 opens stream 1, and has the client's first settings
    /// (RFC 7540, section 3.2).
    fn before(&mut self, frame: &Frame) {
        let mark = Mark::of(frame);
        if frame.is_upgrade() {
            let payload = upgrade_settings(frame).unwrap_or_default();
            self.client.announce(settings(&payload));
            (self.last_stream, self.highest_stream) = (frame.stream(), frame.stream());
            self.upgraded = Some(self.stream(frame));
        }
        if let Some(stream) = self.upgraded.as_mut().filter(|_| frame.stream() != 0) {
            let way = &mut stream.request;
            way.messages += frame.messages.len() as u64;
            (way.last, way.ended) = (mark.number, way.ended.or(frame.ends_stream.then_some(mark)));
        }
    }

    /// Returns the stream that Request-Headers open.
    fn stream(&self, frame: &Frame) -> Stream {
        let fields = &frame.headers;
        let path = value(fields, ":path").unwrap_or_default();
        Stream {
            kind: self.schema.method(&path).and_then(|types| types.kind),
            accepts: joined(fields, "grpc-accept-encoding"),
            begun: Mark::of(frame),
            timeout: value(fields, "grpc-timeout").and_then(|value| timeout(value.as_bytes())),
            request: Way::begin(fields),
            response: Way::default(),
        }
    }

    /// Returns the role of the header block that this frame completes.
    pub(super) fn place(&self, frame: &Frame, header: &FrameHeader) -> Option<Place> {
        let promised = self.sender(frame.direction).block.is_some_and(|(_, promised)| promised);
        let carries = match header.kind {
            FrameType::HEADERS => true,
            // The header block of a PUSH_PROMISE is a request of the server.
            FrameType::CONTINUATION => !promised,
            _ => false,
        };
        let ends_block =
            carries && header.has(FrameHeader::END_HEADERS) && (!frame.headers.is_empty() || frame.faults.is_empty());
        if !ends_block {
            return None;
        }
        let stream = self.streams.get(&header.stream);
        // After lost bytes, the first block that is seen may have been the second on its stream.
        let is_first = || {
            let names = frame.headers.first().and_then(|field| field.name.as_deref());
            !self.lossy || names.is_some_and(|name| name.starts_with(b":"))
        };
        Some(match (frame.direction, stream) {
            (Direction::ToServer, None) if header.stream > self.last_stream && is_first() => Place::Request,
            (Direction::ToServer, Some(stream)) if stream.request.ended.is_none() => Place::RequestTrailers,
            (Direction::ToClient, Some(stream)) if stream.response.ended.is_none() => {
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

    /// Resets the state after lost bytes, because their content is unknown.
    fn lose_track(&mut self) {
        self.lose_sight();
        self.streams.clear();
        self.over.clear();
    }

    /// Resets the state of both sides after frames were withheld, for example by a filter. The streams are still
    /// checked.
    fn lose_sight(&mut self) {
        self.lossy = true;
        for side in [&mut self.client, &mut self.server] {
            (side.max_frame, side.max_headers, side.block) = (u32::MAX, None, None);
            side.settings.clear();
            side.pings.clear();
        }
    }

    /// Updates the state after the frame was checked.
    pub(super) fn end(&mut self, frame: &Frame, place: Option<Place>) {
        let mark = Mark::of(frame);
        for side in [&mut self.client, &mut self.server] {
            // Overdue entries were reported once already.
            let before = side.settings.len() + side.pings.len();
            side.settings.retain(|since| !since.is_overdue(frame.time));
            side.pings.retain(|(_, since)| !since.is_overdue(frame.time));
            side.forgotten |= side.settings.len() + side.pings.len() < before;
        }
        self.sender_mut(frame.direction).foreign |= frame.kind == FrameKind::NotHttp2;
        let FrameKind::Http2(header) = &frame.kind else { return };
        let promised = self.sender(frame.direction).block.is_some_and(|(_, promised)| promised);
        self.connection(frame, header);
        match place {
            Some(place) => self.headers(frame, header, place),
            None if promised && header.kind == FrameType::CONTINUATION => {}
            None => self.unknown_headers(frame, header),
        }
        let Some(stream) = self.streams.get_mut(&header.stream) else { return };
        let was_over = stream.is_over();
        let way = stream.way_mut(frame.direction);
        way.messages += frame.messages.len() as u64;
        if header.kind == FrameType::DATA {
            way.data += data_length(frame, header);
        }
        way.ended = way.ended.or(frame.ends_stream.then_some(mark));
        match header.kind {
            FrameType::RST_STREAM => way.reset = way.reset.or(Some(mark)),
            _ => way.last = mark.number,
        }
        if stream.is_over() && !was_over {
            self.over.push_back(header.stream);
        }
        let slack = self.on_the_way;
        let overdue = stream.timeout.is_some_and(|timeout| stream.is_overdue(timeout, frame.time, slack));
        if overdue {
            stream.timeout = None;
        }
    }

    fn connection(&mut self, frame: &Frame, header: &FrameHeader) {
        let mark = Mark::of(frame);
        let idle = header.kind == FrameType::PING && self.open_streams() == 0;
        let opposite = frame.direction.opposite();
        let payload = frame.payload().unwrap_or_default();
        let goaway = frame.goaway().map(|(last, _)| (last, mark));
        let (timed, complete) = (self.timed, !self.lossy);
        match header.kind {
            FrameType::SETTINGS | FrameType::PING if header.has(FrameHeader::ACK) => {
                let peer = self.sender_mut(opposite);
                let answered = match header.kind {
                    FrameType::SETTINGS => peer.settings.pop_front(),
                    _ => {
                        let at = peer.pings.iter().position(|(data, _)| data.as_slice() == payload);
                        at.and_then(|at| peer.pings.remove(at)).map(|(_, mark)| mark)
                    }
                };
                // Otherwise the ACK may answer another frame.
                if let Some(answered) = answered.filter(|_| complete && !peer.forgotten) {
                    let took = mark.time.saturating_sub(answered.time);
                    self.on_the_way = self.on_the_way.max(took.saturating_mul(2));
                    self.sender_mut(frame.direction).has_read(answered);
                }
            }
            FrameType::DATA | FrameType::HEADERS => {
                let peer = self.sender_mut(opposite);
                (peer.strikes, peer.too_soon) = (0, None);
            }
            _ => {}
        }
        let side = self.sender_mut(frame.direction);
        side.frames += 1;
        let promised = match header.kind {
            FrameType::CONTINUATION => side.block.is_some_and(|(_, promised)| promised),
            kind => kind == FrameType::PUSH_PROMISE,
        };
        let open = header.carries_header_block() && !header.has(FrameHeader::END_HEADERS);
        side.block = open.then_some((header.stream, promised));
        side.goaway = goaway.or(side.goaway);
        match header.kind {
            FrameType::SETTINGS if !header.has(FrameHeader::ACK) => {
                match side.settings.len() {
                    ..MOST => side.settings.push_back(mark),
                    _ => side.forgotten = true,
                }
                side.announce(settings(payload));
            }
            FrameType::PING if !header.has(FrameHeader::ACK) => {
                match payload.first_chunk() {
                    Some(data) if side.pings.len() < MOST => side.pings.push_back((*data, mark)),
                    Some(_) => side.forgotten = true,
                    None => {}
                }
                let strikes = side.strikes + u32::from(timed && side.is_ping_too_soon(mark.time, idle));
                let too_soon = payload.first_chunk().filter(|_| strikes > side.strikes && strikes > 2);
                side.too_soon = too_soon.map(|data| TooSoon { data: *data, mark, pings: strikes });
                side.strikes = strikes;
                side.last_ping = Some(mark.time);
            }
            _ => {}
        }
        if frame.direction == Direction::ToServer && header.kind == FrameType::HEADERS {
            self.opened(header.stream);
        }
        if frame.reset().is_some() {
            self.forget();
        }
    }

    fn opened(&mut self, stream: u32) {
        self.highest_stream = self.highest_stream.max(stream);
        if stream > self.last_stream && !self.streams.contains_key(&stream) {
            self.forget();
        }
    }

    /// Keeps the map within its limit: drops ended streams first, then the oldest.
    fn forget(&mut self) {
        while self.streams.len() >= self.limit {
            let Some(id) = self.over.pop_front().or_else(|| self.streams.keys().next().copied()) else { return };
            self.streams.remove(&id);
            self.forgotten_stream = self.forgotten_stream.max(id);
        }
    }

    /// Records that a response has begun with headers that could not be decoded.
    fn unknown_headers(&mut self, frame: &Frame, header: &FrameHeader) {
        let block = matches!(header.kind, FrameType::HEADERS | FrameType::CONTINUATION);
        let complete = block && header.has(FrameHeader::END_HEADERS) && frame.direction == Direction::ToClient;
        if let Some(stream) = self.streams.get_mut(&header.stream).filter(|stream| complete && !stream.response.begun) {
            stream.response.begun = true;
        }
    }

    fn headers(&mut self, frame: &Frame, header: &FrameHeader, place: Place) {
        let fields = &frame.headers;
        match place {
            Place::Request => {
                self.last_stream = header.stream;
                let stream = self.stream(frame);
                self.streams.insert(header.stream, stream);
            }
            Place::Response | Place::ResponseAlone => {
                if let Some(stream) = self.streams.get_mut(&header.stream) {
                    stream.response = Way { reset: stream.response.reset, ..Way::begin(fields) };
                    self.server.has_read(stream.begun);
                }
            }
            _ => {}
        }
    }
}

/// Returns all values of a header, joined as if they were one header.
fn joined(fields: &[HeaderField], name: &str) -> Option<String> {
    let values = fields.iter().filter(|field| field.is(name)).filter_map(|field| field.value.as_deref());
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    (!values.is_empty()).then(|| values.join(","))
}
