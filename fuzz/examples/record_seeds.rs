//! Records the bytes that a client of this library sends, as seeds: `cargo run --example record_seeds` in `fuzz/`.
//!
//! Each call uses a pipe in memory that copies the bytes that the client writes. The bytes after the preface become a
//! seed of `server_connection`; the messages in its DATA frames, stream by stream, become seeds of `message_decoder`.

use std::collections::BTreeMap;
use std::future::{Future, Ready, pending, ready};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready as poll_ready};
use std::time::Duration;

use barewire::io::{Address, ByteStream, Connector, Listener, Peer};
use barewire::{
    BidiStreaming, CallOptions, Client, ClientStreaming, Inbound, Metadata, Method, Outbound, Request, Response,
    Router, Server, ServerStreaming, Status, Unary,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// `routeguide.Point`.
#[derive(Clone, PartialEq, prost::Message)]
struct Point {
    #[prost(int32, tag = "1")]
    latitude: i32,
    #[prost(int32, tag = "2")]
    longitude: i32,
}

/// `routeguide.Rectangle`.
#[derive(Clone, PartialEq, prost::Message)]
struct Rectangle {
    #[prost(message, optional, tag = "1")]
    lo: Option<Point>,
    #[prost(message, optional, tag = "2")]
    hi: Option<Point>,
}

/// `routeguide.RouteNote`.
#[derive(Clone, PartialEq, prost::Message)]
struct RouteNote {
    #[prost(message, optional, tag = "1")]
    location: Option<Point>,
    #[prost(string, tag = "2")]
    message: String,
}

const GET_FEATURE: Method<Point, Point, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<Rectangle, Point, ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<Point, Point, ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<RouteNote, RouteNote, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");
const WAIT: Method<Point, Point, Unary> = Method::new("/properties.Guide/Wait");
const NOWHERE: Method<Point, Point, Unary> = Method::new("/routeguide.RouteGuide/Nowhere");

const MILL: Point = Point { latitude: 409_146_138, longitude: -746_188_906 };

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    record("get_feature", async |client| drop(client.unary(GET_FEATURE, MILL).await)).await;
    record("get_feature_with_metadata", async |client| {
        let mut metadata = Metadata::new();
        metadata.append("x-request-id", "17").unwrap();
        metadata.append_bin("trace-bin", &[0xDE, 0xAD, 0xBE, 0xEF]).unwrap();
        let options = CallOptions::new().timeout(Duration::from_secs(10)).metadata(metadata);
        drop(client.with(options).unary(GET_FEATURE, MILL).await);
    })
    .await;
    record("unknown_method", async |client| drop(client.unary(NOWHERE, MILL).await)).await;
    record("list_features", async |client| {
        let all = Rectangle {
            lo: Some(Point { latitude: 400_000_000, longitude: -750_000_000 }),
            hi: Some(Point { latitude: 420_000_000, longitude: -730_000_000 }),
        };
        let mut features = client.server_streaming(LIST_FEATURES, all).await.unwrap();
        while features.recv().await.unwrap().is_some() {}
    })
    .await;
    record("record_route", async |client| {
        let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await.unwrap();
        for step in 0..20 {
            points.send(Point { latitude: MILL.latitude + step, ..MILL }).await.unwrap();
        }
        points.finish().await.unwrap();
        drop(summary.await);
    })
    .await;
    record("route_chat", async |client| {
        let (mut notes, mut answers) = client.bidi_streaming(ROUTE_CHAT).await.unwrap();
        for number in 1..=6 {
            let location = Some(Point { latitude: 0, longitude: number % 3 });
            notes.send(RouteNote { location, message: format!("Message {number}") }).await.unwrap();
            answers.recv().await.unwrap();
        }
        notes.finish().await.unwrap();
        while answers.recv().await.unwrap().is_some() {}
    })
    .await;
    record("deadline_passes", async |client| {
        let client = client.with(CallOptions::new().timeout(Duration::from_millis(20)));
        drop(client.unary(WAIT, MILL).await);
    })
    .await;
    record("cancelled", async |client| {
        let (notes, answers) = client.bidi_streaming::<RouteNote, RouteNote>(ROUTE_CHAT).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop((answers, notes));
        tokio::time::sleep(Duration::from_millis(1)).await;
    })
    .await;
    record("three_calls_at_once", async |client| {
        let (first, second) = (client.unary(GET_FEATURE, MILL), client.unary(GET_FEATURE, Point::default()));
        let third = client.server_streaming(LIST_FEATURES, Rectangle::default());
        let (first, second, third) = tokio::join!(first, second, third);
        drop((first, second, third));
    })
    .await;
}

