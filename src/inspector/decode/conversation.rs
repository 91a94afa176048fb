//! Decodes both directions of a connection into annotated frames.
//!
//! Bytes go in as they were recorded, in pieces of any size. Frames come out in the order in which they were completed,
//! both directions interleaved. This module has the connection state that decoding needs: the HPACK tables of both
//! directions, the open header block, and the calls with their messages.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::Range;
use std::time::Duration;

use super::assembly::Assembly;
use super::call::Call;
use super::context::Context;
use super::grpc::MessageReader;
use super::half::{Expects, Half, Piece};
use super::http1;
use super::http2;
use crate::call::Compressors;
use crate::compression;
use crate::inspector::model::annotation::{Annotation, Layer};
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning};
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::Schema;
use crate::inspector::model::text;
use crate::inspector::model::tree::{Gap, Tree, check_tiling};
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, PREFACE, Setting, settings};

/// The most calls that are followed after a reset.
const MOST_RESET: usize = 256;

/// The bytes of a connection, decoded as they arrive.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub(crate) schema: Schema,
    pub(crate) limits: Limits,
    compressors: Compressors,
    to_server: Half,
    to_client: Half,
    pub(super) calls: BTreeMap<u32, Call>,
    /// The calls among them that were reset, oldest first; DATA that crossed the reset may still come.
    reset: VecDeque<u32>,
    /// Bytes buffered for incomplete messages.
    waiting: usize,
    /// Bytes that decompression may still produce.
    restorable: usize,
    frames: VecDeque<Frame>,
    frames_cost: usize,
    /// The time of the pushed bytes.
    time: Duration,
    /// The number of the last frame; numbers in `frames` are consecutive.
    last_number: u64,
    dropped: u64,
}

impl Conversation {
    /// Returns a conversation that starts at the first byte, with the limits of the schema.
    pub fn new(schema: Schema) -> Self {
        let limits = schema.limits();
        Self::with_limits(schema, limits)
    }

    /// Returns a conversation that starts at the first byte.
    pub fn with_limits(schema: Schema, limits: Limits) -> Self {
        Self {
            schema,
            limits,
            compressors: compression::all(),
            to_server: Half::new(Expects::Preface, limits),
            to_client: Half::new(Expects::Settings, limits),
            calls: BTreeMap::new(),
            reset: VecDeque::new(),
            waiting: 0,
            restorable: limits.restored,
            frames: VecDeque::new(),
            frames_cost: 0,
            time: Duration::ZERO,
            last_number: 0,
            dropped: 0,
        }
    }

    /// Sets the time of the bytes pushed from now on, counted from a start of the caller's choice. Frames that these
    /// bytes complete have this time. The initial time is zero.
    pub fn set_time(&mut self, time: Duration) {
        self.time = time;
    }

    /// Sets the compressors that decompress messages from now on. The default is all compiled-in compressors.
    pub fn set_compressors(&mut self, compressors: Compressors) {
        self.compressors = compressors;
    }

    /// Returns the number of bytes that decompressed messages may still have: [`Limits::restored`], plus what received
    /// bytes allow, minus what was decompressed.
    pub fn restorable(&self) -> usize {
        self.restorable
    }

    /// Sets the number of bytes that decompressed messages may still have, so that several conversations can share one
    /// budget.
    pub fn set_restorable(&mut self, bytes: usize) {
        self.restorable = bytes;
    }

    /// Returns the number of bytes that wait for the rest of their frame, header block or message.
    pub fn held(&self) -> usize {
        self.to_server.held() + self.to_client.held() + self.waiting
    }

    /// Returns the schema of this conversation.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Takes the next bytes of a direction, in pieces of any size.
    pub fn push(&mut self, direction: Direction, bytes: &[u8]) {
        let half = self.half_mut(direction);
        half.pending.extend_from_slice(bytes);
        let mut pending = mem::take(&mut half.pending);
        let mut rest = pending.as_slice();
        loop {
            let (half, peer) = match direction {
                Direction::ToServer => (&mut self.to_server, &mut self.to_client),
                Direction::ToClient => (&mut self.to_client, &mut self.to_server),
            };
            let Some((piece, tail)) = half.next_piece(peer, rest) else { break };
            rest = tail;
            self.accept(direction, piece);
        }
        let consumed = pending.len() - rest.len();
        pending.drain(..consumed);
        self.half_mut(direction).pending = pending;
    }

