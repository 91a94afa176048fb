//! A connection of a server, from the preface to its end: whatever comes, nothing panics, nothing hangs, nothing is left.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

use super::cut;
use crate::call::{Inbound, Outbound, Request, Response};
use crate::io::{Address, Connected, Listener, Peer};
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::server::{Router, Server, ServerOptions};
use crate::status::Status;

// The paths of the route guide, so that calls recorded from its clients reach handlers. The messages have no fields that
// these read: anything that is Protocol Buffers at all is a request.
const GET_FEATURE: Method<(), Vec<u8>, Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<(), Vec<u8>, ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<(), u64, ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<(), Vec<u8>, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");
const WAIT: Method<(), (), Unary> = Method::new("/properties.Guide/Wait");

/// The connection preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes lie between the two ends at most.
const PIPE: usize = 16 << 10;

/// How much of the answers is read before the peer of the server stops reading.
const APPETITE: usize = 64 << 10;

/// Between two pieces of the input the clock goes on by so much, for which it waits until the server has nothing to do.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a peer that has said its last waits for answers before it is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the server may take to notice.
const END: Duration = Duration::from_secs(60);

/// The input is what a client sends after the preface, in pieces; then it half-closes and goes away, or goes away at once.
/// The connection ends, and with it every call and every handler.
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

    let mut client = Client { pipe: near, appetite: APPETITE };
    let mut listens = client.send(PREFACE).await;
    for piece in cut(data) {
        listens = listens && client.send(piece).await;
    }
    if listens && data.len().is_multiple_of(2) {
        client.half_close().await;
    }
    drop(client);

    // Beside the server's task there are those of the connection and of its calls.
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

/// Limits that a short input can reach.
fn options() -> ServerOptions {
    ServerOptions {
        max_receive_message_size: 2 << 10,
        max_metadata_size: 2 << 10,
        max_concurrent_streams: 8,
        stream_window: 1 << 10,
        ..ServerOptions::default()
    }
}

/// The client's end of the pipe.
struct Client {
    pipe: DuplexStream,
    /// How much it will still read.
    appetite: usize,
}

impl Client {
    /// Sends some bytes, reading meanwhile, and gives the server time to act on them. Tells whether it still listens.
    async fn send(&mut self, mut bytes: &[u8]) -> bool {
        let sent = poll_fn(|cx| {
            let _: Poll<()> = self.poll_read(cx);
            while !bytes.is_empty() {
                match Pin::new(&mut self.pipe).poll_write(cx, bytes) {
                    Poll::Ready(Ok(count)) if count > 0 => bytes = &bytes[count..],
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        });
        let listens = timeout(PATIENCE, sent).await.unwrap_or(false);
        sleep(PAUSE).await;
        listens
    }

    /// Says that nothing more will come, and reads what still does.
    async fn half_close(&mut self) {
        // A server that has gone already needs not be told.
        let _: std::io::Result<()> = self.pipe.shutdown().await;
        let _: Result<(), _> = timeout(PATIENCE, poll_fn(|cx| self.poll_read(cx))).await;
    }

    /// Reads and throws away; ready at the end of what comes. With its appetite gone it reads nothing, like a peer that
    /// has stopped.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        while self.appetite > 0 {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.pipe).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.appetite = self.appetite.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}

/// A listener that one peer comes to.
struct Once(Option<DuplexStream>);

impl Listener for Once {
    type Handshake = std::future::Ready<std::io::Result<Connected>>;

    async fn accept(&mut self) -> std::io::Result<Self::Handshake> {
        match self.0.take() {
            Some(pipe) => {
                let connected = Connected::new(pipe, Peer::plain(Address::Memory));
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
}

/// A service of all four kinds that counts its handlers.
struct Guide {
    live: Arc<AtomicUsize>,
}

/// Stands for a handler that runs.
struct Live(Arc<AtomicUsize>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guide {
    fn begin(&self) -> Live {
        self.live.fetch_add(1, Ordering::Relaxed);
        Live(self.live.clone())
    }

    /// Answers at once, and returns to the client what metadata it sent.
    async fn get_feature(&self, request: Request<()>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let mut response = Response::new(vec![0; 100]);
        *response.headers_mut() = request.metadata().clone();
        *response.trailers_mut() = request.metadata().clone();
        Ok(response)
    }

    /// Answers without an end.
    async fn list_features(&self, _request: Request<()>, mut features: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        loop {
            features.send(vec![0; 1000]).await?;
        }
    }

    /// Counts, up to a thousand.
    async fn record_route(&self, mut points: Inbound<()>) -> Result<Response<u64>, Status> {
        let _live = self.begin();
        let mut count = 0;
        while count < 1000 && points.recv().await?.is_some() {
            count += 1;
        }
        Ok(Response::new(count))
    }

    /// Answers every note with some more.
    async fn route_chat(&self, mut notes: Inbound<()>, mut answers: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        answers.set_trailers(notes.metadata().clone());
        let mut count = 0;
        while notes.recv().await?.is_some() {
            count += 1;
            for length in 0..count {
                answers.send(vec![0; length]).await?;
            }
        }
        Err(Status::not_found("☺"))
    }

    /// Never answers.
    async fn wait(&self, _request: Request<()>) -> Result<Response<()>, Status> {
        let _live = self.begin();
        std::future::pending().await
    }
}
