//! Gathers what HTTP/2 writes and lets it go at once.
//!
//! h2 makes a system call for every DATA frame of 256 bytes and more. Between it and the socket, [`Gather`] takes what it
//! writes into one buffer, and [`Outlet`], which stays with the task that drives the connection, writes the buffer out when
//! that task has nothing more to do: HEADERS, DATA and trailers of a hundred answers leave together. `poll_flush` of the
//! gathering side has nothing to do, therefore, and whoever polls the connection must end the turn at the outlet after it.
//!
//! A turn asks the socket for more until that has nothing, and then no more: h2 tries to read once for every stream that a
//! server accepts, and the socket would be asked as often. It reads [`READ_TURN`] bytes at most, so that neither the memory
//! nor the time that its frames cost is held up by a peer that sends without a pause.
//!
//! A read that fills all the room that h2 gives, 8 KiB, is followed by one of [`READ_AHEAD`], from which h2 is served: large
//! messages take an eighth of the system calls.
//!
//! The buffer holds [`BACKLOG`] bytes at most; beyond that writing waits for the socket, as it would without this. It is
//! borrowed from a small pool of the thread while there is something in it, so that an idle connection has none.
//!
//! The outlet keeps the socket when h2 has given it up, for a lingering close: what was written is sent, the sending side is
//! shut down, and what the peer still sends is read and thrown away for a moment. Closed with unread bytes, the kernel would
//! send a TCP reset, which can overtake the GOAWAY that says why.

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
use super::guard::{Due, Fault, Guard, PeerLimits, Pings};
use crate::limits::{BACKLOG, HEADERS_IN_TURN, INFORMATIONAL_PAUSE, LINGER, READ_AHEAD, READ_TURN};

/// How many idle buffers a thread keeps.
const POOLED: usize = 4;

/// How many of the first bytes from the peer are kept, to tell what it speaks.
const GREETING: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// An idle buffer to read ahead into.
    static AHEAD: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Splits a byte stream into the side that h2 gets and the side that stays.
///
/// What passes is watched by a [`Guard`]: where the peer does not keep up, reading and writing fail with the reason.
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
    };
    let shared = Arc::new(Mutex::new(inner));
    (Gather(shared.clone()), Outlet(shared))
}

/// The side for h2.
pub(crate) struct Gather(Arc<Mutex<Inner>>);

/// The side that stays with the connection's task.
pub(crate) struct Outlet(Arc<Mutex<Inner>>);

struct Inner {
    io: Box<dyn Io>,
    guard: Guard,
    backlog: Vec<u8>,
    /// How much of the backlog the socket has taken.
    written: usize,
    /// Whether our SETTINGS have been written.
    has_announced: bool,
    ahead: Ahead,
    /// Whether nothing more is read in this turn: the socket has no more, or enough has come. The task will be woken.
    is_dry: bool,
    /// The bytes that this turn has read.
    read: usize,
    /// Nothing is read before its end.
    pause: Option<Pin<Box<Sleep>>>,
    greeting: Vec<u8>,
}

/// What was read and h2 has not taken.
#[derive(Default)]
struct Ahead {
    buffer: Vec<u8>,
    left: Range<usize>,
    /// Whether the last read filled all the room that it had: more is likely to be there.
    is_worthwhile: bool,
}

impl Outlet {
    /// Ends a turn of the connection: what was gathered is written out, until it is gone or the socket takes no more. Gives the
    /// PINGs that the peer has sent since the turn before, if it has sent any.
    pub(crate) fn end_turn(&self, cx: &mut Context<'_>) -> Option<Pings> {
        let mut inner = lock(&self.0);
        (inner.is_dry, inner.read) = (false, 0);
        inner.guard.blocks.end_turn();
        // An error of writing shows when h2 reads or writes next.
        let _: Poll<io::Result<()>> = inner.poll_drain(cx);
        inner.guard.take_pings()
    }

    /// Says whether there is a call that keepalive is for.
    pub(crate) fn set_idle(&self, idle: bool) {
        lock(&self.0).guard.set_idle(idle);
    }

    /// Ends the connection over what the peer did, with a GOAWAY that says so; h2 hears of it when it reads next.
    pub(crate) fn end(&self, fault: Fault) {
        lock(&self.0).end(fault);
    }

    /// Returns what the byte stream knows of header blocks.
    pub(crate) fn blocks(&self) -> Arc<HeaderBlocks> {
        lock(&self.0).guard.blocks.blocks().clone()
    }

    /// The first bytes that the peer sent, up to a few dozen.
    pub(crate) fn greeting(&self) -> Vec<u8> {
        lock(&self.0).greeting.clone()
    }

    /// Ends the connection gently: sends what is left, says that nothing more will come, and reads what still does.
    pub(crate) async fn linger(self) {
        let closing = async {
            poll_fn(|cx| lock(&self.0).poll_drain(cx)).await?;
            poll_fn(|cx| Pin::new(&mut lock(&self.0).io).poll_shutdown(cx)).await?;
            poll_fn(|cx| lock(&self.0).poll_discard(cx)).await
        };
        // Whatever goes wrong here goes wrong on a connection that is over.
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
        let taken = &bytes[..bytes.len().min(self.room())];
        let before = self.backlog.len();
        self.backlog.extend_from_slice(taken);
        if !self.has_announced && self.guard.is_sending_at_border() {
            // h2 writes each frame of its own whole.
            self.has_announced = announce(&mut self.backlog[before..], self.guard.max_metadata_size());
        }
        self.guard.sent(taken);
        taken.len()
    }

    fn end(&mut self, fault: Fault) {
        if let Some(farewell) = self.guard.end(fault) {
            self.backlog.extend_from_slice(&farewell);
        }
    }

    /// Called when the peer is waited for: ready with the reason when that has no use any more.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if let Some(error) = self.guard.fault() {
                return Poll::Ready(error);
            }
            match ready!(self.guard.poll_due(cx)) {
                Due::End(fault) => self.end(fault),
                // The outlet is flushed at the end of this turn.
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
                // What h2 holds for the calls is a hundred times as much: they take it now.
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
            // Read ahead of header blocks, their limit would be looked at too late.
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

    /// Nothing to do: the outlet flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends what is left. The socket itself is shut down by [`Outlet::linger`].
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_drain(cx)
    }
}

/// Both sides live on one task, so nobody ever waits here.
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
    async fn nothing_leaves_before_the_end_of_a_turn_and_then_all_at_once() {
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
    async fn writing_waits_when_the_backlog_is_full_and_the_peer_does_not_read() {
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

    /// A socket that has all of it at once, and counts how often it is asked.
    struct Arrived {
        bytes: std::io::Cursor<Vec<u8>>,
        reads: Arc<Mutex<Vec<usize>>>,
    }

    impl AsyncRead for Arrived {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.reads.lock().unwrap().push(buf.remaining());
            Pin::new(&mut self.bytes).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Arrived {
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
    async fn where_much_has_come_the_socket_is_asked_seldom_and_nothing_is_lost() {
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for size in [100_000, READ_AHEAD + 8192, 8192, 5, 0] {
            let reads = Arc::default();
            let socket = Arrived { bytes: std::io::Cursor::new(sent[..size].to_vec()), reads: Arc::clone(&reads) };
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
