//! The layer under HTTP/2: a byte stream, and the identity of the peer at its other end.
//!
//! The core works over any byte stream. The modules of [`crate::transport`] provide them: they implement [`Listener`] for
//! servers and [`Connector`] for clients.

mod blocks;
mod frames;
mod gather;
mod goaway;
mod guard;
mod last;
mod peer;
mod secure;
mod timer;

pub(crate) use blocks::{HeaderBlocks, h2_limit};
pub(crate) use gather::{Gather, Outlet, gather};
pub(crate) use goaway::{MAX_AGE, MAX_IDLE};
pub(crate) use guard::{Fault, PeerLimits, Pings};
pub(crate) use last::LastFrames;
pub(crate) use peer::Phase;
pub use peer::{Address, ConnectionInfo, Peer, TlsIdentity};
pub(crate) use secure::{ClientHandshake, SecureConnector, SecureHandshake, SecureListener};
pub(crate) use timer::poll_timer;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes both ways: a socket, a TLS session, a pipe in memory.
///
/// [`Connector`] has an example.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A byte stream that is ready for HTTP/2, and the peer at its other end.
///
/// [`Connector`] has an example.
pub struct ByteStream {
    /// The byte stream; with TLS, the plaintext inside it.
    pub io: Box<dyn Io>,
    /// The peer at the other end.
    pub peer: Peer,
    /// The record of the connection's last frames, if it has a tap.
    pub witness: Option<Arc<dyn Witness>>,
}

impl ByteStream {
    /// Wraps a byte stream.
    pub fn new(io: impl Io, peer: Peer) -> ByteStream {
        ByteStream { io: Box::new(io), peer, witness: None }
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The direction of bytes, as seen from this side of the connection.
///
/// [`Sink`](crate::transport::tap::Sink) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// Written to the peer.
    Sent,
    /// Read from the peer.
    Received,
}

/// Remembers the last frames of a connection, for those of its calls that fail ([`Cause::frames`](crate::wire::Cause)).
///
/// ```
/// use std::sync::Arc;
///
/// use barewire::io::{Address, ByteStream, Peer, Witness};
///
/// /// Reports the same text for each call that fails.
/// struct Route(String);
///
/// impl Witness for Route {
///     fn last_frames(&self) -> Vec<String> {
///         vec![self.0.clone()]
///     }
/// }
///
/// let (stream, _) = tokio::io::duplex(1024);
/// let mut stream = ByteStream::new(stream, Peer::plain(Address::Memory));
/// stream.witness = Some(Arc::new(Route("through the proxy in Paris".into())));
/// ```
pub trait Witness: Send + Sync {
    /// Returns the last frames as text, newest last.
    fn last_frames(&self) -> Vec<String>;
}

/// The source of a server's connections.
///
/// Accepting returns a [`Listener::Handshake`], which the server runs on a task of its own, so that a peer with a slow handshake
/// never delays the next one.
///
/// A server of a single stream:
///
/// ```
/// use std::future::{Ready, pending, ready};
/// use std::io;
///
/// use barewire::io::{Address, ByteStream, Listener, Peer};
/// use tokio::io::DuplexStream;
///
/// struct Once(Option<DuplexStream>);
///
/// impl Listener for Once {
///     type Handshake = Ready<io::Result<ByteStream>>;
///
///     async fn accept(&mut self) -> io::Result<Self::Handshake> {
///         match self.0.take() {
///             Some(stream) => Ok(ready(Ok(ByteStream::new(stream, Peer::plain(Address::Memory))))),
///             None => pending().await,
///         }
///     }
/// }
/// ```
pub trait Listener: Send {
    /// The work left before HTTP/2 can begin: nothing, or a TLS handshake.
    type Handshake: Future<Output = std::io::Result<ByteStream>> + Send + 'static;

    /// Waits for the next peer.
    ///
    /// # Errors
    ///
    /// Errors of accepting. The server tries again after a short pause, because most of them are temporary (out of file
    /// descriptors, a peer that disconnected).
    fn accept(&mut self) -> impl Future<Output = std::io::Result<Self::Handshake>> + Send;
}

/// The source of a client's connections to its server.
///
/// A client that begins on a TCP socket with options of its own:
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
///
/// use barewire::io::{Address, ByteStream, Connector, Peer};
/// use tokio::net::TcpSocket;
///
/// struct Tuned(SocketAddr);
///
/// impl Connector for Tuned {
///     async fn connect(&self) -> io::Result<ByteStream> {
///         let socket = TcpSocket::new_v4()?;
///         socket.set_send_buffer_size(1 << 20)?;
///         let stream = socket.connect(self.0).await?;
///         stream.set_nodelay(true)?;
///         Ok(ByteStream::new(stream, Peer::plain(Address::Tcp(self.0))))
///     }
///
///     fn authority(&self) -> &str {
///         "localhost"
///     }
///
///     fn scheme(&self) -> &'static str {
///         "http"
///     }
/// }
/// ```
pub trait Connector: Send + Sync {
    /// Opens a byte stream, TLS handshake included.
    ///
    /// # Errors
    ///
    /// Any error of the transport, with a text for people.
    fn connect(&self) -> impl Future<Output = std::io::Result<ByteStream>> + Send;

    /// Returns the value of `:authority`: the server's host and port as the caller knows them.
    fn authority(&self) -> &str;

    /// Returns the value of `:scheme`: `http`, or `https` over TLS.
    fn scheme(&self) -> &'static str;
}
