//! Cases for a client whose server violates HTTP/2, or does something legal but rare.
//!
//! From negative-http2-interop-test-descriptions.md. The server checks what it sees of the client: acknowledged PINGs, the
//! limit of concurrent streams, a second connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::outcome::{Failure, failure, ok, status};
use super::target::Target;
use super::unary::{large_request, large_unary};
use crate::interop::client::TestServiceClient;
use barewire::client::{Begin, Connection, Head, Invoke};
use barewire::io::Connector;
use barewire::{Client, Code, Status};

/// Time for the server's GOAWAY to arrive after the first response; grpc-go's client waits as long.
const GOAWAY_PAUSE: Duration = Duration::from_secs(1);

/// Number of concurrent calls; the server allows one.
const CONCURRENT_CALLS: usize = 15;

/// The second call must succeed on a new connection, without any action of the caller.
pub(super) async fn goaway<C: Connector + 'static>(target: &Target<C>) -> Result<(), Failure> {
    let invoke = Arc::new(Reconnector { target: target.clone(), current: Arc::default() });
    let service = TestServiceClient::new(ok("the client", Client::over(invoke, target.options.clone()))?);
    large_unary(&service).await?;
    tokio::time::sleep(GOAWAY_PAUSE).await;
    large_unary(&service).await
}

/// RST_STREAM with NO_ERROR before the trailers means INTERNAL (PROTOCOL-HTTP2.md, "Errors"), even after a message.
pub(super) async fn reset(service: &TestServiceClient) -> Result<(), Failure> {
    status("UnaryCall", service.unary_call(large_request()).await, Code::Internal).map(drop)
}

/// The first call makes sure that the server's SETTINGS have arrived.
pub(super) async fn max_streams(service: &TestServiceClient) -> Result<(), Failure> {
    large_unary(service).await?;
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let service = service.clone();
        calls.spawn(async move { large_unary(&service).await });
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(|error| failure("a call", "an end", error))??;
    }
    Ok(())
}

/// Uses one connection at a time, and opens another when that accepts no more calls: the part of a channel that the case needs.
/// A call that the server did not process before its GOAWAY fails here, whereas a channel would retry it.
struct Reconnector<C> {
    target: Target<C>,
    current: Arc<Mutex<Option<Connection>>>,
}

impl<C: Connector + 'static> Invoke for Reconnector<C> {
    fn begin(&self, head: Head) -> Begin {
        let connection = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*connection {
            match connection.begin(head.clone()) {
                Begin::Now(Err(status)) if status.code() == Code::Unavailable => {}
                begun => return begun,
            }
        }
        Begin::Later(Box::pin(reconnect(self.target.clone(), self.current.clone(), head)))
    }
}

async fn reconnect<C: Connector>(
    target: Target<C>,
    current: Arc<Mutex<Option<Connection>>>,
    head: Head,
) -> Result<barewire::client::CallStream, Status> {
    let connection = target.open().await?;
    let begun = connection.begin(head);
    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    match begun {
        Begin::Now(opened) => opened,
        Begin::Later(opening) => opening.await,
    }
}
