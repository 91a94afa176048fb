//! Counts and limits the memory that a connection holds for its peer.
//!
//! A peer can open calls and then stop reading, or leave handlers waiting. This side then holds messages to be sent,
//! messages on their way to a handler, and metadata. All of them ask the [`Budget`] of their connection:
//!
//! | asked for | when | if the budget is used up |
//! |---|---|---|
//! | a message to be sent | before it is encoded | waits |
//! | a received message that grows as it is decompressed and decoded | before it is decompressed | waits |
//! | metadata of many fields | when it has arrived | the call is refused |
//! | a handler | before it starts, while large messages of other calls wait to be encoded | waits |
//! | a piece of a message for h2 | before h2 takes it | waits for the socket |
//!
//! Admission checks the memory already held, not the size of the next message. So a message of any size is admitted in
//! its turn, and the budget is exceeded by at most that one message. Small messages and plain metadata are part of the
//! fixed cost of a call ([`CALL_COST`], [`CALL_ALLOWANCE`]) and do not ask.
//!
//! Every wait ends. If the budget is used up, one message to be sent may still exceed it, so that calls which hold memory
//! do not wait for each other. A wait fails with RESOURCE_EXHAUSTED if no memory is released for
//! [`PEER_TIMEOUT`](crate::limits::PEER_TIMEOUT).
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Sleep, sleep};

use super::lock::lock;
use crate::limits::{CALL_ALLOWANCE, CALL_COST, RESTORED_FREELY, RESTORED_PER_BYTE, UNSENT};
use crate::status::{Code, Status};

/// The memory that the calls of one connection hold, and the queue of calls that wait for memory.
pub(crate) struct Budget {
    /// The number of bytes that may be held: `max_connection_memory` of the options.
    limit: usize,
    /// The time that a call waits while no memory is released.
    patience: Duration,
    /// The number of bytes held, by [`Kind`].
    held: [AtomicUsize; 4],
    /// Incremented whenever memory is released while a call waits.
    given_back: AtomicU64,
    /// True while a message that exceeded the budget is held.
    has_passed: AtomicBool,
    queue: Mutex<Queue>,
    /// The length of the queue, readable without its lock.
    waiting: AtomicUsize,
    /// The bytes of all compressed messages received so far, and their size after decompression.
    compressed: AtomicUsize,
    restored: AtomicUsize,
}

/// The waiting calls; the first of each kind has waited longest.
#[derive(Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<(u64, Kind, Waker)>,
}

/// The purpose that memory is held for. Each kind has its own part of the budget (half, three eighths, one eighth), so that
/// requests in memory do not prevent their own responses from being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Calls, their metadata, and messages to be sent.
    #[default]
    Outgoing,
    /// The bytes by which received messages grew when they were decompressed and decoded.
    Received,
    /// Messages that wait to be encoded, by their encoded size: their handlers hold them meanwhile.
    Waiting,
    /// Bytes of outgoing messages that h2 has taken and the socket has not.
    Unsent,
}

impl Budget {
    /// Creates the budget of a connection. A call waits for at most `patience` while no memory is released.
    pub(crate) fn new(limit: usize, patience: Duration) -> Arc<Budget> {
        Arc::new(Budget {
            limit,
            patience,
            held: Default::default(),
            given_back: AtomicU64::new(0),
            has_passed: AtomicBool::new(false),
            queue: Mutex::default(),
            waiting: AtomicUsize::new(0),
            compressed: AtomicUsize::new(0),
            restored: AtomicUsize::new(0),
        })
    }

    fn held(&self, kind: Kind) -> &AtomicUsize {
        let [outgoing, received, waiting, unsent] = &self.held;
        match kind {
            Kind::Outgoing => outgoing,
            Kind::Received => received,
            Kind::Waiting => waiting,
            Kind::Unsent => unsent,
        }
    }

    /// Returns true if more memory of this kind may be held.
    pub(crate) fn has_room(&self, kind: Kind) -> bool {
        let limit = match kind {
            Kind::Outgoing => self.limit / 2,
            Kind::Received => self.limit / 8 * 3,
            Kind::Waiting => self.limit / 8,
            Kind::Unsent => UNSENT,
        };
        self.held(kind).load(Ordering::SeqCst) < limit
    }

    /// Charges `amount` bytes until the charge is dropped.
    pub(crate) fn charge(self: &Arc<Budget>, kind: Kind, amount: usize) -> Charge {
        self.add(kind, amount);
        Charge { budget: Some(self.clone()), amount, kind, passed: false }
    }

    /// Adds `amount` bytes, until [`Budget::subtract`] or [`Budget::give_back`] removes them.
    pub(crate) fn add(&self, kind: Kind, amount: usize) {
        self.held(kind).fetch_add(amount, Ordering::SeqCst);
    }

