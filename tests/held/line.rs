//! The attacker's end of a connection: a byte stream that buffers one piece of sent bytes and no answers.
//!
//! A pipe would buffer bytes both ways, and its memory would count as that of the side under attack. A [`Line`] allocates its
//! buffer before the measurement, and counts the bytes read and written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

/// The attacker's hold on a connection.
#[derive(Clone)]
pub struct Line(Arc<Mutex<State>>);

/// The end of the side under attack.
pub struct End(Line);

struct State {
    /// The bytes sent; the first `taken` bytes of it have been read.
    piece: Vec<u8>,
    taken: usize,
    /// The number of bytes read from earlier pieces.
    before: usize,
    /// The number of bytes of the answers that the attacker will still read.
    room: usize,
    /// The attacker has closed the connection.
    gone: bool,
    /// The side under attack has dropped its end.
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    sender: Option<Waker>,
}

impl Line {
    /// Creates a connection whose attacker sends pieces of at most `piece` bytes and reads `room` bytes.
    pub fn new(piece: usize, room: usize) -> (Line, End) {
        let state = State {
            piece: Vec::with_capacity(piece),
            taken: 0,
            before: 0,
            room,
            gone: false,
            dropped: false,
            reader: None,
            writer: None,
            sender: None,
        };
        let line = Line(Arc::new(Mutex::new(state)));
        (line.clone(), End(line))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the lock is not poisoned")
    }

    /// Queues a piece, once the previous one was read completely.
    pub fn put(&self, piece: &[u8]) {
        let mut state = self.state();
        assert_eq!(state.taken, state.piece.len(), "the previous piece was read");
        assert!(piece.len() <= state.piece.capacity(), "a piece fits the buffer");
        state.before += state.taken;
        state.taken = 0;
        state.piece.clear();
        state.piece.extend_from_slice(piece);
        wake(&mut state.reader);
    }

    /// Returns the total number of bytes that the other side has read.
    pub fn sent(&self) -> usize {
        let state = self.state();
        state.before + state.taken
    }

    /// Returns true if the other side has ended the connection.
    pub fn has_ended(&self) -> bool {
        self.state().dropped
    }

    /// Ready with true when the piece was read completely, and with false when the connection has ended.
    pub fn poll_taken(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.dropped {
            return Poll::Ready(false);
        }
        if state.taken == state.piece.len() {
            return Poll::Ready(true);
        }
        state.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Closes the connection, as a process that is killed does.
    pub fn close(&self) {
        let mut state = self.state();
        state.gone = true;
        wake(&mut state.reader);
        wake(&mut state.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A socket cooperates with other tasks too.
        let turn = ready!(poll_proceed(cx));
        let mut state = self.0.state();
        if state.gone {
            return Poll::Ready(Ok(()));
        }
        let count = buf.remaining().min(state.piece.len() - state.taken);
        if count == 0 {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        turn.made_progress();
        let from = state.taken;
        buf.put_slice(&state.piece[from..from + count]);
        state.taken += count;
        if state.taken == state.piece.len() {
            wake(&mut state.sender);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let turn = ready!(poll_proceed(cx));
        let mut state = self.0.state();
        if state.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = buf.len().min(state.room);
        if count == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        turn.made_progress();
        state.room -= count;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.dropped = true;
        wake(&mut state.sender);
    }
}
