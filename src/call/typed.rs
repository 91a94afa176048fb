//! What handlers and callers hold: messages with their types, and what travels with them.
//!
//! [`Inbound`] and [`Outbound`] are the two directions of a streaming call, the same types on both sides. Neither touches
//! HTTP/2; they read an [`Inbox`](super::inbox::Inbox) and fill a [`Batch`](super::batch::Batch).

use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use prost::Message;

use super::answer::Answer;
use super::batch::{Packed, SharedBatch};
use super::envelope::{CallMetadata, Context};
use super::inbox::SharedInbox;
use super::lock::lock;
use super::unary::decode;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;

/// The messages that come in on a streaming call; a [`Stream`] as well.
///
/// A server's ends with the client's half-close, a client's with the status of the call. Dropping a client's cancels the
/// call; dropping a server's says that nothing more will be read.
pub struct Inbound<T> {
    inbox: SharedInbox,
    /// What a server knows of the call; a client made the call itself.
    context: Option<Box<Context>>,
    headers: Option<Metadata>,
    trailers: Metadata,
    /// Whether the stream view has given its error.
    failed: bool,
    /// Whether the last message was compressed on the wire.
    compressed: bool,
    types: PhantomData<fn() -> T>,
}

impl<T: Message + Default> Inbound<T> {
    pub(crate) fn new(inbox: SharedInbox, context: Option<Box<Context>>) -> Inbound<T> {
        Inbound {
            inbox,
            context,
            headers: None,
            trailers: Metadata::new(),
            failed: false,
            compressed: false,
            types: PhantomData,
        }
    }

    /// The next message; `None` after the last, which on a client means that the call ended with OK.
    ///
    /// # Errors
    ///
    /// On a client, the status of the call where it is not OK. On both sides what went wrong with the stream: a reset, a lost
    /// connection, a message over the limit or one that can't be decoded. Every later call gives the same.
    pub async fn recv(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`Inbound::recv`] for those who poll.
    pub fn poll_recv(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Option<T>, Status>> {
        let mut inbox = lock(&self.inbox);
        let next = inbox.body().poll_take(cx, |compressed, payload| {
            self.compressed = compressed;
            decode(payload)
        });
        let Poll::Ready(Some(next)) = next else {
            inbox.wait(cx);
            return Poll::Pending;
        };
        Poll::Ready(next.inspect_err(|_| inbox.tell_driver()))
    }

    /// On a client: waits for the initial metadata. They come with the first message or before it; a call that ended
    /// without any has none.
    ///
    /// # Errors
    ///
    /// The status of a call that failed before it had headers.
    pub async fn headers(&mut self) -> Result<&Metadata, Status> {
        if self.headers.is_none() {
            self.headers = Some(poll_fn(|cx| self.poll_headers(cx)).await?);
        }
        Ok(self.headers.as_ref().unwrap_or(Metadata::none()))
    }

    fn poll_headers(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Metadata, Status>> {
        let mut inbox = lock(&self.inbox);
        if let Some(metadata) = inbox.answer().and_then(|answer| answer.initial_metadata()) {
            return Poll::Ready(Ok(metadata.clone()));
        }
        let body = inbox.body();
        if body.has_ended() {
            return Poll::Ready(body.failure().map_or(Ok(Metadata::new()), Err));
        }
        inbox.wait(cx);
        Poll::Pending
    }

    /// On a client: the trailing metadata, when [`Inbound::recv`] has given `None` or an error; empty before.
    pub fn trailers(&mut self) -> &Metadata {
        if let Some(trailers) = lock(&self.inbox).answer().and_then(|answer| answer.trailing_metadata()) {
            self.trailers = trailers.clone();
        }
        &self.trailers
    }
}

impl<T> Inbound<T> {
    /// Whether the message that [`Inbound::recv`] gave last was compressed on the wire.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// Takes the initial and the trailing metadata of an answer that has ended.
    pub(crate) fn take_metadata(&mut self) -> Option<Box<CallMetadata>> {
        lock(&self.inbox).answer().and_then(Answer::take_metadata)
    }

    /// On a server: what is known of the call beside its messages. A client knows it without asking, and gets `None`.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_deref()
    }

    /// On a server: the initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        self.context.as_ref().map_or(Metadata::none(), |context| &context.metadata)
    }
}

impl<T> Drop for Inbound<T> {
    fn drop(&mut self) {
        lock(&self.inbox).abandon();
    }
}

