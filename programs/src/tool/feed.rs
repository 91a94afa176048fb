//! Feeds observers with the bytes that a proxy forwards, without delaying it: each has a bounded queue and a thread that
//! empties it.
//!
//! ```text
//! forwarding  ── report ──▶ queue of at most 64 MiB ──▶ thread ──▶ Observer: the screen, a file
//! ```
//!
//! Forwarding never waits. If the queue of a slow observer is full, bytes are counted instead of queued. The next queued bytes
//! carry the count, so that the gap is marked in its place. All other events of a connection take a few bytes and are always
//! queued.

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

/// Size limit of a queue, in bytes.
const QUEUE: usize = 64 << 20;

/// Approximate memory use of an event without its bytes.
const EVENT: usize = 128;

/// An event of a connection.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// The number of the connection, counted from 1.
    pub(super) connection: usize,
    /// The time since the proxy began.
    pub(super) time: Duration,
    pub(super) kind: EventKind,
}

/// The kind of an event, with its data.
#[derive(Clone, Debug)]
pub(super) enum EventKind {
    /// The connection is open on both sides.
    Opened { client: SocketAddr, server: SocketAddr },
    /// Bytes were forwarded. Before them, `lost` other bytes did not fit into the queue of this observer.
    Passed { direction: Direction, lost: u64, bytes: Bytes },
    /// A line of text about the connection, for the user.
    Note(String),
    /// One direction has ended; `lost` as in `Passed`.
    Ended { direction: Direction, lost: u64 },
    /// The connection has ended; `reset` if it was reset.
    Closed { reset: bool },
}

/// Receives events, on a thread of its own.
pub(super) trait Observer: Send {
    /// Handles the next event.
    fn handle(&mut self, event: Event) -> io::Result<()>;

    /// Called when the queue is empty: buffered output can be written.
    fn pause(&mut self) -> io::Result<()>;

    /// Called when the proxy ends, at this time.
    fn end(&mut self, time: Duration) -> io::Result<()>;
}

/// All observers of a proxy.
pub(super) struct Feed {
    began: Instant,
    observers: Vec<(Arc<Queue>, JoinHandle<()>)>,
    failures: (UnboundedSender<io::Error>, UnboundedReceiver<io::Error>),
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), observers: Vec::new(), failures: tokio::sync::mpsc::unbounded_channel() }
    }

    /// Starts a thread for an observer.
    pub(super) fn add(&mut self, mut observer: Box<dyn Observer>) -> io::Result<()> {
        let queue = Arc::new(Queue::default());
        let (event, failed) = (queue.clone(), self.failures.0.clone());
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            if let Err(error) = event.empty_into(&mut *observer) {
                event.close(Duration::ZERO);
                // The receiver is dropped only when the program ends.
                let _: Result<(), _> = failed.send(error);
            }
        })?;
        self.observers.push((queue, thread));
        Ok(())
    }

    /// Waits for the next failure of an observer, which then receives no more events.
    pub(super) async fn failure(&mut self) -> io::Error {
        // This side holds a sender, so the channel stays open.
        self.failures.1.recv().await.unwrap_or_else(|| io::Error::other("the channel is closed"))
    }

    /// Returns a witness, through which the code that forwards one direction reports events.
    pub(super) fn witness(&self, connection: usize, direction: Direction) -> Witness {
        let observers = self.observers.iter().map(|(queue, _)| (queue.clone(), 0)).collect();
        Witness { connection, direction, began: self.began, observers }
    }

    /// Ends all observers once they have handled their queues. Returns the failures that were not reported before.
    pub(super) fn end(mut self) -> Vec<io::Error> {
        // Closes all queues at the same time, so that all observers receive the same events.
        let time = self.began.elapsed();
        self.observers.iter().for_each(|(queue, _)| queue.close(time));
        for (_, thread) in self.observers.drain(..) {
            // If the observer panicked, its message is on stderr.
            let _: Result<(), _> = thread.join();
        }
        std::iter::from_fn(|| self.failures.1.try_recv().ok()).collect()
    }
}

/// Reports the events of one direction of a connection to the observers.
pub(super) struct Witness {
    connection: usize,
    direction: Direction,
    began: Instant,
    /// The queues, and for each the number of bytes that were not queued.
    observers: Vec<(Arc<Queue>, u64)>,
}

