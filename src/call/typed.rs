//! What handlers and callers hold: messages with their types, and what travels with them.
//!
//! [`Inbound`] and [`Outbound`] are the two directions of a streaming call, the same types on both sides. Neither touches
//! HTTP/2; they read and fill the buffers of [`super::exchange`]. prost turns payloads into messages here and nowhere else.

use std::borrow::Borrow;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use prost::Message;

use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::Packing;
use super::envelope::Context;
use super::exchange::{Packed, SharedBatch, SharedInbox};
use super::lock;
use super::payload::Payload;
use super::receive::Receiving;
use crate::limits::CALL_ALLOWANCE;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::encoding::Encoding;
use crate::wire::message::PREFIX_LENGTH;

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
        let next = inbox.receiving.poll_take(cx, |compressed, payload| {
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
        match (inbox.receiving.headers(), inbox.receiving.failure()) {
            (Some(headers), _) => Poll::Ready(Ok(headers.clone())),
            (None, Some(status)) => Poll::Ready(Err(status)),
            (None, None) if inbox.receiving.has_ended() => Poll::Ready(Ok(Metadata::new())),
            (None, None) => {
                inbox.wait(cx);
                Poll::Pending
            }
        }
    }

    /// On a client: the trailing metadata, when [`Inbound::recv`] has given `None` or an error; empty before.
    pub fn trailers(&mut self) -> &Metadata {
        if let Some(trailers) = lock(&self.inbox).receiving.trailers() {
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
    pub(crate) fn take_metadata(&mut self) -> Option<Box<(Metadata, Metadata)>> {
        lock(&self.inbox).receiving.take_metadata()
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
        lock(&self.batch).headers = headers;
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
        let mut batch = lock(&self.batch);
        if !batch.headers_left {
            batch.packing.choose(encoding);
        }
    }

    /// Whether the messages sent from now on may be compressed, where the call has an encoding. They may by default.
    pub fn compress(&mut self, compress: bool) {
        lock(&self.batch).compress = compress;
    }

    /// On a server: the trailing metadata, which leave with the status.
    pub fn set_trailers(&mut self, trailers: Metadata) {
        lock(&self.batch).trailers = trailers;
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

/// Exactly one message, with whether it was compressed, and then the end: with none or a second nobody gets any.
pub(crate) async fn only<T: Message + Default>(receiving: &mut Receiving) -> Result<(T, bool), Status> {
    receiving.expect_one();
    // What can't be decoded fails the call when the rest of it is known.
    let read = |compressed, payload: &mut Payload<'_>| Ok((decode(payload), compressed));
    let (message, compressed) =
        poll_fn(|cx| receiving.poll_message(cx, read)).await?.ok_or(ProtocolError::NoMessage)?;
    match poll_fn(|cx| receiving.poll_message(cx, |_, _| Ok(()))).await? {
        None => Ok((message?, compressed)),
        Some(()) => Err(ProtocolError::TooManyMessages.into_status()),
    }
}

/// A payload to a message.
fn decode<T: Message + Default>(payload: impl Buf) -> Result<T, Status> {
    T::decode(payload).map_err(|error| ProtocolError::UndecodableMessage { reason: error.to_string() }.into_status())
}

/// A message to a Length-Prefixed-Message, in one buffer of just its size.
pub(crate) fn encode<T: Message>(message: &T, packing: &Packing, compress: bool) -> Result<BytesMut, Status> {
    let mut buffer = BytesMut::new();
    packing.append(&mut buffer, message.encoded_len(), compress, |buffer| message.encode_raw(buffer))?;
    Ok(buffer)
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

/// Tells if a message is part of what every call may hold: it asks no budget.
pub(crate) fn is_small<T: Message>(message: &T) -> bool {
    PREFIX_LENGTH + message.encoded_len() <= CALL_ALLOWANCE
}

/// Encodes a message like [`encode`], once the budget of the connection has room for it; it is charged until it has left.
pub(crate) async fn encode_within<T: Message>(
    budget: Arc<Budget>,
    message: &T,
    packing: &Packing,
    compress: bool,
) -> Result<Bytes, Status> {
    let mut admission = Admission::new(budget, Kind::Outgoing);
    let mut waits = Charge::default();
    poll_fn(|cx| admission.poll_with(cx, true, &mut waits, message.encoded_len())).await?;
    let mut charge = Charge::default();
    let message = if compress && packing.compresses_off_worker(message.encoded_len()) {
        let mut plain = BytesMut::with_capacity(message.encoded_len());
        message.encode_raw(&mut plain);
        admission.charge(&mut charge, plain.capacity());
        packing.pack_off_worker(std::mem::take(&mut charge).bind(plain)).await?
    } else {
        encode(message, packing, compress)?
    };
    admission.charge(&mut charge, message.capacity());
    Ok(charge.bind(message))
}
