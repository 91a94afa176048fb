//! The route guide with TLS on tonic: the same server as `lean/barewire`, with the service as tonic's generator would write it.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use guide::{Feature, Guide, Journey, Point, Rectangle, RouteNote, RouteSummary, Within};
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, cert, key] = arguments.as_slice() else {
        eprintln!("usage: lean-tonic ADDRESS CERTIFICATE KEY");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(address, cert, key)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str, cert: &str, key: &str) -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity::from_pem(fs::read(cert)?, fs::read(key)?);
    let guide = RouteGuide(Arc::new(Guide::published(1)?));
    let mut termination = signal(SignalKind::terminate())?;
    let shutdown = async {
        termination.recv().await;
    };
    let mut server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity))?;
    Ok(server.add_service(guide).serve_with_shutdown(address.parse()?, shutdown).await?)
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

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
                Ok(Grpc::new(ProstCodec::<Feature, Point>::default()).unary(handler, request).await)
            }),
            "/routeguide.RouteGuide/ListFeatures" => Box::pin(async move {
                let handler = service_fn(|area: Request<Rectangle>| {
                    let features = Within::new(guide.clone(), area.into_inner()).map(Ok::<Feature, Status>);
                    async { Ok::<_, Status>(Response::new(tokio_stream::iter(features))) }
                });
                Ok(Grpc::new(ProstCodec::<Feature, Rectangle>::default()).server_streaming(handler, request).await)
            }),
            "/routeguide.RouteGuide/RecordRoute" => Box::pin(async move {
                let handler = service_fn(|points: Request<Streaming<Point>>| record_route(&guide, points.into_inner()));
                Ok(Grpc::new(ProstCodec::<RouteSummary, Point>::default()).client_streaming(handler, request).await)
            }),
            "/routeguide.RouteGuide/RouteChat" => Box::pin(async move {
                let handler = service_fn(|notes: Request<Streaming<RouteNote>>| {
                    let answers =
                        Chat { guide: guide.clone(), notes: notes.into_inner(), answers: Vec::new().into_iter() };
                    async { Ok::<_, Status>(Response::new(answers)) }
                });
                Ok(Grpc::new(ProstCodec::<RouteNote, RouteNote>::default()).streaming(handler, request).await)
            }),
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
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

/// The answers to notes.
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
