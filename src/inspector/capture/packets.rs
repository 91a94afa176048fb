//! Reassembles TCP connections from packets: bytes in order, whatever order the packets came in.
//!
//! ```text
//! next            the first missing byte
//! ──────┬──────┬──────┬─────▶
//!  seen │ due  │ early│          early segments wait until the due bytes come, or are known to be lost:
//! ──────┴──────┴──────┴─────▶    acknowledged by the other side, missing after a mebibyte, or at the end
//! ```
//!
//! Retransmitted bytes are ignored; the first copy counts.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::link;
use super::recorded::{Capture, CaptureError, Chunk, Connection, End};
use super::roles;
use super::segment::{Other, Segment};
use super::skipped::Skipped;
use super::tls;
use crate::inspector::decode::opening;
use crate::inspector::model::frame::Direction;
use crate::wire::http2::PREFACE;

/// The most bytes of a direction that wait for earlier ones.
const EARLY: usize = 1 << 20;

/// The state while the packets of a capture are read.
#[derive(Debug, Default)]
pub(super) struct Packets {
    began: Option<Duration>,
    now: Duration,
    connections: Vec<TcpConnection>,
    /// The connections by their two addresses, the lower first.
    open: HashMap<(SocketAddr, SocketAddr), usize>,
    notes: Vec<String>,
    cut_short: Option<String>,
    unknown_link: Option<u16>,
    segments: u64,
    skipped: Skipped,
}

/// A connection while its segments are read.
#[derive(Debug)]
struct TcpConnection {
    connection: Connection,
    /// True if its first SYN was seen.
    syn: bool,
    over: bool,
    held: Option<HeldSyn>,
    /// The sides that have closed the connection: client, server.
    closed: [bool; 2],
    to_server: Flow,
    to_client: Flow,
}

/// The place of a segment with the addresses of a known connection.
enum Place {
    /// It belongs to the connection.
    Within,
    /// It belongs to a new connection, which this SYN opened before, if it is not the segment itself.
    After(Option<HeldSyn>),
    /// A SYN that the next segments decide about.
    Unclear,
}

/// A SYN on an open connection.
#[derive(Debug)]
struct HeldSyn {
    time: Duration,
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    /// Data in the SYN (RFC 7413).
    bytes: Vec<u8>,
}

impl HeldSyn {
    fn new(time: Duration, segment: &Segment<'_>) -> Self {
        let (from, to, sequence) = (segment.from, segment.to, segment.sequence);
        Self { time, from, to, sequence, bytes: segment.bytes.to_vec() }
    }

