//! Byte streams within one process: for tests, and for a client and a server in the same process.
//!
//! They use neither sockets nor the clock, so that a runtime with a paused clock runs both ends until they wait.

use std::future::{Ready, pending, ready};
use std::io;

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::io::{Address, ByteStream, Connector, Listener, Peer};

/// Size of the buffer of each direction of a connection, in bytes.
pub const BUFFER: usize = 64 << 10;

/// Number of connections that wait to be accepted; beyond it, connecting waits.
const BACKLOG: usize = 16;

/// Creates a listener and the connector to it.
///
/// ```
/// use barewire::{Client, Router, Server, transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), barewire::Status> {
/// let (listener, connector) = transport::memory::pair();
/// tokio::spawn(Server::new(Router::new(())).serve(listener));
/// let client = Client::connect(connector).await?;
/// # Ok(())
/// # }
/// ```
pub fn pair() -> (MemoryListener, MemoryConnector) {
    let (connecting, connections) = mpsc::channel(BACKLOG);
    (MemoryListener { connections }, MemoryConnector { connecting })
}

/// A listener for clients in the same process.
///
/// [`pair`] has an example.
#[derive(Debug)]
pub struct MemoryListener {
    connections: mpsc::Receiver<DuplexStream>,
}

impl Listener for MemoryListener {
    type Handshake = Ready<io::Result<ByteStream>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        match self.connections.recv().await {
            Some(io) => Ok(ready(Ok(ByteStream::new(io, Peer::plain(Address::Memory))))),
            // All connectors were dropped, so nothing can connect any more.
            None => pending().await,
        }
    }
}

/// A connector to the listener of the same [`pair`]. The `:authority` of its calls is `localhost`.
///
/// [`pair`] has an example.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    connecting: mpsc::Sender<DuplexStream>,
}

impl Connector for MemoryConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let (near, far) = tokio::io::duplex(BUFFER);
        let refused = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the in-memory listener was dropped");
        self.connecting.send(far).await.map_err(refused)?;
        Ok(ByteStream::new(near, Peer::plain(Address::Memory)))
    }

    fn authority(&self) -> &str {
        "localhost"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_both_ways() {
        let (mut listener, connector) = pair();
        let mut near = connector.connect().await.unwrap();
        let mut far = listener.accept().await.unwrap().await.unwrap();
        near.io.write_all(b"ping").await.unwrap();
        far.io.write_all(b"pong").await.unwrap();
        let (mut ping, mut pong) = ([0; 4], [0; 4]);
        far.io.read_exact(&mut ping).await.unwrap();
        near.io.read_exact(&mut pong).await.unwrap();
        assert_eq!((&ping, &pong), (b"ping", b"pong"));
    }

    #[tokio::test]
    async fn dropped_listener_refuses_connections() {
        let (listener, connector) = pair();
        drop(listener);
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
