//! Hearing what a proxy forwards without holding it up: a bounded queue for each listener, and a thread that empties it.
//!
//! ```text
//! forwarding  ── tell ──▶ queue of at most 64 MiB ──▶ thread ──▶ Listener: the screen, a file
//! ```
//!
//! Whoever forwards never waits. Where a listener does not keep up and its queue is full, bytes are not queued but counted, and
//! the next that are carry the count, so that what is missing is marked where it is missing. Everything else that happens to a
//! connection is a few bytes and always queued.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use barewire::inspector::Direction;

/// Bytes that may wait for one listener.
const QUEUE: usize = 64 << 20;

/// What an event costs beside its bytes, about.
const EVENT: usize = 128;

/// Something that happened to a connection.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// Counts connections from 1.
    pub(super) connection: usize,
    /// When, since the proxy began.
    pub(super) time: Duration,
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It is open on both sides.
    Opened { client: SocketAddr, server: SocketAddr },
    /// Bytes passed. Before them `lost` others did that this listener was too slow for.
    Passed { direction: Direction, lost: u64, bytes: Bytes },
    /// Something that a person should know, in words.
    Said(String),
    /// One side has no more to say; `lost` as in `Passed`.
    Ended { direction: Direction, lost: u64 },
    /// It is over; with a reset, or in peace.
    Closed { reset: bool },
}

/// Hears what happens, on a thread of its own.
pub(super) trait Listener: Send {
    /// The next thing that happened.
    fn hear(&mut self, heard: Heard) -> io::Result<()>;

    /// Nothing more is queued: what was held back can be written out.
    fn pause(&mut self) -> io::Result<()>;

    /// The proxy ends.
    fn end(&mut self) -> io::Result<()>;
}

/// All listeners of a proxy.
pub(super) struct Feed {
    began: Instant,
    ears: Vec<(Arc<Queue>, JoinHandle<()>)>,
    failures: (UnboundedSender<io::Error>, UnboundedReceiver<io::Error>),
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), ears: Vec::new(), failures: tokio::sync::mpsc::unbounded_channel() }
    }

    /// Gives a listener a thread.
    pub(super) fn add(&mut self, mut listener: Box<dyn Listener>) -> io::Result<()> {
        let queue = Arc::new(Queue::default());
        let (heard, failed) = (queue.clone(), self.failures.0.clone());
        let thread = std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
            if let Err(error) = heard.empty_into(&mut *listener) {
                heard.close();
                // Whoever hears of failures is gone only when the program ends.
                let _: Result<(), _> = failed.send(error);
            }
        })?;
        self.ears.push((queue, thread));
        Ok(())
    }

    /// The next failure of a listener, which hears nothing more from then on.
    pub(super) async fn failure(&mut self) -> io::Error {
        // This side holds a sender, so the channel does not end.
        self.failures.1.recv().await.unwrap_or_else(|| io::Error::other("nobody listens"))
    }

    /// A witness of one direction, for whoever forwards it.
    pub(super) fn witness(&self, connection: usize, direction: Direction) -> Witness {
        let ears = self.ears.iter().map(|(queue, _)| (queue.clone(), 0)).collect();
        Witness { connection, direction, began: self.began, ears }
    }

    /// Lets the listeners hear all that is queued, and end. What failed and was not said yet is handed back.
    pub(super) fn end(mut self) -> Vec<io::Error> {
        // All at the same time, so that none hears more than another.
        self.ears.iter().for_each(|(queue, _)| queue.close());
        for (_, thread) in self.ears.drain(..) {
            // A listener that panicked has said so on stderr.
            let _: Result<(), _> = thread.join();
        }
        std::iter::from_fn(|| self.failures.1.try_recv().ok()).collect()
    }
}

/// Tells the listeners what happens to a direction of a connection.
pub(super) struct Witness {
    connection: usize,
    direction: Direction,
    began: Instant,
    /// The queues, and how many bytes were not queued in each.
    ears: Vec<(Arc<Queue>, u64)>,
}

impl Witness {
    /// Bytes passed.
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        if self.ears.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let (direction, time) = (self.direction, self.began.elapsed());
        for (queue, lost) in &mut self.ears {
            if queue.has_room(bytes.len()) {
                let what = What::Passed { direction, lost: std::mem::take(lost), bytes: bytes.clone() };
                queue.push(Heard { connection: self.connection, time, what });
            } else {
                *lost += bytes.len() as u64;
            }
        }
    }

    /// Its sender has no more to say.
    pub(super) fn ended(&mut self) {
        let (connection, direction, time) = (self.connection, self.direction, self.began.elapsed());
        for (queue, lost) in &mut self.ears {
            queue.push(Heard { connection, time, what: What::Ended { direction, lost: std::mem::take(lost) } });
        }
    }

    /// Nothing more is heard: what was not queued is told now, as nothing follows that could carry it.
    pub(super) fn over(&mut self) {
        let (connection, direction, time) = (self.connection, self.direction, self.began.elapsed());
        for (queue, lost) in self.ears.iter_mut().filter(|(_, lost)| *lost > 0) {
            let what = What::Passed { direction, lost: std::mem::take(lost), bytes: Bytes::new() };
            queue.push(Heard { connection, time, what });
        }
    }

    /// Something else happened.
    pub(super) fn tell(&self, what: &What) {
        let (connection, time) = (self.connection, self.began.elapsed());
        for (queue, _) in &self.ears {
            queue.push(Heard { connection, time, what: what.clone() });
        }
    }
}

