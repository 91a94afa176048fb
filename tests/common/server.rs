//! Our server with the test service, our client, and connections between them and a raw peer.

use std::io;

use barewire::io::ByteStream;
use barewire::{Client, ClientOptions, Server, ServerOptions, Status};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::peer::RawPeer;
use super::pipe::{PipeConnector, PipeListener, Writes, connected, pipe};
use super::service::{Probe, service};
use super::soon;

/// A running server, and the probe of its service.
pub struct TestServer {
    pub probe: Probe,
    pub arrivals: mpsc::UnboundedSender<ByteStream>,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    /// Starts a server with other options than the defaults.
    pub fn with(change: impl FnOnce(&mut ServerOptions)) -> TestServer {
        TestServer::built(|server| {
            let mut options = ServerOptions::default();
            change(&mut options);
            server.with_options(options)
        })
    }

    /// Starts a server that was changed by a function.
    pub fn built(change: impl FnOnce(Server) -> Server) -> TestServer {
        let (router, probe) = service();
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let (shutdown, signal) = oneshot::channel::<()>();
        let server = change(Server::new(router));
        let serving = tokio::spawn(server.serve_until(PipeListener(incoming), async {
            // If the sender is dropped, the server runs for ever.
            if signal.await.is_err() {
                std::future::pending().await
            }
        }));
        TestServer { probe, arrivals, shutdown, serving }
    }

    /// Opens a connection without sending anything, and returns it with the record of the server's writes.
    pub fn dial(&self) -> (DuplexStream, Writes) {
        let (near, far) = pipe();
        let writes = near.writes.clone();
        self.arrivals.send(connected(near)).expect("the server listens");
        (far, writes)
    }

    /// Connects a raw client, ready for calls.
    pub async fn connect(&self) -> RawPeer {
        self.connect_with([]).await
    }

    /// Connects a raw client with these SETTINGS.
    pub async fn connect_with<const N: usize>(&self, settings: [(u16, u32); N]) -> RawPeer {
        RawPeer::client(self.dial().0, settings).await
    }

    /// Connects our client.
    pub async fn client(&self) -> Client {
        let connecting = Client::connect(PipeConnector::new(self.dial().0));
        soon("the connection", connecting).await.expect("it connects")
    }

    /// Shuts the server down, and returns its result.
    pub fn shut_down(self) -> (Probe, JoinHandle<io::Result<()>>) {
        self.shutdown.send(()).expect("the server runs");
        (self.probe, self.serving)
    }
}

/// Connects our client to a raw server.
pub async fn client_and_raw_server() -> (Client, RawPeer) {
    client_with(|_| {}, []).await
}

/// Connects our client with changed options to a raw server with these SETTINGS.
pub async fn client_with<const N: usize>(
    change: impl FnOnce(&mut ClientOptions),
    settings: [(u16, u32); N],
) -> (Client, RawPeer) {
    let (client, server, _) = client_recorded(change, settings).await;
    (client.expect("it connects"), server)
}

/// Like [`client_with`], for a client that may fail to connect. Also returns a record of its writes.
pub async fn client_recorded<const N: usize>(
    change: impl FnOnce(&mut ClientOptions),
    settings: [(u16, u32); N],
) -> (Result<Client, Status>, RawPeer, Writes) {
    let mut options = ClientOptions::default();
    change(&mut options);
    let (near, far) = pipe();
    let writes = near.writes.clone();
    let connecting = Client::connect_with(PipeConnector::new(near), options);
    let both = async { tokio::join!(connecting, RawPeer::server(far, settings)) };
    let (client, server) = soon("the connection", both).await;
    (client, server, writes)
}
