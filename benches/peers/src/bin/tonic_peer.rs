//! tonic 0.14 configured for speed: TCP_NODELAY, windows as wide as barewire's, adaptive windows off, without HTTP/1 and
//! layers. The services are what generated code would be, without boxed futures of the handlers.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use barewire_instructions::announce;
use barewire_peers::{
    CONCURRENT_STREAMS, CONNECTION_WINDOW, Call, LARGEST_MESSAGE, Method, STREAM_WINDOW, Serve, main as run, to_text,
};
use guide::{Ask, Blob, Feature, Guide, Journey, Point, Rectangle, RouteNote, RouteSummary, Within, zeros};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

const BERKSHIRE: Point = Point { latitude: 409_146_138, longitude: -746_188_906 };

fn main() -> ExitCode {
    run(serve, call)
}

async fn serve(flags: Serve) -> Result<(), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(to_text)?;
    let guide = Arc::new(Guide::published(flags.repeat).map_err(to_text)?);
    let mut server = Server::builder().tcp_nodelay(true);
    if !flags.defaults {
        server = server
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(CONCURRENT_STREAMS)
            .http2_adaptive_window(Some(false))
            .accept_http1(false);
    }
    if let Some((cert, key)) = flags.identity() {
        let identity = Identity::from_pem(fs::read(cert).map_err(to_text)?, fs::read(key).map_err(to_text)?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).map_err(to_text)?;
    }
    announce(listener.local_addr().map_err(to_text)?.port());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    server.add_service(RouteGuide(guide)).add_service(Blobs).serve_with_incoming(incoming).await.map_err(to_text)
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

fn grpc<T, U>() -> Grpc<ProstCodec<T, U>>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(LARGEST_MESSAGE)
}

fn unknown() -> Answering {
    Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) })
}

#[derive(Clone)]
struct RouteGuide(Arc<Guide>);

impl NamedService for RouteGuide {
    const NAME: &'static str = "routeguide.RouteGuide";
}

impl Service<http::Request<Body>> for RouteGuide {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answering {
        let guide = self.0.clone();
        match request.uri().path() {
            "/routeguide.RouteGuide/GetFeature" => Box::pin(async move {
                let handler = service_fn(|point: Request<Point>| async {
                    Ok::<_, Status>(Response::new(guide.feature(point.into_inner())))
                });
                Ok(grpc::<Feature, Point>().unary(handler, request).await)
            }),
            "/routeguide.RouteGuide/ListFeatures" => Box::pin(async move {
                let handler = service_fn(|area: Request<Rectangle>| {
                    let features = Within::new(guide.clone(), area.into_inner()).map(Ok::<Feature, Status>);
                    async { Ok::<_, Status>(Response::new(tokio_stream::iter(features))) }
                });
                Ok(grpc::<Feature, Rectangle>().server_streaming(handler, request).await)
            }),
            "/routeguide.RouteGuide/RecordRoute" => Box::pin(async move {
                let handler = service_fn(|points: Request<Streaming<Point>>| record_route(&guide, points.into_inner()));
                Ok(grpc::<RouteSummary, Point>().client_streaming(handler, request).await)
            }),
            "/routeguide.RouteGuide/RouteChat" => Box::pin(async move {
                let handler = service_fn(|notes: Request<Streaming<RouteNote>>| {
                    let answers =
                        Chat { guide: guide.clone(), notes: notes.into_inner(), answers: Vec::new().into_iter() };
                    async { Ok::<_, Status>(Response::new(answers)) }
                });
                Ok(grpc::<RouteNote, RouteNote>().streaming(handler, request).await)
            }),
            _ => unknown(),
        }
    }
}

async fn record_route(guide: &Guide, mut points: Streaming<Point>) -> Result<Response<RouteSummary>, Status> {
    let mut journey = Journey::new();
    while let Some(point) = points.message().await? {
        journey.pass(guide, point);
    }
    Ok(Response::new(journey.end()))
}

/// The answers to notes, as a stream without a task or a channel.
struct Chat {
    guide: Arc<Guide>,
    notes: Streaming<RouteNote>,
    answers: std::vec::IntoIter<RouteNote>,
}

impl Stream for Chat {
    type Item = Result<RouteNote, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.answers.next() {
                return Poll::Ready(Some(Ok(answer)));
            }
            match std::task::ready!(Pin::new(&mut self.notes).poll_next(cx)) {
                Some(Ok(note)) => self.answers = self.guide.leave(note).into_iter(),
                other => return Poll::Ready(other),
            }
        }
    }
}

#[derive(Clone)]
struct Blobs;

impl NamedService for Blobs {
    const NAME: &'static str = "bench.Blobs";
}

