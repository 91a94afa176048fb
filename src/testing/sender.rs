//! [`Sender`]: the client's end of an [`Inbound`](crate::Inbound).

use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::call::body::Body;
use crate::call::compress::MessageEncoder;
use crate::call::inbox::SharedInbox;
use crate::call::lock::lock;
use crate::status::Status;
use crate::wire::code_map::code_of_http2_error;
use crate::wire::http2::Http2Error;
use crate::wire::{By, What};

/// The client's end of an [`Inbound`](crate::Inbound): a test sends through it the messages that the handler receives.
///
/// Messages are encoded, and compressed if the call has an encoding; the [`Inbound`](crate::Inbound) decodes them as it does on
/// a connection. Sending never waits: a `Sender` has no flow-control window. Dropping it half-closes the stream, as dropping an
/// [`Outbound`](crate::Outbound) does on a client. Messages sent after the handler has dropped its
/// [`Inbound`](crate::Inbound), or after the stream has failed, are discarded, as on a connection.
///
/// ```
/// use barewire::testing;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), barewire::Status> {
/// let (mut sender, mut inbound) = testing::inbound_channel();
/// sender.send(String::from("hello"));
/// assert_eq!(inbound.recv().await?, Some("hello".into()));
/// sender.finish();
/// assert_eq!(inbound.recv().await?, None);
/// # Ok(())
/// # }
/// ```
pub struct Sender<T> {
    inbox: SharedInbox,
    packing: MessageEncoder,
    types: PhantomData<fn(T)>,
}

impl<T: Message> Sender<T> {
    pub(super) fn new(inbox: SharedInbox, packing: MessageEncoder) -> Sender<T> {
        Sender { inbox, packing, types: PhantomData }
    }

    /// Sends a message.
    ///
    /// # Panics
    ///
    /// Panics if the message has more than 4 GiB, which a prefix can't express.
    pub fn send(&mut self, message: T) {
        self.send_encoded(message.encoded_len(), |buffer| message.encode_raw(buffer));
    }
}

impl<T> Sender<T> {
    /// Sends a message with this payload, which need not be the encoding of a `T`. A payload that is not makes
    /// [`Inbound::recv`](crate::Inbound::recv) return INTERNAL.
    ///
    /// # Panics
    ///
    /// As [`Sender::send`].
    pub fn send_payload(&mut self, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        self.send_encoded(payload.len(), |buffer| buffer.extend_from_slice(payload));
    }

    /// Sends bytes as the content of a DATA frame: any part of a message, its prefix included, or of several. A stream that ends
    /// within a message makes [`Inbound::recv`](crate::Inbound::recv) return INTERNAL.
    pub fn send_data(&mut self, data: impl Into<Bytes>) {
        let data = data.into();
        self.feed(|body| body.push(data));
    }

    /// Half-closes the stream: the messages sent so far are the last.
    pub fn finish(self) {}

    /// Cancels the call, as a client does that resets the stream. After the messages sent so far
    /// [`Inbound::recv`](crate::Inbound::recv) returns CANCELLED.
    ///
    /// On a connection the server also drops the handler. A test does the same by dropping the handler's future.
    pub fn cancel(self) {
        let reset = Http2Error::CANCEL;
        let message = format!("the client reset the stream with {reset}");
        self.fail(Status::new(code_of_http2_error(reset), message).caused(By::Peer, What::Reset(reset)));
    }

    /// Fails the stream after the messages sent so far: [`Inbound::recv`](crate::Inbound::recv) then returns this status, for
    /// example CANCELLED with "the connection was lost".
    pub fn fail(self, status: Status) {
        self.feed(|body| body.end_with(Err(status)));
    }

    /// Returns true once the handler has dropped its [`Inbound`](crate::Inbound).
    pub fn is_closed(&self) -> bool {
        lock(&self.inbox).is_abandoned()
    }

    fn send_encoded(&mut self, length: usize, payload: impl FnOnce(&mut BytesMut)) {
        let mut message = BytesMut::new();
        self.packing
            .append(&mut message, length, true, payload)
            .expect("a prefix can't express the length of the message");
        self.send_data(message);
    }

    fn feed(&self, feed: impl FnOnce(&mut Body)) {
        lock(&self.inbox).feed(feed);
    }
}

/// Half-closes the stream, unless it has ended.
impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.feed(|body| body.end_with(Ok(())));
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("encoding", &self.packing.encoding()).finish_non_exhaustive()
    }
}
