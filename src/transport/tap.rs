//! A tap passes a copy of the bytes of a connection to a sink. It sits above TLS and under HTTP/2, where they are plaintext.
//!
//! [`Tap`] wraps a [`Listener`] or a [`Connector`] and opens a [`Sink`] for each connection. It forwards bytes unchanged and at
//! once; it neither splits nor joins reads and writes. A tap without a sink returns the byte stream unchanged and costs nothing.
//! With a sink, calls that fail report the connection's last frames ([`Cause::frames`](crate::wire::Cause)), including the debug
//! data of GOAWAY.
//!
//! ```no_run
//! use barewire::transport::{record::Recording, tap::TapExt, tcp};
//! # async fn example() -> Result<(), barewire::Status> {
//! let recording = Recording::with_limit(1 << 20);
//! let client = barewire::Client::connect(tcp::connect("localhost:50051").tap(recording.clone())).await?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::{ByteStream, Connector, Io, LastFrames, Listener, Peer, Transfer};

/// Receives the bytes of one connection, in the order of its reads and writes. Dropped with the connection.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use barewire::io::Transfer;
/// use barewire::transport::tap::{Sink, TapExt};
/// use barewire::transport::tcp;
///
/// #[derive(Clone, Default)]
/// struct Count {
///     sent: Arc<AtomicUsize>,
/// }
///
/// impl Sink for Count {
///     fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
///         if transfer == Transfer::Sent {
///             self.sent.fetch_add(bytes.len(), Ordering::Relaxed);
///         }
///     }
/// }
///
/// let connector = tcp::connect("localhost:50051").tap(Count::default());
/// ```
pub trait Sink: Send {
    /// Receives the bytes of one read or write, never empty. Called on the connection task, which it blocks.
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]);
}

type Open = dyn Fn(&Peer) -> Box<dyn Sink> + Send + Sync;

/// Opens a [`Sink`] for each connection, or for no connection. Cheap to clone.
///
/// ```
/// use barewire::transport::record::Recording;
/// use barewire::transport::tap::Tap;
/// use barewire::transport::tcp;
///
/// // On or off, as a flag of a program says; the type of the connector is the same.
/// let is_on = true;
/// let tap = if is_on { Tap::to(Recording::with_limit(1 << 20)) } else { Tap::none() };
/// let connector = tap.around(tcp::connect("localhost:50051"));
/// ```
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Open>>);

impl Tap {
    /// Creates a tap without a sink.
    pub fn none() -> Tap {
        Tap(None)
    }

    /// Creates a tap that calls `open` with the peer of each connection to open its sink.
    pub fn new<S: Sink + 'static>(open: impl Fn(&Peer) -> S + Send + Sync + 'static) -> Tap {
        Tap(Some(Arc::new(move |peer| Box::new(open(peer)))))
    }

    /// Creates a tap that passes each connection's bytes to a clone of `sink`.
    pub fn to<S: Sink + Clone + Sync + 'static>(sink: S) -> Tap {
        Tap::new(move |_| sink.clone())
    }

    /// Wraps a [`Listener`] or a [`Connector`].
    pub fn around<T>(&self, inner: T) -> WithTap<T> {
        WithTap { inner, tap: self.clone() }
    }

    fn connected(&self, connected: ByteStream) -> ByteStream {
        let Some(open) = &self.0 else { return connected };
        let (sink, last) = (open(&connected.peer), LastFrames::new());
        let stream = Stream { io: connected.io, sink, last: last.clone() };
        ByteStream { witness: Some(Arc::new(last)), ..ByteStream::new(stream, connected.peer) }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tap(on)" } else { "Tap(off)" })
    }
}

/// Adds the method `.tap(sink)` to every [`Listener`] and [`Connector`].
///
/// [`Sink`] has an example.
pub trait TapExt: Sized {
    /// Wraps it in a tap that passes each connection's bytes to a clone of `sink`, as with [`Tap::to`].
    fn tap<S: Sink + Clone + Sync + 'static>(self, sink: S) -> WithTap<Self> {
        Tap::to(sink).around(self)
    }
}

