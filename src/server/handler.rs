//! [`Handler`] and [`StreamingHandler`]: the functions that a router accepts.

use std::future::Future;

/// A handler with one argument: `async fn(&self, Argument) -> Output`.
///
/// [`Router::unary`](super::Router::unary) and [`Router::client_streaming`](super::Router::client_streaming) accept such functions:
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use barewire::server::Handler;
/// use barewire::{Request, Status};
///
/// struct Counter(AtomicU32);
///
/// impl Counter {
///     async fn count(&self, request: Request<u32>) -> Result<u32, Status> {
///         Ok(self.0.fetch_add(*request, Ordering::Relaxed))
///     }
/// }
///
/// fn accept(_: impl for<'a> Handler<'a, Counter, Request<u32>, Result<u32, Status>>) {}
///
/// accept(Counter::count);
/// accept(|_: &Counter, request: Request<u32>| async move { Ok(2 * *request) });
/// ```
pub trait Handler<'a, S, Argument, Output>: Clone + Send + Sync + 'static {
    /// The future that the handler returns.
    type Future: Future<Output = Output> + Send + 'a;

    /// Calls the handler.
    fn call(&self, service: &'a S, argument: Argument) -> Self::Future;
}

impl<'a, S: 'a, A, O, F, Fut> Handler<'a, S, A, O> for F
where
    F: Fn(&'a S, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, service: &'a S, argument: A) -> Fut {
        self(service, argument)
    }
}

/// A handler with two arguments, the second an [`Outbound`](crate::Outbound): `async fn(&self, Argument, Out) -> Output`.
///
/// [`Router::server_streaming`](super::Router::server_streaming) and
/// [`Router::bidi_streaming`](super::Router::bidi_streaming) accept such functions:
///
/// ```
/// use barewire::server::StreamingHandler;
/// use barewire::{Inbound, Outbound, Status};
///
/// struct Echo;
///
/// impl Echo {
///     async fn echo(&self, mut inbound: Inbound<String>, mut out: Outbound<String>) -> Result<(), Status> {
///         while let Some(message) = inbound.recv().await? {
///             out.send(message).await?;
///         }
///         Ok(())
///     }
/// }
///
/// fn accept(
///     _: impl for<'a> StreamingHandler<'a, Echo, Inbound<String>, Outbound<String>, Result<(), Status>>,
/// ) {
/// }
///
/// accept(Echo::echo);
/// ```
pub trait StreamingHandler<'a, S, Argument, Out, Output>: Clone + Send + Sync + 'static {
    /// The future that the handler returns.
    type Future: Future<Output = Output> + Send + 'a;

    /// Calls the handler.
    fn call(&self, service: &'a S, argument: Argument, out: Out) -> Self::Future;
}

impl<'a, S: 'a, A, B, O, F, Fut> StreamingHandler<'a, S, A, B, O> for F
where
    F: Fn(&'a S, A, B) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = O> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, service: &'a S, argument: A, out: B) -> Fut {
        self(service, argument, out)
    }
}
