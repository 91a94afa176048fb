//! Waits of senders for flow-control windows, from the frames alone.
//!
//! A sender waits when its window, or the connection's, is used up and it has more to send. It has more to send if it
//! stopped inside a message, or if it goes on as soon as the window opens: at most as long after that as it had to wait.
//! A wait ends with WINDOW_UPDATE or SETTINGS that open the window, or with the stream or the connection; otherwise it is
//! open. A sender that ended its stream, or that stopped at the end of a message, does not wait.
//!
//! If nothing was sent since the headers, or if the DATA are not messages, it is unknown whether more is to come. Such a
//! sender is reported as one without a window, not as one that waits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::borders::{Borders, Prefix};
use super::stall::{LONG, Stall, StallEnd, Unsent, UsedUp};
use super::windows::{Change, Windows};
use crate::inspector::decode::http2;
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning};
use crate::wire::http2::{FrameHeader, FrameType};

/// The senders of a connection, and their waits.
#[derive(Clone, Debug)]
pub(crate) struct Stalls {
    windows: Windows,
    limit: usize,
    /// The senders by direction (true: to the client) and stream.
    senders: BTreeMap<(bool, u32), Sender>,
    now: Duration,
    /// The earliest time at which a wait becomes long.
    due: Option<Duration>,
    /// True for each direction of which a frame was seen; true once the client's preface was seen.
    seen: [bool; 2],
    preface: bool,
    last_frame: u64,
    /// The last stream of the server's GOAWAY.
    last_stream: u32,
    /// True if frames are missing; the windows are unknown after that.
    lossy: bool,
    /// The prefixes with a reserved flag in the last frame, each with the prefix before it.
    reserved: Vec<(Prefix, Option<Prefix>)>,
    /// The boundaries of the direction that the last frame ended.
    ended: Option<((bool, u32), Borders)>,
}

/// The most prefixes with a reserved flag that are remembered of one frame.
const MOST_RESERVED: usize = 64;

/// The sender of DATA on a stream.
#[derive(Clone, Debug, Default)]
struct Sender {
    borders: Borders,
    /// True if DATA came that are not messages.
    opaque: bool,
    /// Bytes of DATA, with padding.
    sent: u64,
    wait: Option<Wait>,
    /// True if nothing more is expected, because the call is over.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    begun: Duration,
    frame: u64,
    cause: (FrameType, Direction),
    opened: Option<Duration>,
    /// The windows that are used up, and all that were since the beginning.
    now: Option<UsedUp>,
    all: UsedUp,
    told: bool,
}

