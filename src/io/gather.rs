//! Buffers the writes of h2 and sends them with few system calls.
//!
//! h2 makes a system call for every DATA frame of 256 bytes and more. [`Gather`] stands between h2 and the socket and collects
//! the writes in one buffer. [`Outlet`], which stays with the connection task, writes the buffer to the socket when that task
//! has nothing more to do: HEADERS, DATA and trailers of a hundred responses leave together. Therefore `poll_flush` of
//! [`Gather`] does nothing, and after each poll of the connection its task must call [`Outlet::end_turn`].
//!
//! A turn reads from the socket until that has no more data, and then not again: h2 tries to read once for every stream that a
//! server accepts, which would cost as many system calls. A turn reads [`READ_TURN`] bytes at most, which bounds the memory and
//! the time that the frames of a peer that sends without a pause cost.
//!
//! A read that fills h2's whole buffer, 8 KiB, is followed by a read of [`READ_AHEAD`], from which h2 is served: large messages
//! take an eighth of the system calls.
//!
//! The buffer holds [`BACKLOG`] bytes at most; beyond that, writing waits for the socket, as it would without the buffer. It
//! comes from a small pool of the thread and returns there when it is empty, so that an idle connection has no buffer.
//!
//! The outlet keeps the socket after h2 dropped it, for a lingering close: it sends the buffered bytes, shuts down the sending
//! side, and for a short time reads and discards what the peer still sends. If a socket is closed with unread bytes, the kernel
//! sends a TCP reset, which can overtake the GOAWAY with the reason.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Io;
use super::blocks::{HeaderBlocks, announce};
use super::goaway::GoawayReason;
use super::guard::{Due, Fault, Guard, PeerLimits, Pings};
use crate::limits::{BACKLOG, HEADERS_IN_TURN, INFORMATIONAL_PAUSE, LINGER, READ_AHEAD, READ_TURN};

/// Number of idle buffers in the pool of a thread.
const POOLED: usize = 4;

/// Number of bytes stored from the beginning of the peer's stream, to show which protocol it speaks.
const GREETING: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// An idle buffer for reading ahead.
    static AHEAD: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Splits a byte stream into the half for h2 and the half for the connection task.
///
/// A [`Guard`] watches the stream: if the peer misses a deadline, reading and writing fail with the reason.
pub(crate) fn gather(io: Box<dyn Io>, limits: PeerLimits, is_server: bool) -> (Gather, Outlet) {
    let guard = Guard::new(limits, is_server);
    let ahead = Ahead::default();
    let inner = Inner {
        io,
        guard,
        backlog: Vec::new(),
        written: 0,
        has_announced: false,
        ahead,
        is_dry: false,
        read: 0,
        pause: None,
        greeting: Vec::new(),
        reason: None,
    };
    let shared = Arc::new(Mutex::new(inner));
    (Gather(shared.clone()), Outlet(shared))
}

/// The half for h2.
pub(crate) struct Gather(Arc<Mutex<Inner>>);

/// The half for the connection task.
pub(crate) struct Outlet(Arc<Mutex<Inner>>);

struct Inner {
    io: Box<dyn Io>,
    guard: Guard,
    backlog: Vec<u8>,
    /// Bytes of the backlog that the socket has accepted.
    written: usize,
    /// True once our SETTINGS have been written.
    has_announced: bool,
    ahead: Ahead,
    /// True if this turn reads no more: the socket is empty, or enough was read. The task will be woken.
    is_dry: bool,
    /// Bytes read in this turn.
    read: usize,
    /// The pause before the next read.
    pause: Option<Pin<Box<Sleep>>>,
    /// The first bytes from the peer.
    greeting: Vec<u8>,
    /// The reason that the GOAWAYs of h2 get, once one was given.
    reason: Option<Box<GoawayReason>>,
}

/// Bytes that were read ahead of h2.
#[derive(Default)]
struct Ahead {
    buffer: Vec<u8>,
    left: Range<usize>,
    /// True if the last read filled its buffer: the socket probably has more data.
    is_worthwhile: bool,
}

impl Outlet {
    /// Ends a turn of the connection: writes the buffer until it is empty or the socket accepts no more. Returns the PINGs that
    /// the peer sent since the last turn, if any.
    pub(crate) fn end_turn(&self, cx: &mut Context<'_>) -> Option<Pings> {
        let mut inner = lock(&self.0);
        (inner.is_dry, inner.read) = (false, 0);
        inner.guard.blocks.end_turn();
        // h2 sees a write error when it reads or writes next.
        let _: Poll<io::Result<()>> = inner.poll_drain(cx);
        inner.guard.take_pings()
    }

    /// Suspends keepalive while no call is in progress.
    pub(crate) fn set_idle(&self, idle: bool) {
        lock(&self.0).guard.set_idle(idle);
    }

