//! The server: where it listens, what it serves, which limits it has, and how it ends.
//!
//! Read on in [`connection`](self) (`connection.rs`, one connection), `call.rs` (one call), `router.rs` and `methods.rs`
//! (from path to handler).

mod call;
mod connection;
mod methods;
mod router;

pub use methods::{Handler, StreamingHandler};
pub use router::{Router, Routes};

use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::call::Compressors;
use crate::call::compress::{Packing, Sizes};
use crate::io::Listener;
use crate::limits::{
    ACCEPT_PAUSE, CONNECTION_WINDOW, CUT_PATIENCE, HANDSHAKE_TIMEOUT, KEEPALIVE_TIME, MAX_CONCURRENT_STREAMS,
    MAX_CONNECTION_MEMORY, MAX_METADATA_SIZE, MAX_RECEIVE_MESSAGE_SIZE, MIN_PING_INTERVAL, PEER_TIMEOUT,
    SHUTDOWN_TIMEOUT, STREAM_WINDOW,
};
use crate::wire::encoding::{Encoding, EncodingSet};

/// The limits of a server, and how long it waits for what. Each applies to one connection or one call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The largest message a client may send, in bytes; beyond it the call is RESOURCE_EXHAUSTED. 4 MiB by default.
    pub max_receive_message_size: usize,
    /// The largest message a handler may send, in bytes. Unlimited by default.
    pub max_send_message_size: usize,
    /// The size of the metadata of a request, in bytes as RFC 9113 section 6.5.2 counts them (name + value + 32 each); beyond
    /// it the call is RESOURCE_EXHAUSTED, beyond three times as much HTTP 431. Clients are told; they may have 512 fields at
    /// most, besides. 64 KiB by default.
    pub max_metadata_size: u32,
    /// How many calls a connection may have in progress. 1,000 by default.
    pub max_concurrent_streams: u32,
    /// The flow-control window of a stream, in bytes: how much a client may send that no handler has taken. 1 MiB by default.
    pub stream_window: u32,
    /// The flow-control window of a connection, in bytes: how much all its streams together may hold that no handler has
    /// taken. 16 MiB by default, so that sixteen handlers that stopped reading still hold nobody up.
    pub connection_window: u32,
    /// What the calls of a connection may make the server hold beside what the client sent, in bytes: answers that wait for the
    /// client's windows, messages that grew when they were restored and decoded, metadata. Calls that want more wait; where
    /// nothing is given back for [`ServerOptions::peer_timeout`], they end with RESOURCE_EXHAUSTED. One message on its way in
    /// and one on its way out may always be held, whatever their size. 16 MiB by default.
    pub max_connection_memory: usize,
    /// What restores compressed messages and compresses answers. None by default: compressed requests are UNIMPLEMENTED.
    pub compressors: Compressors,
    /// What answers are compressed with, where the client takes it and the handler does not choose. Nothing by default.
    pub encoding: Option<Encoding>,
    /// Messages shorter than this, in bytes, are not compressed. 0 by default.
    pub min_compress_size: usize,
    /// How long a handler may keep its connection's task busy in one go. A method that took longer repeatedly has its calls run
    /// on tasks of their own from the start, so that it holds up no neighbour. 1 ms by default.
    pub inline_limit: Duration,
    /// How long a client may take to begin: TLS, HTTP/2's preface and its SETTINGS together. 20 s by default.
    pub handshake_timeout: Duration,
    /// How long a client may take over what HTTP/2 has it do at once: end a frame or a header block that it has begun,
    /// acknowledge SETTINGS and PING, take from its socket some of what is there. Beyond it the connection ends. Windows that
    /// it does not open and messages that it does not go on with count for nothing. 20 s by default.
    pub peer_timeout: Duration,
    /// After so long without a byte from the client it is asked by PING whether it is there (gRFC A9, keepalive), and has
    /// [`ServerOptions::peer_timeout`] to answer. 2 hours by default.
    pub keepalive_time: Duration,
    /// How often a client may send PINGs while it has calls; without any, every 2 hours. More than two too soon, and the
    /// connection ends with GOAWAY ENHANCE_YOUR_CALM, `too_many_pings` (gRFC A8). Zero allows any number. 5 minutes by default.
    pub min_ping_interval: Duration,
    /// How long calls in progress may go on when the server shuts down; the rest ends with UNAVAILABLE. 10 s by default.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_send_message_size: usize::MAX,
            max_metadata_size: MAX_METADATA_SIZE,
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
            max_connection_memory: MAX_CONNECTION_MEMORY,
            compressors: Compressors::none(),
            encoding: None,
            min_compress_size: 0,
            inline_limit: Duration::from_millis(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            peer_timeout: PEER_TIMEOUT,
            keepalive_time: KEEPALIVE_TIME,
            min_ping_interval: MIN_PING_INTERVAL,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }
}

/// A server of gRPC.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use barewire::{Server, transport};
///
/// let listener = transport::tcp::listen("127.0.0.1:50051").await?;
/// Server::new(router).serve(listener).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    routes: Routes,
    options: ServerOptions,
}