    /// Returns the sequence number behind it.
    fn next(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// Returns true if this number is the first one behind the SYN, or behind its data.
    fn is_followed_by(&self, number: u32) -> bool {
        [self.next(), self.next().wrapping_add(self.bytes.len() as u32)].contains(&number)
    }

    fn segment(&self) -> Segment<'_> {
        Segment {
            from: self.from,
            to: self.to,
            sequence: self.sequence,
            acknowledged: None,
            syn: true,
            fin: false,
            reset: false,
            bytes: &self.bytes,
            missing: 0,
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Flow {
    /// The sequence number of the first byte, if its SYN was seen.
    begin: Option<u32>,
    /// True if `next` comes from a segment without bytes, which may be a probe with the number before
    /// (RFC 9293, section 3.8.4).
    may_be_probe: bool,
    /// The next expected sequence number, and the number of bytes before it; `None` before the first segment.
    next: Option<u32>,
    offset: u64,
    early: BTreeMap<u64, Early>,
    waiting: usize,
    /// Bytes missing before the next chunk.
    lost: u64,
    /// The time of the last chunk; bytes that waited for earlier ones get the time of those.
    time: Duration,
}

#[derive(Debug)]
struct Early {
    time: Duration,
    bytes: Vec<u8>,
    missing: usize,
}

impl Packets {
    /// Takes a whole packet.
    #[cfg(test)]
    fn packet(&mut self, link: u16, time: Option<Duration>, packet: &[u8]) {
        self.packet_of(link, time, packet, packet.len());
    }

    /// Takes a packet of an interface, in the order of the file; a packet without a time gets that of the one before. The
    /// packet had `original` bytes on the wire.
    pub(super) fn packet_of(&mut self, link: u16, time: Option<Duration>, packet: &[u8], original: usize) {
        let time = time.unwrap_or(self.now);
        self.now = time;
        let time = time.saturating_sub(*self.began.get_or_insert(time));
        match link::read(link, packet) {
            Ok(segment) => {
                if segment.missing > 0 {
                    self.skipped.add_cut(packet.len());
                }
                self.segment(time, &segment);
            }
            Err(Other::Link) => self.unknown_link = self.unknown_link.or(Some(link)),
            Err(Other::Short) if packet.len() < original => self.skipped.add_cut(packet.len()),
            Err(other) => self.skipped.add(other),
        }
    }

    /// Adds a note for the reader; duplicates are ignored.
    pub(super) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|said| said == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Records that the file ends too early.
    pub(super) fn cut_short(&mut self, place: &str) {
        self.cut_short = Some(format!("the file is truncated: it ends {place}"));
    }

    fn segment(&mut self, time: Duration, segment: &Segment<'_>) {
        self.segments += 1;
        let key = if segment.from < segment.to { (segment.from, segment.to) } else { (segment.to, segment.from) };
        let known = self.open.get(&key).and_then(|at| self.connections.get_mut(*at));
        let first = match known.map(|known| (known.place(time, segment), known)) {
            Some((Place::Within, known)) => return known.segment(time, segment),
            Some((Place::Unclear, _)) => return,
            // The same addresses, used by a new connection.
            Some((Place::After(syn), _)) => syn,
            None => None,
        };
        let mut connection = match &first {
            Some(syn) => TcpConnection::new(&syn.segment()),
            None => TcpConnection::new(segment),
        };
        if let Some(syn) = first {
            connection.segment(syn.time, &syn.segment());
        }
        connection.segment(time, segment);
        self.open.insert(key, self.connections.len());
        self.connections.push(connection);
    }

    /// Returns all connections that have bytes.
    pub(super) fn finish(mut self) -> Result<Capture, CaptureError> {
        if let (0, Some(link)) = (self.segments, self.unknown_link) {
            return Err(CaptureError::Link(link));
        }
        if let Some(link) = self.unknown_link {
            self.note(&format!("packets of link type {link} were skipped"));
        }
        for note in self.skipped.notes(self.segments > 0) {
            self.note(&note);
        }
        let began = SystemTime::UNIX_EPOCH.checked_add(self.began.unwrap_or_default());
        let mut capture = Capture::new(began.unwrap_or(SystemTime::UNIX_EPOCH));
        (capture.notes, capture.cut_short) = (self.notes, self.cut_short);
        let connections = self.connections.into_iter().map(TcpConnection::finish);
        capture.connections = connections.filter(|connection| !connection.chunks.is_empty()).collect();
        Ok(capture)
    }
}

/// Ranks a port; lower ranks are more likely a server's. Clients use high ports by default, and so do the servers of
/// gRPC's examples.
fn rank(port: u16) -> u16 {
    if port == 50051 { 0 } else { port }
}

impl TcpConnection {
    /// The client is the sender of the first SYN. Without a SYN it is the sender of HTTP/2's preface, of TLS's
    /// ClientHello or of requests. If nothing shows it, it is the side with the higher port, except for the port of gRPC's
    /// examples.
    fn new(segment: &Segment<'_>) -> Self {
        let answers = segment.syn && segment.acknowledged.is_some();
        let from_server = answers || (!segment.syn && rank(segment.from.port()) < rank(segment.to.port()));
        let (client, server) = if from_server { (segment.to, segment.from) } else { (segment.from, segment.to) };
        let connection = Connection::new(client, server);
        Self {
            connection,
            syn: segment.syn,
            over: false,
            held: None,
            closed: [false; 2],
            to_server: Flow::default(),
            to_client: Flow::default(),
        }
    }

    /// Decides if a segment with the connection's addresses belongs to the connection.
    ///
    /// A SYN with an old number begins nothing (RFC 9293, section 3.10.7.4): it may be late, or repeated. While the
    /// connection is open, a SYN counts only once the other side has accepted it, or its sender sends what follows it.
    fn place(&mut self, time: Duration, segment: &Segment<'_>) -> Place {
        let (own, other) = match segment.from == self.connection.client {
            true => (&self.to_server, &self.to_client),
            false => (&self.to_client, &self.to_server),
        };
        let begin = segment.sequence.wrapping_add(1);
        let repeats = own.begin == Some(begin);
        if segment.syn && segment.acknowledged.is_none() {
            let unanswered = own.offset == 0 || other.next.is_none();
            return match own.next {
                _ if self.over && !repeats => Place::After(None),
                None => Place::Within,
                Some(_) if repeats && unanswered && !self.over => Place::Within,
                Some(_) => {
                    self.held = Some(HeldSyn::new(time, segment));
                    Place::Unclear
                }
            };
        }
        let Some(held) = &self.held else { return Place::Within };
        let again = |flow: &Flow, begin: u32| !self.over && flow.begin == Some(begin);
        if segment.from == held.from {
            let follows = !segment.reset && held.is_followed_by(segment.sequence) && !again(own, held.next());
            let held = self.held.take();
            return if follows { Place::After(held) } else { Place::Within };
        }
        let accepts = segment.syn && segment.acknowledged.is_some_and(|number| held.is_followed_by(number));
        // The same numbers as before: both were repeated.
        if accepts && !(again(other, held.next()) && again(own, begin)) {
            return Place::After(self.held.take());
        }
        Place::Within
    }

    fn segment(&mut self, time: Duration, segment: &Segment<'_>) {
        let direction = if segment.from == self.connection.client { Direction::ToServer } else { Direction::ToClient };
        let (flow, back) = match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.to_client),
            Direction::ToClient => (&mut self.to_client, &mut self.to_server),
        };
        self.over |= segment.reset || segment.fin;
        let [client, server] = &mut self.closed;
        *(if direction == Direction::ToServer { &mut *client } else { &mut *server }) |= segment.fin;
        if (segment.reset || (*client && *server)) && self.connection.end.is_none() {
            self.connection.end = Some(End { time, reset: segment.reset });
        }
        let chunks = &mut self.connection.chunks;
        if let Some(acknowledged) = segment.acknowledged {
            back.acknowledged(acknowledged, direction.opposite(), chunks);
        }
        let sequence = if segment.syn { segment.sequence.wrapping_add(1) } else { segment.sequence };
        if segment.syn {
            flow.begin = flow.begin.or(Some(sequence));
        }
        flow.take(sequence, Early { time, bytes: segment.bytes.to_vec(), missing: segment.missing }, direction, chunks);
    }

    fn finish(mut self) -> Connection {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let flow = match direction {
                Direction::ToServer => &mut self.to_server,
                Direction::ToClient => &mut self.to_client,
            };
            while flow.skip_to_early() {
                flow.drain(direction, &mut self.connection.chunks);
            }
            let lost = std::mem::take(&mut flow.lost);
            if lost > 0 {
                self.connection.chunks.push(Chunk { time: flow.time, direction, lost, bytes: Vec::new() });
            }
        }
        let mut connection = self.connection;
        // Bytes after a gap on one side were released late; sorting by time puts them in place.
        connection.chunks.sort_by_key(|chunk| chunk.time);
        let begins = |direction| {
            let mut chunks = connection.chunks.iter().filter(|chunk| chunk.direction == direction).peekable();
            let whole = chunks.peek().is_some_and(|first| first.lost == 0);
            let beginning: Vec<u8> = chunks.flat_map(|chunk| &chunk.bytes).copied().take(opening::LONGEST).collect();
            let client = || opening::begins(&beginning) == Some(true);
            whole && (beginning.starts_with(PREFACE) || tls::is_client_hello(&beginning) || client())
        };
        let (client_begins, server_begins) = (begins(Direction::ToServer), begins(Direction::ToClient));
        connection.from_the_beginning = self.syn || client_begins || server_begins;
        let kept = match connection.from_the_beginning {
            true => Some(self.syn || client_begins),
            false => roles::client_is_client(&connection),
        };
        if kept == Some(false) {
            connection.swap_roles();
        }
        connection.roles_guessed = kept.is_none();
        connection
    }
}

