//! `BAREWIRE_WIRE`: the bytes that pass a program's connections, on stderr as they pass, or in a file.
//!
//! | value | what it does |
//! |---|---|
//! | `text` | an outline of each frame on stderr |
//! | `hex` | every byte on stderr |
//! | `pcapng:FILE` | packets in a file, for Wireshark and its like |
//! | `jsonl:FILE` | a JSON object a frame in a file |
//!
//! A client waits until its frames are shown. A server does not: where stderr is slower than its connections, whole frames are left
//! out, and a line says how many lines that were ([`cli::log_text`]).
//!
//! In files the values of secret headers are taken out ([`Redaction`]); a file grows to [`file::LARGEST`] bytes.

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

/// The port of the examples of gRPC.
const USUAL_PORT: u16 = 50051;

/// Which side of its connections a program is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What it sends goes to the client.
    Server,
    /// What it sends goes to the server.
    Client,
}

/// What the environment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Nothing.
    Off,
    /// An outline of each frame.
    Text,
    /// Every byte.
    Hex,
    /// A capture in a file.
    File(Format, PathBuf),
}

impl Wire {
    /// Reads the environment of the process.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for a value that asks for nothing known.
    pub fn from_environment() -> Result<Wire, Stop> {
        let Some(value) = std::env::var_os(WIRE) else { return Ok(Wire::Off) };
        let usage = || Stop::Usage(format!("{WIRE} is {value:?}; it may be text, hex, pcapng:FILE or jsonl:FILE"));
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

/// A tap for the connections of a program, as the environment says.
///
/// # Errors
///
/// [`Stop::Usage`] for a value that asks for nothing known, and for a file that can't be created.
pub fn tap(side: Side) -> Result<Tap, Stop> {
    let show: fn(&Frame) -> String = match Wire::from_environment()? {
        Wire::Off => return Ok(Tap::none()),
        Wire::Text => inspector::lines,
        Wire::Hex => |frame| inspector::print_frame(frame, &PrintOptions::default()),
        Wire::File(format, path) => {
            let file = CaptureFile::create(&path, format, Redaction::default(), names(), LARGEST);
            let usage = |error: io::Error| Stop::Usage(format!("{WIRE} names {}: {error}", path.display()));
            return Ok(record(side, file.map_err(usage)?));
        }
    };
    let schema = names();
    let count = Arc::new(AtomicU64::new(0));
    Ok(Tap::new(move |peer| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        side.print(format!("[{number}] connection with {}\n", peer.address));
        Shown { number, side, show, conversation: Conversation::new(schema.clone()) }
    }))
}

/// A tap that records connections in a file. What is written of a connection is in the file at once.
pub fn record(side: Side, file: CaptureFile) -> Tap {
    let count = Arc::new(AtomicU64::new(0));
    Tap::new(move |peer| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let (client, server) = ends(side, peer, number);
        let time = file.elapsed();
        let recorder = file.connection(number, client, server, time, &format!("a connection with {}", peer.address));
        let mut recorded = Recorded { side, file: file.clone(), recorder: None };
        recorded.recorder = recorded.written(recorder);
        recorded
    })
}

/// The two addresses of a connection, of which a tap is told one. The other is made up: 0.0.0.0, with gRPC's usual port for a
/// server, and for a client the connection's number. So are both of a peer that has none.
fn ends(side: Side, peer: &Peer, number: u64) -> (SocketAddr, SocketAddr) {
    let nowhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let there = match &peer.address {
        Address::Tcp(address) => *address,
        Address::Unix(_) | Address::Memory if side == Side::Client => nowhere(USUAL_PORT),
        Address::Unix(_) | Address::Memory => nowhere(number as u16),
    };
    match side {
        Side::Server => (there, nowhere(USUAL_PORT)),
        // Connections of a client to one server differ by the client's port, which is not known either.
        Side::Client => (nowhere(number as u16), there),
    }
}

/// The names of what stands in `proto/`. The set was compiled with the program; without names bytes are still explained.
fn names() -> Schema {
    Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new())
}

impl Side {
    /// Writes to stderr. A client is run to see it and waits; a server serves, whoever reads.
    fn print(self, text: String) {
        match self {
            Side::Server => cli::log_text(text),
            Side::Client => cli::say_text(text),
        }
    }

    /// Which way bytes go that were sent or received on this side.
    fn direction(self, transfer: Transfer) -> Direction {
        match (self == Side::Client) == (transfer == Transfer::Sent) {
            true => Direction::ToServer,
            false => Direction::ToClient,
        }
    }
}

/// A connection that is recorded, until its file can't be written.
struct Recorded {
    side: Side,
    file: CaptureFile,
    recorder: Option<Recorder>,
}

impl Recorded {
    fn written<T>(&self, outcome: io::Result<T>) -> Option<T> {
        outcome.and_then(|done| self.file.flush().map(|()| done)).map_err(cli::log).ok()
    }
}

impl Sink for Recorded {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        let (direction, time) = (self.side.direction(transfer), self.file.elapsed());
        let Some(mut recorder) = self.recorder.take() else { return };
        let outcome = recorder.passed(time, direction, 0, bytes);
        self.recorder = self.written(outcome).map(|()| recorder);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            let closed = recorder.closed(self.file.elapsed(), false);
            self.written(closed);
        }
    }
}

/// A connection that is shown.
struct Shown {
    number: u64,
    side: Side,
    show: fn(&Frame) -> String,
    conversation: Conversation,
}

impl Shown {
    fn show_frames(&mut self) {
        let mut out = String::new();
        for frame in self.conversation.take_frames() {
            out.push_str(&format!("[{}] {}", self.number, (self.show)(&frame)));
        }
        self.side.print(out);
    }
}

impl Sink for Shown {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        self.conversation.push(self.side.direction(transfer), bytes);
        self.show_frames();
    }
}

impl Drop for Shown {
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
    fn every_value() {
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
