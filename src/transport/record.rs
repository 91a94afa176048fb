//! Stores a copy of the bytes of a connection that a [`Tap`](super::tap::Tap) passes on, up to a limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tap::Sink;
use crate::io::Transfer;

/// The bytes of one read or one write, or of one piece of a vectored write.
///
/// [`Recording`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The direction of the bytes.
    pub transfer: Transfer,
    /// The bytes, never empty.
    pub bytes: Vec<u8>,
}

/// A bounded record of the bytes of one or more connections. A handle that is cheap to clone.
///
/// Its memory is at most the limit in bytes, plus 16 bytes for each stored read or write. At the limit it stops recording, so
/// that the record is a complete prefix of the conversation, as a stateful decoder needs, and [`is_full`](Self::is_full) returns
/// true. The connection itself is not affected.
///
/// ```
/// use barewire::io::Transfer;
/// use barewire::transport::record::Recording;
/// use barewire::transport::tap::TapExt;
/// use barewire::{Client, Router, Server, transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), barewire::Status> {
/// let (listener, connector) = transport::memory::pair();
/// tokio::spawn(Server::new(Router::new(())).serve(listener));
/// let recording = Recording::with_limit(1 << 20);
/// let client = Client::connect(connector.tap(recording.clone())).await?;
///
/// let first = &recording.entries()[0];
/// assert_eq!(first.transfer, Transfer::Sent);
/// assert!(first.bytes.starts_with(b"PRI * HTTP/2.0"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recording {
    tape: Arc<Mutex<Tape>>,
}

#[derive(Debug)]
struct Tape {
    /// All bytes of both directions, one after the other.
    bytes: Vec<u8>,
    /// The direction of each piece, and its end in `bytes`.
    pieces: Vec<(Transfer, usize)>,
    limit: usize,
    full: bool,
}

impl Recording {
    /// Creates an empty recording that stores at most `limit` bytes of both directions together.
    pub fn with_limit(limit: usize) -> Self {
        let tape = Tape { bytes: Vec::new(), pieces: Vec::new(), limit, full: false };
        Self { tape: Arc::new(Mutex::new(tape)) }
    }

    /// Returns the recorded reads and writes, in the order of their completion.
    pub fn entries(&self) -> Vec<Entry> {
        let tape = self.lock();
        let mut start = 0;
        let mut entries = Vec::with_capacity(tape.pieces.len());
        for &(transfer, end) in &tape.pieces {
            entries.push(Entry { transfer, bytes: tape.bytes.get(start..end).unwrap_or_default().to_vec() });
            start = end;
        }
        entries
    }

    /// Returns the number of recorded bytes, both directions together.
    pub fn len(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Tells whether the recording is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether bytes were left out of the recording because of the limit.
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Locks the tape, even after a panic elsewhere: a panic can't leave it inconsistent for readers.
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Recording {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        self.lock().append(transfer, bytes);
    }
}

impl Tape {
    fn append(&mut self, transfer: Transfer, passed: &[u8]) {
        let room = if self.full { 0 } else { self.limit.saturating_sub(self.bytes.len()) };
        self.full |= passed.len() > room;
        let kept = passed.get(..room.min(passed.len())).unwrap_or_default();
        if !kept.is_empty() {
            self.bytes.extend_from_slice(kept);
            self.pieces.push((transfer, self.bytes.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_stops_at_its_limit() {
        let mut recording = Recording::with_limit(6);
        recording.passed(Transfer::Sent, b"abcd");
        assert!(!recording.is_full());
        recording.passed(Transfer::Received, b"efgh");
        recording.passed(Transfer::Sent, b"ij");
        let entry = |transfer, bytes: &[u8]| Entry { transfer, bytes: bytes.to_vec() };
        assert_eq!(recording.entries(), [entry(Transfer::Sent, b"abcd"), entry(Transfer::Received, b"ef")]);
        assert!(recording.is_full());
        assert_eq!(recording.len(), 6);
    }
}