impl Drop for Witness {
    /// Where the proxy ends in the middle of a connection.
    fn drop(&mut self) {
        self.over();
    }
}

/// What waits for one listener.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
    /// The cost of what is queued and not heard to its end.
    cost: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Heard>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere can't leave a queue half written.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.cost.load(Ordering::Relaxed) + bytes <= QUEUE
    }

    fn push(&self, heard: Heard) {
        let mut waiting = self.lock();
        if waiting.closed {
            return;
        }
        self.cost.fetch_add(cost(&heard), Ordering::Relaxed);
        let idle = waiting.events.is_empty();
        waiting.events.push_back(heard);
        drop(waiting);
        if idle {
            self.news.notify_one();
        }
    }

    /// Nothing is queued any more; what is will be heard.
    fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    fn empty_into(&self, listener: &mut dyn Listener) -> io::Result<()> {
        loop {
            let mut waiting = self.lock();
            let events = std::mem::take(&mut waiting.events);
            let closed = waiting.closed;
            drop(waiting);
            if events.is_empty() {
                listener.pause()?;
                if closed {
                    return listener.end();
                }
                let waiting = self.lock();
                let news = |waiting: &mut Waiting| waiting.events.is_empty() && !waiting.closed;
                drop(self.news.wait_while(waiting, news).unwrap_or_else(PoisonError::into_inner));
            }
            for heard in events {
                let cost = cost(&heard);
                listener.hear(heard)?;
                self.cost.fetch_sub(cost, Ordering::Relaxed);
            }
        }
    }
}

fn cost(heard: &Heard) -> usize {
    EVENT
        + match &heard.what {
            What::Passed { bytes, .. } => bytes.len(),
            What::Said(line) => line.len(),
            What::Opened { .. } | What::Ended { .. } | What::Closed { .. } => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hears only when it is let, and hands on what it heard.
    struct Slow {
        go: mpsc::Receiver<()>,
        heard: mpsc::Sender<What>,
    }

    impl Listener for Slow {
        fn hear(&mut self, heard: Heard) -> io::Result<()> {
            self.go.recv().map_err(io::Error::other)?;
            self.heard.send(heard.what).map_err(io::Error::other)
        }

        fn pause(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn end(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_listener_that_does_not_keep_up_misses_bytes_and_is_told_how_many() {
        let (go, wait) = mpsc::channel();
        let (heard, hears) = mpsc::channel();
        let mut feed = Feed::new();
        feed.add(Box::new(Slow { go: wait, heard })).unwrap();
        let mut witness = feed.witness(1, Direction::ToServer);
        let block = vec![7; 1 << 20];
        let fit = QUEUE / (block.len() + EVENT);
        for _ in 0..fit + 3 {
            witness.passed(&block);
        }
        let next = || {
            go.send(()).unwrap();
            hears.recv().unwrap()
        };
        for _ in 0..fit {
            assert!(matches!(next(), What::Passed { lost: 0, .. }));
        }
        // The thread says that it has heard the last only after it has handed it on.
        while !witness.ears[0].0.has_room(QUEUE) {
            std::thread::yield_now();
        }
        witness.passed(b"after");
        let What::Passed { lost, bytes, .. } = next() else { panic!("no bytes") };
        assert_eq!((lost, &bytes[..]), (3 << 20, &b"after"[..]));
        // What is missing at the end is told as well, although nothing follows it.
        for _ in 0..fit + 2 {
            witness.passed(&block);
        }
        drop(witness);
        for _ in 0..fit {
            assert!(matches!(next(), What::Passed { lost: 0, .. }));
        }
        let What::Passed { lost, bytes, .. } = next() else { panic!("no bytes") };
        assert_eq!((lost, bytes.len()), (2 << 20, 0));
        drop(go);
        assert!(feed.end().is_empty());
    }

    #[test]
    fn a_failure_is_heard_of_and_holds_nobody_up() {
        let (go, wait) = mpsc::channel();
        let (heard, _) = mpsc::channel();
        let mut feed = Feed::new();
        feed.add(Box::new(Slow { go: wait, heard })).unwrap();
        drop(go);
        let mut witness = feed.witness(1, Direction::ToServer);
        witness.passed(b"x");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(!runtime.block_on(feed.failure()).to_string().is_empty());
        for _ in 0..200 {
            witness.passed(&[0; 1 << 20]);
        }
        assert!(feed.end().is_empty());
    }
}