    /// Removes `amount` bytes without waking a waiting call: for a part, when [`Budget::give_back`] follows for the rest.
    pub(crate) fn subtract(&self, kind: Kind, amount: usize) {
        self.held(kind).fetch_sub(amount, Ordering::SeqCst);
    }

    /// Removes `amount` bytes and wakes a call that waits for them.
    pub(crate) fn give_back(&self, kind: Kind, amount: usize) {
        self.subtract(kind, amount);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.given_back.fetch_add(1, Ordering::Relaxed);
            self.wake_next(kind);
        }
    }

    /// Charges the fixed cost of a call, and its metadata, which takes `metadata` bytes of memory.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if the metadata exceeds the allowance of a call and the budget is used up.
    pub(crate) fn charge_call(self: &Arc<Budget>, metadata: usize) -> Result<Charge, Status> {
        let extra = metadata.saturating_sub(CALL_ALLOWANCE);
        if extra > 0 && !self.has_room(Kind::Outgoing) {
            return Err(self.exhausted("the metadata of this call"));
        }
        Ok(self.charge(Kind::Outgoing, CALL_COST + extra))
    }

    /// Charges the metadata of a response, which takes `metadata` bytes of memory.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if it exceeds the allowance of a call and the budget is used up.
    pub(crate) fn charge_answer(self: &Arc<Budget>, metadata: usize) -> Result<Charge, Status> {
        match metadata.saturating_sub(CALL_ALLOWANCE) {
            0 => Ok(Charge::default()),
            _ if !self.has_room(Kind::Received) => Err(self.exhausted("the metadata of this answer")),
            extra => Ok(self.charge(Kind::Received, extra)),
        }
    }

    /// Returns true if a handler may start. It must wait while many messages of other calls wait to be encoded.
    pub(crate) fn admits_handler(&self) -> bool {
        self.has_room(Kind::Waiting)
    }

    /// Waits until a handler may start.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if no memory was released for too long.
    pub(crate) async fn wait_for_handlers(self: &Arc<Budget>) -> Result<(), Status> {
        let mut admission = Admission::new(self.clone(), Kind::Waiting);
        poll_fn(|cx| admission.poll(cx, false)).await
    }

    /// Counts a compressed message and its decompressed size. A peer may have messages decompressed to
    /// [`RESTORED_FREELY`] bytes in total, and to [`RESTORED_PER_BYTE`] more for each byte that it sends, because
    /// decompression takes time.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED beyond that.
    pub(crate) fn count_restored(&self, compressed: usize, restored: usize) -> Result<(), Status> {
        let compressed = self.compressed.fetch_add(compressed, Ordering::Relaxed) + compressed;
        let restored = self.restored.fetch_add(restored, Ordering::Relaxed) + restored;
        if restored <= RESTORED_FREELY.saturating_add(compressed.saturating_mul(RESTORED_PER_BYTE)) {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!(
            "the compressed messages of this connection grew from {compressed} to {restored} bytes when decompressed: \
             more than {RESTORED_PER_BYTE} times"
        )))
    }

    /// Wakes the call that has waited longest, if there is memory for it. An admitted call wakes the next.
    fn wake_next(&self, kind: Kind) {
        if !self.has_room(kind) && (kind != Kind::Outgoing || self.has_passed.load(Ordering::SeqCst)) {
            return;
        }
        let queue = lock(&self.queue);
        let first = queue.waiting.iter().find(|(_, waits_for, _)| *waits_for == kind).map(|(.., waker)| waker.clone());
        drop(queue);
        if let Some(waker) = first {
            waker.wake();
        }
    }

    fn exhausted(&self, what: &str) -> Status {
        let held = |kind| self.held(kind).load(Ordering::SeqCst);
        Status::new(
            Code::ResourceExhausted,
            format!(
                "no memory for {what}: the calls of this connection hold {} bytes to send and {} bytes received; the \
                 limit is max_connection_memory, {} bytes",
                held(Kind::Outgoing),
                held(Kind::Received),
                self.limit
            ),
        )
    }
}

/// A number of bytes charged to a [`Budget`], released on drop.
#[derive(Default)]
pub(crate) struct Charge {
    budget: Option<Arc<Budget>>,
    amount: usize,
    kind: Kind,
    /// True for the one message that exceeded the budget.
    passed: bool,
}