impl Stalls {
    /// Follows at most `limit` streams.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            windows: Windows::new(limit),
            limit,
            senders: BTreeMap::new(),
            now: Duration::ZERO,
            due: None,
            seen: [false; 2],
            preface: false,
            last_frame: 0,
            last_stream: u32::MAX,
            lossy: false,
            reserved: Vec::new(),
            ended: None,
        }
    }

    /// Takes the next frame; returns the windows that it changes, and the waits that ended with it.
    pub(crate) fn push(&mut self, frame: &Frame) -> (Vec<Change>, Vec<Stall>) {
        self.until(frame.time);
        self.watch(frame);
        self.reserved.clear();
        self.ended = None;
        let Some(header) = frame.header().filter(|_| !self.lossy) else {
            // A request in HTTP/1.1 that asks for HTTP/2 opens stream 1.
            return (if self.lossy { Vec::new() } else { self.windows.push(frame) }, Vec::new());
        };
        let mut ended = Vec::new();
        let key = (frame.direction == Direction::ToClient, header.stream);
        // Checked before the frame uses up the window again.
        if header.stream != 0 && matches!(header.kind, FrameType::DATA | FrameType::HEADERS) {
            ended.extend(self.goes_on(frame, header, key));
        }
        let changes = self.windows.push(frame);
        self.notice(frame, header, key, &changes);
        self.end(frame, header, key, &mut ended);
        (changes, ended)
    }

    /// Lets time pass without a frame.
    pub(crate) fn until(&mut self, time: Duration) {
        self.now = self.now.max(time);
    }

    /// Returns the last known time.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Returns the reason why waits can't be found, if there is one.
    pub(crate) fn blind(&self) -> Option<&'static str> {
        match (self.lossy, self.seen) {
            (true, _) => Some("bytes were not recorded: windows are unknown after that"),
            (false, [true, false]) => Some("no frame of the server was recorded: its windows are unknown"),
            (false, [false, true]) => Some("no frame of the client was recorded: its windows are unknown"),
            (false, _) => None,
        }
    }

    /// Returns the open waits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Stall> {
        self.senders.iter().filter_map(|(key, sender)| {
            let stall = sender.stall(*key, StallEnd::Open, self.now)?;
            (stall.end == StallEnd::Open).then_some(stall)
        })
    }

    /// Returns the open waits that have become long since the last call.
    pub(crate) fn long(&mut self) -> Vec<Stall> {
        if self.due.is_none_or(|due| self.now < due) {
            return Vec::new();
        }
        self.due = None;
        let mut long = Vec::new();
        for (key, sender) in &mut self.senders {
            let stall = sender.stall(*key, StallEnd::Open, self.now);
            let Some(wait) = sender.wait.as_mut().filter(|wait| !wait.told) else { continue };
            match stall.filter(|stall| stall.is_long() && stall.end == StallEnd::Open) {
                Some(stall) => {
                    wait.told = true;
                    long.push(stall);
                }
                None => {
                    let due = (wait.begun + LONG).max(self.now + LONG / 10);
                    self.due = Some(self.due.map_or(due, |other| other.min(due)));
                }
            }
        }
        long
    }

    /// Ends all waits: with the connection if it is `closed`; otherwise they stay open. Returns them.
    pub(crate) fn finish(&mut self, closed: bool) -> Vec<Stall> {
        let end = if closed { StallEnd::Closed } else { StallEnd::Open };
        let senders = std::mem::take(&mut self.senders);
        senders.iter().filter_map(|(key, sender)| sender.stall(*key, end, self.now)).collect()
    }

    /// Returns the prefix of the last message that began in a direction of a stream, and the one before it.
    /// The last frame may have ended the direction.
    pub(crate) fn prefixes(&self, direction: Direction, stream: u32) -> (Option<&Prefix>, Option<&Prefix>) {
        let key = (direction == Direction::ToClient, stream);
        let ended = self.ended.as_ref().filter(|(ended, _)| *ended == key).map(|(_, borders)| borders);
        let open = || self.senders.get(&key).filter(|sender| !sender.opaque).map(|sender| &sender.borders);
        ended.or_else(open).map_or((None, None), Borders::prefixes)
    }

    /// Returns the prefixes with a reserved flag in the last frame, each with the prefix before it.
    pub(crate) fn reserved(&self) -> &[(Prefix, Option<Prefix>)] {
        &self.reserved
    }

    /// Detects missing frames.
    fn watch(&mut self, frame: &Frame) {
        let [_, server] = self.seen;
        self.lossy |= self.last_frame != 0 && frame.number != self.last_frame + 1;
        self.last_frame = frame.number;
        match (&frame.kind, frame.direction) {
            (FrameKind::Preface, _) => self.preface = true,
            (FrameKind::Lost { .. } | FrameKind::Fragment, _) => self.lossy = true,
            // The beginning of the connection was not recorded.
            (FrameKind::Http2(_), Direction::ToServer) => self.lossy |= !self.preface,
            (FrameKind::Http2(header), Direction::ToClient) => {
                self.lossy |= !server && header.kind != FrameType::SETTINGS;
            }
            _ => {}
        }
        if let Some(seen) = self.seen.get_mut(usize::from(frame.direction == Direction::ToClient)) {
            *seen |= frame.header().is_some();
        }
    }

    /// Handles a sender that sends, and decides if it waited.
    fn goes_on(&mut self, frame: &Frame, header: &FrameHeader, key: (bool, u32)) -> Option<Stall> {
        if header.kind == FrameType::HEADERS {
            let opens = key.0 || !self.senders.contains_key(&key);
            let followed = !key.0 || self.windows.get(frame.direction, header.stream).is_some();
            if opens && followed && frame.meaning != Meaning::Informational {
                if !self.senders.contains_key(&key) && self.senders.len() >= 2 * self.limit {
                    self.senders.pop_first();
                }
                let over = header.stream > self.last_stream;
                self.senders.entry(key).or_default().over |= over;
            }
            return None;
        }
        let sender = self.senders.get_mut(&key)?;
        let unsent = sender.unsent();
        let wait = if header.length > 0 { sender.wait.take() } else { None };
        sender.sent += u64::from(header.length);
        match frame.meaning {
            Meaning::Data => sender.opaque = true,
            _ => {
                let body = http2::dissect(header, &frame.bytes).body;
                let data = frame.bytes.get(body.clone()).unwrap_or_default();
                let reserved = &mut self.reserved;
                sender.borders.push(frame.number, body.start, data, |prefix, before| {
                    if prefix.flag > 1 && reserved.len() < MOST_RESERVED {
                        reserved.push((prefix.clone(), before.cloned()));
                    }
                });
            }
        }
        let wait = wait?;
        let opened = wait.opened?;
        let at_once = frame.time.saturating_sub(opened) <= opened.saturating_sub(wait.begun);
        let unsent = match unsent {
            Some(Unsent::Message(_) | Unsent::Prefix) => unsent?,
            Some(_) | None if at_once => Unsent::Next,
            _ => return None,
        };
        let sent = sender.sent - u64::from(header.length);
        Some(Stall { end: StallEnd::Opened, ended: Some(opened), sent, ..wait.stall(key, sent, unsent, opened) })
    }

    /// Begins waits and opens windows, according to the changes that a frame made.
    fn notice(&mut self, frame: &Frame, header: &FrameHeader, key: (bool, u32), changes: &[Change]) {
        for to_client in [false, true] {
            let way = way(to_client);
            let changed = changes.iter().filter(|change| change.way == way);
            let all = changed.clone().any(|change| change.stream == 0 && (change.before > 0) != (change.after > 0));
            let own = (key.0 == to_client && header.stream != 0).then_some(header.stream);
            let streams: Vec<u32> = match all {
                true => {
                    let keys = self.senders.range((to_client, 0)..=(to_client, u32::MAX));
                    keys.map(|((_, stream), _)| *stream).collect()
                }
                false => changed.map(|change| change.stream).filter(|stream| *stream != 0).chain(own).collect(),
            };
            let connection = self.windows.get(way, 0).unwrap_or(1);
            // The receiver's windows are known only if its frames were recorded.
            if streams.is_empty() || self.seen != [true; 2] {
                continue;
            }
            for stream in streams {
                let Some(window) = self.windows.get(way, stream) else { continue };
                let Some(sender) = self.senders.get_mut(&(to_client, stream)).filter(|sender| !sender.over) else {
                    continue;
                };
                let used_up = match (window <= 0, connection <= 0) {
                    (true, true) => Some(UsedUp::Both),
                    (true, false) => Some(UsedUp::Stream),
                    (false, true) => Some(UsedUp::Connection),
                    (false, false) => None,
                };
                match (&mut sender.wait, used_up) {
                    (None, Some(used_up)) => {
                        sender.wait = Some(Wait {
                            begun: frame.time,
                            frame: frame.number,
                            cause: (header.kind, frame.direction),
                            opened: None,
                            now: Some(used_up),
                            all: used_up,
                            told: false,
                        });
                        self.due = Some(self.due.unwrap_or(frame.time + LONG));
                    }
                    (Some(wait), None) => {
                        wait.opened = wait.opened.or(Some(frame.time));
                        wait.now = None;
                    }
                    // The sender did not use the window that was open for a moment.
                    (Some(wait), Some(used_up)) => {
                        wait.opened = None;
                        wait.now = Some(used_up);
                        wait.all = if wait.all == used_up { used_up } else { UsedUp::Both };
                    }
                    (None, None) => {}
                }
            }
        }
    }

    /// Ends the waits that end with the stream.
    fn end(&mut self, frame: &Frame, header: &FrameHeader, key: (bool, u32), ended: &mut Vec<Stall>) {
        let now = frame.time;
        if frame.ends_stream {
            let sender = self.senders.remove(&key);
            let stall = sender.as_ref().and_then(|sender| sender.stall(key, StallEnd::GivenUp, now));
            self.ended = sender.filter(|sender| !sender.opaque).map(|sender| (key, sender.borders));
            // Whoever ends a stream without a message had nothing to send.
            ended.extend(stall.filter(|stall| matches!(stall.unsent, Unsent::Message(_) | Unsent::Prefix)));
            if frame.direction == Direction::ToClient {
                ended.extend(self.is_over((false, header.stream), StallEnd::Answered, now));
            }
        }
        match header.kind {
            FrameType::RST_STREAM => {
                for key in [(false, header.stream), (true, header.stream)] {
                    let sender = self.senders.remove(&key);
                    ended.extend(sender.and_then(|sender| sender.stall(key, StallEnd::Reset(frame.direction), now)));
                }
            }
            FrameType::GOAWAY if frame.direction == Direction::ToClient => {
                let Some((last, _)) = frame.goaway() else { return };
                self.last_stream = last;
                let beyond: Vec<_> = self.senders.keys().copied().filter(|(_, stream)| *stream > last).collect();
                ended.extend(beyond.into_iter().filter_map(|key| self.is_over(key, StallEnd::GoAway, now)));
            }
            _ => {}
        }
    }

    /// Records that a sender's call is over; returns its wait.
    fn is_over(&mut self, key: (bool, u32), end: StallEnd, now: Duration) -> Option<Stall> {
        let sender = self.senders.get_mut(&key)?;
        sender.over = true;
        let stall = sender.stall(key, end, now);
        sender.wait = None;
        stall
    }
}