impl Flow {
    fn take(&mut self, sequence: u32, early: Early, direction: Direction, chunks: &mut Vec<Chunk>) {
        let empty = early.bytes.is_empty() && early.missing == 0;
        self.may_be_probe |= self.next.is_none() && self.begin.is_none() && empty;
        let mut next = *self.next.get_or_insert(sequence);
        if self.may_be_probe && self.offset == 0 && self.early.is_empty() && sequence == next.wrapping_add(1) {
            (next, self.next) = (sequence, Some(sequence));
        }
        if empty {
            return;
        }
        // Sequence numbers wrap at 2^32; half of them are ahead, half behind.
        let ahead = i64::from(sequence.wrapping_sub(next) as i32);
        let Some(early) = early.after(-ahead) else { return };
        let at = self.offset + ahead.max(0) as u64;
        let known = self.early.get(&at).map_or(0, |known| known.bytes.len() + known.missing);
        if known < early.bytes.len() + early.missing {
            self.waiting += early.bytes.len();
            self.waiting -= self.early.insert(at, early).map_or(0, |shorter| shorter.bytes.len());
        }
        self.drain(direction, chunks);
        while self.waiting > EARLY && self.skip_to_early() {
            self.drain(direction, chunks);
        }
    }

    /// Handles an acknowledgement of everything before `number`: missing bytes are lost if later ones have arrived.
    fn acknowledged(&mut self, number: u32, direction: Direction, chunks: &mut Vec<Chunk>) {
        let Some(next) = self.next.filter(|_| !self.early.is_empty()) else { return };
        let ahead = number.wrapping_sub(next) as i32;
        let first = self.early.first_key_value().map_or(0, |(at, _)| at - self.offset);
        if ahead > 0 && first <= ahead as u64 && self.skip_to_early() {
            self.drain(direction, chunks);
        }
    }

