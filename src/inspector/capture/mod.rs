//! Captures: the bytes of connections with their times, as they were recorded or read from a file.
//!
//! ```text
//! Capture
//!   └ Connection   two addresses
//!       └ Chunk    time, direction, bytes, in the order in which they passed
//! ```
//!
//! Pure functions over bytes. [`read`] knows what stands in a file; [`Connection::conversation`] explains it.
//!
//! ```text
//! in    pcap.rs, pcapng.rs ─▶ link.rs ─▶ packets.rs      packets to segments to bytes in their order
//!       lines.rs, raw.rs                                 JSON lines, and bytes as they are
//!       tls/                                             what is inside TLS, where its secrets are known
//! out   redact.rs ─▶ packet.rs ─▶ pcapng_writer.rs       secrets out, TCP made up, blocks
//! ```

mod cursor;
mod lines;
mod link;
mod packet;
mod packets;
mod pcap;
mod pcapng;
pub mod pcapng_writer;
mod raw;
mod redact;
mod tls;

pub use redact::Redactor;
pub use tls::KeyLog;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::conversation::Conversation;
use super::frame::Direction;
use super::schema::Schema;
use packets::Packets;

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
    fn in_pieces(mut self) -> Self {
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
pub const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The capture that a file holds: pcap, pcapng, JSON lines of this program, or one direction's bytes as they are. TLS is
/// decrypted with the secrets that the file has.
///
/// # Errors
///
/// [`CaptureError`] where there is nothing to read. A capture that ends too early is no error: what is there is read, and
/// [`Capture::cut_short`] says so. Nor is TLS that stays as it was recorded, which [`Capture::notes`] say.
pub fn read(file: &[u8]) -> Result<Capture, CaptureError> {
    read_with(file, KeyLog::default())
}

/// As [`read`]; TLS 1.3 (RFC 8446) and 1.2 (RFC 5246) are decrypted with the secrets of a key log as well.
///
/// Where TLS was, chunks are application data: a record each, with the time of the bytes that completed it. [`Chunk::lost`]
/// counts bytes of records then, as what is in those that are missing is not known.
///
/// # Errors
///
/// Those of [`read`].
pub fn read_with(file: &[u8], mut keys: KeyLog) -> Result<Capture, CaptureError> {
    let mut packets = Packets::default();
    let mut capture =
        if pcap::read(file, &mut packets).is_some() || pcapng::read(file, &mut packets, &mut keys).is_some() {
            packets.finish()?
        } else if file.is_empty() {
            return Err(CaptureError::Empty);
        } else {
            lines::read(file).or_else(|| raw::read(file)).ok_or(CaptureError::Unknown)?
        };
    tls::decrypt(&mut capture, &keys);
    Ok(capture.in_pieces())
}

/// The most bytes of a chunk that is read from a file: the frames of so many can be kept until they are taken, while those of
/// a whole file may be more than [`Limits::frames`](super::Limits::frames).
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

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl std::error::Error for CaptureError {}
