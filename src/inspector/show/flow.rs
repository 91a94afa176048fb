//! Shows flow control over time: the remaining window of each sender, and the waits for WINDOW_UPDATE.
//!
//! ```text
//!     12 ms       9  DATA           to server  stream 5           -16384 ░░░░░░░░░░░░            0
//!    352 ms      10  WINDOW_UPDATE  to server  stream 5           +65535 ████████████        65535
//!    352 ms  ◷ stream 5 to the server waited 340 ms for the server's WINDOW_UPDATE of the stream
//! ```
//!
//! A sender waits when its window, or the connection's, is used up and it has more to send. It has more to send if it
//! stopped inside a message, or if it continues as soon as the window opens: at most as long after that as it had to
//! wait.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::view::View;
use crate::inspector::decode::http2;
use crate::inspector::follow::windows::{Cause, Change, Windows};
use crate::inspector::model::frame::{Direction, Frame, FrameKind};
use crate::inspector::model::limits::Limits;
use crate::inspector::model::text;
use crate::wire::http2::{FrameHeader, FrameType};

/// The windows of a connection over time, and the waits for them.
#[derive(Clone, Debug)]
pub struct Flow {
    windows: Windows,
    limit: usize,
    /// The senders by direction (true: to the client) and stream.
    senders: BTreeMap<(bool, u32), Sender>,
    series: BTreeMap<(bool, u32), WindowSeries>,
    stalls: Vec<Stall>,
    last: Duration,
    /// True if bytes were not recorded; the windows are unknown after that.
    lossy: bool,
}

/// A window over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSeries {
    /// The direction of the DATA that the window limits.
    pub direction: Direction,
    /// The stream; 0 for the connection.
    pub stream: u32,
    /// The values with their times. If there are too many, every second one is dropped.
    pub points: Vec<WindowPoint>,
    /// The largest value.
    pub largest: i64,
    /// The smallest value.
    pub smallest: i64,
    /// The number of changes per stored point, and the changes since the last one.
    every: u32,
    skipped: u32,
}

/// The value of a window from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPoint {
    /// The time of the change.
    pub time: Duration,
    /// The number of the frame that changed the window.
    pub frame: u64,
    /// The bytes that may be sent; negative if SETTINGS reduced the window below the bytes in use.
    pub window: i64,
}

/// A wait of a sender for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The direction of the DATA that could not be sent.
    pub direction: Direction,
    /// The stream that waited.
    pub stream: u32,
    /// True if the window of the connection was used up, not the stream's own.
    pub by_connection: bool,
    /// The time at which the window was used up.
    pub begun: Duration,
    /// The time at which the window opened again; `None` if it never did.
    pub ended: Option<Duration>,
    /// The duration of the wait, up to the last frame that was seen.
    pub waited: Duration,
}

/// The sender of DATA on a stream.
#[derive(Clone, Debug, Default)]
struct Sender {
    message: Border,
    wait: Option<Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    begun: Duration,
    ended: Option<Duration>,
    by_connection: bool,
    /// True if the sender stopped inside a message.
    unfinished: bool,
}

/// The message boundaries of a stream.
#[derive(Clone, Debug, Default)]
struct Border {
    prefix: [u8; 5],
    have: usize,
    left: u64,
}

/// The most points of a series; further limits for series and stalls.
const MOST_POINTS: usize = 2_048;
const MOST_SERIES: usize = 256;
const MOST_STALLS: usize = 10_000;

impl Flow {
    /// Returns a view of a connection from its first frame on.
    pub fn new() -> Self {
        let limit = Limits::default().calls;
        let (senders, series) = (BTreeMap::new(), BTreeMap::new());
        Self {
            windows: Windows::new(limit),
            limit,
            senders,
            series,
            stalls: Vec::new(),
            last: Duration::ZERO,
            lossy: false,
        }
    }

    /// Takes the next frame; returns the waits that ended with it.
    pub fn advance(&mut self, frame: &Frame) -> Vec<Stall> {
        self.follow(frame).1
    }

    /// Returns all windows, those of the connection first.
    pub fn series(&self) -> impl Iterator<Item = &WindowSeries> {
        let connection = self.series.values().filter(|series| series.stream == 0);
        connection.chain(self.series.values().filter(|series| series.stream != 0))
    }

    /// Returns the ended waits, in the order of their ends.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    /// Returns the waits inside a message that have not ended.
    pub fn waiting(&self) -> Vec<Stall> {
        let waits = self.senders.iter().filter_map(|((to_client, stream), sender)| {
            let wait = sender.wait.filter(|wait| wait.ended.is_none() && wait.unfinished)?;
            Some(self.stall(way(*to_client), *stream, wait))
        });
        waits.collect()
    }