    /// Skips the missing bytes before the first early bytes; returns false if no early bytes wait.
    fn skip_to_early(&mut self) -> bool {
        let Some((&at, _)) = self.early.first_key_value() else { return false };
        self.advance(at.saturating_sub(self.offset), true);
        true
    }

    /// Releases early bytes that are now in order.
    fn drain(&mut self, direction: Direction, chunks: &mut Vec<Chunk>) {
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= self.offset) {
            let behind = self.offset - *entry.key();
            let early = entry.remove();
            self.waiting -= early.bytes.len();
            let Some(Early { time, bytes, missing }) = early.after(i64::try_from(behind).unwrap_or(i64::MAX)) else {
                continue;
            };
            self.time = self.time.max(time);
            self.advance(bytes.len() as u64, false);
            if !bytes.is_empty() {
                chunks.push(Chunk { time: self.time, direction, lost: std::mem::take(&mut self.lost), bytes });
            }
            self.advance(missing as u64, true);
        }
    }

    fn advance(&mut self, count: u64, lost: bool) {
        self.offset += count;
        self.next = self.next.map(|next| next.wrapping_add(count as u32));
        self.lost += if lost { count } else { 0 };
    }
}

impl Early {
    /// Removes the first `count` bytes; returns `None` if nothing remains.
    fn after(mut self, count: i64) -> Option<Early> {
        let count = usize::try_from(count).unwrap_or(0);
        let here = count.min(self.bytes.len());
        self.bytes.drain(..here);
        self.missing = self.missing.saturating_sub(count - here);
        (!self.bytes.is_empty() || self.missing > 0).then_some(self)
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "reopened_tests.rs"]
mod reopened;

#[cfg(test)]
#[path = "roles_tests.rs"]
mod roles_tests;

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tunnels;
