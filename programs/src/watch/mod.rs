//! `BAREWIRE_WIRE`: shows the bytes of a program's connections on stderr as they pass, or records them in a file.
//!
//! | value | effect |
//! |---|---|
//! | `text` | prints an outline of each frame to stderr |
//! | `hex` | prints every byte to stderr |
//! | `pcapng:FILE` | writes packets to a file, for Wireshark and similar programs |
//! | `jsonl:FILE` | writes a JSON object per frame to a file |
//!
//! A client waits until its frames are printed. A server does not: if stderr is slower than its connections, whole frames are
//! left out, and a line reports the number of lines ([`cli::log_text`]).
//!
//! Files have the values of secret headers overwritten ([`Redaction`]), and grow to [`file::LARGEST`] bytes at most.

pub mod budget;
pub mod file;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cli::{self, Stop};
use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::{self, Conversation, Direction, Frame, PrintOptions, Redaction, Schema};
use barewire::io::{Address, Peer, Transfer};
use barewire::transport::tap::{Sink, Tap};
use file::{CaptureFile, Format, LARGEST, Recorder};

/// The name of the environment variable.
pub const WIRE: &str = "BAREWIRE_WIRE";

/// The port that gRPC's examples use.
const USUAL_PORT: u16 = 50051;

/// The program's side of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A server: the bytes that it sends go to the client.
    Server,
    /// A client: the bytes that it sends go to the server.
    Client,
}

/// The output that the environment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// None.
    Off,
    /// An outline of each frame, on stderr.
    Text,
    /// Every byte, on stderr.
    Hex,
    /// A capture in a file.
    File(Format, PathBuf),
}

impl Wire {
    /// Reads `BAREWIRE_WIRE` from the environment of the process.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for an unknown value.
    pub fn from_environment() -> Result<Wire, Stop> {
        let Some(value) = std::env::var_os(WIRE) else { return Ok(Wire::Off) };
        let usage = || Stop::Usage(format!("invalid {WIRE} {value:?}: use text, hex, pcapng:FILE or jsonl:FILE"));
        value.to_str().and_then(Wire::parse).ok_or_else(usage)
    }

    fn parse(value: &str) -> Option<Wire> {
        match value.split_once(':') {
            None if value.is_empty() => Some(Wire::Off),
            None if value == "text" => Some(Wire::Text),
            None if value == "hex" => Some(Wire::Hex),
            Some((_, "")) => None,
            Some(("pcapng", file)) => Some(Wire::File(Format::Pcapng, file.into())),
            Some(("jsonl", file)) => Some(Wire::File(Format::JsonLines, file.into())),
            _ => None,
        }
    }
}

/// Returns a tap for the connections of a program, as the environment asks.
///
/// # Errors
///
/// [`Stop::Usage`] for an unknown value, and for a file that can't be created.
pub fn tap(side: Side) -> Result<Tap, Stop> {
    let show: fn(&Frame) -> String = match Wire::from_environment()? {
        Wire::Off => return Ok(Tap::none()),
        Wire::Text => inspector::lines,
        Wire::Hex => |frame| inspector::print_frame(frame, &PrintOptions::default()),
        Wire::File(format, path) => {
            let file = CaptureFile::create(&path, format, Redaction::default(), names(), LARGEST);
            let usage =
                |error: io::Error| Stop::Usage(format!("can't create {}, which {WIRE} names: {error}", path.display()));
            return Ok(record(side, file.map_err(usage)?));
        }
    };
    let schema = names();
    let count = Arc::new(AtomicU64::new(0));
    Ok(Tap::new(move |peer| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        side.print(format!("[{number}] connection with {}\n", peer.address));
        PrintedConnection { number, side, show, conversation: Conversation::new(schema.clone()) }
    }))
}