impl Sender {
    /// Returns the part that the sender has not sent; `None` if it stopped at the end of a message.
    fn unsent(&self) -> Option<Unsent> {
        match (self.sent, self.opaque) {
            (0, _) => Some(Unsent::All),
            (_, true) => Some(Unsent::Unknown),
            (_, false) if self.borders.is_inside() => Some(self.borders.left().map_or(Unsent::Prefix, Unsent::Message)),
            _ => None,
        }
    }

    /// Returns the wait of this sender, which ends in this way unless the window was opened before.
    fn stall(&self, key: (bool, u32), end: StallEnd, now: Duration) -> Option<Stall> {
        let (wait, unsent) = (self.wait?, self.unsent()?);
        let inside = matches!(unsent, Unsent::Message(_) | Unsent::Prefix);
        Some(match wait.opened {
            None => {
                let stall = wait.stall(key, self.sent, unsent, now);
                let (ended, windows) = match end {
                    StallEnd::Open => (None, wait.now.unwrap_or(wait.all)),
                    _ => (Some(now), wait.all),
                };
                Stall { end, ended, windows, ..stall }
            }
            Some(opened) if inside => {
                Stall { end: StallEnd::Opened, ended: Some(opened), ..wait.stall(key, self.sent, unsent, opened) }
            }
            // The sender could have used the window.
            Some(_) => return None,
        })
    }
}

impl Wait {
    fn stall(&self, (to_client, stream): (bool, u32), sent: u64, unsent: Unsent, until: Duration) -> Stall {
        let Self { begun, frame, cause, all, told, .. } = *self;
        let (direction, waited) = (way(to_client), until.saturating_sub(begun));
        let (ended, end) = (None, StallEnd::Open);
        Stall { direction, stream, windows: all, frame, begun, ended, end, waited, sent, unsent, cause, told }
    }
}

fn way(to_client: bool) -> Direction {
    if to_client { Direction::ToClient } else { Direction::ToServer }
}
