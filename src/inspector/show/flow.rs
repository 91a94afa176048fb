//! Shows flow control over time: the remaining window of each sender, and the waits for WINDOW_UPDATE.
//!
//! ```text
//!     12 ms       9  DATA           to server  stream 5           -16384 ░░░░░░░░░░░░            0
//!    352 ms      10  WINDOW_UPDATE  to server  stream 5           +65535 ████████████        65535
//!    352 ms  ◷ stream 5 to the server waited 340 ms for the server's WINDOW_UPDATE of the stream
//! ```
//!
//! `follow/stalls.rs` says when a sender waits. At the end, each wait that did not end with an open window is listed with
//! its circumstances.

use std::collections::BTreeMap;
use std::time::Duration;

use super::view::View;
use crate::inspector::follow::stall::{Stall, StallEnd};
use crate::inspector::follow::stalls::Stalls;
use crate::inspector::follow::windows::{Cause, Change};
use crate::inspector::model::frame::{Direction, Frame};
use crate::inspector::model::limits::Limits;
use crate::inspector::model::text;

/// The windows of a connection over time, and the waits for them.
#[derive(Clone, Debug)]
pub struct Flow {
    senders: Stalls,
    /// The windows by direction (true: to the client) and stream.
    series: BTreeMap<(bool, u32), WindowSeries>,
    stalls: Vec<Stall>,
    waits: Waits,
}

/// The waits that have ended, with those beyond the limit.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    /// The number and the duration of the certain ones, and the number of these that did not end with an open window.
    count: u64,
    all: Duration,
    unopened: u64,
    /// Streams without a window of which it is unknown whether they had more to send.
    unknown: u64,
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

/// The most points of a series; further limits for series and stalls.
const MOST_POINTS: usize = 2_048;
const MOST_SERIES: usize = 256;
const MOST_STALLS: usize = 10_000;

impl Flow {
    /// Returns a view of a connection from its first frame on.
    pub fn new() -> Self {
        let senders = Stalls::new(Limits::default().calls);
        Self { senders, series: BTreeMap::new(), stalls: Vec::new(), waits: Waits::default() }
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

    /// Returns the waits that have not ended, up to the last known time.
    pub fn waiting(&self) -> Vec<Stall> {
        self.senders.waiting().collect()
    }

    /// Lets time pass without a frame, for example up to the end of the recording.
    pub fn until(&mut self, time: Duration) {
        self.senders.until(time);
    }

    /// Ends the waits that have not ended: with the connection if it is `closed`; otherwise they stay open. Returns them.
    pub fn close(&mut self, closed: bool) -> Vec<Stall> {
        let rest = self.senders.finish(closed);
        self.keep(&rest);
        rest
    }

    /// Returns the last known time.
    pub(crate) fn last(&self) -> Duration {
        self.senders.now()
    }

    fn follow(&mut self, frame: &Frame) -> (Vec<Change>, Vec<Stall>) {
        let (changes, stalls) = self.senders.push(frame);
        for change in &changes {
            self.record(frame, change);
        }
        self.keep(&stalls);
        (changes, stalls)
    }

    fn keep(&mut self, stalls: &[Stall]) {
        let waits = &mut self.waits;
        for stall in stalls {
            match stall.is_certain() {
                true => (waits.count, waits.all) = (waits.count + 1, waits.all + stall.waited),
                false => waits.unknown += 1,
            }
            waits.unopened += u64::from(stall.is_certain() && stall.end != StallEnd::Opened);
        }
        let room = MOST_STALLS.saturating_sub(self.stalls.len());
        self.stalls.extend(stalls.iter().take(room));
    }

    /// Ends the view: with the connection if it is `closed`.
    fn ends(&mut self, closed: bool) -> String {
        let rest = self.close(closed);
        let mut out: String = rest.iter().map(|stall| lines(stall, self.last())).collect();
        out.extend(self.senders.blind().map(|blind| format!("{blind}\n")));
        out.push_str(&self.summary());
        out
    }

    /// Returns the number and the duration of the waits, as a line.
    fn summary(&self) -> String {
        let Waits { count, all, unopened, unknown } = self.waits;
        let mut parts = Vec::new();
        if count > 0 {
            parts.push(format!("{} for windows, {} in all", text::count(count, "wait"), text::time(all)));
        }
        if unopened > 0 {
            parts.push(format!("{unopened} of them without an open window at the end"));
        }
        if unknown > 0 {
            parts.push(format!("{} had no window, and may have had more to send", text::count(unknown, "stream")));
        }
        match (parts.is_empty(), self.senders.blind()) {
            (true, None) => "no waits for windows\n".to_owned(),
            (true, Some(_)) => "no waits for windows were found\n".to_owned(),
            (false, _) => format!("{}\n", parts.join("; ")),
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

/// Returns the lines of a wait that was found at `time`.
fn lines(stall: &Stall, time: Duration) -> String {
    format!("{:>9}  ◷ {stall}\n{:13}{}\n", text::time(time), "", stall.details())
}

/// Returns a bar of twelve columns, filled in proportion to the window.
fn bar(window: i64, largest: i64) -> String {
    let filled = window.max(0).saturating_mul(12).checked_div(largest.max(1)).unwrap_or(0).clamp(0, 12) as usize;
    // A small remainder stays visible.
    let filled = if window > 0 { filled.max(1) } else { filled };
    format!("{}{}", "█".repeat(filled), "░".repeat(12 - filled))
}

impl View for Flow {
    fn push(&mut self, frame: &Frame) -> String {
        let (changes, stalls) = self.follow(frame);
        let mut out: String = stalls.iter().map(|stall| lines(stall, frame.time)).collect();
        out.extend(changes.iter().map(|change| self.row(frame, change)));
        out
    }

    fn until(&mut self, time: Duration) {
        self.senders.until(time);
    }

    fn finish(&mut self) -> String {
        self.ends(true)
    }

    fn leave(&mut self) -> String {
        self.ends(false)
    }
}
