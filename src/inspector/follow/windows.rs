//! Flow control (RFC 9113, section 5.2 and 6.9): the windows of both directions, from the frames alone.
//!
//! The receiver of DATA grants the window, and the window limits its sender. A change in SETTINGS applies once the peer
//! has read it, which only the acknowledgement shows. So a larger SETTINGS_INITIAL_WINDOW_SIZE counts from the frame
//! that announces it, because the sender may use it at once. A smaller one counts from its acknowledgement, because the
//! sender may not have known it before.

use std::collections::{BTreeMap, VecDeque};

use crate::inspector::decode::http1::upgrade_settings;
use crate::inspector::model::frame::{Direction, Frame};
use crate::wire::http2::{FrameHeader, FrameType, Setting, settings};

/// The initial window of a connection, and of a stream until SETTINGS change it.
const INITIAL: i64 = 65_535;

/// The largest allowed window (RFC 9113, section 6.9.1).
pub(crate) const LARGEST: i64 = 0x7fff_ffff;

/// The flow-control windows of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    to_server: Way,
    to_client: Way,
    limit: usize,
}

/// The windows for the DATA of one direction.
#[derive(Clone, Debug)]
struct Way {
    connection: i64,
    /// The SETTINGS_INITIAL_WINDOW_SIZE in effect.
    initial: i64,
    /// The values in SETTINGS that are not yet acknowledged, oldest first.
    announced: VecDeque<Option<i64>>,
    streams: BTreeMap<u32, i64>,
}

/// The change of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The direction of the DATA that the window limits.
    pub(crate) way: Direction,
    /// The stream; 0 for the connection.
    pub(crate) stream: u32,
    pub(crate) before: i64,
    pub(crate) after: i64,
    /// The value after it for a sender that has read all SETTINGS, acknowledged or not.
    pub(crate) least: i64,
    pub(crate) cause: Cause,
}

/// The cause of a window's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The stream was opened.
    Opened,
    /// DATA, padding included.
    Data,
    /// WINDOW_UPDATE.
    Update,
    /// SETTINGS, or their acknowledgement.
    Settings,
}

impl Windows {
    /// Follows at most `limit` streams; beyond this, the oldest are forgotten.
    pub(crate) fn new(limit: usize) -> Self {
        let way = Way { connection: INITIAL, initial: INITIAL, announced: VecDeque::new(), streams: BTreeMap::new() };
        Self { to_server: way.clone(), to_client: way, limit }
    }

    /// Returns the window of a stream, or of the connection, for one direction's DATA; `None` if the stream is not
    /// followed.
    pub(crate) fn get(&self, way: Direction, stream: u32) -> Option<i64> {
        let windows = match way {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        if stream == 0 { Some(windows.connection) } else { windows.streams.get(&stream).copied() }
    }

    /// Takes the next frame; returns the windows that it changes.
    pub(crate) fn push(&mut self, frame: &Frame) -> Vec<Change> {
        let Some(header) = frame.header() else { return self.upgrade(frame) };
        let payload = frame.payload().unwrap_or_default();
        let way = frame.direction;
        let mut changes = Vec::new();
        match header.kind {
            FrameType::HEADERS if way == Direction::ToServer && header.stream != 0 => {
                for way in [Direction::ToServer, Direction::ToClient] {
                    let limit = self.limit;
                    changes.extend(self.way_mut(way).open(way, header.stream, limit));
                }
            }
            FrameType::DATA => self.way_mut(way).used(way, header, &mut changes),
            FrameType::WINDOW_UPDATE => {
                let increment = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff);
                let way = way.opposite();
                changes.extend(self.way_mut(way).change(way, header.stream, increment.into(), Cause::Update));
            }
            FrameType::SETTINGS if header.has(FrameHeader::ACK) => self.way_mut(way).acknowledged(way, &mut changes),
            FrameType::SETTINGS => {
                let last = settings(payload).filter(|(id, _)| *id == Setting::INITIAL_WINDOW_SIZE).last();
                let way = way.opposite();
                let value = last.map(|(_, value)| i64::from(value));
                self.way_mut(way).announced(way, value, &mut changes);
            }
            FrameType::RST_STREAM => {
                self.to_server.streams.remove(&header.stream);
                self.to_client.streams.remove(&header.stream);
            }
            _ => {}
        }
        if frame.ends_stream {
            self.way_mut(way).streams.remove(&header.stream);
        }
        changes
    }

