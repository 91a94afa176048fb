//! Memory that a connection holds for its peer, counted in one place.
//!
//! A peer that opens calls and then stops (windows shut, handlers waiting) makes this side hold messages on their way out,
//! messages on their way to a handler, and metadata. All of them ask the [`Budget`] of their connection:
//!
//! | what asks | when | beyond the budget |
//! |---|---|---|
//! | a message on its way out | before it is encoded | waits |
//! | a message that grows as it is restored and decoded | before it is restored | waits |
//! | metadata of many fields | when it has come | the call is refused |
//! | a handler | before it begins, while large messages of others wait to be encoded | waits |
//! | a piece of a message for h2 | before h2 takes it | waits for the socket |
//!
//! Admission looks at what is held already and not at the size of the next message: a message of any size has its turn, and
//! the budget is exceeded by one message at the most. Small messages and plain metadata are part of what every call costs
//! ([`CALL_COST`], [`CALL_ALLOWANCE`]) and ask for nothing.
//!
//! No wait is for ever. One message on its way out may pass even when the budget is used up, so that calls which hold memory
//! do not wait for each other; and a wait during which nothing at all was given back for the patience that a peer has
//! ([`PEER_TIMEOUT`](crate::limits::PEER_TIMEOUT)) ends with RESOURCE_EXHAUSTED.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Sleep, sleep};

use super::lock::lock;
use crate::limits::{CALL_ALLOWANCE, CALL_COST, RESTORED_FREELY, RESTORED_PER_BYTE, UNSENT};
use crate::status::{Code, Status};

/// The memory that the calls of one connection hold, and the calls that wait for some of it.
pub(crate) struct Budget {
    /// Bytes that may be held: `max_connection_memory` of the options.
    limit: usize,
    /// How long a call waits while nothing is given back.
    patience: Duration,
    /// The bytes that are held, by [`Kind`].
    held: [AtomicUsize; 4],
    /// Grows whenever something is given back that a call waits for.
    given_back: AtomicU64,
    /// Whether a message that passed beyond the budget is still held.
    has_passed: AtomicBool,
    queue: Mutex<Queue>,
    /// The length of the queue, to be read without its lock.
    waiting: AtomicUsize,
    /// Bytes of all compressed messages so far, and what they were restored to.
    compressed: AtomicUsize,
    restored: AtomicUsize,
}

/// The calls that wait; the first of a kind has waited longest.
#[derive(Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<(u64, Kind, Waker)>,
}

/// What memory is held for. Each kind has a part of the budget to itself, half of it, three eighths and one eighth, so that
/// requests which are held do not keep their own answers from leaving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Calls, their metadata, and messages on their way out.
    #[default]
    Outgoing,
    /// The bytes by which messages grew when they were restored and decoded.
    Received,
    /// Messages that wait to be encoded, by the bytes that they will have: their handlers hold them meanwhile.
    Waiting,
    /// Of the outgoing messages, what h2 has taken and the socket has not.
    Unsent,
}

impl Budget {
    /// Creates the budget of a connection. A call waits for `patience` while nothing is given back.
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

    /// Tells if something of this kind may be held.
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

    /// Counts `amount` bytes more, until [`Budget::subtract`] or [`Budget::give_back`] counts them out.
    pub(crate) fn add(&self, kind: Kind, amount: usize) {
        self.held(kind).fetch_add(amount, Ordering::SeqCst);
    }

    /// Counts `amount` bytes less and wakes nobody: for a part, when [`Budget::give_back`] follows for the rest.
    pub(crate) fn subtract(&self, kind: Kind, amount: usize) {
        self.held(kind).fetch_sub(amount, Ordering::SeqCst);
    }