/// Runs a conversation with a server and records the client's bytes.
async fn record(name: &str, conversation: impl AsyncFnOnce(Client)) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let server = tokio::spawn(Server::new(router()).serve(Once(Some(far))));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let pipe = PipeConnector(Mutex::new(Some(CopyingPipe { pipe: near, sent: sent.clone() })));
    conversation(Client::connect(pipe).await.unwrap()).await;
    // The clock is paused: this waits until all tasks are idle.
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.abort();
    let sent = sent.lock().unwrap();
    let after_preface = sent.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    write("server_connection", name, after_preface);
    for (stream, messages) in messages(after_preface) {
        write("message_decoder", &format!("{name}_stream_{stream}"), &messages);
    }
}

/// Writes a seed, unless another seed has the same bytes.
fn write(target: &str, name: &str, seed: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let path = folder.join(name);
    let mut others = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    if others.any(|other| other != path && std::fs::read(&other).unwrap() == seed) {
        return;
    }
    std::fs::write(&path, seed).unwrap();
    println!("{:5} {}", seed.len(), path.display());
}

/// Returns the concatenated DATA payloads of each stream (RFC 9113 section 4.1).
fn messages(mut frames: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut streams: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while let Some(([a, b, c, kind, _, stream @ ..], rest)) = frames.split_first_chunk::<9>() {
        let (payload, rest) = rest.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        if *kind == 0 {
            streams.entry(u32::from_be_bytes(*stream)).or_default().extend_from_slice(payload);
        }
        frames = rest;
    }
    streams
}

/// A connector that returns a prepared pipe.
struct PipeConnector(Mutex<Option<CopyingPipe>>);

impl Connector for PipeConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let pipe = self.0.lock().unwrap().take().ok_or(io::ErrorKind::NotConnected)?;
        Ok(ByteStream::new(pipe, Peer::plain(Address::Memory)))
    }

    fn authority(&self) -> &str {
        "localhost:50051"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

/// A pipe that copies the written bytes.
struct CopyingPipe {
    pipe: DuplexStream,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for CopyingPipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for CopyingPipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = poll_ready!(Pin::new(&mut self.pipe).poll_write(cx, buf))?;
        self.sent.lock().unwrap().extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// A listener that accepts a single peer.
struct Once(Option<DuplexStream>);

impl Listener for Once {
    type Handshake = Ready<io::Result<ByteStream>>;

    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Handshake>> + Send {
        let pipe = self.0.take();
        async {
            match pipe {
                Some(pipe) => Ok(ready(Ok(ByteStream::new(pipe, Peer::plain(Address::Memory))))),
                None => pending().await,
            }
        }
    }
}

fn router() -> Router<Guide> {
    Router::new(Guide)
        .unary(GET_FEATURE, Guide::get_feature)
        .server_streaming(LIST_FEATURES, Guide::list_features)
        .client_streaming(RECORD_ROUTE, Guide::record_route)
        .bidi_streaming(ROUTE_CHAT, Guide::route_chat)
        .unary(WAIT, Guide::wait)
}

/// A server that responds with as much as the client needs to continue.
struct Guide;

impl Guide {
    async fn get_feature(&self, point: Request<Point>) -> Result<Response<Point>, Status> {
        Ok(Response::new(point.into_message()))
    }

    async fn list_features(&self, _: Request<Rectangle>, mut features: Outbound<Point>) -> Result<(), Status> {
        for latitude in 0..64 {
            features.send(Point { latitude, ..MILL }).await?;
        }
        Ok(())
    }

    async fn record_route(&self, mut points: Inbound<Point>) -> Result<Response<Point>, Status> {
        while points.recv().await?.is_some() {}
        Ok(Response::new(MILL))
    }

    async fn route_chat(&self, mut notes: Inbound<RouteNote>, mut out: Outbound<RouteNote>) -> Result<(), Status> {
        while let Some(note) = notes.recv().await? {
            out.send(note).await?;
        }
        Ok(())
    }

    async fn wait(&self, _: Request<Point>) -> Result<Response<Point>, Status> {
        pending().await
    }
}
