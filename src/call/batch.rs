//! What was written on a streaming call and has not left: an [`Outbound`](super::Outbound) fills it, the call's task empties it.
//!
//! A producer that is ready fills a batch of up to 16 KiB, whose messages share DATA frames, and nothing ever waits for more.
//! Memory is bounded by one batch on its way and one being filled, or by a single message where that is larger, and for all
//! calls of a connection together by its [`Budget`].
//!
//! ```text
//!   the sender     Open ── finish ──▶ Finished
//!                   └───── close ─────┴──────▶ Closed    sending fails with the status
//!
//!   what was       Gathering ── take ──▶ Leaving ── has_left ──▶ Gathering
//!   taken out                               └────── close ─────▶ Lost      flush fails with the status
//!
//!   a server's     Held ── the sender asks, or a message is there ──▶ Wanted ── the call's task ──▶ Left
//!   headers
//! ```

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::Packing;
use super::envelope::CallMetadata;
use super::lock::{lock, register, wake, wake_elsewhere};
use crate::limits::{BATCH, CALL_ALLOWANCE, FIRST_BATCH, INLINE_COMPRESSION};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::message::PREFIX_LENGTH;

pub(crate) type SharedBatch = Arc<Mutex<Batch>>;

/// A message that is being packed away from its worker.
pub(crate) type Packed = Pin<Box<dyn Future<Output = Result<BytesMut, Status>> + Send>>;

/// What was written and has not left.
pub(crate) struct Batch {
    buffer: BytesMut,
    /// Charges the buffer, if it is more than a call may have anyway.
    charge: Charge,
    admission: Admission,
    /// Charges the message that waits for memory.
    waits: Charge,
    /// The bytes that the buffer may gather.
    room: usize,
    /// The bytes that it gathered the last time.
    last: usize,
    packing: Packing,
    /// The next messages may be compressed, if the call has an encoding.
    may_compress: bool,
    /// The metadata of an answer; the initial part until it has left.
    metadata: CallMetadata,
    input: Input,
    output: Output,
    headers: Headers,
    sender: Sender,
    /// The call's task, while it has nothing to send.
    driver: Option<Waker>,
}

/// What the sender has said.
enum Input {
    /// Messages may follow.
    Open,
    /// It has sent its last.
    Finished,
    /// The call has ended.
    Closed(Status),
}

/// Where the messages are that were taken out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// All of them have gone.
    Gathering,
    /// They wait for the peer's window.
    Leaving,
    /// The call ended before all that was written had left.
    Lost,
}

/// The Response-Headers of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Headers {
    /// They leave with the first message.
    Held,
    /// They leave in the next turn of the call's task.
    Wanted,
    /// They have left; or they are not this side's to send.
    Left,
}

/// What the sender waits for.
enum Sender {
    /// It does not wait.
    Runs,
    /// What is here has to leave.
    AwaitsRoom(Waker),
    /// The connection has to have memory for its message.
    AwaitsMemory(Waker),
}

impl Batch {
    /// Creates a batch of a server, whose headers have not left.
    pub(crate) fn answer(packing: Packing, budget: Arc<Budget>) -> SharedBatch {
        Batch::shared(packing, budget, Headers::Held)
    }

    /// Creates a batch of a client, whose messages may be compressed or not.
    pub(crate) fn request(packing: Packing, budget: Arc<Budget>, may_compress: bool) -> SharedBatch {
        let batch = Batch::shared(packing, budget, Headers::Left);
        lock(&batch).may_compress = may_compress;
        batch
    }

    fn shared(packing: Packing, budget: Arc<Budget>, headers: Headers) -> SharedBatch {
        Arc::new(Mutex::new(Batch {
            buffer: BytesMut::new(),
            charge: Charge::default(),
            admission: Admission::new(budget, Kind::Outgoing),
            waits: Charge::default(),
            room: FIRST_BATCH,
            last: 0,
            packing,
            may_compress: true,
            metadata: CallMetadata::default(),
            input: Input::Open,
            output: Output::Gathering,
            headers,
            sender: Sender::Runs,
            driver: None,
        }))
    }

