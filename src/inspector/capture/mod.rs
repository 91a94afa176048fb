//! Captures: the bytes of connections with their times, recorded by this program or read from a file.
//!
//! ```text
//! Capture
//!   └ Connection   two addresses
//!       └ Chunk    time, direction, bytes, in the order in which they passed
//! ```
//!
//! Pure functions over bytes. [`read`] detects the format of a file; [`Connection::conversation`] decodes a connection.
//!
//! ```text
//! in    gzip.rs                                          files that are compressed
//!       pcap.rs, pcapng.rs ─▶ link.rs ─▶ packets.rs      packets to segments (segment.rs) to bytes in their order
//!       lines.rs, raw.rs                                 JSON lines, and raw bytes
//!       roles.rs                                         client and server, from the frames
//!       tls/                                             TLS, decrypted if its secrets are known
//! out   redact.rs ─▶ packet.rs ─▶ pcapng_writer.rs       redaction, invented TCP, blocks
//! ```

mod cursor;
mod gzip;
mod lines;
mod link;
mod packet;
mod packets;
mod pcap;
mod pcapng;
pub mod pcapng_writer;
mod raw;
mod recorded;
mod redact;
mod roles;
mod segment;
mod skipped;
mod tls;

pub use gzip::LARGEST_RESTORED;
pub use recorded::{Capture, CaptureError, Chunk, Connection, End, NOWHERE};
pub use redact::Redactor;
pub use tls::KeyLog;

use packets::Packets;

/// Reads a capture from a file: pcap, pcapng, JSON lines of this program, or the raw bytes of one direction. The
/// file may be compressed with gzip, up to [`LARGEST_RESTORED`]. TLS is decrypted with the secrets in the file.
///
/// # Errors
///
/// [`CaptureError`] if the file contains no capture. A truncated capture is not an error: the part before the end is
/// read, and [`Capture::cut_short`] names the place. TLS that can't be decrypted is not an error either:
/// [`Capture::notes`] name it.
pub fn read(file: &[u8]) -> Result<Capture, CaptureError> {
    read_with(file, KeyLog::default())
}

/// As [`read`]; TLS 1.3 (RFC 8446) and 1.2 (RFC 5246) are decrypted with the secrets of a key log as well.
///
/// For a TLS connection, chunks are application data: one record each, with the time of the bytes that completed it.
/// [`Chunk::lost`] then counts bytes of records, because the content of missing records is unknown.
///
/// # Errors
///
/// Those of [`read`].
pub fn read_with(file: &[u8], mut keys: KeyLog) -> Result<Capture, CaptureError> {
    let restored = gzip::restore(file)?;
    let file = restored.as_ref().map_or(file, |restored| &restored.bytes);
    let mut packets = Packets::default();
    let mut capture =
        if pcap::read(file, &mut packets).is_some() || pcapng::read(file, &mut packets, &mut keys).is_some() {
            packets.finish()?
        } else if file.is_empty() {
            return Err(CaptureError::Empty);
        } else {
            lines::read(file).or_else(|| raw::read(file)).ok_or(CaptureError::Unknown)?
        };
    if let Some(cut_short) = restored.and_then(|restored| restored.cut_short) {
        capture.cut_short = Some(cut_short);
    }
    tls::decrypt(&mut capture, &keys);
    capture.note_guessed_roles();
    Ok(capture.in_pieces())
}
