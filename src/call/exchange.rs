//! Both halves of a streaming call, driven together, and the two buffers that its handler or caller holds.
//!
//! ```text
//!   handler or caller            shared, under a lock            the call's task         h2
//!   Outbound::send ───────▶ Batch: messages, one buffer ───▶ Exchange::poll_send ───▶ SendStream
//!   Inbound::recv  ◀─────── Inbox: Receiving            ◀─── Exchange::poll_arrive ◀─ RecvStream
//! ```
//!
//! Only the call's task touches h2, because h2 keeps one waker a half and a second task polling it would silence the first.
//! It takes what has arrived, lets the handler run until that has to wait, and then sends what the handler has written: a
//! producer that is ready fills a [`Batch`] of up to 16 KiB, whose messages share DATA frames, and nothing ever waits for
//! more. Memory is bounded by one batch on its way and one being filled, or by a single message where that is larger, and for
//! all calls of a connection together by its [`Budget`].

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::Packing;
use super::lock;
use super::receive::Receiving;
use super::send::{Gone, Sending};
use crate::limits::{BATCH, CALL_ALLOWANCE, FIRST_BATCH};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::message::PREFIX_LENGTH;
use crate::wire::response::ResponseHeaders;

/// A message that is being packed away from its worker.
pub(crate) type Packed = Pin<Box<dyn Future<Output = Result<BytesMut, Status>> + Send>>;
pub(crate) type SharedInbox = Arc<Mutex<Inbox>>;
pub(crate) type SharedBatch = Arc<Mutex<Batch>>;

/// What has arrived and was not read.
pub(crate) struct Inbox {
    pub(crate) receiving: Receiving,
    reader: Option<Waker>,
    abandoned: bool,
    /// Tells the call's task that nobody will read on.
    driver: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(receiving: Receiving) -> SharedInbox {
        Arc::new(Mutex::new(Inbox { receiving, reader: None, abandoned: false, driver: None }))
    }

    /// Registers the reader to be woken when something has arrived.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        register(&mut self.reader, cx);
    }

    /// Whether nobody will read on.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Nobody will read on.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
        self.tell_driver();
    }

    /// Wakes the call's task.
    pub(crate) fn tell_driver(&mut self) {
        wake(self.driver.take());
    }

    /// Ends the call from this side.
    pub(crate) fn fail(&mut self, status: Status) {
        self.receiving.fail(status);
        wake(self.reader.take());
    }
}

/// What was written and has not left.
pub(crate) struct Batch {
    buffer: BytesMut,
    /// What the buffer is charged with, if it is more than a call may have anyway.
    charge: Charge,
    admission: Admission,
    /// Whether the sender waits for memory, rather than for what is here to leave.
    wants_memory: bool,
    /// What the message that waits for memory is charged with.
    waits: Charge,
    /// The bytes that the buffer may gather.
    room: usize,
    /// The bytes that it gathered the last time.
    last: usize,
    pub(crate) packing: Packing,
    /// Whether the next messages are compressed, if the call has an encoding.
    pub(crate) compress: bool,
    /// The initial metadata, until it has left.
    pub(crate) headers: Metadata,
    /// The trailing metadata.
    pub(crate) trailers: Metadata,
    headers_wanted: bool,
    /// Whether what was taken out waits for window.
    leaving: bool,
    /// Whether the call ended before all of it had left.
    lost: bool,
    pub(crate) headers_left: bool,
    state: BatchState,
    /// A sender that waits for room, or for all to have left.
    sender: Option<Waker>,
    /// The call's task, while it has nothing to send.
    driver: Option<Waker>,
}

enum BatchState {
    Open,
    /// The sender has sent its last.
    Finished,
    /// The call has ended.
    Closed(Status),
}

impl Batch {
    /// An empty batch.
    pub(crate) fn new(packing: Packing, budget: Arc<Budget>) -> SharedBatch {
        Arc::new(Mutex::new(Batch {
            buffer: BytesMut::new(),
            charge: Charge::default(),
            admission: Admission::new(budget, Kind::Outgoing),
            wants_memory: false,
            waits: Charge::default(),
            room: FIRST_BATCH,
            last: 0,
            packing,
            compress: true,
            headers: Metadata::new(),
            trailers: Metadata::new(),
            headers_wanted: false,
            leaving: false,
            lost: false,
            headers_left: false,
            state: BatchState::Open,
            sender: None,
            driver: None,
        }))
    }