/// Returns a tap that records connections in a file, and flushes the file after each write.
pub fn record(side: Side, file: CaptureFile) -> Tap {
    let count = Arc::new(AtomicU64::new(0));
    Tap::new(move |peer| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let (client, server) = ends(side, peer, number);
        let time = file.elapsed();
        let recorder = file.connection(number, client, server, time, &format!("a connection with {}", peer.address));
        let mut recorded = RecordedConnection { side, file: file.clone(), recorder: None };
        recorded.recorder = recorded.written(recorder);
        recorded
    })
}

/// Returns the client's and the server's address. A tap knows only the peer's, so the other one is invented: 0.0.0.0 with
/// gRPC's usual port for a server, or with the connection's number for a client. A peer without an IP address gets such an
/// address too.
fn ends(side: Side, peer: &Peer, number: u64) -> (SocketAddr, SocketAddr) {
    let nowhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let there = match &peer.address {
        Address::Tcp(address) => *address,
        _ if side == Side::Client => nowhere(USUAL_PORT),
        _ => nowhere(number as u16),
    };
    match side {
        Side::Server => (there, nowhere(USUAL_PORT)),
        // The number keeps apart the connections of a client to one server, whose own port is not known.
        Side::Client => (nowhere(number as u16), there),
    }
}

/// Returns the names of the messages in `proto/`, which are compiled in. If that failed, bytes would be explained without
/// names.
fn names() -> Schema {
    Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new())
}

impl Side {
    /// Writes to stderr. A client waits for that, because it is run to see it; a server must not depend on a reader of its
    /// stderr.
    fn print(self, text: String) {
        match self {
            Side::Server => cli::log_text(text),
            Side::Client => cli::say_text(text),
        }
    }

    /// Returns the direction of bytes that this side sent or received.
    fn direction(self, transfer: Transfer) -> Direction {
        match (self == Side::Client) == (transfer == Transfer::Sent) {
            true => Direction::ToServer,
            false => Direction::ToClient,
        }
    }
}

/// Records a connection, until its file can't be written.
struct RecordedConnection {
    side: Side,
    file: CaptureFile,
    recorder: Option<Recorder>,
}

impl RecordedConnection {
    fn written<T>(&self, outcome: io::Result<T>) -> Option<T> {
        outcome.and_then(|done| self.file.flush().map(|()| done)).map_err(cli::log).ok()
    }
}

impl Sink for RecordedConnection {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        let (direction, time) = (self.side.direction(transfer), self.file.elapsed());
        let Some(mut recorder) = self.recorder.take() else { return };
        let outcome = recorder.passed(time, direction, 0, bytes);
        self.recorder = self.written(outcome).map(|()| recorder);
    }
}

impl Drop for RecordedConnection {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            let closed = recorder.closed(self.file.elapsed(), false);
            self.written(closed);
        }
    }
}

/// Prints the frames of a connection.
struct PrintedConnection {
    number: u64,
    side: Side,
    show: fn(&Frame) -> String,
    conversation: Conversation,
}

impl PrintedConnection {
    fn show_frames(&mut self) {
        let mut out = String::new();
        for frame in self.conversation.take_frames() {
            out.push_str(&format!("[{}] {}", self.number, (self.show)(&frame)));
        }
        self.side.print(out);
    }
}

impl Sink for PrintedConnection {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        self.conversation.push(self.side.direction(transfer), bytes);
        self.show_frames();
    }
}

impl Drop for PrintedConnection {
    fn drop(&mut self) {
        self.conversation.finish();
        self.show_frames();
        self.side.print(format!("[{}] closed\n", self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_values_are_parsed() {
        for (value, expected) in [
            ("", Some(Wire::Off)),
            ("text", Some(Wire::Text)),
            ("hex", Some(Wire::Hex)),
            ("pcapng:a:b", Some(Wire::File(Format::Pcapng, "a:b".into()))),
            ("jsonl:c", Some(Wire::File(Format::JsonLines, "c".into()))),
            ("pcapng", None),
            ("pcapng:", None),
            ("loud", None),
            ("text:x", None),
        ] {
            assert_eq!(Wire::parse(value), expected, "{value}");
        }
    }
}
