//! The server: accepts connections, serves its routes within its limits, and shuts down gracefully.
//!
//! See [`connection`](self) (`connection.rs`) for one connection, `call.rs` for one call, and `router.rs` for the way
//! from path to handler.

mod admission;
mod age;
mod arrival;
mod builder;
mod call;
mod connection;
mod handler;
mod interceptor;
mod options;
mod pace;
mod pings;
mod router;
mod shared;
mod streaming;
mod upkeep;

pub use builder::ServerBuilder;
pub use handler::{Handler, StreamingHandler};
pub use interceptor::{CallStart, Interceptor};
pub use options::ServerOptions;
pub use pings::TooManyPings;
pub use router::{Router, Routes};

use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use admission::{end_of_accepting, has_room, is_of_one_peer};
use interceptor::Interceptors;
use shared::{Hooks, Shared, until};

use crate::io::{Listener, Phase, SecureHandshake, SecureListener};
use crate::limits::{ACCEPT_PAUSE, CUT_PATIENCE};

/// A gRPC server.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use barewire::{Server, transport};
///
/// let listener = transport::tcp::listen("127.0.0.1:50051").await?;
/// Server::new(router).serve(listener).await
/// # }
/// ```
pub struct Server {
    routes: Routes,
    options: ServerOptions,
    hooks: Hooks,
    interceptors: Interceptors,
    /// TLS, from the builder.
    handshake: Option<io::Result<SecureHandshake>>,
}

impl Server {
    /// Creates a server with default options. [`Server::builder`] sets others.
    pub fn new(routes: impl Into<Routes>) -> Server {
        let options = ServerOptions::default();
        Server {
            routes: routes.into(),
            options,
            hooks: Hooks::default(),
            interceptors: Interceptors::default(),
            handshake: None,
        }
    }

    /// Serves until the task is dropped, which ends all connections at once.
    pub async fn serve(self, listener: impl Listener) -> io::Result<()> {
        self.serve_until(listener, pending()).await
    }

    /// Serves until `shutdown` is ready and [`ServerOptions::lame_duck`] has passed, and then shuts down gracefully: the
    /// server accepts no more connections, sends GOAWAY to its clients (RFC 9113 section 6.8), and lets calls in progress run to
    /// their end. After [`ServerOptions::shutdown_timeout`] it ends the remaining calls with UNAVAILABLE.
    ///
    /// # Errors
    ///
    /// A TLS configuration that can't be used; the server retries after an error of accepting.
    pub async fn serve_until(self, listener: impl Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut listener = SecureListener::new(listener, self.handshake.transpose()?);
        let (phases, phase) = watch::channel(Phase::Serving);
        let shared = Arc::new(Shared::new(self.routes, self.options, self.hooks, self.interceptors, phase));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(end_of_accepting(shutdown, shared.options.lame_duck));
        while let Some(accepted) = until(shutdown.as_mut(), listener.accept()).await {
            match accepted {
                Ok(handshake) => {
                    while connections.try_join_next().is_some() {}
                    // Beyond the limit the handshake is dropped, which closes the connection.
                    if has_room(shared.options.max_connections, connections.len()) {
                        connections.spawn(accept(handshake, shared.clone()));
                    }
                }
                // A peer that failed before it was accepted does not affect the next one.
                Err(error) if is_of_one_peer(&error) => {}
                Err(_) => {
                    let pause = tokio::time::sleep(ACCEPT_PAUSE);
                    if until(shutdown.as_mut(), pause).await.is_none() {
                        break;
                    }
                }
            }
        }
        drop(listener);
        phases.send_replace(Phase::Draining);
        let patience = shared.options.shutdown_timeout;
        if tokio::time::timeout(patience, join_all(&mut connections)).await.is_err() {
            phases.send_replace(Phase::Cut);
            // Long enough to send the trailers; a peer that does not even read those is cut off.
            let _: Result<(), _> = tokio::time::timeout(CUT_PATIENCE, join_all(&mut connections)).await;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("routes", &self.routes).field("options", &self.options).finish_non_exhaustive()
    }
}

async fn join_all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Completes the transport's handshake within its time limit, and serves the connection.
async fn accept<H>(handshake: H, shared: Arc<Shared>)
where
    H: Future<Output = io::Result<crate::io::ByteStream>>,
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
