//! [`Receiver`]: the client's end of an [`Outbound`](crate::Outbound), and the task that moves the messages to it.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use prost::Message;

use crate::call::Compressors;
use crate::call::batch::SharedBatch;
use crate::call::compress::restore;
use crate::call::lock::lock;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::message::{EncodedMessage, MessageDecoder, PREFIX_LENGTH};

/// The client's end of an [`Outbound`](crate::Outbound): a test reads from it the messages and the metadata that a handler sends.
///
/// A task of the tokio runtime takes the encoded messages out of the [`Outbound`](crate::Outbound), as the call's task does
/// on a connection, and the receiver decodes them. The window between the two has no limit unless
/// [`Call::window`](super::Call::window) sets one: a test can await a handler first and read its messages afterwards. The
/// stream ends when the handler drops its [`Outbound`](crate::Outbound) or finishes it, at the latest when it returns.
///
/// Dropping the receiver has the effect of a client that is gone: sending fails with CANCELLED. On a connection the server
/// also drops the handler. A test does the same by dropping the handler's future.
///
/// ```
/// use barewire::testing;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), barewire::Status> {
/// let (mut out, mut receiver) = testing::outbound::<String>();
/// out.send(String::from("one")).await?;
/// out.send(String::from("two")).await?;
/// assert_eq!(receiver.recv().await, Some("one".into()));
/// drop(out);
/// assert_eq!(receiver.messages().await, ["two"]);
/// # Ok(())
/// # }
/// ```
pub struct Receiver<T> {
    batch: SharedBatch,
    stream: Arc<Mutex<Stream>>,
    compressors: Compressors,
    compressed: bool,
    types: PhantomData<fn() -> T>,
}

/// The stream between an [`Outbound`](crate::Outbound) and a receiver.
struct Stream {
    decoder: MessageDecoder,
    /// The most bytes that may be in the stream without having been read.
    window: usize,
    /// The number of bytes that were not read.
    unread: usize,
    /// The number of these bytes whose window was returned, because the reader waits for the rest of their message.
    returned: usize,
    /// The initial metadata and the encoding, once they were sent.
    headers: Option<(Metadata, Encoding)>,
    has_ended: bool,
    /// The receiver, while it waits.
    reader: Option<Waker>,
    /// The task that moves the messages, while it waits for the window.
    mover: Option<Waker>,
}

impl<T> Receiver<T> {
    /// Creates a receiver, and spawns the task that moves the messages to it.
    pub(super) fn new(batch: SharedBatch, window: usize, compressors: Compressors) -> Receiver<T> {
        let stream = Arc::new(Mutex::new(Stream {
            decoder: MessageDecoder::new(usize::MAX),
            window,
            unread: 0,
            returned: 0,
            headers: None,
            has_ended: false,
            reader: None,
            mover: None,
        }));
        tokio::spawn(Mover { batch: batch.clone(), stream: stream.clone(), outgoing: Bytes::new(), is_last: false });
        Receiver { batch, stream, compressors, compressed: false, types: PhantomData }
    }

    /// Waits for the initial metadata. It is sent with the first message, by
    /// [`Outbound::send_initial_metadata`](crate::Outbound::send_initial_metadata), or at the end of the stream.
    pub async fn initial_metadata(&mut self) -> Metadata {
        poll_fn(|cx| {
            let mut stream = lock(&self.stream);
            match &stream.headers {
                Some((metadata, _)) => Poll::Ready(metadata.clone()),
                None if stream.has_ended => Poll::Ready(lock(&self.batch).metadata().initial.clone()),
                None => stream.wait(cx),
            }
        })
        .await
    }

    /// Waits for the end of the stream and returns the trailing metadata that the handler has set. The status with which the
    /// metadata is sent is the result of the handler. With a window, read the messages first: the stream does not end before they
    /// have passed the window.
    pub async fn trailing_metadata(&mut self) -> Metadata {
        poll_fn(|cx| {
            let mut stream = lock(&self.stream);
            match stream.has_ended {
                true => Poll::Ready(lock(&self.batch).metadata().trailing.clone()),
                false => stream.wait(cx),
            }
        })
        .await
    }

    /// Returns the encoding of the messages, as `grpc-encoding` names it; `None` before the initial metadata was sent.
    pub fn encoding(&self) -> Option<Encoding> {
        lock(&self.stream).headers.as_ref().map(|(_, encoding)| *encoding)
    }

