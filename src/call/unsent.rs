//! DATA that HTTP/2 has taken and the socket has not: bounded for all the calls of a connection together.
//!
//! A peer that opens every window and reads nothing would have each of its calls leave some 400 KiB with h2, which is what h2
//! takes of a stream. A [`Piece`] knows when h2 lets go of it, written or dropped; while those of a connection add up to
//! [`UNSENT`], a call that wants to send more waits for its turn. Only what the peer's windows have room for is ever among
//! them, so that the socket is all they wait for: no call can hold up another by being slow to grant window.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use super::lock;
use crate::limits::UNSENT;

/// What h2 holds of one connection.
#[derive(Default)]
pub(crate) struct Unsent {
    bytes: AtomicUsize,
    /// The calls that wait, by their streams; the first has waited longest.
    waiting: Mutex<VecDeque<(u32, Waker)>>,
    /// How many they are, to be looked at without the lock.
    waiting_count: AtomicUsize,
}

impl Unsent {
    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) < UNSENT
    }

    fn let_go(&self, count: usize) {
        let left = self.bytes.fetch_sub(count, Ordering::SeqCst) - count;
        if left >= UNSENT || self.waiting_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = lock(&self.waiting);
        // One for each piece, so that they take turns; all when nothing is left that could wake the next.
        let woken = if left == 0 { waiting.len() } else { waiting.len().min(1) };
        let woken: Vec<_> = waiting.drain(..woken).collect();
        self.waiting_count.store(waiting.len(), Ordering::SeqCst);
        drop(waiting);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// The place of one stream's sending half among those of its connection.
pub(crate) struct Place {
    unsent: Arc<Unsent>,
    stream: u32,
    waits: bool,
}

impl Place {
    pub(crate) fn new(unsent: Arc<Unsent>, stream: u32) -> Place {
        Place { unsent, stream, waits: false }
    }

    /// Bytes to be given to h2, which count until it lets go of them.
    pub(crate) fn piece(&self, bytes: Bytes) -> Piece {
        self.unsent.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        Piece { counted: bytes.len(), bytes, unsent: Some(self.unsent.clone()) }
    }

    /// Ready when this stream may give h2 a piece.
    pub(crate) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.unsent.has_room() {
            self.leave();
            return Poll::Ready(());
        }
        let mut waiting = lock(&self.unsent.waiting);
        match waiting.iter_mut().find(|(stream, _)| *stream == self.stream) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.push_back((self.stream, cx.waker().clone())),
        }
        self.unsent.waiting_count.store(waiting.len(), Ordering::SeqCst);
        drop(waiting);
        self.waits = true;
        // The last piece may have gone before this was registered.
        if self.unsent.has_room() {
            self.leave();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.waits) {
            let mut waiting = lock(&self.unsent.waiting);
            waiting.retain(|(stream, _)| *stream != self.stream);
            self.unsent.waiting_count.store(waiting.len(), Ordering::SeqCst);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The payload of a DATA frame on its way out.
pub(crate) struct Piece {
    bytes: Bytes,
    counted: usize,
    unsent: Option<Arc<Unsent>>,
}

impl Piece {
    /// One that no limit counts: the message of a client's unary call, which its caller holds anyway.
    pub(crate) fn uncounted(bytes: Bytes) -> Piece {
        Piece { bytes, counted: 0, unsent: None }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(unsent) = &self.unsent {
            unsent.let_go(self.counted);
        }
    }
}

impl Buf for Piece {
    #[inline]
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Polls a place; tells whether it has room and counts how often it was woken.
    struct Caller {
        place: Place,
        woken: Arc<Woken>,
    }

    impl Caller {
        fn new(unsent: &Arc<Unsent>, stream: u32) -> Caller {
            Caller { place: Place::new(unsent.clone(), stream), woken: Arc::default() }
        }

        fn has_room(&mut self) -> bool {
            let waker = self.woken.clone().into();
            self.place.poll_room(&Context::from_waker(&waker)).is_ready()
        }

        fn woken(&self) -> usize {
            self.woken.0.load(Ordering::SeqCst)
        }
    }

    fn half() -> Bytes {
        vec![0; UNSENT / 2].into()
    }

    #[test]
    fn who_waits_takes_turns() {
        let unsent = Arc::<Unsent>::default();
        let [mut first, mut second, mut third] = [1, 3, 5].map(|stream| Caller::new(&unsent, stream));
        assert!(first.has_room());
        let held = [first.place.piece(half()), first.place.piece(half())];
        assert!(!second.has_room() && !third.has_room() && !second.has_room() && !first.has_room());
        let [one, other] = held;
        drop(one);
        assert_eq!([first.woken(), second.woken(), third.woken()], [0, 1, 0]);
        assert!(second.has_room());
        let piece = second.place.piece(half());
        assert!(!second.has_room());
        drop(other);
        assert_eq!([first.woken(), second.woken(), third.woken()], [0, 1, 1]);
        // The third has ended meanwhile; when nothing is left, nobody is left waiting.
        drop(third);
        drop(piece);
        assert_eq!([first.woken(), second.woken()], [1, 2]);
        assert!(first.has_room() && second.has_room());
        assert_eq!(unsent.bytes.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_has_gone_waits_no_more() {
        let unsent = Arc::<Unsent>::default();
        let held = Place::new(unsent.clone(), 1).piece(vec![0; UNSENT].into());
        for stream in [3, 5] {
            assert!(!Caller::new(&unsent, stream).has_room());
        }
        assert!(lock(&unsent.waiting).is_empty());
        assert_eq!(unsent.waiting_count.load(Ordering::SeqCst), 0);
        drop(held);
    }

    #[test]
    fn a_piece_counts_whole_until_it_is_dropped() {
        let unsent = Arc::<Unsent>::default();
        let mut piece = Place::new(unsent.clone(), 1).piece(Bytes::from_static(b"hello"));
        piece.advance(3);
        assert_eq!((piece.chunk(), piece.remaining()), (&b"lo"[..], 2));
        assert_eq!(unsent.bytes.load(Ordering::SeqCst), 5);
        drop(piece);
        drop(Piece::uncounted(half()));
        assert_eq!(unsent.bytes.load(Ordering::SeqCst), 0);
    }
}
