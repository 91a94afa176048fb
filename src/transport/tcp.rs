//! TCP, with Nagle's algorithm off: h2 writes whole frames, and a small one must not wait for the previous acknowledgement.
//!
//! An address is `host:port`. A port alone means the loopback interface. `:port` means the loopback interface for a client and
//! all interfaces for a server, as in Go.
//!
//! Implements `http://` URIs with prior knowledge of HTTP/2 (RFC 9113 section 3.3); wrap it in `transport::tls` for `https`.

use std::borrow::Cow;
use std::future::{Ready, ready};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};

use crate::io::{Address, ByteStream, Connector, Listener, Peer};

/// Listens on `address`, which is `host:port`. Port 0 means a free port, `:port` all interfaces, and `port` alone 127.0.0.1.
///
/// If a name has several addresses, listens on its first IPv4 address, or on its first address if it has no IPv4 address. It
/// never tries a second one, so that a server does not listen on `[::1]` by accident because the port is taken on `127.0.0.1`.
/// IPv6 addresses need brackets: `[::]:50051`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = barewire::transport::tcp::listen("127.0.0.1:0").await?;
/// assert_ne!(listener.local_addr()?.port(), 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A name that can't be resolved, a port that is in use or not permitted; the text contains the address.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    let can_not = |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"));
    let socket = match address.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => everywhere(port).await,
        _ => {
            let candidates = resolve(&with_host(address, "127.0.0.1")).await.map_err(can_not)?;
            let first_v4 = candidates.iter().find(|address| address.is_ipv4()).or(candidates.first());
            tokio::net::TcpListener::bind(first_v4.ok_or_else(|| can_not(no_address()))?).await
        }
    };
    Ok(TcpListener { socket: socket.map_err(can_not)? })
}

/// Listens on all interfaces: by IPv6, which includes IPv4, or by IPv4 alone if the system has no IPv6.
async fn everywhere(port: u16) -> io::Result<tokio::net::TcpListener> {
    match tokio::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// Connects to the server at `address`, which is `host:port` and becomes the `:authority` of calls; `:port` and `port` mean
/// localhost.
///
/// ```no_run
/// # async fn example() -> Result<(), barewire::Status> {
/// let client = barewire::Client::connect(barewire::transport::tcp::connect("localhost:50051")).await?;
/// # Ok(())
/// # }
/// ```
pub fn connect(address: impl Into<String>) -> TcpConnector {
    TcpConnector { address: with_host(&address.into(), "localhost").into_owned() }
}

/// Returns the address, with `host` before it if it is a port alone.
fn with_host<'a>(address: &'a str, host: &str) -> Cow<'a, str> {
    let port = address.strip_prefix(':').unwrap_or(address);
    match !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{host}:{port}").into(),
        false => address.into(),
    }
}

/// A listening TCP socket: from a socket that exists already, or from [`listen`], which has an example.
#[derive(Debug)]
pub struct TcpListener {
    socket: tokio::net::TcpListener,
}

impl TcpListener {
    /// Returns the address that it listens on, with the port that the system chose for port 0.
    ///
    /// # Errors
    ///
    /// Those of `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts the next client and returns its socket and its address. An IPv4 address mapped to IPv6 is returned as IPv4.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub async fn accept_socket(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.socket.accept().await?;
        Ok((stream, SocketAddr::new(address.ip().to_canonical(), address.port())))
    }
}

/// Takes over a socket that was bound elsewhere: by the service manager, or with options that [`listen`] does not set.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use barewire::Server;
/// use barewire::transport::tcp::TcpListener;
///
/// let socket = tokio::net::TcpListener::bind("127.0.0.1:50051").await?;
/// Server::builder().serve(router, TcpListener::from(socket)).await
/// # }
/// ```
impl From<tokio::net::TcpListener> for TcpListener {
    fn from(socket: tokio::net::TcpListener) -> TcpListener {
        TcpListener { socket }
    }
}

/// Takes over a listening socket of the standard library, and makes it non-blocking. Must be called within a tokio runtime.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use barewire::Server;
/// use barewire::transport::tcp::TcpListener;
///
/// let socket = std::net::TcpListener::bind("127.0.0.1:50051")?;
/// Server::builder().serve(router, TcpListener::try_from(socket)?).await
/// # }
/// ```
///
/// # Errors
///
/// Those of the system for making it non-blocking and for registering it with the runtime.
impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    fn try_from(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        Ok(TcpListener { socket: tokio::net::TcpListener::from_std(socket)? })
    }
}

impl Listener for TcpListener {
    type Handshake = Ready<io::Result<ByteStream>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        let (stream, address) = self.accept_socket().await?;
        Ok(ready(connected(stream, address)))
    }
}

/// A connector to a server over TCP.
///
/// [`connect`] has an example.
#[derive(Clone, Debug)]
#[must_use = "a connector connects only when a client uses it"]
pub struct TcpConnector {
    address: String,
}