impl Server {
    /// A server with default options.
    pub fn new(routes: impl Into<Routes>) -> Server {
        Server { routes: routes.into(), options: ServerOptions::default() }
    }

    /// Replaces the options.
    #[must_use]
    pub fn with_options(mut self, options: ServerOptions) -> Server {
        self.options = options;
        self
    }

    /// Serves until the task is dropped, which ends all connections at once.
    pub async fn serve(self, listener: impl Listener) -> io::Result<()> {
        self.serve_until(listener, pending()).await
    }

    /// Serves until `shutdown` is ready, and then ends gracefully: no connection is accepted any more, clients are told by
    /// GOAWAY to go elsewhere, calls in progress go on to their end; after [`ServerOptions::shutdown_timeout`] those left are
    /// ended with UNAVAILABLE.
    ///
    /// # Errors
    ///
    /// None at the moment: errors of accepting pass, and are tried again.
    pub async fn serve_until(self, mut listener: impl Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let (phases, phase) = watch::channel(Phase::Serving);
        let shared = Arc::new(Shared::new(self.routes, self.options, phase));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        while let Some(accepted) = until(shutdown.as_mut(), listener.accept()).await {
            match accepted {
                Ok(handshake) => {
                    connections.spawn(connect(handshake, shared.clone()));
                }
                // A peer that has gone before it was accepted says nothing about the next.
                Err(error) if is_of_one_peer(&error) => {}
                Err(_) => {
                    let pause = tokio::time::sleep(ACCEPT_PAUSE);
                    if until(shutdown.as_mut(), pause).await.is_none() {
                        break;
                    }
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        phases.send_replace(Phase::Draining);
        let patience = shared.options.shutdown_timeout;
        if tokio::time::timeout(patience, join_all(&mut connections)).await.is_err() {
            phases.send_replace(Phase::Cut);
            // Long enough for trailers to leave; a peer that does not even take those is left behind.
            let _: Result<(), _> = tokio::time::timeout(CUT_PATIENCE, join_all(&mut connections)).await;
        }
        Ok(())
    }
}

/// Whether an error of accepting concerns the peer that would have been accepted and nobody else.
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn join_all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Finishes what the transport has begun, in bounded time, and serves the connection.
async fn connect<H>(handshake: H, shared: Arc<Shared>)
where
    H: Future<Output = io::Result<crate::io::Connected>>,
{
    let patience = shared.options.handshake_timeout;
    let greeting = Instant::now().checked_add(patience);
    let mut draining = Box::pin(shared.draining());
    let connected = until(draining.as_mut(), tokio::time::timeout(patience, handshake)).await;
    if let Some(Ok(Ok(connected))) = connected {
        drop(draining);
        connection::serve(connected, shared, greeting).await;
    }
}

/// The output of a future, or `None` if `stop` is ready first.
async fn until<F: Future>(mut stop: Pin<&mut impl Future<Output = ()>>, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

/// What all connections of a server share.
struct Shared {
    routes: Routes,
    options: ServerOptions,
    sizes: Arc<Sizes>,
    /// Those of the compressors, and identity.
    encodings: EncodingSet,
    phase: watch::Receiver<Phase>,
}

/// Where a server is in its life; it only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new calls; those in progress go on.
    Draining,
    /// Calls in progress end.
    Cut,
}

impl Shared {
    fn new(routes: Routes, options: ServerOptions, phase: watch::Receiver<Phase>) -> Shared {
        let sizes = Arc::new(Sizes {
            limit: options.max_send_message_size,
            min_size: options.min_compress_size,
            compressors: options.compressors.clone(),
        });
        let encodings = options.compressors.encodings();
        Shared { routes, options, sizes, encodings, phase }
    }

    /// How the answers to a client leave that takes these encodings.
    fn packing(&self, accepted: EncodingSet) -> Packing {
        let mut packing = Packing::new(self.sizes.clone(), accepted);
        if let Some(encoding) = self.options.encoding {
            packing.choose(encoding);
        }
        packing
    }

    fn phase_has_changed(&self) -> bool {
        self.phase.has_changed().unwrap_or(true)
    }

    /// Ready when the server shuts down.
    fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        reached(self.phase.clone(), Phase::Draining)
    }
}

async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    if phase.wait_for(|phase| *phase >= wanted).await.is_err() {
        // The server was dropped: its connections go with it, and nothing is left to wait for.
        pending::<()>().await;
    }
}

/// Tells a call that waits when it is to be cut off. Armed at the first poll, as most calls never wait.
struct Cut {
    shared: Arc<Shared>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Cut {
    fn of(shared: &Arc<Shared>) -> Cut {
        Cut { shared: shared.clone(), wait: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(reached(self.shared.phase.clone(), Phase::Cut)));
        wait.as_mut().poll(cx)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("routes", &self.routes).finish_non_exhaustive()
    }
}