    /// Counts `amount` bytes less, and wakes a call that waits for them.
    pub(crate) fn give_back(&self, kind: Kind, amount: usize) {
        self.subtract(kind, amount);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.given_back.fetch_add(1, Ordering::Relaxed);
            self.wake_next(kind);
        }
    }

    /// Charges a call with what it costs by itself and with its metadata, which takes `metadata` bytes of memory.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED where the metadata is more than the allowance of a call and the budget is used up.
    pub(crate) fn charge_call(self: &Arc<Budget>, metadata: usize) -> Result<Charge, Status> {
        let extra = metadata.saturating_sub(CALL_ALLOWANCE);
        if extra > 0 && !self.has_room(Kind::Outgoing) {
            return Err(self.exhausted("the metadata of this call"));
        }
        Ok(self.charge(Kind::Outgoing, CALL_COST + extra))
    }

    /// Charges the metadata of an answer, which takes `metadata` bytes of memory.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED where it is more than the allowance of a call and the budget is used up.
    pub(crate) fn charge_answer(self: &Arc<Budget>, metadata: usize) -> Result<Charge, Status> {
        match metadata.saturating_sub(CALL_ALLOWANCE) {
            0 => Ok(Charge::default()),
            _ if !self.has_room(Kind::Received) => Err(self.exhausted("the metadata of this answer")),
            extra => Ok(self.charge(Kind::Received, extra)),
        }
    }

    /// Tells if a handler may begin: it waits while many messages of others wait to be encoded.
    pub(crate) fn admits_handler(&self) -> bool {
        self.has_room(Kind::Waiting)
    }

    /// Waits until a handler may begin.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED when nothing was given back for too long.
    pub(crate) async fn wait_for_handlers(self: &Arc<Budget>) -> Result<(), Status> {
        let mut admission = Admission::new(self.clone(), Kind::Waiting);
        poll_fn(|cx| admission.poll(cx, false)).await
    }

    /// Counts a compressed message and what it was restored to. A peer may have messages restored to
    /// [`RESTORED_FREELY`] bytes, and to [`RESTORED_PER_BYTE`] more for each byte that it sends: restoring costs time.
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
            "{compressed} bytes of compressed messages on this connection were restored to {restored}: more than \
             {RESTORED_PER_BYTE} for each byte"
        )))
    }

    /// Wakes the call that has waited longest, if there is room for it. A call that is let in wakes the next.
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
                "no memory for {what}: the calls of this connection hold {} bytes to send and {} received, of \
                 max_connection_memory, {} bytes",
                held(Kind::Outgoing),
                held(Kind::Received),
                self.limit
            ),
        )
    }
}

/// Bytes of a [`Budget`], given back when this is dropped.
#[derive(Default)]
pub(crate) struct Charge {
    budget: Option<Arc<Budget>>,
    amount: usize,
    kind: Kind,
    /// Whether this is for the message that passed beyond the budget.
    passed: bool,
}

impl Charge {
    /// The bytes that are charged.
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Binds the charge to a message: it is given back when the last part of the message has gone.
    pub(crate) fn bind(self, message: BytesMut) -> Bytes {
        match self.budget {
            None => message.freeze(),
            Some(_) => Bytes::from_owner(Charged { message, _charge: self }),
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
struct Charged {
    message: BytesMut,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// Asks a budget for memory of one kind, and waits for it.
pub(crate) struct Admission {
    budget: Arc<Budget>,
    kind: Kind,
    /// The place in the queue.
    place: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    /// What had been given back when the timer was set.
    seen: u64,
    /// Whether a message was let in beyond the budget and is not charged yet.
    passed: bool,
}

impl Admission {
    /// Creates an admission that waits for nothing yet.
    pub(crate) fn new(budget: Arc<Budget>, kind: Kind) -> Admission {
        Admission { budget, kind, place: None, timer: None, seen: 0, passed: false }
    }

    /// Ready when something may be held. `may_pass` lets it in beyond the budget, where no other has passed.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED when nothing was given back for too long.
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

    /// [`Admission::poll`] for a message that exists already: while it waits, `waits` is charged with its `length`.
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

    /// [`Admission::poll`] without an end to the wait, for where the peer's patience is watched already.
    pub(crate) fn poll_room(&mut self, cx: &Context<'_>, may_pass: bool) -> Poll<()> {
        let mut admitted = self.is_admitted(may_pass);
        if !admitted {
            self.enter(cx);
            // Some may have been given back before this was in the queue.
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

    /// Leaves the queue, and has the next look whether there is room for it too.
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

#[cfg(test)]
mod tests;