impl Charge {
    /// Returns the number of bytes charged.
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Binds the charge to a message: it is released when the last part of the message is dropped.
    pub(crate) fn bind(self, message: BytesMut) -> Bytes {
        match self.budget {
            None => message.freeze(),
            Some(_) => Bytes::from_owner(ChargedMessage { message, _charge: self }),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(budget) = &self.budget else { return };
        if self.passed {
            budget.has_passed.store(false, Ordering::SeqCst);
        }
        budget.give_back(self.kind, self.amount);
    }
}

/// A message and its charge.
struct ChargedMessage {
    message: BytesMut,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedMessage {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// A request for memory of one kind, which waits until the budget admits it.
pub(crate) struct Admission {
    budget: Arc<Budget>,
    kind: Kind,
    /// The place in the queue.
    place: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The value of `given_back` when the timer was set.
    seen: u64,
    /// True if a message was admitted beyond the budget and is not charged yet.
    passed: bool,
}

impl Admission {
    /// Creates an admission that is not waiting yet.
    pub(crate) fn new(budget: Arc<Budget>, kind: Kind) -> Admission {
        Admission { budget, kind, place: None, timer: None, seen: 0, passed: false }
    }

    /// Ready when memory may be held. With `may_pass`, exceeds a used-up budget if no other message has.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if no memory was released for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, may_pass: bool) -> Poll<Result<(), Status>> {
        if self.poll_room(cx, may_pass).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let given_back = self.budget.given_back.load(Ordering::Relaxed);
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => {
                    self.seen = given_back;
                    self.timer.insert(Box::pin(sleep(self.budget.patience)))
                }
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if given_back == self.seen {
                self.leave();
                return Poll::Ready(Err(self.budget.exhausted("a message")));
            }
        }
    }

    /// Like [`Admission::poll`], for a message that exists already: while it waits, its `length` is charged to `waits`.
    pub(crate) fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        may_pass: bool,
        waits: &mut Charge,
        length: usize,
    ) -> Poll<Result<(), Status>> {
        let admitted = self.poll(cx, may_pass);
        if admitted.is_ready() {
            *waits = Charge::default();
        } else if waits.amount == 0 {
            *waits = self.budget.charge(Kind::Waiting, length);
        }
        admitted
    }

    /// Like [`Admission::poll`] without a time limit, for callers whose peer is timed by other means.
    pub(crate) fn poll_room(&mut self, cx: &Context<'_>, may_pass: bool) -> Poll<()> {
        let mut admitted = self.is_admitted(may_pass);
        if !admitted {
            self.enter(cx);
            // Memory may have been released before this entered the queue.
            admitted = self.is_admitted(may_pass);
        }
        if !admitted {
            return Poll::Pending;
        }
        self.leave();
        Poll::Ready(())
    }

    fn is_admitted(&mut self, may_pass: bool) -> bool {
        if self.passed || self.budget.has_room(self.kind) {
            return true;
        }
        self.passed = may_pass && !self.budget.has_passed.swap(true, Ordering::SeqCst);
        self.passed
    }

    /// Raises a charge to `amount` bytes.
    pub(crate) fn charge(&mut self, charge: &mut Charge, amount: usize) {
        let more = amount.saturating_sub(charge.amount);
        if more == 0 {
            return;
        }
        match charge.budget {
            None => *charge = self.budget.charge(self.kind, more),
            Some(_) => {
                self.budget.add(self.kind, more);
                charge.amount = amount;
            }
        }
        charge.passed |= std::mem::take(&mut self.passed);
    }

    fn enter(&mut self, cx: &Context<'_>) {
        let mut queue = lock(&self.budget.queue);
        match self.place.and_then(|place| queue.waiting.iter_mut().find(|(at, ..)| *at == place)) {
            Some((.., waker)) => waker.clone_from(cx.waker()),
            None => {
                let place = queue.next;
                queue.next += 1;
                queue.waiting.push_back((place, self.kind, cx.waker().clone()));
                self.place = Some(place);
            }
        }
        self.budget.waiting.store(queue.waiting.len(), Ordering::SeqCst);
    }

    /// Leaves the queue and wakes the next call, which may be admitted too.
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.timer = None;
        let mut queue = lock(&self.budget.queue);
        queue.waiting.retain(|(at, ..)| *at != place);
        self.budget.waiting.store(queue.waiting.len(), Ordering::SeqCst);
        drop(queue);
        self.budget.wake_next(self.kind);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.passed {
            self.budget.has_passed.store(false, Ordering::SeqCst);
            self.budget.give_back(self.kind, 0);
        }
        self.leave();
    }
}

/// Polls for memory to decompress and decode a message. A message that has to wait gets an admission of its own.
pub(super) fn poll_memory(
    budget: &Arc<Budget>,
    admission: &mut Option<Box<Admission>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Status>> {
    if admission.is_none() && budget.has_room(Kind::Received) {
        return Poll::Ready(Ok(()));
    }
    let waits = admission.get_or_insert_with(|| Box::new(Admission::new(budget.clone(), Kind::Received)));
    let admitted = ready!(waits.poll(cx, false));
    *admission = None;
    Poll::Ready(admitted)
}

#[cfg(test)]
mod tests;