impl<T: Message + Default> Stream for Inbound<T> {
    type Item = Result<T, Status>;

    /// The messages, then the error if there is one, then nothing.
    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let next = ready!(this.poll_recv(cx));
        this.failed = next.is_err();
        Poll::Ready(next.transpose())
    }
}

impl<T> fmt::Debug for Inbound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The messages that go out on a streaming call; a [`Sink`] as well.
///
/// Messages that are sent without a pause share DATA frames; they leave as soon as the sender waits for something. A
/// client's half-closes the stream with [`Outbound::finish`] or when it is dropped. A server's ends with its handler, whose
/// result becomes the trailers; one that outlives it fails.
pub struct Outbound<T> {
    batch: SharedBatch,
    types: PhantomData<fn(T)>,
}

impl<T: Message> Outbound<T> {
    pub(crate) fn new(batch: SharedBatch) -> Outbound<T> {
        Outbound { batch, types: PhantomData }
    }

    /// Sends a message. Waits only while the peer does not keep up, which its flow-control window says.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED for a message over the limit, which leaves the call as it is; otherwise why the call has ended.
    pub async fn send(&mut self, message: impl Borrow<T>) -> Result<(), Status> {
        let message = message.borrow();
        let length = message.encoded_len();
        let packing = poll_fn(|cx| {
            let mut batch = lock(&self.batch);
            ready!(batch.poll_room(cx, length))?;
            Poll::Ready(match batch.pack_off_worker(length, |buffer| message.encode_raw(buffer)) {
                Some(packing) => Ok(Some(packing)),
                None => batch.push(length, |buffer| message.encode_raw(buffer)).map(|()| None),
            })
        })
        .await?;
        match packing {
            None => Ok(()),
            Some(packing) => Box::pin(send_packed(&self.batch, packing)).await,
        }
    }

    /// Waits until what was sent has been given to HTTP/2, which the peer's window may delay.
    ///
    /// # Errors
    ///
    /// Why the call has ended before.
    pub async fn flush(&mut self) -> Result<(), Status> {
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }

    /// On a client: half-closes the stream, after everything that was sent.
    ///
    /// # Errors
    ///
    /// Why the call has ended before.
    pub async fn finish(self) -> Result<(), Status> {
        lock(&self.batch).finish();
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }
}

impl<T> Outbound<T> {
    /// On a server: the initial metadata, which leave with the first message. No effect when they have left.
    pub fn set_headers(&mut self, headers: Metadata) {
        lock(&self.batch).set_initial_metadata(headers);
    }

    /// On a server: sends the initial metadata now, before there is a message.
    ///
    /// # Errors
    ///
    /// Why the call has ended before.
    pub async fn send_headers(&mut self) -> Result<(), Status> {
        lock(&self.batch).want_headers();
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }

    /// On a server: compresses the messages with this encoding, if the client takes it and the server has it. No effect when
    /// the initial metadata have left.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        lock(&self.batch).choose(encoding);
    }

    /// Whether the messages sent from now on may be compressed, where the call has an encoding. They may by default.
    pub fn compress(&mut self, compress: bool) {
        lock(&self.batch).set_may_compress(compress);
    }

    /// On a server: the trailing metadata, which leave with the status.
    pub fn set_trailers(&mut self, trailers: Metadata) {
        lock(&self.batch).set_trailing_metadata(trailers);
    }
}

impl<T> Drop for Outbound<T> {
    fn drop(&mut self) {
        lock(&self.batch).finish();
    }
}

impl<T: Message> Sink<T> for Outbound<T> {
    type Error = Status;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        lock(&self.batch).poll_room(cx, 0)
    }

    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), Status> {
        lock(&self.batch).push(message.encoded_len(), |buffer| message.encode_raw(buffer))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        lock(&self.batch).poll_empty(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        let mut batch = lock(&self.batch);
        ready!(batch.poll_empty(cx))?;
        batch.finish();
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for Outbound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

/// Sends a message once it is packed.
async fn send_packed(batch: &SharedBatch, packing: Packed) -> Result<(), Status> {
    let packed = packing.await?;
    poll_fn(|cx| {
        let mut batch = lock(batch);
        ready!(batch.poll_room(cx, packed.len()))?;
        Poll::Ready(batch.push_packed(&packed))
    })
    .await
}