    /// Ready when a message of `length` bytes has room: in an empty batch however large it is, if there is memory for it.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<Result<(), Status>> {
        self.check_open()?;
        self.wants_memory = false;
        let gathered = self.buffer.len() + PREFIX_LENGTH + length;
        if !self.buffer.is_empty() && gathered > self.room {
            return self.wait(cx);
        }
        if gathered <= self.buffer.capacity().max(CALL_ALLOWANCE) {
            return Poll::Ready(Ok(()));
        }
        let admitted = self.admission.poll_with(cx, !self.leaving, &mut self.waits, length);
        if admitted.is_pending() {
            self.wants_memory = true;
            return self.wait(cx);
        }
        admitted
    }

    /// Adds a message of `length` bytes, which `payload` writes.
    pub(crate) fn push(&mut self, length: usize, payload: impl FnOnce(&mut BytesMut)) -> Result<(), Status> {
        self.check_open()?;
        if self.buffer.capacity() == 0 && self.last > CALL_ALLOWANCE {
            self.buffer.reserve(self.room);
        }
        self.packing.append(&mut self.buffer, length, self.compress, payload)?;
        self.was_pushed();
        Ok(())
    }

    fn was_pushed(&mut self) {
        if self.buffer.capacity() > self.charge.amount().max(CALL_ALLOWANCE) {
            self.admission.charge(&mut self.charge, self.buffer.capacity());
        }
        wake(self.driver.take());
    }

    /// Begins to pack a message of `length` bytes, which `payload` writes, away from this worker, where that is worth it.
    /// [`Batch::push_packed`] is for what comes of it.
    pub(crate) fn pack_off_worker(&mut self, length: usize, payload: impl FnOnce(&mut BytesMut)) -> Option<Packed> {
        if !self.compress || !self.packing.compresses_off_worker(length) {
            return None;
        }
        let mut plain = BytesMut::with_capacity(length);
        payload(&mut plain);
        let mut charge = Charge::default();
        self.admission.charge(&mut charge, plain.capacity());
        Some(Box::pin(self.packing.pack_off_worker(charge.bind(plain))))
    }

    /// Adds a message that is packed already.
    pub(crate) fn push_packed(&mut self, packed: &[u8]) -> Result<(), Status> {
        self.check_open()?;
        self.buffer.extend_from_slice(packed);
        self.was_pushed();
        Ok(())
    }

    /// Ready when all that was written has been given to HTTP/2.
    pub(crate) fn poll_empty(&mut self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        if self.buffer.is_empty() && !self.headers_wanted && !self.leaving && !self.lost {
            return Poll::Ready(Ok(()));
        }
        if let BatchState::Closed(status) = &self.state {
            return Poll::Ready(Err(status.clone()));
        }
        self.wait(cx)
    }

    /// Asks for the headers to leave before there is a message.
    pub(crate) fn want_headers(&mut self) {
        self.headers_wanted = true;
        wake(self.driver.take());
    }

    /// The sender has sent its last.
    pub(crate) fn finish(&mut self) {
        if matches!(self.state, BatchState::Open) {
            self.state = BatchState::Finished;
            wake(self.driver.take());
        }
    }

    /// Ends the batch: what is sent from now on fails with `status`. Gives what had not left.
    pub(crate) fn close(&mut self, status: Status) -> Bytes {
        if !matches!(self.state, BatchState::Closed(_)) {
            self.state = BatchState::Closed(status);
        }
        self.lost |= self.leaving || !self.buffer.is_empty();
        wake(self.sender.take());
        self.take()
    }

    /// Takes out what was gathered, with its charge.
    fn take(&mut self) -> Bytes {
        self.last = self.buffer.len();
        if self.charge.amount() == 0 {
            return self.buffer.split().freeze();
        }
        std::mem::take(&mut self.charge).bind(std::mem::take(&mut self.buffer))
    }

    /// What was taken out has gone: the peer's window has room for more.
    fn has_left(&mut self) {
        if std::mem::take(&mut self.leaving) {
            self.room = (2 * self.room).min(BATCH);
            // It may pass beyond the budget now.
            self.wants_memory = false;
        }
    }

    fn check_open(&self) -> Result<(), Status> {
        match &self.state {
            BatchState::Open => Ok(()),
            BatchState::Finished => Err(Status::internal("a message was sent after the half-close")),
            BatchState::Closed(status) => Err(status.clone()),
        }
    }

    fn wait(&mut self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        register(&mut self.sender, cx);
        wake(self.driver.take());
        Poll::Pending
    }
}

