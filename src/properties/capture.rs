//! Captures: any file is read or refused, what is read is explained to the last byte, and what is written is read again.

use std::time::SystemTime;

use super::cut;
use crate::inspector::capture::pcapng_writer::{PcapngConnection, begin};
use crate::inspector::capture::{self, Capture, Connection, Redactor};
use crate::inspector::{Direction, Redaction, Schema};

const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// The input is a file. What it holds is written as pcapng and read once more; secrets are taken out of it, whole or in pieces.
pub fn capture(data: &[u8]) {
    let Ok(read) = capture::read(data) else { return };
    let bytes = read.connections.iter().flat_map(|connection| &connection.chunks).map(|chunk| chunk.bytes.len());
    assert!(bytes.sum::<usize>() <= data.len(), "more bytes than the file has");
    for connection in &read.connections {
        let conversation = connection.conversation(Schema::new());
        conversation.check().expect("the leaves tile the bytes");
        for direction in BOTH {
            let times = connection.chunks.iter().filter(|chunk| chunk.direction == direction).map(|chunk| chunk.time);
            assert!(times.is_sorted(), "time goes back");
            redacted(connection, direction);
        }
        again(&read, connection);
    }
}

/// Secrets are taken out without moving a byte, and however the bytes come.
fn redacted(connection: &Connection, direction: Direction) {
    let bytes = said(connection, direction).1;
    let redact = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut redactor = Redactor::new(Redaction::default(), connection.from_the_beginning);
        let mut out = Vec::new();
        pieces.for_each(|piece| redactor.push(direction, piece, &mut out));
        redactor.finish(direction, &mut out);
        out
    };
    let whole = redact(&mut std::iter::once(&bytes[..]));
    assert_eq!(whole.len(), bytes.len());
    // Where frames have to be looked for, the end of a piece may say that one is there.
    if connection.from_the_beginning {
        assert_eq!(redact(&mut cut(&bytes)), whole);
        assert_eq!(redact(&mut std::iter::once(&whole[..])), whole, "it has no secrets any more");
    }
}

/// A connection written as packets says the same when they are read.
fn again(capture: &Capture, connection: &Connection) {
    let mut file = begin("the property");
    let mut packets = PcapngConnection::new(connection.client, connection.server, SystemTime::UNIX_EPOCH);
    packets.open(connection.chunks.first().map_or_else(Default::default, |chunk| chunk.time), "", &mut file);
    for chunk in &connection.chunks {
        packets.lose(chunk.direction, chunk.lost);
        packets.bytes(chunk.time, chunk.direction, &chunk.bytes, &mut file);
    }
    let read = capture::read(&file).expect("it was written here");
    assert_eq!(read.cut_short, None, "{capture:?}");
    // Ends that are equal are no connection, and what is lost further than TCP counts is lost differently.
    let apart = connection.client != connection.server;
    let near = connection.chunks.iter().map(|chunk| chunk.lost).fold(0, u64::saturating_add) < 1 << 20;
    let all_have_bytes = connection.chunks.iter().all(|chunk| !chunk.bytes.is_empty());
    if let ([read], true, true, true) = (&read.connections[..], apart, near, all_have_bytes) {
        for direction in BOTH {
            assert_eq!(said(read, direction), said(connection, direction), "{direction:?}");
        }
    }
}

/// How many bytes of a direction are missing, and those that are there.
fn said(connection: &Connection, direction: Direction) -> (u64, Vec<u8>) {
    let chunks = connection.chunks.iter().filter(|chunk| chunk.direction == direction);
    let lost = chunks.clone().map(|chunk| chunk.lost).fold(0, u64::saturating_add);
    (lost, chunks.flat_map(|chunk| chunk.bytes.iter().copied()).collect())
}
