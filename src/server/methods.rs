//! Four short adapters from a service's handlers to the one shape that a call has.
//!
//! A handler is a plain `async fn` on `&self`. The two traits below say so in types, for functions with one argument beside
//! `self` and with two; every such function implements them by itself, and a handler whose future is not `Send`, or whose
//! messages are not the method's, is refused by the compiler where it is registered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::call::budget::Budget;
use crate::call::compress::Packing;
use crate::call::exchange::{Batch, Inbox, SharedBatch, SharedInbox};
use crate::call::receive::Receiving;
use crate::call::typed::{encode, encode_within, is_small, only};
use crate::call::{Context, Inbound, Outbound, Request, Response};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;

/// A handler with one argument: `async fn(&self, Argument) -> Output`.
pub trait Handler<'a, S, Argument, Output>: Clone + Send + Sync + 'static {
    /// What the handler returns.
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

/// A handler with two arguments, the second an [`Outbound`]: `async fn(&self, Argument, Out) -> Output`.
pub trait StreamingHandler<'a, S, Argument, Out, Output>: Clone + Send + Sync + 'static {
    /// What the handler returns.
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

/// What a call brings to its method.
pub(super) struct Incoming {
    pub(super) receiving: Receiving,
    /// What its answers are charged to.
    pub(super) budget: Arc<Budget>,
    pub(super) context: Context,
    /// What the answer may be.
    pub(super) packing: Packing,
}

/// A handler at work, and what the call's task shares with it.
pub(super) struct Handling {
    pub(super) future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    pub(super) inbox: Option<SharedInbox>,
    pub(super) batch: Option<SharedBatch>,
}

/// How a handler ended.
pub(super) type Outcome = Result<Reply, Status>;

/// The one message of a method that answers with one, prefix included, and the metadata around it; nothing for a method
/// that streams its answers.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) message: Bytes,
    pub(super) encoding: Encoding,
    pub(super) metadata: Option<Box<(Metadata, Metadata)>>,
}

pub(super) fn unary<S, Req, Resp, F>(service: Arc<S>, handler: F, incoming: Incoming) -> Handling
where
    S: Send + Sync + 'static,
    Req: Message + Default + 'static,
    Resp: Message + 'static,
    F: for<'a> Handler<'a, S, Request<Req>, Result<Response<Resp>, Status>>,
{
    let Incoming { mut receiving, budget, context, packing } = incoming;
    let future = Box::pin(async move {
        let (message, compressed) = only(&mut receiving).await?;
        // The handler may hold the message to its end.
        let _held = receiving.take_charge();
        drop(receiving);
        if !budget.admits_handler() {
            Box::pin(budget.wait_for_handlers()).await?;
        }
        let request = Request::with_context(message, context, compressed);
        reply(handler.call(&service, request).await?, packing, budget).await
    });
    Handling { future, inbox: None, batch: None }
}

pub(super) fn server_streaming<S, Req, Resp, F>(service: Arc<S>, handler: F, incoming: Incoming) -> Handling
where
    S: Send + Sync + 'static,
    Req: Message + Default + 'static,
    Resp: Message + 'static,
    F: for<'a> StreamingHandler<'a, S, Request<Req>, Outbound<Resp>, Result<(), Status>>,
{
    let Incoming { mut receiving, budget, context, packing } = incoming;
    let batch = Batch::new(packing, budget.clone());
    let out = Outbound::new(batch.clone());
    let future = Box::pin(async move {
        let (message, compressed) = only(&mut receiving).await?;
        let _held = receiving.take_charge();
        drop(receiving);
        if !budget.admits_handler() {
            Box::pin(budget.wait_for_handlers()).await?;
        }
        let request = Request::with_context(message, context, compressed);
        handler.call(&service, request, out).await.map(|()| Reply::default())
    });
    Handling { future, inbox: None, batch: Some(batch) }
}

pub(super) fn client_streaming<S, Req, Resp, F>(service: Arc<S>, handler: F, incoming: Incoming) -> Handling
where
    S: Send + Sync + 'static,
    Req: Message + Default + 'static,
    Resp: Message + 'static,
    F: for<'a> Handler<'a, S, Inbound<Req>, Result<Response<Resp>, Status>>,
{
    let Incoming { receiving, budget, context, packing } = incoming;
    let inbox = Inbox::new(receiving);
    let inbound = Inbound::new(inbox.clone(), Some(Box::new(context)));
    let future = Box::pin(async move {
        if !budget.admits_handler() {
            Box::pin(budget.wait_for_handlers()).await?;
        }
        reply(handler.call(&service, inbound).await?, packing, budget).await
    });
    Handling { future, inbox: Some(inbox), batch: None }
}

pub(super) fn bidi_streaming<S, Req, Resp, F>(service: Arc<S>, handler: F, incoming: Incoming) -> Handling
where
    S: Send + Sync + 'static,
    Req: Message + Default + 'static,
    Resp: Message + 'static,
    F: for<'a> StreamingHandler<'a, S, Inbound<Req>, Outbound<Resp>, Result<(), Status>>,
{
    let Incoming { receiving, budget, context, packing } = incoming;
    let (inbox, batch) = (Inbox::new(receiving), Batch::new(packing, budget.clone()));
    let inbound = Inbound::new(inbox.clone(), Some(Box::new(context)));
    let out = Outbound::new(batch.clone());
    let future = Box::pin(async move {
        if !budget.admits_handler() {
            Box::pin(budget.wait_for_handlers()).await?;
        }
        handler.call(&service, inbound, out).await.map(|()| Reply::default())
    });
    Handling { future, inbox: Some(inbox), batch: Some(batch) }
}

async fn reply<Resp: Message>(response: Response<Resp>, mut packing: Packing, budget: Arc<Budget>) -> Outcome {
    if let Some(encoding) = response.encoding() {
        packing.choose(encoding);
    }
    let compress = response.was_compressed();
    let (message, metadata) = response.into_parts();
    let message = match is_small(&message) {
        true => encode(&message, &packing, compress)?.freeze(),
        // Boxed, so that the small ones do not carry its state.
        false => Box::pin(encode_within(budget, &message, &packing, compress)).await?,
    };
    Ok(Reply { message, encoding: packing.encoding(), metadata })
}