    /// Returns true if the last message that [`Receiver::recv`] returned was compressed.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// Has the effect of a client that is gone, as dropping the receiver has: sending fails with CANCELLED.
    pub fn cancel(self) {}

    /// Polls for the next message as it was sent: its compressed flag and payload.
    fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<EncodedMessage>> {
        let mut stream = lock(&self.stream);
        let next = stream.decoder.next().expect("a batch holds valid messages");
        let taken = next.as_ref().map(|message| PREFIX_LENGTH + message.payload.len());
        stream.return_window(taken);
        match next {
            None if !stream.has_ended => stream.wait(cx),
            next => Poll::Ready(next),
        }
    }
}

impl<T: Message + Default> Receiver<T> {
    /// Receives the next message; `None` after the last.
    ///
    /// # Panics
    ///
    /// Panics if the message can't be decompressed and decoded as a client would: if a compressor of the call can't read its own
    /// output.
    pub async fn recv(&mut self) -> Option<T> {
        let EncodedMessage { compressed, payload } = poll_fn(|cx| self.poll_encoded(cx)).await?;
        self.compressed = compressed;
        let payload = match compressed {
            true => {
                let compressor = self.encoding().and_then(|encoding| self.compressors.get(encoding));
                restore(compressor, &payload, usize::MAX).expect("the handler's message can be decompressed")
            }
            false => payload,
        };
        Some(T::decode(payload).expect("the handler's message can be decoded"))
    }

    /// Receives all remaining messages. Waits until the handler has dropped or finished its [`Outbound`](crate::Outbound).
    pub async fn messages(&mut self) -> Vec<T> {
        let mut messages = Vec::new();
        while let Some(message) = self.recv().await {
            messages.push(message);
        }
        messages
    }
}

/// Ends the stream as for a client that is gone.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        lock(&self.batch).close(Status::cancelled("the stream was reset or its connection was lost"));
        let mut stream = lock(&self.stream);
        stream.has_ended = true;
        wake(&mut stream.mover);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("encoding", &self.encoding()).finish_non_exhaustive()
    }
}

impl Stream {
    /// Makes the receiver wait for something to happen.
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Adds as much of `data` as the window allows. Returns false if some of it has to wait.
    fn push(&mut self, data: &mut Bytes) -> bool {
        let room = self.window.saturating_sub(self.unread - self.returned);
        let part = data.split_to(room.min(data.len()));
        if !part.is_empty() {
            self.unread += part.len();
            // Copied, so that the memory of the sender's budget is released, as it is when the bytes are in a socket.
            self.decoder.push(Bytes::copy_from_slice(&part));
            // Only if something arrived: the reader wakes the mover, and the two would wake each other for ever.
            wake(&mut self.reader);
        }
        data.is_empty()
    }

    /// Returns the window of a message of `taken` bytes, prefix included; if no message has arrived whole, that of the part which
    /// has: otherwise a message larger than the window would never arrive (as [`Body`](crate::call::body::Body) does).
    fn return_window(&mut self, taken: Option<usize>) {
        match taken {
            Some(taken) => {
                self.unread -= taken;
                self.returned = self.returned.saturating_sub(taken);
            }
            None => self.returned = self.unread,
        }
        wake(&mut self.mover);
    }
}

/// The task that moves messages from an [`Outbound`](crate::Outbound) to its receiver; ready when the stream has ended.
struct Mover {
    batch: SharedBatch,
    stream: Arc<Mutex<Stream>>,
    /// Messages taken out of the batch that wait for the window.
    outgoing: Bytes,
    /// True if they are the last.
    is_last: bool,
}

impl Future for Mover {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Mover { batch, stream, outgoing, is_last } = &mut *self;
        let mut stream = lock(stream);
        lock(batch).begin_turn();
        stream.mover = Some(cx.waker().clone());
        loop {
            // The receiver was dropped.
            if stream.has_ended {
                return Poll::Ready(());
            }
            if !outgoing.is_empty() && !stream.push(outgoing) {
                return Poll::Pending;
            }
            let mut batch = lock(batch);
            if let Some(headers) = batch.take_headers() {
                stream.headers = Some(headers);
                wake(&mut stream.reader);
            }
            let (next, _) = batch.next(cx, !*is_last);
            if *is_last {
                stream.has_ended = true;
                wake(&mut stream.reader);
                return Poll::Ready(());
            }
            match next {
                Some(next) => (*outgoing, *is_last) = next,
                None => return Poll::Pending,
            }
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
