//! Properties of captures: any file is read or refused; a capture is decoded to its last byte; a written capture reads
//! the same.

use std::time::SystemTime;

use super::cut;
use crate::inspector::capture::pcapng_writer::{PcapngConnection, begin};
use crate::inspector::capture::{self, Capture, Connection, Redactor};
use crate::inspector::{Direction, Redaction, Schema};

const BOTH: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// The input is a file. Its capture is written as pcapng and read again, and redacted as a whole and in pieces.
pub fn capture(data: &[u8]) {
    // A compressed file has more bytes than itself.
    if data.starts_with(&[0x1f, 0x8b]) {
        return;
    }
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

/// Checks that redaction keeps every byte's place, however the bytes are split.
fn redacted(connection: &Connection, direction: Direction) {
    let bytes = sent_bytes(connection, direction).1;
    let redact = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut redactor = Redactor::new(Redaction::default(), connection.from_the_beginning);
        let mut out = Vec::new();
        pieces.for_each(|piece| redactor.push(direction, piece, &mut out));
        redactor.finish(direction, &mut out);
        out
    };
    let whole = redact(&mut std::iter::once(&bytes[..]));
    assert_eq!(whole.len(), bytes.len());
    // If the beginning of frames is unknown, the end of a piece can suggest one.
    if connection.from_the_beginning {
        assert_eq!(redact(&mut cut(&bytes)), whole);
        assert_eq!(redact(&mut std::iter::once(&whole[..])), whole, "it has no secrets any more");
    }
}

/// Checks that a connection written as packets reads the same.
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
    // A connection needs two different addresses, and a gap longer than TCP's sequence numbers can't be represented.
    let apart = connection.client != connection.server;
    let near = connection.chunks.iter().map(|chunk| chunk.lost).fold(0, u64::saturating_add) < 1 << 20;
    let all_have_bytes = connection.chunks.iter().all(|chunk| !chunk.bytes.is_empty());
    if let ([read], true, true, true) = (&read.connections[..], apart, near, all_have_bytes) {
        for direction in BOTH {
            assert_eq!(sent_bytes(read, direction), sent_bytes(connection, direction), "{direction:?}");
        }
    }
}

/// Returns the number of missing bytes of a direction, and the bytes that are there.
fn sent_bytes(connection: &Connection, direction: Direction) -> (u64, Vec<u8>) {
    let chunks = connection.chunks.iter().filter(|chunk| chunk.direction == direction);
    let lost = chunks.clone().map(|chunk| chunk.lost).fold(0, u64::saturating_add);
    (lost, chunks.flat_map(|chunk| chunk.bytes.iter().copied()).collect())
}
