//! Recorded connections with their bytes and times, and the errors of reading them.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::inspector::decode::conversation::Conversation;
use crate::inspector::model::frame::Direction;
use crate::inspector::model::schema::Schema;

/// Recorded connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The start of the capture; the times of chunks count from here.
    pub began: SystemTime,
    /// The connections, in the order in which they were first seen.
    pub connections: Vec<Connection>,
    /// Notes about the capture as a whole, for example about skipped packets.
    pub notes: Vec<String>,
    /// The place where the file is truncated, if it is.
    pub cut_short: Option<String>,
}

/// The recorded bytes of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The side that connected.
    pub client: SocketAddr,
    /// The side that was connected to.
    pub server: SocketAddr,
    /// True if the ports alone suggest which side is the client: neither the beginning of the connection was captured,
    /// nor a frame that only one side sends.
    pub roles_guessed: bool,
    /// True if the connection was captured from its first byte. Otherwise the content of the HPACK tables is unknown.
    pub from_the_beginning: bool,
    /// True if the bytes were encrypted with TLS when they were recorded, and have been decrypted.
    pub decrypted: bool,
    /// The bytes, in order.
    pub chunks: Vec<Chunk>,
    /// The end of the connection, if the capture contains it.
    pub end: Option<End>,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The time of the end, counted from the start of the capture.
    pub time: Duration,
    /// True if a side reset the connection; false if both sides closed it.
    pub reset: bool,
}

/// Bytes that were sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The time, counted from the start of the capture.
    pub time: Duration,
    /// The direction of the bytes.
    pub direction: Direction,
    /// The number of bytes of this direction that are missing before these.
    pub lost: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Returns an empty capture.
    pub fn new(began: SystemTime) -> Self {
        Self { began, connections: Vec::new(), notes: Vec::new(), cut_short: None }
    }

    /// Adds a note about the connections whose client and server are guessed.
    pub(super) fn note_guessed_roles(&mut self) {
        let numbered = (1..).zip(&self.connections);
        let guessed: Vec<usize> = numbered.filter(|(_, it)| it.roles_guessed).map(|(number, _)| number).collect();
        if !guessed.is_empty() {
            self.notes.push(format!("{}: roles guessed from the port numbers", named(&guessed)));
        }
    }

    /// Returns the last known time of the capture, counted from its start.
    pub fn end(&self) -> Duration {
        let chunks = self.connections.iter().filter_map(|connection| connection.chunks.last()).map(|chunk| chunk.time);
        let ends = self.connections.iter().filter_map(|connection| connection.end).map(|end| end.time);
        chunks.chain(ends).max().unwrap_or_default()
    }

    /// Splits chunks that are longer than [`PIECE`].
    pub(super) fn in_pieces(mut self) -> Self {
        for connection in &mut self.connections {
            let chunks = std::mem::take(&mut connection.chunks).into_iter();
            connection.chunks = chunks.flat_map(Chunk::in_pieces).collect();
        }
        self
    }
}

/// The most connections that a note names.
const NAMED: usize = 8;

/// Returns connections by their numbers, for a note.
pub(super) fn named(numbers: &[usize]) -> String {
    let named: Vec<_> = numbers.iter().take(NAMED).map(usize::to_string).collect();
    let more = numbers.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let connections = if numbers.len() == 1 { "connection" } else { "connections" };
    format!("{connections} {}{more}", named.join(", "))
}

impl Connection {
    /// Returns a connection without bytes.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let (roles_guessed, from_the_beginning, decrypted) = (false, true, false);
        Self { client, server, roles_guessed, from_the_beginning, decrypted, chunks: Vec::new(), end: None }
    }

    /// Exchanges client and server.
    pub(super) fn swap_roles(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        self.chunks.iter_mut().for_each(|chunk| chunk.direction = chunk.direction.opposite());
    }

    /// Decodes all bytes of the connection.
    pub fn conversation(&self, schema: Schema) -> Conversation {
        let mut conversation = self.begin(schema);
        self.chunks.iter().for_each(|chunk| chunk.push_into(&mut conversation));
        conversation.finish();
        conversation
    }

    /// Returns a conversation before its first chunk, for callers that read frames as they are completed.
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

    /// Pushes these bytes into a conversation, after reporting the bytes missing before them.
    pub fn push_into(&self, conversation: &mut Conversation) {
        conversation.set_time(self.time);
        conversation.lose(self.direction, self.lost);
        conversation.push(self.direction, &self.bytes);
    }
}

/// The address of endpoints without one, such as a pipe within a process.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The most bytes of a chunk that is read from a file. The frames of one chunk fit into a conversation until they are
/// taken; those of a whole file may exceed [`Limits::frames`](crate::inspector::Limits::frames).
const PIECE: usize = 16 << 10;

/// An error of reading a file as a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// The file is empty.
    Empty,
    /// The format is unknown.
    Unknown,
    /// All packets have an unsupported link type.
    Link(u16),
    /// A compressed file from which nothing can be restored, with the reason.
    Gzip(String),
    /// A compressed file that holds more than this many bytes.
    TooLarge(usize),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("not a capture: the file is empty"),
            Self::Unknown => f.write_str(
                "not a capture: expected pcap, pcapng, JSON lines of this program, or bytes that begin with HTTP/2's \
                 preface or a frame",
            ),
            Self::Link(link) => {
                write!(
                    f,
                    "link type {link} is not supported; Ethernet, Linux cooked, raw IP, loopback, PPP and MPLS are"
                )
            }
            Self::Gzip(why) => write!(f, "the gzip file can't be decompressed: {why}"),
            Self::TooLarge(most) => {
                write!(f, "the gzip file holds more than {} MiB: decompress a part of it first", most >> 20)
            }
        }
    }
}

impl Error for CaptureError {}