/// The halves of a call and what its handles share with them.
pub(crate) struct Exchange {
    pub(crate) sending: Sending,
    pub(crate) inbox: Option<SharedInbox>,
    pub(crate) batch: Option<SharedBatch>,
    /// Taken out of the batch, waiting for window.
    pub(crate) outgoing: Bytes,
    /// Whether END_STREAM goes with the last of it: a client's half-close. A server's stream ends with its trailers.
    half_closes: bool,
    last: bool,
}

impl Exchange {
    pub(crate) fn new(sending: Sending, half_closes: bool) -> Exchange {
        Exchange { sending, inbox: None, batch: None, outgoing: Bytes::new(), half_closes, last: false }
    }

    /// Begins a turn: takes in what has arrived, and wakes a reader that lives in another task.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) {
        if let Some(batch) = &self.batch {
            // Until the end of this turn the task need not be told of what is written.
            lock(batch).driver = None;
        }
        let Some(inbox) = &self.inbox else { return };
        let mut inbox = lock(inbox);
        if inbox.abandoned && self.half_closes {
            inbox.receiving.abandon();
        } else if inbox.abandoned {
            // A client may send on when a handler has read enough.
            inbox.receiving.discard(cx);
        } else if inbox.receiving.arrive(cx) {
            wake_elsewhere(inbox.reader.take(), cx);
        }
        register(&mut inbox.driver, cx);
    }

    /// Ends a turn: sends what was written, as far as the window goes. `true` when a sender that waited in this very task has
    /// room again, and should be polled.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(batch) = self.batch.clone() else { return false };
        let mut has_room = false;
        loop {
            if self.last || !self.outgoing.is_empty() {
                match self.poll_outgoing(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(Gone)) => {
                        // A sender that never waits has to be told, or its handler would go on for ever.
                        lock(&batch).close(Status::cancelled("the stream was reset or its connection was lost"));
                        return false;
                    }
                    Poll::Pending => return has_room,
                }
            }
            let mut batch = lock(&batch);
            if self.sending.awaits_headers() && (batch.headers_wanted || !batch.buffer.is_empty()) {
                batch.headers_left = true;
                let metadata = std::mem::take(&mut batch.headers);
                // Where the stream is gone, the receiving half says so.
                let _: Result<(), Gone> = self.respond(&metadata, batch.packing.encoding());
            }
            batch.headers_wanted = false;
            batch.has_left();
            self.last = self.half_closes && matches!(batch.state, BatchState::Finished) && !self.sending.is_closed();
            let is_empty = batch.buffer.is_empty() && !self.last;
            if !is_empty {
                self.outgoing = batch.take();
                batch.leaving = true;
            }
            if !batch.wants_memory {
                has_room |= wake_elsewhere(batch.sender.take(), cx);
            }
            if is_empty {
                register(&mut batch.driver, cx);
                return has_room;
            }
        }
    }

    /// Sends the Response-Headers.
    pub(crate) fn respond(&mut self, metadata: &Metadata, encoding: Encoding) -> Result<(), Gone> {
        let headers = ResponseHeaders::encode(encoding, metadata);
        self.sending.respond(StatusCode::OK, headers, false)
    }

    /// Ends both directions: what is still sent fails with `status`, and what is read as well, unless its end is known.
    pub(crate) fn close(&mut self, status: Status) {
        if let Some(inbox) = self.inbox.take() {
            let mut inbox = lock(&inbox);
            if !inbox.receiving.has_ended() {
                inbox.receiving.fail(status.clone());
            }
            wake(inbox.reader.take());
        }
        if let Some(batch) = self.batch.take() {
            lock(&batch).close(status);
        }
    }

    /// Ready when what was taken out of the batch has gone, or can go nowhere any more.
    pub(crate) fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let sent = self.sending.poll_data(cx, &mut self.outgoing, self.last);
        if sent.is_ready() {
            self.last = false;
            self.outgoing = Bytes::new();
        }
        sent
    }
}

/// The call's task has ended: nothing more will move, and handles that outlive it are told so.
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.inbox.is_some() || self.batch.is_some() {
            self.close(Status::cancelled("the call has ended"));
        }
    }
}

/// Remembers the task to wake.
fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Wakes a waker unless it is this task's own; tells whether it was.
fn wake_elsewhere(waker: Option<Waker>, cx: &Context<'_>) -> bool {
    match waker {
        Some(waker) if waker.will_wake(cx.waker()) => true,
        Some(waker) => {
            waker.wake();
            false
        }
        None => false,
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
