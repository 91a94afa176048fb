//! Buffers the messages that a streaming call sends: an [`Outbound`](super::Outbound) fills the buffer, the call's task
//! empties it.
//!
//! A producer that does not wait fills a batch of up to 16 KiB, whose messages share DATA frames. A message is never
//! delayed to fill a batch. A call buffers at most one batch that is being sent and one that is being filled, or a
//! single message if that is larger. The [`Budget`] limits all calls of a connection together.
//!
//! ```text
//!   the sender     Open ── finish ──▶ Finished
//!                   └───── close ─────┴──────▶ Closed    sending fails with the status
//!
//!   messages       Gathering ── take ──▶ Leaving ── sent to h2 ──▶ Gathering
//!   taken out                               └────── close ───────▶ Lost      flush fails with the status
//!
//!   a server's     Pending ── the sender asks ──▶ Requested ── the call's task ──▶ Sent
//!   headers           └───── a message is buffered, the call's task ────────────────┘
//! ```

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::MessageEncoder;
use super::envelope::CallMetadata;
use super::lock::{lock, register, wake, wake_elsewhere};
use crate::limits::{BATCH, CALL_ALLOWANCE, FIRST_BATCH, INLINE_COMPRESSION};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::message::PREFIX_LENGTH;

pub(crate) type SharedBatch = Arc<Mutex<Batch>>;

/// A message that is being compressed on the blocking pool.
pub(crate) type Compression = Pin<Box<dyn Future<Output = Result<BytesMut, Status>> + Send>>;

/// Messages that were written and not yet given to HTTP/2.
pub(crate) struct Batch {
    buffer: BytesMut,
    /// The charge for the buffer, if it is larger than a call's allowance.
    charge: Charge,
    admission: Admission,
    /// The charge for the message that waits for memory.
    waits: Charge,
    /// The number of bytes that the buffer may gather.
    room: usize,
    /// The number of bytes that the previous batch gathered.
    last: usize,
    packing: MessageEncoder,
    /// True if the next messages may be compressed, provided that the call has an encoding.
    may_compress: bool,
    /// The metadata of a response; the initial metadata only until it has been sent.
    metadata: CallMetadata,
    input: Input,
    output: Output,
    headers: Headers,
    sender: Sender,
    /// The call's task, while it has nothing to send.
    driver: Option<Waker>,
}

/// The state of the sender's side.
enum Input {
    /// Messages may follow.
    Open,
    /// The sender has sent its last message.
    Finished,
    /// The call has ended. Later sends fail with this status.
    Closed(Status),
    /// The call has ended with status OK before the sender did. Later sends fail with this status.
    Succeeded(Status),
}

/// The state of the messages that were taken out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// All of them were given to HTTP/2.
    Gathering,
    /// They wait for the peer's flow-control window.
    Leaving,
    /// The call ended before every message was given to HTTP/2.
    Lost,
}

/// The Response-Headers of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Headers {
    /// They are sent with the first message.
    Pending,
    /// They are sent when the call's task runs next.
    Requested,
    /// They have been sent, or this side is a client and does not send them.
    Sent,
}

/// The event that the sender waits for.
enum Sender {
    /// The sender does not wait.
    Runs,
    /// The buffered messages must be sent first.
    AwaitsRoom(Waker),
    /// The connection must have memory for the sender's message.
    AwaitsMemory(Waker),
}

impl Batch {
    /// Creates the batch of a server, whose headers are not sent yet.
    pub(crate) fn answer(packing: MessageEncoder, budget: Arc<Budget>) -> SharedBatch {
        Batch::shared(packing, budget, Headers::Pending)
    }

    /// Creates the batch of a client. Its messages are compressed only if `may_compress` is true.
    pub(crate) fn request(packing: MessageEncoder, budget: Arc<Budget>, may_compress: bool) -> SharedBatch {
        let batch = Batch::shared(packing, budget, Headers::Sent);
        lock(&batch).may_compress = may_compress;
        batch
    }

