//! [`Handler`] and [`StreamingHandler`]: the functions that a router accepts.

use std::future::Future;

/// A handler with one argument: `async fn(&self, Argument) -> Output`.
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
