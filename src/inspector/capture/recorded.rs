//! What was recorded: connections, their bytes with their times, and why a file may have none.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::inspector::decode::conversation::Conversation;
use crate::inspector::model::frame::Direction;
use crate::inspector::model::schema::Schema;

/// What was recorded of some connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// When it began; the times of chunks count from here.
    pub began: SystemTime,
    /// The connections, in the order in which they were first seen.
    pub connections: Vec<Connection>,
    /// What a reader should know about the capture as a whole: what was left out.
    pub notes: Vec<String>,
    /// Where the file ended too early, if it did.
    pub cut_short: Option<String>,
}

/// One connection's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The side that connected.
    pub client: SocketAddr,
    /// The side that was connected to.
    pub server: SocketAddr,
    /// Whether its first bytes are there. If not, what HPACK had in its tables is not known.
    pub from_the_beginning: bool,
    /// What passed, in its order.
    pub chunks: Vec<Chunk>,
    /// How it ended, if that is in the capture.
    pub end: Option<End>,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When, counted from the beginning of the capture.
    pub time: Duration,
    /// Whether a side has reset it, instead of both having closed it.
    pub reset: bool,
}

/// Bytes that passed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// When, counted from the beginning of the capture.
    pub time: Duration,
    /// Which way.
    pub direction: Direction,
    /// How many bytes of this direction are missing before these: they passed, and were not recorded.
    pub lost: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// A capture of nothing.
    pub fn new(began: SystemTime) -> Self {
        Self { began, connections: Vec::new(), notes: Vec::new(), cut_short: None }
    }

    /// The same, with no chunk longer than [`PIECE`].
    pub(super) fn in_pieces(mut self) -> Self {
        for connection in &mut self.connections {
            let chunks = std::mem::take(&mut connection.chunks).into_iter();
            connection.chunks = chunks.flat_map(Chunk::in_pieces).collect();
        }
        self
    }
}

impl Connection {
    /// A connection of which nothing has passed yet.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self { client, server, from_the_beginning: true, chunks: Vec::new(), end: None }
    }

    /// All that passed, explained.
    pub fn conversation(&self, schema: Schema) -> Conversation {
        let mut conversation = self.begin(schema);
        self.chunks.iter().for_each(|chunk| chunk.push_into(&mut conversation));
        conversation.finish();
        conversation
    }

    /// The conversation before its first chunk, for whoever wants to see frames as they become complete.
    pub fn begin(&self, schema: Schema) -> Conversation {
        if self.from_the_beginning { Conversation::new(schema) } else { Conversation::joined_late(schema) }
    }
}

impl Chunk {
    fn in_pieces(mut self) -> impl Iterator<Item = Chunk> {
        let tail = self.bytes.split_off(self.bytes.len().min(PIECE));
        let (time, direction) = (self.time, self.direction);
        let rest: Vec<_> = tail.chunks(PIECE).map(<[u8]>::to_vec).collect();
        let rest = rest.into_iter().map(move |bytes| Chunk { time, direction, lost: 0, bytes });
        std::iter::once(self).chain(rest)
    }

    /// Lets a conversation have these bytes, and know what is missing before them.
    pub fn push_into(&self, conversation: &mut Conversation) {
        conversation.set_time(self.time);
        conversation.lose(self.direction, self.lost);
        conversation.push(self.direction, &self.bytes);
    }
}

/// An address for the ends of a connection that have none, such as a pipe within a process.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The most bytes of a chunk that is read from a file: the frames of so many can be kept until they are taken, while those of
/// a whole file may be more than [`Limits::frames`](crate::inspector::Limits::frames).
const PIECE: usize = 16 << 10;

/// Why a file can't be read as a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// Nothing stands in it.
    Empty,
    /// None of the known kinds.
    Unknown,
    /// All its packets are of a link type that is not read.
    Link(u16),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("not a capture: it is empty"),
            Self::Unknown => f.write_str(
                "not a capture: neither pcap, nor pcapng, nor JSON lines of this program, nor bytes that begin with HTTP/2's \
                 preface or a frame",
            ),
            Self::Link(link) => write!(
                f,
                "its packets are of link type {link}, which is not read; Ethernet, Linux cooked, raw IP and loopback are"
            ),
        }
    }
}

impl Error for CaptureError {}