    /// Opens stream 1 for a request in HTTP/1.1 that asks for HTTP/2, and applies its settings.
    fn upgrade(&mut self, frame: &Frame) -> Vec<Change> {
        let mut changes = Vec::new();
        if !frame.is_upgrade() {
            return changes;
        }
        for way in [Direction::ToServer, Direction::ToClient] {
            let limit = self.limit;
            changes.extend(self.way_mut(way).open(way, frame.stream(), limit));
        }
        let payload = upgrade_settings(frame).unwrap_or_default();
        let last = settings(&payload).filter(|(id, _)| *id == Setting::INITIAL_WINDOW_SIZE).last();
        if let Some((_, value)) = last {
            let way = frame.direction.opposite();
            self.way_mut(way).set_initial(way, value.into(), &mut changes);
        }
        changes
    }

    fn way_mut(&mut self, way: Direction) -> &mut Way {
        match way {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

impl Way {
    fn open(&mut self, way: Direction, stream: u32, limit: usize) -> Option<Change> {
        if self.streams.contains_key(&stream) {
            return None;
        }
        if self.streams.len() >= limit {
            self.streams.pop_first();
        }
        self.streams.insert(stream, self.initial);
        let (before, least) = (self.initial, self.initial - self.unread());
        Some(Change { way, stream, before, after: before, least, cause: Cause::Opened })
    }

    fn used(&mut self, way: Direction, header: &FrameHeader, changes: &mut Vec<Change>) {
        if header.length > 0 {
            for stream in [0, header.stream] {
                changes.extend(self.change(way, stream, -i64::from(header.length), Cause::Data));
            }
        }
    }

    fn change(&mut self, way: Direction, stream: u32, by: i64, cause: Cause) -> Option<Change> {
        let unread = if stream == 0 { 0 } else { self.unread() };
        let window = if stream == 0 { &mut self.connection } else { self.streams.get_mut(&stream)? };
        let before = *window;
        let after = before.saturating_add(by);
        // An overflow is reported once; the window is then limited to the bound.
        *window = after.clamp(-LARGEST, LARGEST + unread);
        Some(Change { way, stream, before, after, least: after - unread, cause })
    }

    /// Returns the part of the windows that announced SETTINGS will take away.
    fn unread(&self) -> i64 {
        let last = self.announced.iter().rev().copied().flatten().next();
        last.map_or(0, |last| (self.initial - last).max(0))
    }

    fn announced(&mut self, way: Direction, value: Option<i64>, changes: &mut Vec<Change>) {
        // Bounds the queue for a peer that never acknowledges.
        if self.announced.len() < 1_024 {
            self.announced.push_back(value);
        }
        if let Some(larger) = value.filter(|value| *value > self.initial) {
            self.set_initial(way, larger, changes);
        }
    }

    fn acknowledged(&mut self, way: Direction, changes: &mut Vec<Change>) {
        if let Some(value) = self.announced.pop_front().flatten() {
            // A later, larger announcement is already in effect.
            let later = self.announced.iter().copied().flatten().max();
            self.set_initial(way, later.map_or(value, |later| later.max(value)), changes);
        }
    }

    fn set_initial(&mut self, way: Direction, value: i64, changes: &mut Vec<Change>) {
        let by = value - self.initial;
        if by == 0 {
            return;
        }
        self.initial = value;
        let streams: Vec<u32> = self.streams.keys().copied().collect();
        changes.extend(streams.into_iter().filter_map(|stream| self.change(way, stream, by, Cause::Settings)));
    }
}
