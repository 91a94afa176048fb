//! Keeping a copy of the bytes that pass a byte stream, in the order in which they passed.
//!
//! [`Recorded`] wraps any byte stream under HTTP/2 (inside TLS, so that what it sees is plaintext) and notes every
//! completed read and write in a [`Recording`]. It forwards bytes unchanged, neither splits nor joins reads and
//! writes, and passes vectored writes through. The demonstration reads the recording with the inspector.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which way bytes went, seen from the side that records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Written to the peer.
    Sent,
    /// Read from the peer.
    Received,
}

/// The bytes of one read or one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which way the bytes went.
    pub direction: Direction,
    /// The bytes, never empty.
    pub bytes: Vec<u8>,
}

/// A bounded record of what passed one or more byte streams; a cheap handle to be cloned.
///
/// Memory is at most the limit in bytes, plus 16 bytes for each read or write that was kept. Past the limit nothing
/// more is kept (what is kept is then a whole prefix of the conversation, as a decoder with state needs it) and
/// [`is_full`](Self::is_full) says so; the byte stream itself is not disturbed.
#[derive(Clone, Debug)]
pub struct Recording {
    tape: Arc<Mutex<Tape>>,
}

#[derive(Debug)]
struct Tape {
    /// All bytes of both directions, one after the other.
    bytes: Vec<u8>,
    /// The direction of each piece, and where it ends in `bytes`.
    pieces: Vec<(Direction, usize)>,
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
        for &(direction, end) in &tape.pieces {
            entries.push(Entry { direction, bytes: tape.bytes.get(start..end).unwrap_or_default().to_vec() });
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

    fn push(&self, direction: Direction, slices: &[IoSlice<'_>], mut count: usize) {
        if count == 0 {
            return;
        }
        let mut tape = self.lock();
        for slice in slices {
            let passed = slice.get(..count.min(slice.len())).unwrap_or_default();
            count -= passed.len();
            tape.append(passed);
        }
        let end = tape.bytes.len();
        if tape.pieces.last().map_or(0, |&(_, end)| end) < end {
            tape.pieces.push((direction, end));
        }
    }

    /// A panic elsewhere while the lock was held can't leave the tape inconsistent in a way that matters for reading.
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tape {
    fn append(&mut self, passed: &[u8]) {
        let room = if self.full { 0 } else { self.limit.saturating_sub(self.bytes.len()) };
        self.full |= passed.len() > room;
        self.bytes.extend_from_slice(passed.get(..room.min(passed.len())).unwrap_or_default());
    }
}

pin_project! {
    /// A byte stream whose reads and writes are noted in a [`Recording`].
    #[derive(Debug)]
    pub struct Recorded<Io> {
        #[pin]
        io: Io,
        recording: Recording,
    }
}

impl<Io> Recorded<Io> {
    /// Wraps `io`; what passes it from now on is appended to `recording`.
    pub fn new(io: Io, recording: Recording) -> Self {
        Self { io, recording }
    }
}

impl<Io: AsyncRead> AsyncRead for Recorded<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        ready!(this.io.poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        this.recording.push(Direction::Received, &[IoSlice::new(new)], new.len());
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite> AsyncWrite for Recorded<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = ready!(this.io.poll_write(cx, buf))?;
        this.recording.push(Direction::Sent, &[IoSlice::new(buf)], written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = ready!(this.io.poll_write_vectored(cx, bufs))?;
        this.recording.push(Direction::Sent, bufs, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn sent(bytes: &[u8]) -> Entry {
        Entry { direction: Direction::Sent, bytes: bytes.to_vec() }
    }

    fn received(bytes: &[u8]) -> Entry {
        Entry { direction: Direction::Received, bytes: bytes.to_vec() }
    }

    /// A writer that takes at most `most` bytes of a vectored write, as a socket may.
    struct Short {
        most: usize,
    }

    impl AsyncWrite for Short {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len().min(self.most)))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum::<usize>().min(self.most)))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn both_directions_in_the_order_of_completion() {
        let (near, mut far) = tokio::io::duplex(64);
        let recording = Recording::with_limit(1024);
        let mut near = Recorded::new(near, recording.clone());
        near.write_all(b"ping").await.unwrap();
        far.write_all(b"pong").await.unwrap();
        let mut answer = [0; 4];
        near.read_exact(&mut answer).await.unwrap();
        near.write_all(b"bye").await.unwrap();
        assert_eq!(&answer, b"pong");
        assert_eq!(recording.entries(), [sent(b"ping"), received(b"pong"), sent(b"bye")]);
        assert!(!recording.is_full());
    }

    #[tokio::test]
    async fn only_what_a_vectored_write_accepted_is_noted() {
        let recording = Recording::with_limit(1024);
        let mut io = Recorded::new(Short { most: 5 }, recording.clone());
        assert!(io.is_write_vectored());
        let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg"), IoSlice::new(b"h")];
        assert_eq!(io.write_vectored(&bufs).await.unwrap(), 5);
        assert_eq!(recording.entries(), [sent(b"abcde")]);
    }

    #[tokio::test]
    async fn the_end_of_the_stream_and_empty_writes_leave_no_entry() {
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let recording = Recording::with_limit(1024);
        let mut near = Recorded::new(near, recording.clone());
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        let mut io = Recorded::new(Short { most: 5 }, recording.clone());
        assert_eq!(io.write(b"").await.unwrap(), 0);
        assert!(recording.is_empty());
    }

    #[tokio::test]
    async fn past_the_limit_nothing_more_is_kept_and_the_stream_goes_on() {
        let recording = Recording::with_limit(6);
        let mut io = Recorded::new(Short { most: usize::MAX }, recording.clone());
        assert_eq!(io.write(b"abcd").await.unwrap(), 4);
        assert_eq!(io.write(b"efgh").await.unwrap(), 4);
        assert_eq!(io.write(b"ij").await.unwrap(), 2);
        assert_eq!(recording.entries(), [sent(b"abcd"), sent(b"ef")]);
        assert!(recording.is_full());
        assert_eq!(recording.len(), 6);
    }
}