    /// Ends the connection because of a fault of the peer, with a GOAWAY that names it; h2 sees the error when it reads next.
    pub(crate) fn end(&self, fault: Fault) {
        lock(&self.0).end(fault);
    }

    /// Adds a reason to each GOAWAY that h2 writes from now on.
    pub(crate) fn explain_goaway(&self, reason: &'static str) {
        let mut inner = lock(&self.0);
        inner.reason = Some(Box::new(GoawayReason::new(inner.guard.sending(), reason)));
    }

    /// Returns the facts about header blocks that the byte stream shows.
    pub(crate) fn blocks(&self) -> Arc<HeaderBlocks> {
        lock(&self.0).guard.blocks.blocks().clone()
    }

    /// Returns the first bytes that the peer sent, up to a few dozen.
    pub(crate) fn greeting(&self) -> Vec<u8> {
        lock(&self.0).greeting.clone()
    }

    /// Closes the connection gently: sends the buffered bytes, shuts down the sending side, and discards what still arrives.
    pub(crate) async fn linger(self) {
        let closing = async {
            poll_fn(|cx| lock(&self.0).poll_drain(cx)).await?;
            poll_fn(|cx| Pin::new(&mut lock(&self.0).io).poll_shutdown(cx)).await?;
            poll_fn(|cx| lock(&self.0).poll_discard(cx)).await
        };
        // Errors don't matter: the connection has ended.
        let _: Result<io::Result<()>, _> = tokio::time::timeout(LINGER, closing).await;
    }
}

impl Inner {
    fn room(&self) -> usize {
        BACKLOG.saturating_sub(self.backlog.len())
    }