    /// Returns the time of the last frame.
    pub(crate) fn last(&self) -> Duration {
        self.last
    }

    fn stall(&self, direction: Direction, stream: u32, wait: Wait) -> Stall {
        let waited = wait.ended.unwrap_or(self.last).saturating_sub(wait.begun);
        Stall { direction, stream, by_connection: wait.by_connection, begun: wait.begun, ended: wait.ended, waited }
    }

    fn follow(&mut self, frame: &Frame) -> (Vec<Change>, Vec<Stall>) {
        self.last = self.last.max(frame.time);
        let mut stalls = Vec::new();
        self.lossy |= matches!(frame.kind, FrameKind::Lost { .. });
        let Some(header) = frame.header().filter(|_| !self.lossy) else {
            // A request in HTTP/1.1 that asks for HTTP/2 opens stream 1.
            let changes = if self.lossy { Vec::new() } else { self.windows.push(frame) };
            changes.iter().for_each(|change| self.record(frame, change));
            return (changes, stalls);
        };
        let key = (frame.direction == Direction::ToClient, header.stream);
        // Checked before the frame uses up the window again.
        if matches!(header.kind, FrameType::DATA | FrameType::HEADERS) {
            stalls.extend(self.goes_on(frame, header, key));
        }
        let changes = self.windows.push(frame);
        for change in &changes {
            self.record(frame, change);
        }
        self.notice(frame, &changes);
        if frame.ends_stream {
            self.senders.remove(&key);
        }
        if header.kind == FrameType::RST_STREAM {
            self.senders.remove(&(false, header.stream));
            self.senders.remove(&(true, header.stream));
        }
        let room = MOST_STALLS.saturating_sub(self.stalls.len());
        self.stalls.extend(stalls.iter().take(room));
        (changes, stalls)
    }

    /// Handles a sender that sends again, and decides if it waited.
    fn goes_on(&mut self, frame: &Frame, header: &FrameHeader, key: (bool, u32)) -> Option<Stall> {
        if header.stream == 0 {
            return None;
        }
        if !self.senders.contains_key(&key) && self.senders.len() >= 2 * self.limit {
            self.senders.pop_first();
        }
        let sender = self.senders.entry(key).or_default();
        let data = header.kind == FrameType::DATA;
        let wait = sender.wait.take().filter(|_| data);
        if data {
            let body = http2::dissect(header, &frame.bytes).body;
            sender.message.push(frame.bytes.get(body).unwrap_or_default());
        }
        let wait = wait?;
        let ended = wait.ended?;
        let at_once = frame.time.saturating_sub(ended) <= ended.saturating_sub(wait.begun);
        (wait.unfinished || at_once).then(|| self.stall(frame.direction, header.stream, wait))
    }

    /// Begins and ends waits according to the new windows.
    fn notice(&mut self, frame: &Frame, changes: &[Change]) {
        for to_client in [false, true] {
            let way = way(to_client);
            let mut changed = changes.iter().filter(|change| change.way == way).peekable();
            if changed.peek().is_none() {
                continue;
            }
            let all = changed.clone().any(|change| change.stream == 0 && (change.before > 0) != (change.after > 0));
            let streams: Vec<u32> = match all {
                true => {
                    let keys = self.senders.range((to_client, 0)..=(to_client, u32::MAX));
                    keys.map(|((_, stream), _)| *stream).collect()
                }
                false => changed.map(|change| change.stream).filter(|stream| *stream != 0).collect(),
            };
            let connection = self.windows.get(way, 0).unwrap_or(1);
            for stream in streams {
                let own = self.windows.get(way, stream).unwrap_or(1);
                let Some(sender) = self.senders.get_mut(&(to_client, stream)) else { continue };
                let blocked = own <= 0 || connection <= 0;
                let unfinished = sender.message.is_inside();
                match &mut sender.wait {
                    None if blocked => {
                        let by_connection = own > 0;
                        sender.wait = Some(Wait { begun: frame.time, ended: None, by_connection, unfinished });
                    }
                    Some(wait) if !blocked && wait.ended.is_none() => wait.ended = Some(frame.time),
                    // The sender did not use the window that was open for a moment.
                    Some(wait) if blocked => wait.ended = None,
                    _ => {}
                }
            }
        }
    }

