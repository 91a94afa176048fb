//! Maps `:path` to the handler of a method: a table, without generated code. Four short adapters give the handlers of
//! the four kinds one common type: that of unary methods is here, the others are in `streaming.rs`.
//!
//! A handler is a plain `async fn` on `&self`. The traits [`Handler`] and [`StreamingHandler`] describe such functions,
//! with one argument beside `self` and with two; every such function implements them. The compiler refuses a handler
//! where it is registered if its future is not `Send` or its messages are not the method's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::handler::Handler;
use super::pace::Pace;
use crate::call::body::Body;
use crate::call::compress::MessageEncoder;
use crate::call::envelope::CallMetadata;
use crate::call::exchange::Exchange;
use crate::call::link::Link;
use crate::call::unary::{encode, encode_within, is_small, only};
use crate::call::{Context, Request, Response};
use crate::method::{self, Method, Unary};
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::encoding::Encoding;
use crate::wire::error::excerpt;

/// The methods of a service `S`: for each method its path, its kind, and its handler.
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
    pub(super) service: Arc<S>,
    pub(super) routes: Routes,
}

/// The methods of any number of services, without their types: the routes of a server.
///
/// ```
/// use barewire::server::Routes;
/// use barewire::{Router, Server};
///
/// struct Words;
/// struct Numbers;
///
/// let routes: Routes = Router::new(Words).merge(Router::new(Numbers)).into();
/// let server = Server::new(routes);
/// ```
#[derive(Default)]
pub struct Routes {
    methods: BTreeMap<&'static str, Route>,
    services: BTreeSet<&'static str>,
    /// The handler of all other methods.
    pub(super) fallback: Option<Route>,
}

/// One method.
pub(super) struct Route {
    pub(super) serve: Box<dyn Fn(IncomingCall) -> HandlerRun + Send + Sync>,
    pub(super) pace: Pace,
    /// True if its calls are exempt from the limit of a server's calls.
    pub(super) is_exempt: bool,
}

/// A call, as it is passed to its method.
pub(super) struct IncomingCall {
    pub(super) body: Body,
    pub(super) context: Context,
    /// Encodes the messages of the response.
    pub(super) packing: MessageEncoder,
}

/// A running handler, and the buffers that the call's task shares with it if the call streams.
pub(super) struct HandlerRun {
    pub(super) future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    pub(super) exchange: Option<Box<Exchange>>,
}

/// The result of a handler.
pub(super) type Outcome = Result<Reply, Status>;

