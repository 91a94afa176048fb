//! The methods of [`Router`] that add handlers of streaming methods, and [`Router::fallback`], which adds the handler of all
//! methods that a router does not have.

use prost::Message;

use super::handler::{Handler, StreamingHandler};
use super::router::{HandlerRun, IncomingCall, Reply, Route, Router, Routes, admit, reply};
use crate::call::batch::Batch;
use crate::call::exchange::Exchange;
use crate::call::inbox::{Inbox, Source};
use crate::call::typed::Origin;
use crate::call::unary::only;
use crate::call::{Inbound, Outbound, Raw, Request, Response};
use crate::method::{self, BidiStreaming, ClientStreaming, Method, ServerStreaming};
use crate::status::Status;

impl<S: Send + Sync + 'static> Router<S> {
    /// Answers a server streaming method with a handler `async fn(&self, Request<Req>, Outbound<Resp>) -> Result<(),
    /// Status>`.
    #[must_use]
    pub fn server_streaming<Req, Resp, F>(self, method: Method<Req, Resp, ServerStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> StreamingHandler<'a, S, Request<Req>, Outbound<Resp>, Result<(), Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| {
            let (service, handler) = (service.clone(), handler.clone());
            let IncomingCall { mut body, context, packing } = incoming;
            let batch = Batch::answer(packing, body.link().budget.clone());
            let out = Outbound::new(batch.clone());
            let future = Box::pin(async move {
                let (message, compressed) = only(&mut body, || context.path()).await?;
                let _held = body.take_charge();
                admit(&body.into_link()).await?;
                let request = Request::with_context(message, context, compressed);
                handler.call(&service, request, out).await.map(|()| Reply::default())
            });
            HandlerRun { future, exchange: Some(Box::new(Exchange::answer(None, Some(batch)))) }
        })
    }

    /// Answers a client streaming method with a handler `async fn(&self, Inbound<Req>) -> Result<Response<Resp>,
    /// Status>`.
    #[must_use]
    pub fn client_streaming<Req, Resp, R, F>(self, method: Method<Req, Resp, ClientStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        R: Into<Response<Resp>>,
        F: for<'a> Handler<'a, S, Inbound<Req>, Result<R, Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| {
            let (service, handler) = (service.clone(), handler.clone());
            let IncomingCall { body, context, packing } = incoming;
            let link = body.link().clone();
            let inbox = Inbox::new(Source::Request(body));
            let inbound = Inbound::new(inbox.clone(), Origin::Server(Box::new(context)));
            let future = Box::pin(async move {
                admit(&link).await?;
                let response = handler.call(&service, inbound).await?.into();
                reply(response, packing, &link).await
            });
            HandlerRun { future, exchange: Some(Box::new(Exchange::answer(Some(inbox), None))) }
        })
    }

    /// Answers a bidirectional streaming method with a handler `async fn(&self, Inbound<Req>, Outbound<Resp>) ->
    /// Result<(), Status>`.
    #[must_use]
    pub fn bidi_streaming<Req, Resp, F>(self, method: Method<Req, Resp, BidiStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> StreamingHandler<'a, S, Inbound<Req>, Outbound<Resp>, Result<(), Status>>,
    {
        let serve = self.serve_streams(handler);
        self.route(method.path(), serve)
    }

    /// Answers every method that has no handler of its own, whatever its kind, with a handler `async fn(&self, Inbound<Raw>,
    /// Outbound<Raw>) -> Result<(), Status>`: for a proxy, a recorder or a gateway. [`Inbound::context`] has the path, the
    /// metadata and the deadline of the call, [`Raw`] the bytes of each message. The example `proxy` forwards calls.
    ///
    /// A path that is not of the form `/service/method` is still UNIMPLEMENTED. The messages are decompressed when they are
    /// received, and compressed again only as [`Outbound::set_encoding`] says.
    ///
    /// ```
    /// use barewire::{Inbound, Method, Outbound, Raw, Router, Status, Unary, testing};
    ///
    /// /// Answers each message with itself.
    /// async fn echo(_: &(), mut requests: Inbound<Raw>, mut responses: Outbound<Raw>) -> Result<(), Status> {
    ///     println!("{:?}", requests.context().map(|context| context.path()));
    ///     while let Some(message) = requests.recv().await? {
    ///         responses.send(message).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Status> {
    /// const ANY: Method<String, String, Unary> = Method::new("/any.Service/Method");
    ///
    /// let client = testing::client(Router::new(()).fallback(echo)).await;
    /// assert_eq!(client.unary(ANY, "hello".to_owned()).await?.message(), "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the router has a fallback already; also when [`Router::merge`] joins two routers that have one.
    #[must_use]
    pub fn fallback<F>(mut self, handler: F) -> Self
    where
        F: for<'a> StreamingHandler<'a, S, Inbound<Raw>, Outbound<Raw>, Result<(), Status>>,
    {
        let route = Route::new(self.serve_streams(handler));
        self.routes.add_fallback(Some(route));
        self
    }

    /// Returns the adapter of a handler with messages in both directions.
    fn serve_streams<Req, Resp, F>(
        &self,
        handler: F,
    ) -> impl Fn(IncomingCall) -> HandlerRun + Send + Sync + use<S, Req, Resp, F>
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> StreamingHandler<'a, S, Inbound<Req>, Outbound<Resp>, Result<(), Status>>,
    {
        let service = self.service.clone();
        move |incoming| {
            let (service, handler) = (service.clone(), handler.clone());
            let IncomingCall { body, context, packing } = incoming;
            let link = body.link().clone();
            let (inbox, batch) = (Inbox::new(Source::Request(body)), Batch::answer(packing, link.budget.clone()));
            let inbound = Inbound::new(inbox.clone(), Origin::Server(Box::new(context)));
            let out = Outbound::new(batch.clone());
            let future = Box::pin(async move {
                admit(&link).await?;
                handler.call(&service, inbound, out).await.map(|()| Reply::default())
            });
            HandlerRun { future, exchange: Some(Box::new(Exchange::answer(Some(inbox), Some(batch)))) }
        }
    }
}

impl Routes {
    /// Adds a fallback, if there is one.
    pub(super) fn add_fallback(&mut self, fallback: Option<Route>) {
        assert!(self.fallback.is_none() || fallback.is_none(), "a fallback is registered twice");
        self.fallback = self.fallback.take().or(fallback);
    }

    /// Returns the fallback for a path of the form `/service/method`.
    pub(super) fn fallback_for(&self, path: &str) -> Option<&Route> {
        self.fallback.as_ref().filter(|_| method::is_method_path(path.as_bytes()))
    }
}
