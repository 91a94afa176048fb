//! connectrpc 0.9 for Rust, on its own server: windows as wide as barewire's instead of adaptive ones, no compression. Its
//! generator writes the messages and services (`build.rs`).

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use barewire_instructions::announce;
use barewire_peers::{CONCURRENT_STREAMS, CONNECTION_WINDOW, Peer, STREAM_WINDOW, Serve, exit_code, to_text};
use clap::Parser;
use connectrpc::{
    ConnectError, ConnectRpcService, Encodable, InboundStream, Limits, RequestContext, Response, Router, Server,
    ServiceRequest, ServiceResult, ServiceStream,
};
use guide::{Guide, Journey, Within};
use proto::bench::{Ask, Blob, Blobs};
use proto::routeguide::{Feature, Point, Rectangle, RouteGuide, RouteNote, RouteSummary};
use tokio_stream::{Stream, StreamExt};

#[allow(clippy::all, unused)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/connect.rs"));
}

fn main() -> ExitCode {
    exit_code(match Peer::parse() {
        Peer::Serve(flags) => flags.runtime().map_err(to_text).and_then(|runtime| runtime.block_on(serve(flags))),
        Peer::Call(_) => Err("only the server of connectrpc is measured".to_owned()),
    })
}

async fn serve(flags: Serve) -> Result<(), String> {
    if flags.identity().is_some() {
        return Err("connectrpc is measured without TLS".to_owned());
    }
    let guide = Arc::new(Guide::published(flags.repeat).map_err(to_text)?);
    let router = Router::new().add_service(Arc::new(Service(guide))).add_service(Arc::new(BlobService));
    let bound = Server::bind("127.0.0.1:0").await.map_err(to_text)?;
    announce(bound.local_addr().map_err(to_text)?.port());
    let server = match flags.defaults {
        true => bound,
        false => bound
            .with_http2_adaptive_window(false)
            .with_http2_initial_stream_window_size(STREAM_WINDOW)
            .with_http2_initial_connection_window_size(CONNECTION_WINDOW)
            .with_max_concurrent_streams(CONCURRENT_STREAMS),
    };
    let service = ConnectRpcService::new(router).with_limits(Limits::unlimited());
    tokio::select! {
        ended = server.serve_with_service(service) => ended.map_err(to_text),
        signalled = barewire_instructions::termination() => signalled.map_err(to_text),
    }
}

struct Service(Arc<Guide>);

fn feature(found: guide::Feature) -> Feature {
    let location =
        found.location.map(|at| Point { latitude: at.latitude, longitude: at.longitude, ..Default::default() });
    Feature { name: found.name, location: location.into(), ..Default::default() }
}

impl RouteGuide for Service {
    async fn get_feature<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, Point>,
    ) -> ServiceResult<impl Encodable<Feature> + Send + use<'a>> {
        let point = guide::Point { latitude: request.latitude, longitude: request.longitude };
        Response::ok(feature(self.0.feature(point)))
    }

    async fn list_features(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, Rectangle>,
    ) -> ServiceResult<ServiceStream<impl Encodable<Feature> + Send + use<>>> {
        let area = request.to_owned_message();
        let corner = |at: &Point| guide::Point { latitude: at.latitude, longitude: at.longitude };
        let area = guide::Rectangle { lo: area.lo.as_option().map(corner), hi: area.hi.as_option().map(corner) };
        let features = Within::new(self.0.clone(), area).map(|found| Ok(feature(found)));
        Response::ok(Box::pin(tokio_stream::iter(features)) as ServiceStream<Feature>)
    }

    async fn record_route<'a>(
        &'a self,
        _: RequestContext,
        mut points: InboundStream<Point>,
    ) -> ServiceResult<impl Encodable<RouteSummary> + Send + use<'a>> {
        let mut journey = Journey::new();
        while let Some(point) = points.next().await.transpose()? {
            let point = point.view();
            journey.pass(&self.0, guide::Point { latitude: point.latitude, longitude: point.longitude });
        }
        let summary = journey.end();
        Response::ok(RouteSummary {
            point_count: summary.point_count,
            feature_count: summary.feature_count,
            distance: summary.distance,
            elapsed_time: summary.elapsed_time,
            ..Default::default()
        })
    }

    async fn route_chat(
        &self,
        _: RequestContext,
        notes: InboundStream<RouteNote>,
    ) -> ServiceResult<ServiceStream<impl Encodable<RouteNote> + Send + use<>>> {
        let chat = Chat { guide: self.0.clone(), notes, answers: Vec::new().into_iter() };
        Response::ok(Box::pin(chat) as ServiceStream<RouteNote>)
    }
}

/// The answers to notes, as a stream without a task or a channel.
struct Chat {
    guide: Arc<Guide>,
    notes: InboundStream<RouteNote>,
    answers: std::vec::IntoIter<guide::RouteNote>,
}

impl Stream for Chat {
    type Item = Result<RouteNote, ConnectError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.answers.next() {
                let location = answer.location.unwrap_or_default();
                let location =
                    Point { latitude: location.latitude, longitude: location.longitude, ..Default::default() };
                let note = RouteNote { location: Some(location).into(), message: answer.message, ..Default::default() };
                return Poll::Ready(Some(Ok(note)));
            }
            match std::task::ready!(self.notes.as_mut().poll_next(cx)) {
                Some(Ok(note)) => {
                    let note = note.to_owned_message();
                    let location = note.location.as_option();
                    let location = location.map(|at| guide::Point { latitude: at.latitude, longitude: at.longitude });
                    let note = guide::RouteNote { location, message: note.message };
                    self.answers = self.guide.leave(note).into_iter();
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

struct BlobService;

fn zeros(size: i32) -> Blob {
    Blob { value: guide::zeros(size).value, ..Default::default() }
}

impl Blobs for BlobService {
    async fn answer<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, Ask>,
    ) -> ServiceResult<impl Encodable<Blob> + Send + use<'a>> {
        Response::ok(zeros(request.size))
    }

    async fn download(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, Ask>,
    ) -> ServiceResult<ServiceStream<impl Encodable<Blob> + Send + use<>>> {
        let count = usize::try_from(request.count).unwrap_or_default();
        let blobs = std::iter::repeat_n(zeros(request.size), count).map(Ok);
        Response::ok(Box::pin(tokio_stream::iter(blobs)) as ServiceStream<Blob>)
    }

    async fn upload<'a>(
        &'a self,
        _: RequestContext,
        mut blobs: InboundStream<Blob>,
    ) -> ServiceResult<impl Encodable<Ask> + Send + use<'a>> {
        let (mut size, mut count) = (0_i32, 0);
        while let Some(blob) = blobs.next().await.transpose()? {
            size = size.wrapping_add(blob.view().value.len() as i32);
            count += 1;
        }
        Response::ok(Ask { size, count, ..Default::default() })
    }

    async fn echo(
        &self,
        _: RequestContext,
        blobs: InboundStream<Blob>,
    ) -> ServiceResult<ServiceStream<impl Encodable<Blob> + Send + use<>>> {
        Response::ok(blobs)
    }
}
