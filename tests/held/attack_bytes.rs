//! An attacker's calls, header blocks and messages as bytes.

use barewire::compression;
use barewire::wire::encoding::Encoding;
use bytes::BytesMut;

use super::common::attack::{id, opens_at};
use super::common::frames::*;

/// The number of references to a tiny entry in a request that stay just below 64 KiB, as RFC 9113 section 6.5.2 counts.
pub const TINY: usize = 1900;
/// The number of references to an entry that fills the table.
pub const FULL: usize = 15;

/// Returns the HEADERS of a call.
pub fn open(n: u32, path: &str) -> Vec<u8> {
    wire([opens_at(id(n, 0, 1), path, 0)])
}

/// Returns a call with one message and the half-close.
pub fn ask(n: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let stream = id(n, 0, 1);
    let mut frames = vec![opens_at(stream, path, 0)];
    frames.extend(chunks(stream, message));
    let last = frames.pop().expect("a message").end_stream();
    frames.push(last);
    wire(frames)
}

/// Returns a call with one message and without the half-close.
pub fn begin(n: u32, path: &str, message: &[u8]) -> Vec<u8> {
    [open(n, path), wire(chunks(id(n, 0, 1), message))].concat()
}

/// Returns the fields of [`opens_at`] as a header block.
pub fn head(path: &str) -> Vec<u8> {
    match opens_at(1, path, 0) {
        Frame::Raw { payload, .. } => payload.to_vec(),
        other => panic!("{other:?} is not raw"),
    }
}

/// Splits a header block into HEADERS and CONTINUATIONs.
pub fn block(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let count = block.len().div_ceil(MAX_FRAME_SIZE);
    let frames = block.chunks(MAX_FRAME_SIZE).enumerate().map(|(number, piece)| {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let first = if number == 0 { flags } else { 0 };
        let last = if number + 1 == count { END_HEADERS } else { 0 };
        raw(kind, first | last, stream, piece)
    });
    wire(frames.collect::<Vec<_>>())
}

/// Sends the bytes in DATA frames of one byte.
pub fn crumbs(n: u32, bytes: &[u8]) -> Vec<u8> {
    wire(bytes.iter().map(|byte| data(id(n, 0, 1), [*byte])))
}

/// Returns the rest of a header block: on the first call the entry, then the references to it.
pub fn amplified(is_first: bool, value: usize, times: usize) -> Vec<u8> {
    let mut fields = Vec::new();
    if is_first {
        // A literal with indexing: a name of one byte and a value.
        fields.extend(b"\x40\x01a");
        match value {
            0..127 => fields.push(value as u8),
            // The rest of the length, seven bits in each byte (RFC 7541 section 5.1).
            _ => fields.extend([127, ((value - 127) % 128) as u8 | 128, ((value - 127) / 128) as u8]),
        }
        fields.resize(fields.len() + value, b'v');
    }
    fields.resize(fields.len() + times - usize::from(is_first), 0xbe);
    fields
}

/// Returns a compressed Length-Prefixed-Message.
pub fn compressed(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    compression::all().get(encoding).expect("it was compiled in").compress(plain, &mut out).expect("memory");
    flagged(1, out).to_vec()
}

/// Opens a call with compressed messages and sends one.
pub fn compressed_call(n: u32, path: &str, encoding: Encoding, message: &[u8]) -> Vec<u8> {
    let stream = id(n, 0, 1);
    // A literal without indexing, with a literal name.
    let name = encoding.name();
    let field = [&b"\x00\x0dgrpc-encoding"[..], &[name.len() as u8], name.as_bytes()].concat();
    let headers = raw(HEADERS, END_HEADERS, stream, &[head(path), field].concat());
    let mut frames = vec![headers];
    frames.extend(chunks(stream, message));
    wire(frames)
}

/// Returns a message of this many parts, each two bytes on the wire and a hundred bytes in memory.
pub fn parts(count: usize) -> Vec<u8> {
    [0x0a, 0x00].repeat(count)
}
