//! The route guide of gRPC's tutorial: one method of each kind of call.
//!
//! The module shows everything that a handwritten service needs: a [`Method`] for each RPC, a client with a line for
//! each, a trait with a handler for each, and [`router`], which connects paths and handlers. `server.rs` responds like
//! the tutorial's server, with the data in `features.rs` and the notes in `notes.rs`; `client.rs` makes the calls of
//! its client.

mod client;
mod features;
mod notes;
mod server;
mod text;

pub use client::{CALL_TIMEOUT, Event, Failure, run};
pub use features::{Features, LoadError};
pub use notes::Notes;
pub use server::Guide;

use std::future::Future;

use crate::client::Answer;
use crate::{
    BidiStreaming, CallOptions, Client, ClientStreaming, Inbound, Method, Outbound, Request, Response, Router,
    ServerStreaming, Status, Unary,
};
use messages::{Feature, Point, Rectangle, RouteNote, RouteSummary};

/// The messages of `proto/routeguide/route_guide.proto`, which documents them.
#[allow(missing_docs)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/routeguide.rs"));
}

/// Unary: the feature at exactly this point.
pub const GET_FEATURE: Method<Point, Feature, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
/// Server streaming: the features inside a rectangle.
pub const LIST_FEATURES: Method<Rectangle, Feature, ServerStreaming> =
    Method::new("/routeguide.RouteGuide/ListFeatures");
/// Client streaming: the points of a route; the response is its summary.
pub const RECORD_ROUTE: Method<Point, RouteSummary, ClientStreaming> =
    Method::new("/routeguide.RouteGuide/RecordRoute");
/// Bidirectional streaming: the responses to each note are all notes so far at its location.
pub const ROUTE_CHAT: Method<RouteNote, RouteNote, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");

/// A client of the route guide.
#[derive(Clone, Debug)]
pub struct RouteGuideClient {
    client: Client,
}

impl RouteGuideClient {
    /// Returns a route guide client that uses this client.
    pub fn new(client: Client) -> RouteGuideClient {
        RouteGuideClient { client }
    }

    /// Returns a client with other options for its calls.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> RouteGuideClient {
        RouteGuideClient { client: self.client.with(options) }
    }

    /// Returns the feature at `point`. Errors: the status of the call.
    pub async fn get_feature(&self, point: Point) -> Result<Response<Feature>, Status> {
        self.client.unary(GET_FEATURE, point).await
    }

    /// Returns the features inside `area`. Errors: the reason why the call could not start.
    pub async fn list_features(&self, area: Rectangle) -> Result<Inbound<Feature>, Status> {
        self.client.server_streaming(LIST_FEATURES, area).await
    }

    /// Sends the points of a route and returns its summary. Errors: the reason why the call could not start.
    pub async fn record_route(&self) -> Result<(Outbound<Point>, Answer<RouteSummary>), Status> {
        self.client.client_streaming(RECORD_ROUTE).await
    }

    /// Sends notes and returns those at the same locations. Errors: the reason why the call could not start.
    pub async fn route_chat(&self) -> Result<(Outbound<RouteNote>, Inbound<RouteNote>), Status> {
        self.client.bidi_streaming(ROUTE_CHAT).await
    }
}

/// A server of the route guide. An implementation writes its handlers as `async fn`.
pub trait RouteGuide: Send + Sync + 'static {
    /// Handles [`GET_FEATURE`].
    fn get_feature(&self, request: Request<Point>) -> impl Future<Output = Result<Response<Feature>, Status>> + Send;

    /// Handles [`LIST_FEATURES`].
    fn list_features(
        &self,
        request: Request<Rectangle>,
        features: Outbound<Feature>,
    ) -> impl Future<Output = Result<(), Status>> + Send;

    /// Handles [`RECORD_ROUTE`].
    fn record_route(
        &self,
        points: Inbound<Point>,
    ) -> impl Future<Output = Result<Response<RouteSummary>, Status>> + Send;

    /// Handles [`ROUTE_CHAT`].
    fn route_chat(
        &self,
        notes: Inbound<RouteNote>,
        answers: Outbound<RouteNote>,
    ) -> impl Future<Output = Result<(), Status>> + Send;
}

/// Returns a router with the four methods of a route guide.
pub fn router<G: RouteGuide>(guide: G) -> Router<G> {
    Router::new(guide)
        .unary(GET_FEATURE, G::get_feature)
        .server_streaming(LIST_FEATURES, G::list_features)
        .client_streaming(RECORD_ROUTE, G::record_route)
        .bidi_streaming(ROUTE_CHAT, G::route_chat)
}
