//! Properties of a server connection, from the preface to its end: for any input nothing panics or hangs, and nothing
//! remains.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

use super::cut;
use super::far::{END, Far, PAUSE, PIPE};
use crate::call::{Inbound, Outbound, Request, Response};
use crate::compression;
use crate::io::{Address, ByteStream, Listener, Peer};
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::server::{Router, Server, ServerOptions};
use crate::status::Status;
use crate::wire::encoding::Encoding;

// The paths of the route guide, so that calls recorded from its clients reach handlers. The messages have no fields that
// these read: anything that is Protocol Buffers at all is a request.
const GET_FEATURE: Method<(), Vec<u8>, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<(), Vec<u8>, ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<(), u64, ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<(), Vec<u8>, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");
const WAIT: Method<(), (), Unary> = Method::new("/properties.Guide/Wait");
const DEAF: Method<(), Vec<u8>, BidiStreaming> = Method::new("/properties.Guide/Deaf");

/// The connection preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The input is sent by a client after the preface, in pieces; then it half-closes and disconnects, or disconnects at
/// once. The connection ends, and with it every call and every handler.
pub fn server_connection(data: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(converse(data));
}

async fn converse(data: &[u8]) {
    let (near, far) = tokio::io::duplex(PIPE);
    let live = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(router(live.clone())).with_options(options());
    let serving = tokio::spawn(server.serve_until(Once(Some(far)), async { drop(stopped.await) }));

    let mut client = Far::of(near);
    let mut listens = client.send(PREFACE).await;
    for piece in cut(data) {
        listens = listens && client.send(piece).await;
    }
    if listens && data.len().is_multiple_of(2) {
        client.half_close().await;
    }
    drop(client);

    // Besides the server's task there are those of the connection and of its calls.
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let ended = timeout(END, async {
        while tasks() > 1 {
            sleep(PAUSE).await;
        }
    });
    assert!(ended.await.is_ok(), "{} tasks outlive their connection", tasks() - 1);
    assert_eq!(live.load(Ordering::Relaxed), 0, "handlers outlive their connection");
    drop(stop);
    let served = timeout(PAUSE, serving).await.expect("a server without connections ends at once");
    served.expect("the server does not panic").expect("the server has no error");
    assert_eq!(tasks(), 0);
}

/// Limits that a short input can reach; responses are compressed if the client accepts that.
fn options() -> ServerOptions {
    ServerOptions {
        limits: crate::limits::Limits {
            max_receive_message_size: 2 << 10,
            max_metadata_size: 2 << 10,
            stream_window: 1 << 10,
            ..Default::default()
        },
        max_concurrent_streams: 8,
        compressors: compression::all(),
        encoding: Some(Encoding::Gzip),
        ..ServerOptions::default()
    }
}

/// A listener that accepts a single peer.
pub(super) struct Once<T>(pub(super) Option<T>);

impl<T: crate::io::Io> Listener for Once<T> {
    type Handshake = std::future::Ready<std::io::Result<ByteStream>>;

    async fn accept(&mut self) -> std::io::Result<Self::Handshake> {
        match self.0.take() {
            Some(pipe) => {
                let connected = ByteStream::new(pipe, Peer::plain(Address::Memory));
                Ok(std::future::ready(Ok(connected)))
            }
            None => std::future::pending().await,
        }
    }
}

fn router(live: Arc<AtomicUsize>) -> Router<Guide> {
    Router::new(Guide { live })
        .unary(GET_FEATURE, Guide::get_feature)
        .server_streaming(LIST_FEATURES, Guide::list_features)
        .client_streaming(RECORD_ROUTE, Guide::record_route)
        .bidi_streaming(ROUTE_CHAT, Guide::route_chat)
        .unary(WAIT, Guide::wait)
        .bidi_streaming(DEAF, Guide::deaf)
}

/// A service of all four kinds that counts its handlers.
struct Guide {
    live: Arc<AtomicUsize>,
}

/// Counts a running handler until it is dropped.
pub(super) struct Live(Arc<AtomicUsize>);

impl Live {
    pub(super) fn begin(count: &Arc<AtomicUsize>) -> Live {
        count.fetch_add(1, Ordering::Relaxed);
        Live(count.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guide {
    fn begin(&self) -> Live {
        Live::begin(&self.live)
    }

    /// Responds at once, and returns the client's metadata.
    async fn get_feature(&self, request: Request<()>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let mut response = Response::new(vec![0; 100]);
        *response.initial_metadata_mut() = request.metadata().clone();
        *response.trailing_metadata_mut() = request.metadata().clone();
        Ok(response)
    }

    /// Sends responses endlessly.
    async fn list_features(&self, _request: Request<()>, mut features: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        loop {
            features.send(vec![0; 1000]).await?;
        }
    }

    /// Counts requests, up to a thousand.
    async fn record_route(&self, mut points: Inbound<()>) -> Result<Response<u64>, Status> {
        let _live = self.begin();
        let mut count = 0;
        while count < 1000 && points.recv().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(count))
    }

    /// Responds to every note with several.
    async fn route_chat(&self, mut notes: Inbound<()>, mut answers: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        answers.set_trailing_metadata(notes.metadata().clone());
        let mut count = 0;
        while notes.recv().await?.is_some() {
            count += 1;
            for length in 0..count {
                answers.send(vec![0; length]).await?;
            }
        }
        Err(Status::not_found("☺"))
    }

    /// Reads one note, and then sends responses endlessly.
    async fn deaf(&self, mut notes: Inbound<()>, mut answers: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        notes.recv().await?;
        drop(notes);
        loop {
            answers.send(vec![0; 1000]).await?;
        }
    }

    /// Never responds.
    async fn wait(&self, _request: Request<()>) -> Result<Response<()>, Status> {
        let _live = self.begin();
        std::future::pending().await
    }
}