    fn record(&mut self, frame: &Frame, change: &Change) {
        let key = (change.way == Direction::ToClient, change.stream);
        if !self.series.contains_key(&key) && self.series.len() >= MOST_SERIES {
            return;
        }
        let series = self.series.entry(key).or_insert_with(|| WindowSeries::new(change.way, change.stream));
        if series.points.is_empty() {
            series.push(WindowPoint {
                time: Duration::ZERO.max(frame.time),
                frame: frame.number,
                window: change.before,
            });
        }
        if change.cause != Cause::Opened {
            series.push(WindowPoint { time: frame.time, frame: frame.number, window: change.after });
        }
    }

    /// Returns a row for a frame that changes a window.
    fn row(&self, frame: &Frame, change: &Change) -> String {
        let what = frame.header().map_or_else(String::new, |header| header.kind.to_string());
        let to = if change.way == Direction::ToServer { "to server" } else { "to client" };
        let whose = if change.stream == 0 { "connection".to_owned() } else { format!("stream {}", change.stream) };
        let by = change.after - change.before;
        let largest = self.series.get(&(change.way == Direction::ToClient, change.stream));
        let bar = bar(change.after, largest.map_or(change.after, |series| series.largest));
        let (time, number) = (text::time(frame.time), frame.number);
        format!("{time:>9}  {number:>6}  {what:<13}  {to}  {whose:<12} {by:>+12} {bar} {:>12}\n", change.after)
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}

impl WindowSeries {
    fn new(direction: Direction, stream: u32) -> Self {
        let (largest, smallest) = (i64::MIN, i64::MAX);
        Self { direction, stream, points: Vec::new(), largest, smallest, every: 1, skipped: 0 }
    }

    fn push(&mut self, point: WindowPoint) {
        self.largest = self.largest.max(point.window);
        self.smallest = self.smallest.min(point.window);
        self.skipped += 1;
        if self.skipped < self.every && !self.points.is_empty() {
            return;
        }
        self.skipped = 0;
        if self.points.len() >= MOST_POINTS {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.saturating_mul(2);
        }
        self.points.push(point);
    }

    /// Returns the last known value of the window.
    pub fn window(&self) -> i64 {
        self.points.last().map_or(0, |point| point.window)
    }
}

impl Border {
    fn push(&mut self, mut data: &[u8]) {
        while let Some((&first, rest)) = data.split_first() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                self.left -= skipped as u64;
                data = data.get(skipped..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.prefix.get_mut(self.have) {
                *place = first;
                self.have += 1;
                data = rest;
            }
            if self.have == self.prefix.len() {
                let [_, length @ ..] = self.prefix;
                (self.have, self.left) = (0, u32::from_be_bytes(length).into());
            }
        }
    }

    fn is_inside(&self) -> bool {
        self.have > 0 || self.left > 0
    }
}

fn way(to_client: bool) -> Direction {
    if to_client { Direction::ToClient } else { Direction::ToServer }
}

/// Returns a bar of twelve columns, filled in proportion to the window.
fn bar(window: i64, largest: i64) -> String {
    let filled = window.max(0).saturating_mul(12).checked_div(largest.max(1)).unwrap_or(0).clamp(0, 12) as usize;
    // A small remainder stays visible.
    let filled = if window > 0 { filled.max(1) } else { filled };
    format!("{}{}", "█".repeat(filled), "░".repeat(12 - filled))
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receiver = if self.direction == Direction::ToServer { "server" } else { "client" };
        let whose = if self.by_connection { "connection" } else { "stream" };
        let (verb, waited) =
            (if self.ended.is_some() { "waited" } else { "still waits after" }, text::time(self.waited));
        let stream = self.stream;
        write!(f, "stream {stream} to the {receiver} {verb} {waited} for the {receiver}'s WINDOW_UPDATE of the {whose}")
    }
}

impl View for Flow {
    fn push(&mut self, frame: &Frame) -> String {
        let (changes, stalls) = self.follow(frame);
        let mut out: String =
            stalls.iter().map(|stall| format!("{:>9}  ◷ {stall}\n", text::time(frame.time))).collect();
        out.extend(changes.iter().map(|change| self.row(frame, change)));
        out
    }

    fn finish(&mut self) -> String {
        let waiting = self.waiting();
        let mut out: String =
            waiting.iter().map(|stall| format!("{:>9}  ◷ {stall}\n", text::time(self.last))).collect();
        let all: Duration = self.stalls.iter().chain(&waiting).map(|stall| stall.waited).sum();
        let count = self.stalls.len() + waiting.len();
        if self.lossy {
            out.push_str("bytes were not recorded: windows are unknown after that\n");
        }
        out.push_str(&match count {
            0 => "no waits for windows\n".to_owned(),
            _ => format!("{} for windows, {} in all\n", text::count(count as u64, "wait"), text::time(all)),
        });
        out
    }
}
