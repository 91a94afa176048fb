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
mod recorded;
mod redact;
mod tls;

pub use recorded::{Capture, CaptureError, Chunk, Connection, End, NOWHERE};
pub use redact::Redactor;
pub use tls::KeyLog;

use packets::Packets;

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