impl TcpConnector {
    /// Connects a socket and returns it with its address. Tries the addresses of the name one after the other, in the order in
    /// which the system returns them.
    ///
    /// # Errors
    ///
    /// A name that can't be resolved, or the error of each of its addresses.
    pub async fn open(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.address));
        let mut failed = String::new();
        let mut kind = io::ErrorKind::NotFound;
        for address in resolve(&self.address).await.map_err(named)? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok((stream, address));
                }
                Err(error) => {
                    kind = error.kind();
                    let comma = if failed.is_empty() { "" } else { ", " };
                    failed.push_str(&format!("{comma}{address}: {error}"));
                }
            }
        }
        match failed.is_empty() {
            true => Err(named(no_address())),
            false => Err(io::Error::new(kind, failed)),
        }
    }
}

impl Connector for TcpConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let (stream, address) = self.open().await?;
        Ok(ByteStream::new(stream, Peer::plain(Address::Tcp(address))))
    }

    fn authority(&self) -> &str {
        &self.address
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

fn connected(stream: TcpStream, address: SocketAddr) -> io::Result<ByteStream> {
    stream.set_nodelay(true)?;
    Ok(ByteStream::new(stream, Peer::plain(Address::Tcp(address))))
}

async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let port = address.rsplit_once(':').map(|(_, port)| port);
    if port.is_none_or(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "missing or invalid port: use host:port"));
    }
    Ok(lookup_host(address).await?.collect())
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no IP address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sides_know_the_peer_address_and_disable_nagle() {
        let mut listener = listen("localhost:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv4(), "a name with both is listened on by IPv4");
        let connector = connect(address.to_string());
        let (near, far) = tokio::join!(connector.connect(), async { listener.accept().await.unwrap().await });
        assert_eq!(near.unwrap().peer.address, Address::Tcp(address));
        let Address::Tcp(client) = far.unwrap().peer.address else { panic!("not TCP") };
        assert_eq!(client.ip(), address.ip());
        assert_eq!((connector.authority(), connector.scheme()), (&*address.to_string(), "http"));
    }

    #[tokio::test]
    async fn errors_name_the_address() {
        let taken = listen("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = connect(taken.to_string()).connect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("{taken}: ")), "{error}");

        let keeper = listen("127.0.0.1:0").await.unwrap();
        let taken = keeper.local_addr().unwrap().to_string();
        let error = listen(&taken).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("can't listen on {taken}: ")), "{error}");

        for bad in ["localhost", "localhost:", "localhost:http"] {
            let error = connect(bad).connect().await.unwrap_err();
            assert_eq!(error.to_string(), format!("{bad}: missing or invalid port: use host:port"));
        }
    }

    #[tokio::test]
    async fn port_means_localhost_and_colon_port_means_every_interface() {
        let mut everywhere = listen(":0").await.unwrap();
        let address = everywhere.local_addr().unwrap();
        assert!(address.ip().is_unspecified(), "{address}");
        for client in
            [address.port().to_string(), format!(":{}", address.port()), format!("127.0.0.1:{}", address.port())]
        {
            let connector = connect(&*client);
            assert_eq!(connector.authority().starts_with("localhost:"), !client.starts_with("127"), "{client}");
            let (near, far) = tokio::join!(connector.connect(), async { everywhere.accept().await.unwrap().await });
            let Address::Tcp(seen) = far.unwrap().peer.address else { panic!("not TCP") };
            assert!(near.is_ok() && seen.ip().is_loopback(), "{seen}");
        }
        assert!(listen("0").await.unwrap().local_addr().unwrap().ip().is_loopback());
        let port = address.port().to_string();
        assert_eq!(listen(&format!(":{port}")).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let error = listen(":65536").await.unwrap_err().to_string();
        assert!(error.starts_with("can't listen on :65536: "), "{error}");
    }

    #[tokio::test]
    async fn existing_sockets_are_listened_on() {
        let blocking = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let asynchronous = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        for mut listener in [TcpListener::try_from(blocking).unwrap(), TcpListener::from(asynchronous)] {
            let connector = connect(listener.local_addr().unwrap().to_string());
            // A socket that still blocks would stop the only thread before anything connects.
            let (far, near) = tokio::join!(async { listener.accept().await.unwrap().await }, connector.connect());
            assert!(near.is_ok() && far.is_ok());
        }
    }

    #[tokio::test]
    async fn every_address_of_a_host_name_is_tried() {
        let mut listener = listen("127.0.0.1:0").await.unwrap();
        // Where localhost is ::1 as well, that is tried in vain before or after.
        let connector = connect(format!("localhost:{}", listener.local_addr().unwrap().port()));
        let (near, far) = tokio::join!(connector.connect(), async { listener.accept().await.unwrap().await });
        assert!(near.is_ok() && far.is_ok());
    }
}