    fn take(&mut self, bytes: &[u8]) -> usize {
        if self.backlog.capacity() == 0 {
            self.backlog = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        let room = self.room();
        let before = self.backlog.len();
        let taken = match &mut self.reason {
            Some(reason) => &bytes[..reason.write(bytes, room, &mut self.backlog)],
            None => {
                self.backlog.extend_from_slice(&bytes[..bytes.len().min(room)]);
                &bytes[..bytes.len().min(room)]
            }
        };
        if !self.has_announced && self.guard.is_sending_at_border() {
            // h2 writes each of its own frames, such as SETTINGS, in one piece.
            self.has_announced = announce(&mut self.backlog[before..], self.guard.max_metadata_size());
        }
        self.guard.sent(taken);
        taken.len()
    }

    fn end(&mut self, fault: Fault) {
        if let Some(goaway) = self.guard.end(fault) {
            self.backlog.extend_from_slice(&goaway);
        }
    }

    /// Polled while waiting for the peer; returns an error once the peer missed a deadline.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if let Some(error) = self.guard.fault() {
                return Poll::Ready(error);
            }
            match ready!(self.guard.poll_due(cx)) {
                Due::End(fault) => self.end(fault),
                // It is sent at the end of this turn.
                Due::Ping => {
                    if let Some(ping) = self.guard.ping() {
                        self.backlog.extend_from_slice(&ping);
                    }
                }
            }
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.backlog.len() {
            match Pin::new(&mut self.io).poll_write(cx, &self.backlog[self.written..])? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    self.written += count;
                    self.guard.has_moved();
                }
                Poll::Pending => {
                    self.guard.is_stuck();
                    return self.poll_overdue(cx).map(Err);
                }
            }
        }
        if self.backlog.capacity() > 0 {
            self.give_back();
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn give_back(&mut self) {
        let mut buffer = std::mem::take(&mut self.backlog);
        self.written = 0;
        buffer.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(buffer);
            }
        });
    }

    fn poll_read_into(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.ahead.is_worthwhile = buf.remaining() == 0;
        self.received(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = AHEAD.take().unwrap_or_else(|| vec![0; READ_AHEAD]);
        let mut buf = ReadBuf::new(&mut space);
        let read = self.poll_read_into(cx, &mut buf);
        self.ahead.left = 0..buf.filled().len();
        match self.ahead.left.is_empty() {
            true => AHEAD.set(Some(space)),
            false => self.ahead.buffer = space,
        }
        read
    }

    fn received(&mut self, bytes: &[u8]) {
        self.read += bytes.len();
        self.guard.received(bytes);
        let missing = GREETING.saturating_sub(self.greeting.len());
        self.greeting.extend_from_slice(&bytes[..bytes.len().min(missing)]);
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Ahead {
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        if self.left.is_empty() {
            return;
        }
        let end = self.left.end.min(self.left.start + buf.remaining());
        buf.put_slice(&self.buffer[self.left.start..end]);
        self.left.start = end;
        if self.left.is_empty() {
            AHEAD.set(Some(std::mem::take(&mut self.buffer)));
        }
    }
}

impl AsyncRead for Gather {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *lock(&self.0);
        if inner.ahead.left.is_empty() {
            if inner.is_dry {
                return Poll::Pending;
            }
            if inner.read >= READ_TURN {
                inner.is_dry = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if inner.guard.blocks.in_turn() > HEADERS_IN_TURN {
                // In h2's memory these blocks take a hundred times as much: the calls must process them now.
                (inner.is_dry, inner.ahead.is_worthwhile) = (true, false);
                if inner.guard.blocks.blocks().has_informational() {
                    inner.pause = Some(Box::pin(sleep(INFORMATIONAL_PAUSE)));
                } else {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            if let Some(pause) = &mut inner.pause {
                inner.is_dry = pause.as_mut().poll(cx).is_pending();
                if inner.is_dry {
                    return Poll::Pending;
                }
                inner.pause = None;
            }
            // Reading ahead would apply the limit of header blocks too late.
            let is_ahead = inner.ahead.is_worthwhile && inner.guard.blocks.in_turn() < HEADERS_IN_TURN / 2;
            let read = if is_ahead { inner.poll_read_ahead(cx) } else { inner.poll_read_into(cx, buf) };
            if read?.is_pending() {
                let overdue = inner.poll_overdue(cx);
                inner.is_dry = overdue.is_pending();
                return overdue.map(Err);
            }
        }
        inner.ahead.give(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        if inner.room() == 0 {
            ready!(inner.poll_drain(cx))?;
        }
        Poll::Ready(Ok(inner.take(buf)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = lock(&self.0);
        if inner.room() == 0 {
            ready!(inner.poll_drain(cx))?;
        }
        Poll::Ready(Ok(bufs.iter().map(|buf| inner.take(buf)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the outlet flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends the buffered bytes. [`Outlet::linger`] shuts down the socket itself.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_drain(cx)
    }
}

/// Locks the shared state. Both halves belong to one task, so the lock is never contended.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn patient() -> PeerLimits {
        let hour = std::time::Duration::from_secs(3600);
        PeerLimits { greeting: None, patience: hour, keepalive: None, max_metadata_size: 1000 }
    }

    #[tokio::test]
    async fn writes_of_a_turn_are_sent_at_its_end_in_one_write() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut gathering, outlet) = gather(Box::new(near), patient(), true);
        gathering.write_all(b"HEADERS ").await.unwrap();
        gathering.write_all(b"DATA ").await.unwrap();
        gathering.flush().await.unwrap();
        let mut received = [0; 64];
        let read = tokio::time::timeout(std::time::Duration::from_millis(1), far.read(&mut received)).await;
        assert!(read.is_err(), "nothing yet");
        poll_fn(|cx| Poll::Ready(outlet.end_turn(cx))).await;
        let count = far.read(&mut received).await.unwrap();
        assert_eq!(&received[..count], b"HEADERS DATA ");
        assert_eq!(lock(&outlet.0).backlog.capacity(), 0, "an idle connection holds no buffer");
    }

    #[tokio::test]
    async fn writer_waits_while_the_backlog_is_full_and_the_peer_does_not_read() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut gathering, outlet) = gather(Box::new(near), patient(), true);
        let sent: Vec<u8> = (0..BACKLOG + 10_000).map(|n| n as u8).collect();
        let write = async {
            gathering.write_all(&sent).await.unwrap();
            poll_fn(|cx| lock(&outlet.0).poll_drain(cx)).await.unwrap();
        };
        let read = async {
            let mut received = vec![0; sent.len()];
            far.read_exact(&mut received).await.unwrap();
            received
        };
        let ((), received) = tokio::join!(write, read);
        assert!(received == sent);
    }

    /// A socket with all its data ready, which records the size of each read.
    struct FullSocket {
        bytes: std::io::Cursor<Vec<u8>>,
        reads: Arc<Mutex<Vec<usize>>>,
    }

    impl AsyncRead for FullSocket {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.reads.lock().unwrap().push(buf.remaining());
            Pin::new(&mut self.bytes).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for FullSocket {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn read_ahead_reduces_reads_of_the_socket_and_loses_nothing() {
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for size in [100_000, READ_AHEAD + 8192, 8192, 5, 0] {
            let reads = Arc::default();
            let socket = FullSocket { bytes: std::io::Cursor::new(sent[..size].to_vec()), reads: Arc::clone(&reads) };
            let (mut gathering, outlet) = gather(Box::new(socket), patient(), true);
            let (mut received, mut room) = (Vec::new(), [0; 8192]);
            while let count @ 1.. = gathering.read(&mut room).await.unwrap() {
                received.extend_from_slice(&room[..count]);
            }
            assert!(received == sent[..size], "{size}");
            assert!(reads.lock().unwrap().len() <= 3 + size / READ_AHEAD, "{size}: {:?}", reads.lock());
            assert!(lock(&outlet.0).ahead.buffer.is_empty(), "what has been given holds no buffer");
        }
    }
}