/// The single message of a response, prefix included, and its metadata; empty for a method that streams its responses.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) message: Bytes,
    pub(super) encoding: Encoding,
    pub(super) metadata: Option<Box<CallMetadata>>,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// Creates a router without methods for a service, which all calls share. An `Arc` of the service can be shared with
    /// other code.
    ///
    /// ```
    /// # use barewire::{Method, Request, Router, Status, Unary};
    /// # use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// # #[derive(Clone, PartialEq, prost::Message)]
    /// # struct Number {
    /// #     #[prost(uint32, tag = "1")]
    /// #     number: u32,
    /// # }
    /// const COUNT: Method<Number, Number, Unary> = Method::new("/counters.Counter/Count");
    /// const DOUBLE: Method<Number, Number, Unary> = Method::new("/counters.Counter/Double");
    ///
    /// struct Counter(AtomicU32);
    ///
    /// impl Counter {
    ///     async fn count(&self, request: Request<Number>) -> Result<Number, Status> {
    ///         Ok(Number { number: self.0.fetch_add(request.number, Ordering::Relaxed) })
    ///     }
    /// }
    ///
    /// let counter = Arc::new(Counter(AtomicU32::new(0)));
    /// let router = Router::new(counter.clone())
    ///     .unary(COUNT, Counter::count)
    ///     .unary(DOUBLE, |_: &Counter, request: Request<Number>| async move {
    ///         Ok::<_, Status>(Number { number: 2 * request.number })
    ///     });
    /// ```
    pub fn new(service: impl Into<Arc<S>>) -> Router<S> {
        Router { service: service.into(), routes: Routes::default() }
    }

    /// Answers a unary method with a handler `async fn(&self, Request<Req>) -> Result<Response<Resp>, Status>`.
    #[must_use]
    pub fn unary<Req, Resp, R, F>(self, method: Method<Req, Resp, Unary>, handler: F) -> Self
    where
        Req: Message + Default + 'static,
        Resp: Message + 'static,
        R: Into<Response<Resp>>,
        F: for<'a> Handler<'a, S, Request<Req>, Result<R, Status>>,
    {
        let service = self.service.clone();
        self.route(method.path(), move |incoming| {
            let (service, handler) = (service.clone(), handler.clone());
            let IncomingCall { mut body, context, packing } = incoming;
            let future = Box::pin(async move {
                let (message, compressed) = only(&mut body, || context.path()).await?;
                // Charged until the handler returns, which may hold the message until then.
                let _held = body.take_charge();
                let link = body.into_link();
                admit(&link).await?;
                let request = Request::with_context(message, context, compressed);
                let response = handler.call(&service, request).await?.into();
                reply(response, packing, &link).await
            });
            HandlerRun { future, exchange: None }
        })
    }

    /// Adds the methods of another service.
    #[must_use]
    pub fn merge<T>(mut self, other: Router<T>) -> Self {
        for (path, route) in other.routes.methods {
            let earlier = self.routes.methods.insert(path, route);
            assert!(earlier.is_none(), "{path} is registered twice");
        }
        self.routes.services.extend(other.routes.services);
        self.routes.add_fallback(other.routes.fallback);
        self
    }

    /// Exempts the methods added so far from [`ServerOptions::max_concurrent_calls`](super::ServerOptions::max_concurrent_calls):
    /// their calls are neither refused nor counted. For calls that a busy server must answer too, such as health checks.
    #[must_use]
    pub fn exempt_from_limits(mut self) -> Self {
        self.routes.methods.values_mut().for_each(|route| route.is_exempt = true);
        self
    }

    /// Returns the full names of the services that have a method here, sorted.
    ///
    /// ```
    /// # #[cfg(feature = "route-guide")] {
    /// use barewire::services::route_guide::{Guide, router};
    ///
    /// assert_eq!(router(Guide::default()).services().collect::<Vec<_>>(), ["routeguide.RouteGuide"]);
    /// # }
    /// ```
    pub fn services(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.routes.services.iter().copied()
    }

    /// Adds a method.
    pub(super) fn route(
        mut self,
        path: &'static str,
        serve: impl Fn(IncomingCall) -> HandlerRun + Send + Sync + 'static,
    ) -> Self {
        let earlier = self.routes.methods.insert(path, Route::new(serve));
        assert!(earlier.is_none(), "{path} is registered twice");
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
    /// Returns the method at a path, or the fallback.
    ///
    /// # Errors
    ///
    /// UNIMPLEMENTED, with a message that distinguishes an unknown service, an unknown method and a malformed path.
    pub(super) fn find(&self, path: &str) -> Result<&Route, Status> {
        self.methods.get(path).or_else(|| self.fallback_for(path)).ok_or_else(|| match method::split(path) {
            None => ProtocolError::MalformedPath { path: excerpt(path.as_bytes()) }.into_status(),
            Some((service, method)) if self.services.contains(service) => {
                Status::unimplemented(format!("unknown method {} of service {service}", excerpt(method.as_bytes())))
            }
            Some((service, _)) => Status::unimplemented(format!("unknown service {}", excerpt(service.as_bytes()))),
        })
    }
}

impl Route {
    pub(super) fn new(serve: impl Fn(IncomingCall) -> HandlerRun + Send + Sync + 'static) -> Route {
        Route { serve: Box::new(serve), pace: Pace::default(), is_exempt: false }
    }
}

/// Waits until a handler may start, while large messages of other calls wait to be encoded.
pub(super) async fn admit(link: &Link) -> Result<(), Status> {
    match link.budget.admits_handler() {
        true => Ok(()),
        // Boxed because it is rare, and every call would carry its state.
        false => Box::pin(link.budget.wait_for_handlers()).await,
    }
}

/// Encodes the message of a response.
pub(super) async fn reply<Resp: Message>(
    response: Response<Resp>,
    mut packing: MessageEncoder,
    link: &Link,
) -> Outcome {
    if let Some(encoding) = response.encoding() {
        packing.choose(encoding);
    }
    let compress = response.may_compress();
    let (message, metadata) = response.into_message_and_metadata();
    let message = match is_small(&message) {
        true => encode(&message, &packing, compress)?.freeze(),
        // Boxed, so that small messages do not carry its state.
        false => Box::pin(encode_within(link.budget.clone(), &message, &packing, compress)).await?,
    };
    Ok(Reply { message, encoding: packing.encoding(), metadata })
}

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
