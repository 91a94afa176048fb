//! Captures: the bytes of connections with their times, as they were recorded or read from a file.
//!
//! ```text
//! Capture
//!   └ Connection   two addresses
//!       └ Chunk    time, direction, bytes, in the order in which they passed
//! ```
//!
//! Pure functions over bytes. [`read`] knows what stands in a file; [`Connection::conversation`] explains it.

mod packet;
pub mod pcapng_writer;
mod raw;
mod redact;

pub use redact::Redactor;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::conversation::Conversation;
use super::frame::Direction;
use super::schema::Schema;

/// What was recorded of some connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// When it began; the times of chunks count from here.
    pub began: SystemTime,
    /// The connections, in the order in which they were first seen.
    pub connections: Vec<Connection>,
    /// What a reader should know about the capture as a whole: that it is cut short, that packets were left out.
    pub notes: Vec<String>,
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
        Self { began, connections: Vec::new(), notes: Vec::new() }
    }
}

impl Connection {
    /// A connection of which nothing has passed yet.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self { client, server, from_the_beginning: true, chunks: Vec::new() }
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
    /// Lets a conversation have these bytes, and know what is missing before them.
    pub fn push_into(&self, conversation: &mut Conversation) {
        conversation.set_time(self.time);
        conversation.lose(self.direction, self.lost);
        conversation.push(self.direction, &self.bytes);
    }
}

/// An address for the ends of a connection that have none, such as a pipe within a process.
pub const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The capture that a file holds.
///
/// # Errors
///
/// [`CaptureError`] where the bytes are none of the known kinds. A capture that ends too early is no error: what is there
/// is read, and [`Capture::notes`] say so.
pub fn read(file: &[u8]) -> Result<Capture, CaptureError> {
    raw::read(file).ok_or(CaptureError::Unknown)
}

/// Why a file can't be read as a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// None of the known kinds.
    Unknown,
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "not a capture: neither pcap, nor pcapng, nor bytes that begin with HTTP/2's preface or a frame",
            ),
        }
    }
}

impl std::error::Error for CaptureError {}
