//! The other end of a connection, and the connection as the application sees it.

use std::fmt;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::Extensions;
use tokio::sync::watch;

/// The other end of a connection.
///
/// ```
/// use barewire::io::{Address, Peer};
///
/// let peer = Peer::plain(Address::Tcp(([192, 0, 2, 1], 4711).into()));
/// assert_eq!(peer.address.to_string(), "192.0.2.1:4711");
/// assert!(peer.tls.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: Address,
    /// Its identity from the TLS handshake; `None` without TLS.
    pub tls: Option<Arc<TlsIdentity>>,
}

impl Peer {
    /// Creates a peer without TLS.
    pub fn plain(address: Address) -> Peer {
        Peer { address, tls: None }
    }
}

/// The address of a peer.
///
/// Its text is `host:port`, `unix:path`, `unix-abstract:name`, or `memory`:
///
/// ```
/// use barewire::io::Address;
///
/// assert_eq!(Address::Unix(Some("/run/a.sock".into())).to_string(), "unix:/run/a.sock");
/// assert_eq!(Address::UnixAbstract("a".into()).to_string(), "unix-abstract:a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix socket and its path; `None` for most clients, whose sockets have no path.
    Unix(Option<PathBuf>),
    /// A Unix socket with a name in the abstract namespace of Linux.
    UnixAbstract(Bytes),
    /// A stream within this process.
    Memory,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Address::Unix(None) => f.write_str("unix:"),
            Address::UnixAbstract(name) => write!(f, "unix-abstract:{}", name.escape_ascii()),
            Address::Memory => f.write_str("memory"),
        }
    }
}

/// The results of a TLS handshake.
///
/// A handler of callers with certificates:
///
/// ```
/// use barewire::{Request, Status};
///
/// async fn admin(_: &(), request: Request<String>) -> Result<String, Status> {
///     let tls = request.peer().tls.as_ref().ok_or_else(|| Status::unauthenticated("use TLS"))?;
///     let certificate = tls.certificates.first().ok_or_else(|| Status::unauthenticated("no certificate"))?;
///     Ok(format!("{} bytes of DER over {}", certificate.len(), tls.version))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The peer's verified certificates, each in DER, its own first; empty if it presented none.
    pub certificates: Vec<Bytes>,
    /// The server name that the client requested (SNI); set on servers only.
    pub server_name: Option<String>,
    /// The version of TLS, `TLSv1_3` for example.
    pub version: String,
    /// The name of the cipher suite.
    pub cipher_suite: String,
}

/// A connection: its number in this process, its peer, and values that the application has attached to it.
///
/// A hook of the server may attach values before the first call; see [`Server::on_accept`](crate::Server::on_accept). All
/// calls of the connection see them.
///
/// ```
/// use barewire::io::{Address, ConnectionInfo, Peer};
///
/// let mut connection = ConnectionInfo::new(Peer::plain(Address::Memory));
/// connection.extensions_mut().insert("blue");
/// assert_eq!(connection.extensions().get(), Some(&"blue"));
/// assert_ne!(connection.id(), ConnectionInfo::default().id());
/// ```
pub struct ConnectionInfo {
    id: u64,
    peer: Peer,
    extensions: Extensions,
    /// The phase of the server; `None` on a client.
    phase: Option<watch::Receiver<Phase>>,
}

/// The phase of a server's life, which all its connections share; it only advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new calls are accepted; calls in progress go on.
    Draining,
    /// Calls still in progress end with UNAVAILABLE.
    Cut,
}

impl ConnectionInfo {
    /// Creates the description of a new connection. Its number is one that no other connection of this process has had.
    pub fn new(peer: Peer) -> ConnectionInfo {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ConnectionInfo { id: NEXT.fetch_add(1, Ordering::Relaxed), peer, extensions: Extensions::new(), phase: None }
    }

    /// Lets the handlers of this connection see the server's phase.
    pub(crate) fn with_phase(mut self, phase: watch::Receiver<Phase>) -> ConnectionInfo {
        self.phase = Some(phase);
        self
    }

    /// Returns the number of the connection in this process, from 1.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the peer's address, and its certificates if it uses TLS.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the values that the application has attached, by their types.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns the attached values for changes.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Returns a future that is ready once the server shuts down. A handler whose call has no end of its own, such as one that
    /// sends changes, ends its call then: the server waits for it, up to
    /// [`ServerOptions::shutdown_timeout`](crate::ServerOptions::shutdown_timeout). Never ready on a client.
    ///
    /// ```
    /// use barewire::{Outbound, Request, Status};
    /// use std::time::Duration;
    ///
    /// async fn ticks(request: Request<()>, mut out: Outbound<()>) -> Result<(), Status> {
    ///     let mut draining = std::pin::pin!(request.context().connection().draining());
    ///     loop {
    ///         out.send(()).await?;
    ///         if tokio::time::timeout(Duration::from_secs(1), draining.as_mut()).await.is_ok() {
    ///             return Err(Status::unavailable("the server is shutting down"));
    ///         }
    ///     }
    /// }
    /// ```
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let phase = self.phase.clone();
        async {
            let Some(mut phase) = phase else { return pending().await };
            if phase.wait_for(|phase| *phase >= Phase::Draining).await.is_err() {
                // The server was dropped, and its connections with it.
                pending::<()>().await;
            }
        }
    }
}

impl Default for ConnectionInfo {
    /// A connection within this process.
    fn default() -> ConnectionInfo {
        ConnectionInfo::new(Peer::plain(Address::Memory))
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfo").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}
