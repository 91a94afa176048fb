//! Keeping a copy of the bytes that pass a connection: what a [`Tap`](super::tap::Tap) hears, up to a limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tap::Sink;
use crate::io::Transfer;

/// The bytes of one read or one write, or of one piece of a vectored write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which way the bytes went.
    pub transfer: Transfer,
    /// The bytes, never empty.
    pub bytes: Vec<u8>,
}

/// A bounded record of what passed one or more connections; a cheap handle to be cloned.
///
/// Memory is at most the limit in bytes, plus 16 bytes for each read or write that was kept. Past the limit nothing
/// more is kept (what is kept is then a whole prefix of the conversation, as a decoder with state needs it) and
/// [`is_full`](Self::is_full) says so; the connection itself is not disturbed.
#[derive(Clone, Debug)]
pub struct Recording {
    tape: Arc<Mutex<Tape>>,
}

#[derive(Debug)]
struct Tape {
    /// All bytes of both directions, one after the other.
    bytes: Vec<u8>,
    /// Which way each piece went, and where it ends in `bytes`.
    pieces: Vec<(Transfer, usize)>,
    limit: usize,
    full: bool,
}

impl Recording {
    /// An empty recording which keeps at most `limit` bytes of both directions together.
    pub fn with_limit(limit: usize) -> Self {
        let tape = Tape { bytes: Vec::new(), pieces: Vec::new(), limit, full: false };
        Self { tape: Arc::new(Mutex::new(tape)) }
    }

    /// What was kept so far, in the order in which reads and writes completed.
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

    /// The number of bytes kept so far, both directions together.
    pub fn len(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Whether nothing was kept so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the limit was hit: bytes passed that are not in the recording.
    pub fn is_full(&self) -> bool {
        self.lock().full
    }

    /// A panic elsewhere while the lock was held can't leave the tape inconsistent in a way that matters for reading.
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
    fn past_the_limit_nothing_more_is_kept() {
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
