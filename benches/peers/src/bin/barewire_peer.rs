//! barewire with its defaults, except for the largest message.

use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use barewire::io::Listener;
use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use barewire::{
    BidiStreaming, Client, ClientOptions, ClientStreaming, Inbound, Method, Outbound, Request, Response, Router,
    Server, ServerOptions, ServerStreaming, Status, Unary,
};
use barewire_instructions::announce;
use barewire_peers::{Call, LARGEST_MESSAGE, Method as Wanted, Serve, main as run, to_text};
use guide::{Ask, Blob, Feature, Guide, Journey, Point, Rectangle, RouteNote, RouteSummary, zeros};
use tokio::task::JoinSet;

const GET_FEATURE: Method<Point, Feature, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<Rectangle, Feature, ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<Point, RouteSummary, ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<RouteNote, RouteNote, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");
const ANSWER: Method<Ask, Blob, Unary> = Method::new("/bench.Blobs/Answer");
const DOWNLOAD: Method<Ask, Blob, ServerStreaming> = Method::new("/bench.Blobs/Download");
const UPLOAD: Method<Blob, Ask, ClientStreaming> = Method::new("/bench.Blobs/Upload");
const ECHO: Method<Blob, Blob, BidiStreaming> = Method::new("/bench.Blobs/Echo");

/// The point that every client requests.
const BERKSHIRE: Point = Point { latitude: 409_146_138, longitude: -746_188_906 };

fn main() -> ExitCode {
    run(serve, call)
}

async fn serve(flags: Serve) -> Result<(), String> {
    let listener = tcp::listen("127.0.0.1:0").await.map_err(to_text)?;
    let guide = Guide::published(flags.repeat).map_err(to_text)?;
    announce(listener.local_addr().map_err(to_text)?.port());
    match flags.identity() {
        None => serve_on(listener, guide, flags.counted).await,
        Some((cert, key)) => {
            let tls = ServerTls::new(Identity::from_files(cert, key).map_err(to_text)?);
            serve_on(tls.listener(listener).map_err(to_text)?, guide, flags.counted).await
        }
    }
}

async fn serve_on(listener: impl Listener, guide: Guide, counted: bool) -> Result<(), String> {
    let router = Router::new(Service(guide))
        .unary(GET_FEATURE, Service::get_feature)
        .server_streaming(LIST_FEATURES, Service::list_features)
        .client_streaming(RECORD_ROUTE, Service::record_route)
        .bidi_streaming(ROUTE_CHAT, Service::route_chat)
        .unary(ANSWER, Service::answer)
        .server_streaming(DOWNLOAD, Service::download)
        .client_streaming(UPLOAD, Service::upload)
        .bidi_streaming(ECHO, Service::echo);
    let mut options = ServerOptions::default();
    options.limits.max_receive_message_size = LARGEST_MESSAGE;
    if counted {
        options.inline_limit = Duration::from_secs(60);
    }
    Server::new(router).with_options(options).serve_until(listener, pending()).await.map_err(to_text)
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

    async fn answer(&self, request: Request<Ask>) -> Result<Response<Blob>, Status> {
        Ok(zeros(request.size).into())
    }

    async fn download(&self, request: Request<Ask>, mut out: Outbound<Blob>) -> Result<(), Status> {
        let blob = zeros(request.size);
        for _ in 0..request.count {
            out.send(&blob).await?;
        }
        Ok(())
    }

    async fn upload(&self, mut blobs: Inbound<Blob>) -> Result<Response<Ask>, Status> {
        let mut arrived = Ask::default();
        while let Some(blob) = blobs.recv().await? {
            arrived.size = arrived.size.wrapping_add(blob.value.len() as i32);
            arrived.count += 1;
        }
        Ok(arrived.into())
    }

    async fn echo(&self, mut blobs: Inbound<Blob>, mut out: Outbound<Blob>) -> Result<(), Status> {
        while let Some(blob) = blobs.recv().await? {
            out.send(blob).await?;
        }
        Ok(())
    }
}

async fn call(flags: Call) -> Result<(), String> {
    let connector = tcp::connect(format!("127.0.0.1:{}", flags.port));
    let client = Client::connect_with(connector, ClientOptions::default()).await.map_err(to_text)?;
    let count = flags.count as usize;
    match flags.method {
        Wanted::Unary => {
            let flags = Arc::new(flags);
            let mut callers = JoinSet::new();
            for caller in 0..flags.in_flight {
                let (client, calls) = (client.clone(), flags.share(caller));
                callers.spawn(async move {
                    for _ in 0..calls {
                        let feature = client.unary(GET_FEATURE, BERKSHIRE).await.map_err(to_text)?;
                        if feature.location != Some(BERKSHIRE) {
                            return Err("another feature than asked for".to_owned());
                        }
                    }
                    Ok(())
                });
            }
            while let Some(caller) = callers.join_next().await {
                caller.map_err(to_text)??;
            }
        }
        Wanted::List => {
            let area = Rectangle {
                lo: Some(Point { latitude: -900_000_000, longitude: -1_800_000_000 }),
                hi: Some(Point { latitude: 900_000_000, longitude: 1_800_000_000 }),
            };
            let mut features = client.server_streaming(LIST_FEATURES, area).await.map_err(to_text)?;
            let mut arrived = 0;
            while features.recv().await.map_err(to_text)?.is_some() {
                arrived += 1;
            }
            if arrived != count {
                return Err(format!("{arrived} features instead of {count}"));
            }
        }
        Wanted::Record => {
            let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await.map_err(to_text)?;
            for _ in 0..count {
                points.send(&BERKSHIRE).await.map_err(to_text)?;
            }
            points.finish().await.map_err(to_text)?;
            let counted = summary.await.map_err(to_text)?.point_count;
            if counted as usize != count {
                return Err(format!("{counted} points instead of {count}"));
            }
        }
    }
    Ok(())
}