impl Service<http::Request<Body>> for Blobs {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answering {
        match request.uri().path() {
            "/bench.Blobs/Answer" => Box::pin(async move {
                let handler = service_fn(|ask: Request<Ask>| async move {
                    Ok::<_, Status>(Response::new(zeros(ask.into_inner().size)))
                });
                Ok(grpc::<Blob, Ask>().unary(handler, request).await)
            }),
            "/bench.Blobs/Download" => Box::pin(async move {
                let handler = service_fn(|ask: Request<Ask>| async move {
                    let ask = ask.into_inner();
                    let count = usize::try_from(ask.count).unwrap_or_default();
                    let blobs = std::iter::repeat_n(zeros(ask.size), count).map(Ok::<Blob, Status>);
                    Ok::<_, Status>(Response::new(tokio_stream::iter(blobs)))
                });
                Ok(grpc::<Blob, Ask>().server_streaming(handler, request).await)
            }),
            "/bench.Blobs/Upload" => Box::pin(async move {
                let handler = service_fn(|blobs: Request<Streaming<Blob>>| upload(blobs.into_inner()));
                Ok(grpc::<Ask, Blob>().client_streaming(handler, request).await)
            }),
            "/bench.Blobs/Echo" => Box::pin(async move {
                let handler = service_fn(|blobs: Request<Streaming<Blob>>| async move {
                    Ok::<_, Status>(Response::new(blobs.into_inner()))
                });
                Ok(grpc::<Blob, Blob>().streaming(handler, request).await)
            }),
            _ => unknown(),
        }
    }
}

async fn upload(mut blobs: Streaming<Blob>) -> Result<Response<Ask>, Status> {
    let mut arrived = Ask::default();
    while let Some(blob) = blobs.message().await? {
        arrived.size = arrived.size.wrapping_add(blob.value.len() as i32);
        arrived.count += 1;
    }
    Ok(Response::new(arrived))
}

type Client = tonic::client::Grpc<Channel>;

async fn call(flags: Call) -> Result<(), String> {
    let endpoint = Endpoint::try_from(format!("http://127.0.0.1:{}", flags.port)).map_err(to_text)?;
    let channel = endpoint
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await
        .map_err(to_text)?;
    let mut grpc = Client::new(channel);
    let count = flags.count as usize;
    match flags.method {
        Method::Unary => {
            let mut callers = JoinSet::new();
            for caller in 0..flags.in_flight {
                callers.spawn(get_features(grpc.clone(), flags.share(caller)));
            }
            while let Some(caller) = callers.join_next().await {
                caller.map_err(to_text)??;
            }
            Ok(())
        }
        Method::List => {
            let area = Rectangle {
                lo: Some(Point { latitude: -900_000_000, longitude: -1_800_000_000 }),
                hi: Some(Point { latitude: 900_000_000, longitude: 1_800_000_000 }),
            };
            let path = PathAndQuery::from_static("/routeguide.RouteGuide/ListFeatures");
            grpc.ready().await.map_err(to_text)?;
            let codec = ProstCodec::<Rectangle, Feature>::default();
            let answer = grpc.server_streaming(Request::new(area), path, codec).await.map_err(to_text)?;
            let mut features = answer.into_inner();
            let mut arrived = 0;
            while features.message().await.map_err(to_text)?.is_some() {
                arrived += 1;
            }
            if arrived == count { Ok(()) } else { Err(format!("{arrived} features instead of {count}")) }
        }
        Method::Record => {
            let path = PathAndQuery::from_static("/routeguide.RouteGuide/RecordRoute");
            grpc.ready().await.map_err(to_text)?;
            let points = tokio_stream::iter(std::iter::repeat_n(BERKSHIRE, count));
            let codec = ProstCodec::<Point, RouteSummary>::default();
            let answer = grpc.client_streaming(Request::new(points), path, codec).await.map_err(to_text)?;
            let counted = answer.into_inner().point_count;
            if counted as usize == count { Ok(()) } else { Err(format!("{counted} points instead of {count}")) }
        }
    }
}

async fn get_features(mut grpc: Client, calls: u32) -> Result<(), String> {
    let path = PathAndQuery::from_static("/routeguide.RouteGuide/GetFeature");
    for _ in 0..calls {
        grpc.ready().await.map_err(to_text)?;
        let codec = ProstCodec::<Point, Feature>::default();
        let answer = grpc.unary(Request::new(BERKSHIRE), path.clone(), codec).await.map_err(to_text)?;
        if answer.get_ref().location != Some(BERKSHIRE) {
            return Err("another feature than asked for".to_owned());
        }
    }
    Ok(())
}