impl<T> TapExt for T {}

/// A [`Listener`] or a [`Connector`] with a [`Tap`] around it.
///
/// [`Tap`] has an example.
#[derive(Clone, Debug)]
#[must_use = "a tap does nothing until a server or a client uses what it wraps"]
pub struct WithTap<T> {
    inner: T,
    tap: Tap,
}

impl<L: Listener> Listener for WithTap<L> {
    type Handshake = Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        let handshake = self.inner.accept().await?;
        let tap = self.tap.clone();
        Ok(Box::pin(async move { Ok(tap.connected(handshake.await?)) }))
    }
}

impl<C: Connector> Connector for WithTap<C> {
    async fn connect(&self) -> io::Result<ByteStream> {
        Ok(self.tap.connected(self.inner.connect().await?))
    }

    fn authority(&self) -> &str {
        self.inner.authority()
    }

    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }
}

/// A byte stream with a sink.
struct Stream {
    io: Box<dyn Io>,
    sink: Box<dyn Sink>,
    /// The last frames, for calls that fail.
    last: LastFrames,
}

impl Stream {
    fn passed(&mut self, transfer: Transfer, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.last.passed(transfer, bytes);
            self.sink.passed(transfer, bytes);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.passed(Transfer::Received, buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.passed(Transfer::Sent, buf.get(..written).unwrap_or(buf));
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let passed = buf.get(..left.min(buf.len())).unwrap_or_default();
            left -= passed.len();
            self.passed(Transfer::Sent, passed);
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::io::Address;
    use crate::transport::record::{Entry, Recording};

    fn sent(bytes: &[u8]) -> Entry {
        Entry { transfer: Transfer::Sent, bytes: bytes.to_vec() }
    }

    fn received(bytes: &[u8]) -> Entry {
        Entry { transfer: Transfer::Received, bytes: bytes.to_vec() }
    }

    fn tapped(io: impl Io, recording: &Recording) -> Box<dyn Io> {
        Tap::to(recording.clone()).connected(ByteStream::new(io, Peer::plain(Address::Memory))).io
    }

    #[tokio::test]
    async fn both_directions_are_recorded_in_the_order_of_completion() {
        let (near, mut far) = tokio::io::duplex(64);
        let recording = Recording::with_limit(1024);
        let mut near = tapped(near, &recording);
        near.write_all(b"ping").await.unwrap();
        far.write_all(b"pong").await.unwrap();
        let mut answer = [0; 4];
        near.read_exact(&mut answer).await.unwrap();
        near.write_all(b"bye").await.unwrap();
        assert_eq!(&answer, b"pong");
        assert_eq!(recording.entries(), [sent(b"ping"), received(b"pong"), sent(b"bye")]);
        assert!(!recording.is_full());
    }

    #[tokio::test]
    async fn vectored_write_records_only_the_accepted_bytes() {
        let recording = Recording::with_limit(1024);
        let mut io = tapped(Short { most: 5 }, &recording);
        assert!(io.is_write_vectored());
        let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg"), IoSlice::new(b"h")];
        assert_eq!(io.write_vectored(&bufs).await.unwrap(), 5);
        assert_eq!(recording.entries(), [sent(b"abc"), sent(b"de")]);
    }

    #[tokio::test]
    async fn end_of_stream_and_empty_writes_are_not_recorded() {
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let recording = Recording::with_limit(1024);
        assert_eq!(tapped(near, &recording).read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(tapped(Short { most: 5 }, &recording).write(b"").await.unwrap(), 0);
        assert!(recording.is_empty());
    }

    /// A writer that accepts at most `most` bytes of a write, as a socket may.
    struct Short {
        most: usize,
    }

    impl AsyncRead for Short {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Short {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len().min(self.most)))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum::<usize>().min(self.most)))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