    /// Ends the conversation: the bytes of an incomplete frame become a [`FrameKind::Truncated`]. Bytes pushed after
    /// this call are shown undecoded.
    pub fn finish(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let half = self.half_mut(direction);
            let expected = mem::replace(&mut half.expects, Expects::Nothing);
            let rest = mem::take(&mut half.pending);
            if !rest.is_empty() {
                self.cut(direction, expected, &rest);
            }
        }
    }

    /// Returns the frames so far, in the order in which they were completed.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> + ExactSizeIterator {
        self.frames.iter()
    }

    /// Removes and returns the frames so far, to free their memory. Parts in removed frames are no longer refined when
    /// a later frame completes them; [`Message`](crate::inspector::Message) has the whole.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        self.frames_cost = 0;
        let as_many = VecDeque::with_capacity(self.frames.len());
        mem::replace(&mut self.frames, as_many).into()
    }

    /// Returns the number of frames that were dropped because of [`Limits::frames`].
    pub fn dropped_frames(&self) -> u64 {
        self.dropped
    }

    /// Checks the stored frames: in each direction every byte must belong to exactly one leaf.
    ///
    /// # Errors
    ///
    /// [`Gap`] at the first violation, which is a bug in the inspector and not an error in its input.
    pub fn check(&self) -> Result<(), Gap> {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut expected = None;
            for frame in self.frames.iter().filter(|frame| frame.direction == direction) {
                check_tiling(0..frame.bytes.len(), &frame.annotations)?;
                self.contiguous(expected.unwrap_or(frame.offset), frame.offset)?;
                expected = Some(frame.offset + frame.bytes.len() as u64 + frame.lost());
            }
            let half = self.half(direction);
            self.contiguous(expected.unwrap_or(half.offset), half.offset)?;
        }
        Ok(())
    }

    fn contiguous(&self, expected: u64, found: u64) -> Result<(), Gap> {
        let gap = Gap { expected: expected as usize, found: found as usize };
        if expected == found { Ok(()) } else { Err(gap) }
    }

    fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    pub(crate) fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn accept(&mut self, direction: Direction, piece: Piece<'_>) {
        match piece {
            Piece::Preface(bytes) => {
                let mut frame = self.frame(direction, bytes, FrameKind::Preface);
                frame.annotations = http2::preface_leaf(bytes.len()).into();
                self.keep(frame);
            }
            Piece::Before(opening, bytes) => self.before(direction, opening, bytes),
            Piece::Frame(header, bytes) => self.http2(direction, &header, bytes),
            Piece::NotHttp2(bytes) => self.not_http2(direction, bytes),
            Piece::Rest(bytes) => self.out_of_place(direction, bytes, "rest of a frame with lost bytes"),
            Piece::Lost(bytes) => self.out_of_place(direction, bytes, "of a frame whose beginning was not captured"),
        }
    }

    /// Returns a frame with its number, time, offset and bytes.
    pub(crate) fn frame(&mut self, direction: Direction, bytes: &[u8], kind: FrameKind) -> Frame {
        self.last_number += 1;
        let half = self.half_mut(direction);
        let offset = half.offset;
        half.offset += bytes.len() as u64;
        Frame {
            number: self.last_number,
            direction,
            time: self.time,
            offset,
            bytes: bytes.to_vec(),
            kind,
            meaning: Meaning::None,
            ends_stream: false,
            headers: Vec::new(),
            details: None,
            messages: Vec::new(),
            annotations: Tree::default(),
            faults: Vec::new(),
        }
    }

    pub(super) fn opaque(&mut self, direction: Direction, bytes: &[u8], kind: FrameKind, label: &'static str) {
        let mut frame = self.frame(direction, bytes, kind);
        frame.annotations = Annotation::new(0..bytes.len(), Layer::Opaque, label).value(text::plain(bytes)).into();
        self.keep(frame);
    }

    /// Adds bytes whose place in a frame is unknown.
    fn out_of_place(&mut self, direction: Direction, bytes: &[u8], label: &'static str) {
        let mut frame = self.frame(direction, bytes, FrameKind::Fragment);
        frame.annotations = Annotation::new(0..bytes.len(), Layer::Opaque, label).into();
        self.keep(frame);
    }

    /// Adds the rest of a direction that ends, or loses bytes, inside a frame.
    pub(crate) fn cut(&mut self, direction: Direction, expected: Expects, bytes: &[u8]) {
        if matches!(expected, Expects::Lost { .. }) {
            return self.out_of_place(direction, bytes, "of a frame whose beginning was not captured");
        }
        if self.half(direction).is_http1(expected, bytes) {
            self.half_mut(direction).http1 = true;
            let mut frame = self.frame(direction, bytes, FrameKind::NotHttp2);
            frame.annotations = http1::foreign_head(bytes, self.limits.annotations);
            return self.keep(frame);
        }
        let in_preface = matches!(expected, Expects::Preface | Expects::Body { .. } | Expects::Chunk);
        let Some(header) = FrameHeader::parse(bytes).filter(|_| !in_preface) else {
            let label = match expected {
                Expects::Preface if PREFACE.starts_with(bytes) => "part of the preface",
                Expects::Preface => "part of the PROXY protocol",
                Expects::Body { .. } | Expects::Chunk => "part of a body of HTTP/1.1",
                _ => "incomplete frame header",
            };
            return self.opaque(direction, bytes, FrameKind::Truncated, label);
        };
        let mut frame = self.frame(direction, bytes, FrameKind::Truncated);
        let seen = bytes.len() - FRAME_HEADER;
        frame.faults.push(format!("the bytes end inside a frame: {seen} of {} bytes of payload", header.length));
        let rest = Annotation::new(FRAME_HEADER..bytes.len(), Layer::Opaque, "payload").value("incomplete");
        http2::push_header(&mut frame.annotations, &header, bytes);
        frame.annotations.push(rest);
        self.keep(frame);
    }

    fn http2(&mut self, direction: Direction, header: &FrameHeader, bytes: &[u8]) {
        let dissection = http2::dissect(header, bytes);
        let mut frame = self.frame(direction, bytes, FrameKind::Http2(*header));
        frame.annotations = dissection.before;
        self.hold_block_together(&mut frame, header);
        match header.kind {
            FrameType::DATA => {
                frame.ends_stream = header.ends_stream();
                self.data(frame, header.stream, dissection.body, dissection.after);
                return self.end_of_stream(direction, header);
            }
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => {
                return self.header_block(frame, header, dissection.body, dissection.after);
            }
            FrameType::SETTINGS => {
                let payload = bytes.get(FRAME_HEADER..).unwrap_or_default();
                for (id, value) in settings(payload) {
                    if id == Setting::HEADER_TABLE_SIZE {
                        self.half_mut(direction.opposite()).hpack.allow_table_size(value);
                    }
                }
            }
            FrameType::RST_STREAM => self.reset_call(direction, header.stream),
            _ => {}
        }
        self.keep(frame);
    }

    /// Adds a frame whose bytes at `place` are data of a stream.
    pub(super) fn data(&mut self, mut frame: Frame, stream: u32, place: Range<usize>, padding: Option<Annotation>) {
        let (number, direction) = (frame.number, frame.direction);
        let room = self.limits.waiting.saturating_sub(self.waiting);
        let opaque = self.calls.get(&stream).map(|call| call.half(direction).opaque());
        let call = self.calls.get_mut(&stream).filter(|_| opaque == Some(None));
        let Some(call) = call else {
            let value = opaque.flatten().unwrap_or("of a call that has ended or was not captured");
            frame.meaning = Meaning::Data;
            frame.annotations.push(Annotation::new(place, Layer::Opaque, "data").value(value));
            frame.annotations.extend(padding);
            return self.keep(frame);
        };
        let type_name = call.type_name(direction);
        let held = call.cost();
        let half = call.half_mut(direction);
        if half.encoding.is_some() {
            let earned = place.len().saturating_mul(Limits::RESTORED_PER_BYTE);
            self.restorable = self.restorable.saturating_add(earned);
        }
        let context = Context {
            schema: &self.schema,
            limits: &self.limits,
            type_name,
            encoding: half.encoding.as_deref(),
            compressors: &self.compressors,
            restorable: self.limits.message.min(self.restorable),
            room: room + half.messages.cost(),
        };
        frame.meaning = match (place.is_empty(), frame.ends_stream) {
            (false, _) => Meaning::Messages,
            (true, true) => Meaning::HalfClose,
            (true, false) => Meaning::None,
        };
        let before = mem::take(&mut frame.annotations);
        let found = half.messages.push(number, &frame.bytes, place, before, &context);
        self.restorable = self.restorable.saturating_sub(context.restorable - found.restorable);
        self.waiting = self.waiting.saturating_sub(held) + call.cost();

        (frame.annotations, frame.messages) = (found.annotations, found.complete);
        frame.annotations.extend(padding);
        let whole = frame.messages.first().and_then(|message| message.tree.as_deref());
        if let Some((assembly, tree)) = found.earlier.zip(whole) {
            self.refine(&assembly, tree, number);
        }
        self.keep(frame);
    }

    fn end_of_stream(&mut self, direction: Direction, header: &FrameHeader) {
        if header.ends_stream() {
            self.end_of_direction(direction, header.stream, self.last_number);
        }
    }

    /// Handles END_STREAM on frame `number`: reports an incomplete message, and removes a call that has ended on both
    /// sides.
    pub(super) fn end_of_direction(&mut self, direction: Direction, stream: u32, number: u64) {
        let Some(call) = self.calls.get_mut(&stream) else { return };
        let half = call.half_mut(direction);
        half.ended = true;
        let unfinished = half.messages.unfinished();
        if call.is_over() {
            self.forget_call(stream);
        }
        let fault = match unfinished {
            None => return,
            Some((seen, None)) => format!("the stream ends inside a message's prefix: {seen} of 5 bytes"),
            Some((seen, Some(total))) => format!("the stream ends inside a message: {seen} of its {total} bytes"),
        };
        self.with_kept(number, |frame| frame.faults.push(fault));
    }

    /// Marks the message boundaries of all open calls in a direction as unknown.
    pub(super) fn lose_messages(&mut self, direction: Direction) {
        for call in self.calls.values_mut() {
            let half = call.half_mut(direction);
            self.waiting = self.waiting.saturating_sub(half.messages.cost());
            (half.messages, half.lost) = (MessageReader::new(), true);
        }
    }

    /// Handles RST_STREAM: its sender sends nothing more on the stream, but frames of the other side may be on their way.
    fn reset_call(&mut self, direction: Direction, stream: u32) {
        let Some(call) = self.calls.get_mut(&stream) else { return };
        let half = call.half_mut(direction);
        self.waiting = self.waiting.saturating_sub(half.messages.cost());
        (half.messages, half.ended, half.reset) = (MessageReader::new(), true, true);
        if call.is_over() {
            return self.forget_call(stream);
        }
        if !self.reset.contains(&stream) {
            self.reset.push_back(stream);
        }
        // Calls in progress need the memory more.
        while self.reset.len() > MOST_RESET || (!self.reset.is_empty() && self.waiting > self.limits.waiting / 4) {
            if let Some(oldest) = self.reset.pop_front() {
                self.forget_call(oldest);
            }
        }
    }

    /// Makes room for a call: forgets one that was reset, or the oldest.
    pub(super) fn forget_oldest(&mut self) {
        while let Some(stream) = self.reset.pop_front() {
            if self.calls.contains_key(&stream) {
                return self.forget_call(stream);
            }
        }
        if let Some((&oldest, _)) = self.calls.first_key_value() {
            self.forget_call(oldest);
        }
    }

    pub(super) fn forget_call(&mut self, stream: u32) {
        if let Some(call) = self.calls.remove(&stream) {
            self.waiting = self.waiting.saturating_sub(call.cost());
        }
    }

    pub(crate) fn keep(&mut self, frame: Frame) {
        self.frames_cost += frame.cost();
        self.frames.push_back(frame);
        // The newest frame is kept, so that its own annotations can still be added.
        while self.frames_cost > self.limits.frames && self.frames.len() > 1 {
            let oldest = self.frames.pop_front();
            self.frames_cost = self.frames_cost.saturating_sub(oldest.map_or(0, |frame| frame.cost()));
            self.dropped += 1;
        }
    }

    /// Changes a frame if it is still stored.
    pub(super) fn with_kept(&mut self, number: u64, change: impl FnOnce(&mut Frame)) {
        let place = self.frames.front().and_then(|first| number.checked_sub(first.number));
        let frame = place.and_then(|place| self.frames.get_mut(usize::try_from(place).ok()?));
        if let Some(frame) = frame {
            let before = frame.cost();
            change(frame);
            self.frames_cost = self.frames_cost.saturating_sub(before) + frame.cost();
        }
    }

    /// Replaces the provisional annotations in the frames before `number` with the final ones; returns the annotations
    /// for frame `number`.
    pub(super) fn refine(&mut self, assembly: &Assembly, annotations: &Tree, number: u64) -> Tree {
        let mut own = Tree::default();
        for (frame, place, part) in assembly.distribute(annotations) {
            match frame == number {
                true => own = part,
                false => self.with_kept(frame, |frame| frame.annotations.replace(&place, part)),
            }
        }
        own
    }
}
