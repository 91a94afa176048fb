//! The handles of a streaming call that handlers and callers hold.
//!
//! [`Inbound`] receives and [`Outbound`] sends; the types are the same on both sides. Neither touches HTTP/2: they read an
//! [`Inbox`](super::inbox::Inbox) and fill a [`Batch`](super::batch::Batch).

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{self, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use prost::Message;

use super::answer::Answer;
use super::batch::{Compression, SharedBatch};
use super::context::Context;
use super::envelope::CallMetadata;
use super::inbox::{Inbox, SharedInbox};
use super::lock::lock;
use super::unary::decode;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;

/// The receiving half of a streaming call; also a [`Stream`].
///
/// On a server it ends with the client's half-close, on a client with the status of the call. Dropping it cancels the
/// call on a client; on a server, messages that still arrive are discarded.
///
/// ```
/// use barewire::{Inbound, Status, testing};
///
/// /// A handler.
/// async fn join(_: &(), mut words: Inbound<String>) -> Result<String, Status> {
///     let mut joined = String::new();
///     while let Some(word) = words.recv().await? {
///         joined += &word;
///     }
///     Ok(joined)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let words = testing::inbound(["one".to_owned(), "two".to_owned()]);
/// assert_eq!(join(&(), words).await, Ok("onetwo".to_owned()));
/// # }
/// ```
#[must_use = "dropping an `Inbound` cancels the call on a client"]
pub struct Inbound<T> {
    inbox: SharedInbox,
    origin: Origin,
    initial: Option<Metadata>,
    trailing: Metadata,
    /// True once the [`Stream`] has returned its error.
    failed: bool,
    /// True if the last message was compressed on the wire.
    compressed: bool,
    types: PhantomData<fn() -> T>,
}

/// The side that receives.
pub(crate) enum Origin {
    /// A server, which knows the attributes of the call.
    Server(Box<Context>),
    /// A client, which knows the path of the method.
    Client(Cow<'static, str>),
}

impl Origin {
    /// Returns the path of the method.
    fn path(&self) -> &str {
        match self {
            Origin::Server(context) => context.path(),
            Origin::Client(path) => path,
        }
    }
}

impl<T: Message + Default> Inbound<T> {
    pub(crate) fn new(inbox: SharedInbox, origin: Origin) -> Inbound<T> {
        Inbound {
            inbox,
            origin,
            initial: None,
            trailing: Metadata::new(),
            failed: false,
            compressed: false,
            types: PhantomData,
        }
    }

    /// Receives the next message; `None` after the last. On a client, `None` means that the call ended with OK.
    ///
    /// # Errors
    ///
    /// On a client, the status of the call if it is not OK. On both sides, the failure of the stream: a reset, a lost
    /// connection, a message over the limit or one that can't be decoded. Every later call returns the same error.
    pub async fn recv(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next message, like [`Inbound::recv`].
    pub fn poll_recv(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Option<T>, Status>> {
        let mut inbox = lock(&self.inbox);
        let next = inbox.body().poll_take(cx, |compressed, payload| {
            self.compressed = compressed;
            decode(payload, || self.origin.path())
        });
        let Poll::Ready(Some(next)) = next else {
            inbox.wait(cx);
            return Poll::Pending;
        };
        match next {
            Ok(Some(message)) => Poll::Ready(Ok(Some(message))),
            Ok(None) => poll_end(inbox, cx, Ok(())).map_ok(|()| None),
            Err(status) => poll_end(inbox, cx, Err(status)).map_ok(|()| None),
        }
    }

    /// On a client: waits for the initial metadata, which arrives with the first message or before it. Empty if the
    /// call ended without any.
    ///
    /// # Errors
    ///
    /// The status of a call that failed before its headers arrived.
    pub async fn initial_metadata(&mut self) -> Result<&Metadata, Status> {
        if self.initial.is_none() {
            self.initial = Some(poll_fn(|cx| self.poll_initial_metadata(cx)).await?);
        }
        Ok(self.initial.as_ref().unwrap_or(Metadata::none()))
    }

    fn poll_initial_metadata(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Metadata, Status>> {
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

    /// On a client: returns the trailing metadata, once [`Inbound::recv`] has returned `None` or an error; empty before.
    pub fn trailing_metadata(&mut self) -> &Metadata {
        if let Some(trailing) = lock(&self.inbox).answer().and_then(|answer| answer.trailing_metadata()) {
            self.trailing = trailing.clone();
        }
        &self.trailing
    }
}

/// Reports the end of a call that a reader has reached. Ready with the end, unless the call's task is reporting it.
#[inline(never)] // So that reading a message stays short.
fn poll_end(
    mut inbox: MutexGuard<'_, Inbox>,
    cx: &mut task::Context<'_>,
    end: Result<(), Status>,
) -> Poll<Result<(), Status>> {
    if inbox.is_reporting() {
        inbox.wait(cx);
        return Poll::Pending;
    }
    let ended = if end.is_ok() && inbox.awaits_verdict() { None } else { inbox.take_ended() };
    if end.is_err() {
        inbox.wake_driver();
    }
    drop(inbox);
    if let Some(ended) = ended {
        ended.report();
    }
    Poll::Ready(end)
}

impl<T> Inbound<T> {
    /// Returns true if the last message that [`Inbound::recv`] returned was compressed on the wire.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// On a client that expects a single message: ends the call with this error, or as the server ended it.
    pub(crate) fn judge(&mut self, refused: Option<&Status>) {
        let ended = lock(&self.inbox).judge(refused);
        if let Some(ended) = ended {
            ended.report();
        }
    }

    /// Takes the initial and the trailing metadata of a response that has ended.
    pub(crate) fn take_metadata(&mut self) -> Option<Box<CallMetadata>> {
        lock(&self.inbox).answer().and_then(Answer::take_metadata)
    }

    /// On a server: returns the attributes of the call. On a client: `None`.
    pub fn context(&self) -> Option<&Context> {
        match &self.origin {
            Origin::Server(context) => Some(context),
            Origin::Client(_) => None,
        }
    }

    /// On a server: returns the initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        self.context().map_or(Metadata::none(), |context| &context.metadata)
    }
}

impl<T> Drop for Inbound<T> {
    fn drop(&mut self) {
        let ended = lock(&self.inbox).abandon();
        if let Some(ended) = ended {
            ended.report();
        }
    }
}

impl<T: Message + Default> Stream for Inbound<T> {
    type Item = Result<T, Status>;

    /// Yields the messages, then the error if there is one, then `None`.
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
        f.debug_struct("Inbound").field("context", &self.context()).finish_non_exhaustive()
    }
}

/// The sending half of a streaming call; also a [`Sink`].
///
/// Messages sent without a pause share DATA frames, which are sent as soon as the sender waits for something. On a client,
/// [`Outbound::finish`] or dropping this half-closes the stream. On a server, the stream ends when the handler returns,
/// and its result becomes the trailers; an `Outbound` that outlives the handler fails.
///
/// ```
/// use barewire::{Outbound, Request, Status, testing};
///
/// /// A handler.
/// async fn split(_: &(), request: Request<String>, mut out: Outbound<String>) -> Result<(), Status> {
///     for word in request.split(' ') {
///         out.send(word.to_owned()).await?;
///     }
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (out, mut receiver) = testing::outbound();
/// assert_eq!(split(&(), Request::new("one two".to_owned()), out).await, Ok(()));
/// assert_eq!(receiver.messages().await, ["one", "two"]);
/// # }
/// ```
#[must_use = "dropping an `Outbound` half-closes the stream on a client"]
pub struct Outbound<T> {
    batch: SharedBatch,
    types: PhantomData<fn(T)>,
}

impl<T: Message> Outbound<T> {
    pub(crate) fn new(batch: SharedBatch) -> Outbound<T> {
        Outbound { batch, types: PhantomData }
    }

    /// Sends a message. Waits only while the peer's flow-control window is used up.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED for a message over the limit, which does not end the call; otherwise the reason why the call has
    /// ended.
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

    /// Waits until all sent messages have been given to HTTP/2, which may wait for the peer's window.
    ///
    /// # Errors
    ///
    /// The reason why the call has already ended.
    pub async fn flush(&mut self) -> Result<(), Status> {
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }

    /// On a client: half-closes the stream after all sent messages. Succeeds if the server has ended the call with OK and
    /// every message was sent before.
    ///
    /// # Errors
    ///
    /// The status with which the call has failed.
    pub async fn finish(self) -> Result<(), Status> {
        lock(&self.batch).finish();
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }
}

impl<T> Outbound<T> {
    /// On a server: sets the initial metadata, which is sent with the first message. Has no effect once it was sent.
    pub fn set_initial_metadata(&mut self, metadata: Metadata) {
        lock(&self.batch).set_initial_metadata(metadata);
    }

    /// On a server: sends the initial metadata now, before the first message.
    ///
    /// # Errors
    ///
    /// The reason why the call has already ended.
    pub async fn send_initial_metadata(&mut self) -> Result<(), Status> {
        lock(&self.batch).want_headers();
        poll_fn(|cx| lock(&self.batch).poll_empty(cx)).await
    }

    /// On a server: compresses the messages with this encoding, if the client accepts it and the server supports it.
    /// Has no effect once the initial metadata was sent.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        lock(&self.batch).choose(encoding);
    }

    /// Allows or forbids compressing the following messages, if the call has an encoding. Allowed by default.
    pub fn compress(&mut self, compress: bool) {
        lock(&self.batch).set_may_compress(compress);
    }

    /// On a server: sets the trailing metadata, which is sent with the status.
    pub fn set_trailing_metadata(&mut self, metadata: Metadata) {
        lock(&self.batch).set_trailing_metadata(metadata);
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

/// Sends a message once it is compressed.
async fn send_packed(batch: &SharedBatch, packing: Compression) -> Result<(), Status> {
    let packed = packing.await?;
    poll_fn(|cx| {
        let mut batch = lock(batch);
        ready!(batch.poll_room(cx, packed.len()))?;
        Poll::Ready(batch.push_packed(&packed))
    })
    .await
}