    /// Ready when a message of `length` bytes has room: in an empty batch however large it is, if there is memory for it.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<Result<(), Status>> {
        let gathered = self.buffer.len() + PREFIX_LENGTH + length;
        let has_room = gathered <= self.room.min(self.buffer.capacity());
        if has_room && matches!(self.input, Input::Open) {
            return Poll::Ready(Ok(()));
        }
        self.poll_more_room(cx, gathered, length)
    }

    fn poll_more_room(&mut self, cx: &mut Context<'_>, gathered: usize, length: usize) -> Poll<Result<(), Status>> {
        self.check_open()?;
        self.sender = Sender::Runs;
        if !self.buffer.is_empty() && gathered > self.room {
            return self.wait(Sender::AwaitsRoom(cx.waker().clone()));
        }
        if gathered <= self.buffer.capacity().max(CALL_ALLOWANCE) {
            return Poll::Ready(Ok(()));
        }
        let may_pass = self.output != Output::Leaving;
        let admitted = self.admission.poll_with(cx, may_pass, &mut self.waits, length);
        if admitted.is_pending() {
            return self.wait(Sender::AwaitsMemory(cx.waker().clone()));
        }
        admitted
    }

    /// Adds a message of `length` bytes, which `payload` writes.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED for a message over the limit; otherwise why the call has ended.
    pub(crate) fn push(&mut self, length: usize, payload: impl FnOnce(&mut BytesMut)) -> Result<(), Status> {
        self.check_open()?;
        if self.buffer.capacity() == 0 && self.last > CALL_ALLOWANCE {
            self.buffer.reserve(self.room);
        }
        self.packing.append(&mut self.buffer, length, self.may_compress, payload)?;
        self.was_pushed();
        Ok(())
    }

    #[inline]
    fn was_pushed(&mut self) {
        if self.buffer.capacity() > self.charge.amount().max(CALL_ALLOWANCE) {
            self.admission.charge(&mut self.charge, self.buffer.capacity());
        }
        if self.driver.is_some() {
            wake(self.driver.take());
        }
    }

    /// Begins to pack a message of `length` bytes, which `payload` writes, away from this worker, where that is worth it.
    /// [`Batch::push_packed`] is for what comes of it.
    #[inline]
    pub(crate) fn pack_off_worker(&mut self, length: usize, payload: impl FnOnce(&mut BytesMut)) -> Option<Packed> {
        if length < INLINE_COMPRESSION || !self.may_compress || !self.packing.compresses_off_worker(length) {
            return None;
        }
        let mut plain = BytesMut::with_capacity(length);
        payload(&mut plain);
        let mut charge = Charge::default();
        self.admission.charge(&mut charge, plain.capacity());
        Some(Box::pin(self.packing.pack_off_worker(charge.bind(plain))))
    }

    /// Adds a message that is packed already. Errors as [`Batch::push`].
    pub(crate) fn push_packed(&mut self, packed: &[u8]) -> Result<(), Status> {
        self.check_open()?;
        self.buffer.extend_from_slice(packed);
        self.was_pushed();
        Ok(())
    }

    /// Ready when all that was written has been given to HTTP/2.
    pub(crate) fn poll_empty(&mut self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        let is_empty = self.buffer.is_empty() && self.headers != Headers::Wanted;
        if is_empty && self.output == Output::Gathering {
            return Poll::Ready(Ok(()));
        }
        if let Input::Closed(status) = &self.input {
            return Poll::Ready(Err(status.clone()));
        }
        self.wait(Sender::AwaitsRoom(cx.waker().clone()))
    }

    /// Asks for the headers to leave before there is a message.
    pub(crate) fn want_headers(&mut self) {
        if self.headers == Headers::Held {
            self.headers = Headers::Wanted;
            wake(self.driver.take());
        }
    }

    /// Sets the initial metadata, unless it has left.
    pub(crate) fn set_initial_metadata(&mut self, metadata: Metadata) {
        self.metadata.initial = metadata;
    }

    /// Sets the trailing metadata.
    pub(crate) fn set_trailing_metadata(&mut self, metadata: Metadata) {
        self.metadata.trailing = metadata;
    }

    /// Chooses the encoding of the messages, unless the headers that name it have left.
    pub(crate) fn choose(&mut self, encoding: Encoding) {
        if self.headers != Headers::Left {
            self.packing.choose(encoding);
        }
    }

    /// Says if the messages that follow may be compressed.
    pub(crate) fn set_may_compress(&mut self, may_compress: bool) {
        self.may_compress = may_compress;
    }

    /// Says that the sender has sent its last.
    pub(crate) fn finish(&mut self) {
        if matches!(self.input, Input::Open) {
            self.input = Input::Finished;
            wake(self.driver.take());
        }
    }

    /// Ends the batch: what is sent from now on fails with `status`. Returns what had not left, its encoding, and the metadata.
    pub(crate) fn close(&mut self, status: Status) -> (Bytes, Encoding, CallMetadata) {
        if !matches!(self.input, Input::Closed(_)) {
            self.input = Input::Closed(status);
        }
        if self.output == Output::Leaving || !self.buffer.is_empty() {
            self.output = Output::Lost;
        }
        self.wake_sender();
        (self.take(), self.packing.encoding(), std::mem::take(&mut self.metadata))
    }

    /// Begins a turn of the call's task: until its end the task need not be told of what is written.
    pub(super) fn begin_turn(&mut self) {
        self.driver = None;
    }

    /// Takes the initial metadata and the encoding, when the headers should leave.
    pub(super) fn take_headers(&mut self) -> Option<(Metadata, Encoding)> {
        let leave = self.headers == Headers::Wanted || (self.headers == Headers::Held && !self.buffer.is_empty());
        leave.then(|| {
            self.headers = Headers::Left;
            (std::mem::take(&mut self.metadata.initial), self.packing.encoding())
        })
    }

    /// Takes out what was gathered, when what was taken out before has gone, and whether it is the sender's last. `None` where
    /// there is nothing. The second is true when a sender that waited in this very task has room again.
    pub(super) fn next(&mut self, cx: &Context<'_>, half_closes: bool) -> (Option<(Bytes, bool)>, bool) {
        if self.output == Output::Leaving {
            self.output = Output::Gathering;
            self.room = (2 * self.room).min(BATCH);
            // A sender that waits for memory may pass beyond the budget now.
            self.sender = match std::mem::replace(&mut self.sender, Sender::Runs) {
                Sender::AwaitsMemory(waker) => Sender::AwaitsRoom(waker),
                sender => sender,
            };
        }
        let is_last = half_closes && matches!(self.input, Input::Finished);
        let next = (!self.buffer.is_empty() || is_last).then(|| {
            self.output = Output::Leaving;
            (self.take(), is_last)
        });
        if next.is_none() {
            register(&mut self.driver, cx);
        }
        let has_room = match std::mem::replace(&mut self.sender, Sender::Runs) {
            Sender::AwaitsRoom(waker) => wake_elsewhere(Some(waker), cx),
            sender => {
                self.sender = sender;
                false
            }
        };
        (next, has_room)
    }

    fn take(&mut self) -> Bytes {
        self.last = self.buffer.len();
        if self.charge.amount() == 0 {
            return self.buffer.split().freeze();
        }
        std::mem::take(&mut self.charge).bind(std::mem::take(&mut self.buffer))
    }

    fn check_open(&self) -> Result<(), Status> {
        match &self.input {
            Input::Open => Ok(()),
            Input::Finished => Err(Status::internal("a message was sent after the half-close")),
            Input::Closed(status) => Err(status.clone()),
        }
    }

    fn wait(&mut self, sender: Sender) -> Poll<Result<(), Status>> {
        self.sender = sender;
        wake(self.driver.take());
        Poll::Pending
    }

    fn wake_sender(&mut self) {
        if let Sender::AwaitsRoom(waker) | Sender::AwaitsMemory(waker) =
            std::mem::replace(&mut self.sender, Sender::Runs)
        {
            waker.wake();
        }
    }
}
