//! State that the connections of a server share: its routes, its options, and the phase of its life.

use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;

use super::admission::CallLimit;
use super::interceptor::Interceptors;
use super::options::ServerOptions;
use super::pings::TooManyPings;
use super::router::Routes;
use crate::call::compress::{MessageEncoder, SendingOptions};
use crate::io::{ConnectionInfo, Phase};
use crate::wire::encoding::EncodingSet;

/// Returns the output of a future, or `None` if `stop` is ready first.
pub(super) async fn until<F: Future>(mut stop: Pin<&mut impl Future<Output = ()>>, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}

/// The state that all connections of a server share.
pub(super) struct Shared {
    pub(super) routes: Routes,
    pub(super) options: ServerOptions,
    pub(super) hooks: Hooks,
    pub(super) interceptors: Interceptors,
    pub(super) call_limit: CallLimit,
    pub(super) sending: Arc<SendingOptions>,
    /// The encodings of the compressors, and identity.
    pub(super) encodings: EncodingSet,
    phase: watch::Receiver<Phase>,
}

/// The functions of the application that see a server's connections.
#[derive(Default)]
pub(super) struct Hooks {
    /// Decides about a new connection: returns true to serve it.
    pub(super) on_accept: Option<OnAccept>,
    /// Sees a connection that ends because of its client's PINGs.
    pub(super) on_too_many_pings: Option<OnTooManyPings>,
}

type OnAccept = Box<dyn Fn(&mut ConnectionInfo) -> bool + Send + Sync>;
type OnTooManyPings = Box<dyn Fn(&ConnectionInfo, &TooManyPings) + Send + Sync>;

impl Shared {
    pub(super) fn new(
        routes: Routes,
        options: ServerOptions,
        hooks: Hooks,
        interceptors: Interceptors,
        phase: watch::Receiver<Phase>,
    ) -> Shared {
        let sending = Arc::new(SendingOptions {
            max_message_size: options.limits.max_send_message_size,
            min_compress_size: options.limits.min_compress_size,
            compressors: options.compressors.clone(),
        });
        let encodings = options.compressors.encodings();
        let call_limit = CallLimit::new(options.max_concurrent_calls);
        Shared { routes, options, hooks, interceptors, call_limit, sending, encodings, phase }
    }

    /// Returns the encoder of responses to a client that accepts these encodings.
    pub(super) fn packing(&self, accepted: EncodingSet) -> MessageEncoder {
        let mut packing = MessageEncoder::new(self.sending.clone(), accepted);
        if let Some(encoding) = self.options.encoding {
            packing.choose(encoding);
        }
        packing
    }

    pub(super) fn phase_has_changed(&self) -> bool {
        self.phase.has_changed().unwrap_or(true)
    }

    /// Lets the handlers of a connection see the server's phase.
    pub(super) fn watched_by(&self, connection: ConnectionInfo) -> ConnectionInfo {
        connection.with_phase(self.phase.clone())
    }

    /// Ready when the server shuts down.
    pub(super) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        reached(self.phase.clone(), Phase::Draining)
    }
}

async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    if phase.wait_for(|phase| *phase >= wanted).await.is_err() {
        // The server was dropped, and its connections with it: wait for ever.
        pending::<()>().await;
    }
}

/// Watches for the end of the shutdown timeout. Starts at the first poll, because most calls never wait.
pub(super) struct ShutdownWatch {
    shared: Arc<Shared>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ShutdownWatch {
    pub(super) fn of(shared: &Arc<Shared>) -> ShutdownWatch {
        ShutdownWatch { shared: shared.clone(), wait: None }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(reached(self.shared.phase.clone(), Phase::Cut)));
        wait.as_mut().poll(cx)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("routes", &self.routes).finish_non_exhaustive()
    }
}
