//! From `:path` to the method that answers it: a table of typed descriptors, no generated code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prost::Message;

use super::methods::{self, Handler, Handling, Incoming, StreamingHandler};
use crate::call::{Inbound, Outbound, Request, Response};
use crate::method::{self, BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::error::excerpt;

/// The methods of a service `S`: for each its path, its kind, and the handler that answers.
///
/// ```
/// # use barewire::{Method, Request, Response, Router, Status, Unary};
/// # #[derive(Clone, PartialEq, prost::Message)] struct Name { #[prost(string, tag = "1")] name: String }
/// const GREET: Method<Name, Name, Unary> = Method::new("/hello.Greeter/Greet");
///
/// struct Greeter;
///
/// impl Greeter {
///     async fn greet(&self, request: Request<Name>) -> Result<Response<Name>, Status> {
///         Ok(Response::new(Name { name: format!("Hello, {}", request.name) }))
///     }
/// }
///
/// let router = Router::new(Greeter).unary(GREET, Greeter::greet);
/// ```
pub struct Router<S> {
    service: Arc<S>,
    routes: Routes,
}

/// The methods of any number of services, without their types: what a server serves.
#[derive(Default)]
pub struct Routes {
    methods: BTreeMap<&'static str, Route>,
    services: BTreeSet<&'static str>,
}

/// One method.
pub(super) struct Route {
    serve: Box<dyn Fn(Incoming) -> Handling + Send + Sync>,
    /// How much its handler is suspected of computing for long, see [`Route::took_long`].
    suspicion: AtomicU32,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// A router without methods for a service, which all calls share.
    pub fn new(service: S) -> Router<S> {
        Router { service: Arc::new(service), routes: Routes::default() }
    }

    /// Answers a unary method with a handler `async fn(&self, Request<Req>) -> Result<Response<Resp>, Status>`.
    #[must_use]
    pub fn unary<Req, Resp, F>(self, method: Method<Req, Resp, Unary>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> Handler<'a, S, Request<Req>, Result<Response<Resp>, Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| methods::unary(service.clone(), handler.clone(), incoming))
    }

    /// Answers a server streaming method with a handler
    /// `async fn(&self, Request<Req>, Outbound<Resp>) -> Result<(), Status>`.
    #[must_use]
    pub fn server_streaming<Req, Resp, F>(self, method: Method<Req, Resp, ServerStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> StreamingHandler<'a, S, Request<Req>, Outbound<Resp>, Result<(), Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| methods::server_streaming(service.clone(), handler.clone(), incoming))
    }

    /// Answers a client streaming method with a handler
    /// `async fn(&self, Inbound<Req>) -> Result<Response<Resp>, Status>`.
    #[must_use]
    pub fn client_streaming<Req, Resp, F>(self, method: Method<Req, Resp, ClientStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> Handler<'a, S, Inbound<Req>, Result<Response<Resp>, Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| methods::client_streaming(service.clone(), handler.clone(), incoming))
    }

    /// Answers a bidirectional streaming method with a handler
    /// `async fn(&self, Inbound<Req>, Outbound<Resp>) -> Result<(), Status>`.
    #[must_use]
    pub fn bidi_streaming<Req, Resp, F>(self, method: Method<Req, Resp, BidiStreaming>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        F: for<'a> StreamingHandler<'a, S, Inbound<Req>, Outbound<Resp>, Result<(), Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| methods::bidi_streaming(service.clone(), handler.clone(), incoming))
    }

    /// Adds the methods of another service.
    #[must_use]
    pub fn merge<T>(mut self, other: Router<T>) -> Self {
        self.routes.methods.extend(other.routes.methods);
        self.routes.services.extend(other.routes.services);
        self
    }

    fn route(mut self, path: &'static str, serve: impl Fn(Incoming) -> Handling + Send + Sync + 'static) -> Self {
        let route = Route { serve: Box::new(serve), suspicion: AtomicU32::new(0) };
        self.routes.methods.insert(path, route);
        self.routes.services.extend(method::split(path).map(|(service, _)| service));
        self
    }
}

impl<S> From<Router<S>> for Routes {
    fn from(router: Router<S>) -> Routes {
        router.routes
    }
}

impl Routes {
    /// The method at a path.
    ///
    /// # Errors
    ///
    /// UNIMPLEMENTED, with a message that tells an unknown service, an unknown method and a malformed path apart.
    pub(super) fn find(&self, path: &str) -> Result<&Route, Status> {
        self.methods.get(path).ok_or_else(|| match method::split(path) {
            None => ProtocolError::MalformedPath { path: excerpt(path.as_bytes()) }.into_status(),
            Some((service, method)) if self.services.contains(service) => {
                Status::unimplemented(format!("unknown method {} of service {service}", excerpt(method.as_bytes())))
            }
            Some((service, _)) => Status::unimplemented(format!("unknown service {}", excerpt(service.as_bytes()))),
        })
    }
}

impl Route {
    pub(super) fn serve(&self, incoming: Incoming) -> Handling {
        (self.serve)(incoming)
    }

    /// Whether the next call should run on a task of its own from its start.
    pub(super) fn spawns(&self) -> bool {
        // Two connections may count at the same time; nothing hangs on the exact number.
        let suspicion = self.suspicion.load(Ordering::Relaxed);
        if suspicion > 0 {
            self.suspicion.store(suspicion - 1, Ordering::Relaxed);
        }
        suspicion >= 2 * A_LONG_CALL
    }

    /// Whether a call took long not many calls ago.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspicion.load(Ordering::Relaxed) > 0
    }

    /// Says that the handler kept its connection busy for too long. It may have been the machine that paused, so once is
    /// forgotten after a while; twice within it, and calls get a task at once, but for one in a while that is tried again.
    pub(super) fn took_long(&self) {
        self.suspicion.fetch_add(A_LONG_CALL, Ordering::Relaxed);
    }
}

/// How many calls it takes until a long one is forgotten.
const A_LONG_CALL: u32 = 64;

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.methods.keys()).finish()
    }
}