impl Witness {
    /// Reports forwarded bytes.
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        if self.observers.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let (direction, time) = (self.direction, self.began.elapsed());
        for (queue, lost) in &mut self.observers {
            if queue.has_room(bytes.len()) {
                let kind = EventKind::Passed { direction, lost: std::mem::take(lost), bytes: bytes.clone() };
                queue.push(Event { connection: self.connection, time, kind });
            } else {
                *lost += bytes.len() as u64;
            }
        }
    }

    /// Reports the end of the direction.
    pub(super) fn ended(&mut self) {
        let (connection, direction, time) = (self.connection, self.direction, self.began.elapsed());
        for (queue, lost) in &mut self.observers {
            queue.push(Event { connection, time, kind: EventKind::Ended { direction, lost: std::mem::take(lost) } });
        }
    }

    /// Reports the bytes that were not queued, because no later event can carry their count.
    pub(super) fn over(&mut self) {
        let (connection, direction, time) = (self.connection, self.direction, self.began.elapsed());
        for (queue, lost) in self.observers.iter_mut().filter(|(_, lost)| *lost > 0) {
            let kind = EventKind::Passed { direction, lost: std::mem::take(lost), bytes: Bytes::new() };
            queue.push(Event { connection, time, kind });
        }
    }

    /// Reports another event.
    pub(super) fn report(&self, kind: &EventKind) {
        let (connection, time) = (self.connection, self.began.elapsed());
        for (queue, _) in &self.observers {
            queue.push(Event { connection, time, kind: kind.clone() });
        }
    }
}

impl Drop for Witness {
    /// Covers a proxy that ends in the middle of a connection.
    fn drop(&mut self) {
        self.over();
    }
}

/// The events for one observer.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    news: Condvar,
    /// Memory use of the events that are queued or being handled.
    cost: AtomicUsize,
}

#[derive(Default)]
struct QueueState {
    events: VecDeque<Event>,
    /// The time at which the queue was closed.
    closed: Option<Duration>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // A queue is consistent even if another thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.cost.load(Ordering::Relaxed) + bytes <= QUEUE
    }

    fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        self.cost.fetch_add(cost(&event), Ordering::Relaxed);
        let idle = state.events.is_empty();
        state.events.push_back(event);
        drop(state);
        if idle {
            self.news.notify_one();
        }
    }

    /// Accepts no more events; those in the queue will still be handled.
    fn close(&self, time: Duration) {
        self.lock().closed = Some(time);
        self.news.notify_one();
    }

    fn empty_into(&self, observer: &mut dyn Observer) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            let events = std::mem::take(&mut state.events);
            let closed = state.closed;
            drop(state);
            if events.is_empty() {
                observer.pause()?;
                if let Some(time) = closed {
                    return observer.end(time);
                }
                let state = self.lock();
                let news = |state: &mut QueueState| state.events.is_empty() && state.closed.is_none();
                drop(self.news.wait_while(state, news).unwrap_or_else(PoisonError::into_inner));
            }
            for event in events {
                let cost = cost(&event);
                observer.handle(event)?;
                self.cost.fetch_sub(cost, Ordering::Relaxed);
            }
        }
    }
}

fn cost(event: &Event) -> usize {
    EVENT
        + match &event.kind {
            EventKind::Passed { bytes, .. } => bytes.len(),
            EventKind::Note(line) => line.len(),
            EventKind::Opened { .. } | EventKind::Ended { .. } | EventKind::Closed { .. } => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Handles an event each time the test allows it, and passes it on to the test.
    struct Slow {
        go: mpsc::Receiver<()>,
        event: mpsc::Sender<EventKind>,
    }

    impl Observer for Slow {
        fn handle(&mut self, event: Event) -> io::Result<()> {
            self.go.recv().map_err(io::Error::other)?;
            self.event.send(event.kind).map_err(io::Error::other)
        }

        fn pause(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn end(&mut self, _: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn slow_listener_gets_the_number_of_skipped_bytes() {
        let (go, wait) = mpsc::channel();
        let (event, handled) = mpsc::channel();
        let mut feed = Feed::new();
        feed.add(Box::new(Slow { go: wait, event })).unwrap();
        let mut witness = feed.witness(1, Direction::ToServer);
        let block = vec![7; 1 << 20];
        let fit = QUEUE / (block.len() + EVENT);
        for _ in 0..fit + 3 {
            witness.passed(&block);
        }
        let next = || {
            go.send(()).unwrap();
            handled.recv().unwrap()
        };
        for _ in 0..fit {
            assert!(matches!(next(), EventKind::Passed { lost: 0, .. }));
        }
        // The thread updates the cost only after it has passed on the event.
        while !witness.observers[0].0.has_room(QUEUE) {
            std::thread::yield_now();
        }
        witness.passed(b"after");
        let EventKind::Passed { lost, bytes, .. } = next() else { panic!("no bytes") };
        assert_eq!((lost, &bytes[..]), (3 << 20, &b"after"[..]));
        // Bytes lost at the end are reported too, although no event follows.
        for _ in 0..fit + 2 {
            witness.passed(&block);
        }
        drop(witness);
        for _ in 0..fit {
            assert!(matches!(next(), EventKind::Passed { lost: 0, .. }));
        }
        let EventKind::Passed { lost, bytes, .. } = next() else { panic!("no bytes") };
        assert_eq!((lost, bytes.len()), (2 << 20, 0));
        drop(go);
        assert!(feed.end().is_empty());
    }

    #[test]
    fn failed_listener_is_reported_and_delays_nothing() {
        let (go, wait) = mpsc::channel();
        let (event, _) = mpsc::channel();
        let mut feed = Feed::new();
        feed.add(Box::new(Slow { go: wait, event })).unwrap();
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
