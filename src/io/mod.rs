//! What lies under HTTP/2: a stream of bytes, and what is known of the peer at its other end.
//!
//! The core takes any byte stream; where it comes from is a matter of [`crate::transport`], which implements
//! [`Listener`] for servers and [`Connector`] for clients.

mod blocks;
mod frames;
mod gather;
mod guard;
mod last;

pub(crate) use blocks::{HeaderBlocks, h2_limit};
pub(crate) use gather::{Gather, Outlet, gather};
pub(crate) use guard::{Fault, PeerLimits, Pings};
pub(crate) use last::LastFrames;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes both ways: a socket, a TLS session, a pipe in memory.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A byte stream that is ready for HTTP/2, and who is at its other end.
pub struct Connected {
    /// The bytes; inside TLS where there is TLS.
    pub io: Box<dyn Io>,
    /// The other end.
    pub peer: Peer,
    /// Who knows what frames have passed, if somebody listens.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Connected {
    /// Wraps a byte stream.
    pub fn new(io: impl Io, peer: Peer) -> Connected {
        Connected { io: Box::new(io), peer, witness: None }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Tells whether bytes were written or read, seen from the side that has the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// Written to the peer.
    Sent,
    /// Read from the peer.
    Received,
}

/// Remembers the last frames of a connection, for those of its calls that fail ([`Cause::frames`](crate::wire::Cause)).
pub trait Witness: Send + Sync {
    /// They in words, the newest at the end.
    fn last_frames(&self) -> Vec<String>;
}

/// Where a server's connections come from.
///
/// Accepting gives a [`Listener::Handshake`] that the server runs on a task of the connection's own, so that a peer which is
/// slow to shake hands never holds up the next.
pub trait Listener: Send {
    /// What is left to do before HTTP/2 can begin: nothing, or a TLS handshake.
    type Handshake: Future<Output = std::io::Result<Connected>> + Send + 'static;

    /// Waits for the next peer.
    ///
    /// # Errors
    ///
    /// Errors of accepting. The server tries again after a moment, since most of them pass (no descriptor left, a peer that
    /// went away).
    fn accept(&mut self) -> impl Future<Output = std::io::Result<Self::Handshake>> + Send;
}

/// How a client reaches its server.
pub trait Connector: Send + Sync {
    /// Opens a byte stream, TLS handshake included.
    ///
    /// # Errors
    ///
    /// Whatever the transport can't do, in words for a person.
    fn connect(&self) -> impl Future<Output = std::io::Result<Connected>> + Send;

    /// The value of `:authority`: host and port of the server as the caller knows it.
    fn authority(&self) -> &str;

    /// The value of `:scheme`: `http`, or `https` inside TLS.
    fn scheme(&self) -> &'static str;
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: Address,
    /// What the TLS handshake showed of it; `None` without TLS.
    pub tls: Option<Arc<TlsIdentity>>,
}

impl Peer {
    /// A peer without TLS.
    pub fn plain(address: Address) -> Peer {
        Peer { address, tls: None }
    }
}

/// The address of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix socket; clients mostly have no name of their own.
    Unix(Option<PathBuf>),
    /// The same process.
    Memory,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Address::Unix(None) => f.write_str("unix:"),
            Address::Memory => f.write_str("memory"),
        }
    }
}

/// What a TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificates that the peer presented and that were verified, its own first, each in DER; empty where it showed
    /// none.
    pub certificates: Vec<Bytes>,
    /// The name the client asked for (SNI), as a server sees it.
    pub server_name: Option<String>,
    /// The version of TLS, `TLSv1_3` for example.
    pub version: String,
    /// The cipher suite.
    pub cipher_suite: String,
}
