//! The route guide with TLS on barewire, as a user would build it.

use std::process::ExitCode;

use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use barewire::{
    BidiStreaming, ClientStreaming, Inbound, Method, Outbound, Request, Response, Router, Server, ServerStreaming,
    Status, Unary,
};
use guide::{Feature, Guide, Journey, Point, Rectangle, RouteNote, RouteSummary};
use tokio::signal::unix::{SignalKind, signal};

const GET_FEATURE: Method<Point, Feature, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<Rectangle, Feature, ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<Point, RouteSummary, ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<RouteNote, RouteNote, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, cert, key] = arguments.as_slice() else {
        eprintln!("usage: lean-barewire ADDRESS CERTIFICATE KEY");
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
    let listener = ServerTls::new(Identity::from_files(cert, key)?).listener(tcp::listen(address).await?)?;
    let router = Router::new(Service(Guide::published(1)?))
        .unary(GET_FEATURE, Service::get_feature)
        .server_streaming(LIST_FEATURES, Service::list_features)
        .client_streaming(RECORD_ROUTE, Service::record_route)
        .bidi_streaming(ROUTE_CHAT, Service::route_chat);
    let mut termination = signal(SignalKind::terminate())?;
    let shutdown = async {
        termination.recv().await;
    };
    Ok(Server::new(router).serve_until(listener, shutdown).await?)
}

struct Service(Guide);

impl Service {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        Ok(self.0.feature(request.into_message()).into())
    }

    async fn list_features(&self, request: Request<Rectangle>, mut out: Outbound<Feature>) -> Result<(), Status> {
        for feature in self.0.within(request.into_message()) {
            out.send(feature).await?;
        }
        Ok(())
    }

    async fn record_route(&self, mut points: Inbound<Point>) -> Result<Response<RouteSummary>, Status> {
        let mut journey = Journey::new();
        while let Some(point) = points.recv().await? {
            journey.pass(&self.0, point);
        }
        Ok(journey.end().into())
    }

    async fn route_chat(&self, mut notes: Inbound<RouteNote>, mut out: Outbound<RouteNote>) -> Result<(), Status> {
        while let Some(note) = notes.recv().await? {
            for note in self.0.leave(note) {
                out.send(note).await?;
            }
        }
        Ok(())
    }
}
