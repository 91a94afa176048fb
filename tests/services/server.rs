//! A server of any routes over pipes in memory.

use std::io;

use barewire::io::ByteStream;
use barewire::server::Routes;
use barewire::{Client, Server};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::common::frames::INITIAL_WINDOW_SIZE;
use crate::common::peer::RawPeer;
use crate::common::pipe::{PipeConnector, PipeListener, connected, pipe};
use crate::common::soon;

pub struct Running {
    arrivals: mpsc::UnboundedSender<ByteStream>,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    pub fn start(routes: impl Into<Routes>) -> Running {
        let (arrivals, incoming) = mpsc::unbounded_channel();
        let (shutdown, signal) = oneshot::channel::<()>();
        let server = Server::new(routes);
        let serving = tokio::spawn(server.serve_until(PipeListener(incoming), async {
            signal.await.expect("the test shuts the server down or ends");
        }));
        Running { arrivals, shutdown, serving }
    }

    /// Connects our client.
    pub async fn client(&self) -> Client {
        let (near, far) = pipe();
        self.arrivals.send(connected(near)).expect("the server listens");
        soon("the connection", Client::connect(PipeConnector::new(far))).await.expect("it connects")
    }

    /// Connects a raw client that grants no window to new streams.
    pub async fn client_without_window(&self) -> RawPeer {
        let (near, far) = pipe();
        self.arrivals.send(connected(near)).expect("the server listens");
        RawPeer::client(far, [(INITIAL_WINDOW_SIZE, 0)]).await
    }

    /// Shuts the server down, and returns once it has ended.
    pub async fn shut_down(self) {
        self.shutdown.send(()).expect("the server runs");
        soon("the end", self.serving).await.expect("no panic").expect("no error");
    }
}