    fn shared(packing: MessageEncoder, budget: Arc<Budget>, headers: Headers) -> SharedBatch {
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

    /// Ready when the batch takes a message of `length` bytes. An empty batch takes a message of any size, if there is
    /// memory for it.
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
    /// RESOURCE_EXHAUSTED for a message over the limit; otherwise the reason why the call has ended.
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

    /// Starts compressing a message of `length` bytes, whose payload `payload` writes, on the blocking pool. Returns
    /// `None` if the message is better compressed here. The result goes to [`Batch::push_packed`].
    #[inline]
    pub(crate) fn pack_off_worker(
        &mut self,
        length: usize,
        payload: impl FnOnce(&mut BytesMut),
    ) -> Option<Compression> {
        if length < INLINE_COMPRESSION || !self.may_compress || !self.packing.compresses_off_worker(length) {
            return None;
        }
        let mut plain = BytesMut::with_capacity(length);
        payload(&mut plain);
        let mut charge = Charge::default();
        self.admission.charge(&mut charge, plain.capacity());
        Some(Box::pin(self.packing.pack_off_worker(charge.bind(plain))))
    }

    /// Adds a message that is already encoded. Errors as [`Batch::push`].
    pub(crate) fn push_packed(&mut self, packed: &[u8]) -> Result<(), Status> {
        self.check_open()?;
        self.buffer.extend_from_slice(packed);
        self.was_pushed();
        Ok(())
    }

    /// Ready when every written message has been given to HTTP/2, or with the reason why the call has failed.
    pub(crate) fn poll_empty(&mut self, cx: &Context<'_>) -> Poll<Result<(), Status>> {
        if let Input::Closed(status) = &self.input {
            return Poll::Ready(Err(status.clone()));
        }
        let is_empty = self.buffer.is_empty() && self.headers != Headers::Requested;
        if is_empty && self.output == Output::Gathering {
            return Poll::Ready(Ok(()));
        }
        if let Input::Succeeded(status) = &self.input {
            return Poll::Ready(Err(status.clone()));
        }
        self.wait(Sender::AwaitsRoom(cx.waker().clone()))
    }

    /// Requests that the headers be sent before the first message.
    pub(crate) fn want_headers(&mut self) {
        if self.headers == Headers::Pending {
            self.headers = Headers::Requested;
            wake(self.driver.take());
        }
    }

    /// Sets the initial metadata, unless it has been sent.
    pub(crate) fn set_initial_metadata(&mut self, metadata: Metadata) {
        self.metadata.initial = metadata;
    }

    /// Sets the trailing metadata.
    pub(crate) fn set_trailing_metadata(&mut self, metadata: Metadata) {
        self.metadata.trailing = metadata;
    }

    /// Returns the metadata that has not been sent.
    pub(crate) fn metadata(&self) -> &CallMetadata {
        &self.metadata
    }

    /// Chooses the encoding of the messages, unless the headers that name it have been sent.
    pub(crate) fn choose(&mut self, encoding: Encoding) {
        if self.headers != Headers::Sent {
            self.packing.choose(encoding);
        }
    }

    /// Sets if the following messages may be compressed.
    pub(crate) fn set_may_compress(&mut self, may_compress: bool) {
        self.may_compress = may_compress;
    }

    /// Marks the sender's last message as sent.
    pub(crate) fn finish(&mut self) {
        if matches!(self.input, Input::Open) {
            self.input = Input::Finished;
            wake(self.driver.take());
        }
    }

    /// Ends the batch: later sends fail with `status`. Returns the messages not yet sent, their encoding, and the metadata.
    pub(crate) fn close(&mut self, status: Status) -> (Bytes, Encoding, CallMetadata) {
        if !matches!(self.input, Input::Closed(_) | Input::Succeeded(_)) {
            self.input = Input::Closed(status);
        }
        if self.output == Output::Leaving || !self.buffer.is_empty() {
            self.output = Output::Lost;
        }
        self.wake_sender();
        (self.take(), self.packing.encoding(), std::mem::take(&mut self.metadata))
    }

    /// Ends the batch of a client whose call the server has ended with OK. Only what was not sent yet fails, with `status`.
    pub(crate) fn succeed(&mut self, status: Status) {
        if !matches!(self.input, Input::Closed(_)) {
            self.input = Input::Succeeded(status.clone());
        }
        self.close(status);
    }

    /// Begins a turn of the call's task. Until the turn ends, writing a message does not wake the task.
    pub(crate) fn begin_turn(&mut self) {
        self.driver = None;
    }

    /// Takes the initial metadata and the encoding, if the headers should be sent now.
    pub(crate) fn take_headers(&mut self) -> Option<(Metadata, Encoding)> {
        let leave = self.headers == Headers::Requested || (self.headers == Headers::Pending && !self.buffer.is_empty());
        leave.then(|| {
            self.headers = Headers::Sent;
            let mut initial = std::mem::take(&mut self.metadata.initial);
            self.packing.watchers().initial_sent(&mut initial);
            (initial, self.packing.encoding())
        })
    }

    /// Takes out the gathered messages, and true if they are the last; `None` if it gathered none. Call this only after
    /// the messages taken out before were sent. The second value is true if a sender that waited in this same task can
    /// write again.
    pub(crate) fn next(&mut self, cx: &Context<'_>, half_closes: bool) -> (Option<(Bytes, bool)>, bool) {
        if self.output == Output::Leaving {
            self.output = Output::Gathering;
            self.room = (2 * self.room).min(BATCH);
            // A sender that waits for memory may now exceed the budget.
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
            Input::Closed(status) | Input::Succeeded(status) => Err(status.clone()),
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
