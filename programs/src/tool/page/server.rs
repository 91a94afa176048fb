//! Serves the page and its events: HTTP/1.1 by hyper, Server-Sent Events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! The traffic of a tap is confidential. The page is bound to the loopback interface unless an address is given, and all paths
//! begin with a random token, because every user of the machine can connect to it. A request's Host must be an IP address or
//! localhost, so that a foreign name can't be made to point here (DNS rebinding). Other origins can't read the responses, and
//! the page may load from this server only.
//!
//! A browser that does not read is dropped. At the limit of connections a new one takes the place of one without the token, or
//! of the oldest, so that nobody can lock others out.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::html::{SCRIPT, STYLE, served};
use super::json::Lines;
use super::ring::{News, Ring};
use crate::tool::flags::to_tls::provider;

/// Maximum number of connections from browsers.
const CONNECTIONS: usize = 64;

/// Maximum size of a chunk of lines, in bytes.
const CHUNK: usize = 256 << 10;

/// Time for which a browser may not read what is sent.
const UNREAD: Duration = Duration::from_secs(10);

/// Maximum silence of a connection, after which a browser that has gone is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// Pause of accepting after an error; most errors are temporary.
const REST: Duration = Duration::from_millis(100);

/// Time for open pages to receive the last lines when a tap ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Hands lines to all open pages. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::tool) struct Handle {
    ring: Arc<Ring>,
    address: SocketAddr,
    /// The beginning of every path.
    token: Arc<str>,
    readers: Arc<Readers>,
    /// True if the program ends after the last line.
    is_tap: bool,
}

impl Handle {
    /// Returns the address that the page is served at.
    pub(in crate::tool) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the page's URL, with its token.
    pub(in crate::tool) fn url(&self) -> String {
        format!("http://{}/{}/", self.address, self.token)
    }
}

impl Lines for Handle {
    fn line(&mut self, line: &str) -> io::Result<()> {
        self.ring.push(line.trim_end_matches('\n'));
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.ring.end();
        if self.is_tap {
            self.readers.wait_until_gone();
        }
        Ok(())
    }
}

/// The number of open pages.
#[derive(Debug, Default)]
struct Readers {
    count: Mutex<usize>,
    one_less: Condvar,
}

impl Readers {
    fn wait_until_gone(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        // Pages that read too slowly are not waited for any longer.
        let _waited = self.one_less.wait_timeout_while(count, FAREWELL, |count| *count > 0);
    }
}

/// An open page, until its last line is sent.
struct Reader(Arc<Readers>);

impl Reader {
    fn new(readers: &Arc<Readers>) -> Self {
        *readers.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(readers.clone())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.one_less.notify_all();
    }
}

/// Serves the page at "host:port", or at a port of the loopback interface, on a task of its own. Keeps the newest lines, about
/// `limit` bytes of them. `listening` is the tap's address, if there is a tap.
pub(in crate::tool) async fn serve(address: &str, limit: usize, listening: Option<SocketAddr>) -> io::Result<Handle> {
    let port = address.strip_prefix(':').unwrap_or(address);
    let listener = match port.parse::<u16>() {
        Ok(port) => TcpListener::bind((IpAddr::from([127, 0, 0, 1]), port)).await,
        Err(_) => TcpListener::bind(address).await,
    };
    let listener =
        listener.map_err(|error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}")))?;
    let (ring, readers) = (Arc::new(Ring::new(limit)), Arc::default());
    let token: Arc<str> = token()?.into();
    let address = listener.local_addr()?;
    let handle = Handle { ring, address, token: token.clone(), readers, is_tap: listening.is_some() };
    // A page that is still open when the program restarts must not mistake its position for one in the new session.
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let session = format!("{began:x}-{:x}", std::process::id()).into();
    let source = Source { ring: handle.ring.clone(), token, session, listening, readers: handle.readers.clone() };
    tokio::spawn(accept(listener, source));
    Ok(handle)
}

#[derive(Clone)]
struct Source {
    ring: Arc<Ring>,
    token: Arc<str>,
    session: Arc<str>,
    listening: Option<SocketAddr>,
    readers: Arc<Readers>,
}

/// Returns 128 random bits in hex digits.
fn token() -> io::Result<String> {
    let mut bits = [0; 16];
    provider().secure_random.fill(&mut bits).map_err(|_| io::Error::other("found no random numbers"))?;
    Ok(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A connection of a browser.
struct Browser {
    task: AbortHandle,
    /// True once it has sent a request with the token.
    is_known: Arc<AtomicBool>,
}

async fn accept(listener: TcpListener, source: Source) {
    // The oldest first.
    let mut browsers: Vec<Browser> = Vec::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                browsers.retain(|browser| !browser.task.is_finished());
                if browsers.len() >= CONNECTIONS {
                    let stranger = browsers.iter().position(|browser| !browser.is_known.load(Ordering::Relaxed));
                    browsers.remove(stranger.unwrap_or(0)).task.abort();
                }
                let is_known: Arc<AtomicBool> = Arc::default();
                let task = tokio::spawn(connection(stream, source.clone(), is_known.clone())).abort_handle();
                browsers.push(Browser { task, is_known });
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn connection(stream: TcpStream, source: Source, is_known: Arc<AtomicBool>) {
    let stream = Impatient { stream, waits: None };
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(16 << 10);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &source, &is_known);
        async move { Ok::<_, Infallible>(response) }
    });
    // A browser that disconnects is not a failure.
    let _: Result<(), _> = http.serve_connection(TokioIo::new(stream), service).await;
}

/// A stream that fails if what is written to it is not read for [`UNREAD`].
struct Impatient {
    stream: TcpStream,
    /// Set while the browser does not read.
    waits: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep(UNREAD)));
        waits.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, space)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn answer<B>(request: &Request<B>, source: &Source, is_known: &AtomicBool) -> Response<Answer> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(header::HOST).unwrap_or_default();
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let path = request.uri().path().strip_prefix('/').and_then(|path| path.strip_prefix(&*source.token));
    is_known.fetch_or(path.is_some(), Ordering::Relaxed);
    match (request.method(), path.unwrap_or_default()) {
        _ if !is_local_name(host) => {
            let text = "This page is served only at an IP address or localhost, but the request names another host.\n";
            respond(StatusCode::MISDIRECTED_REQUEST, "text/plain", text.into())
        }
        _ if path.is_none() => {
            let text = "Not found. The page's address has a token: see the line that the program printed.\n";
            respond(StatusCode::NOT_FOUND, "text/plain", text.into())
        }
        (&Method::GET | &Method::HEAD, "/") => respond(StatusCode::OK, "text/html; charset=utf-8", served().into()),
        (&Method::GET | &Method::HEAD, _) if !matches!(site, None | Some(b"same-origin" | b"none")) => {
            respond(StatusCode::FORBIDDEN, "text/plain", "Only the page itself may load this.\n".into())
        }
        (&Method::GET | &Method::HEAD, "/page.css") => {
            respond(StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
        }
        (&Method::GET | &Method::HEAD, "/page.js") => {
            respond(StatusCode::OK, "text/javascript; charset=utf-8", Bytes::from_static(SCRIPT.as_bytes()))
        }
        (&Method::GET, "/events") => {
            let at = header(header::HeaderName::from_static("last-event-id")).and_then(|id| after(id, &source.session));
            let mut response = respond(StatusCode::OK, "text/event-stream", Bytes::new());
            let chunk = next(source.clone(), at.unwrap_or(0), at.is_none());
            *response.body_mut() = Answer::Events { chunk, _reader: Reader::new(&source.readers) };
            response
        }
        (&Method::GET | &Method::HEAD, _) => respond(StatusCode::NOT_FOUND, "text/plain", "Not found.\n".into()),
        _ => respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "Method not allowed: use GET.\n".into()),
    }
}

/// Returns true if a Host header names this machine in a way that DNS can't forge: by address, or as localhost.
fn is_local_name(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
}

/// Returns the number of the line after the last one that the browser received, if that was in this session.
fn after(id: &str, session: &str) -> Option<u64> {
    let number = id.strip_prefix(session)?.strip_prefix('.')?;
    number.parse().ok()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", content_type),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The body of a response.
enum Answer {
    Whole(Option<Bytes>),
    Events { chunk: Chunk, _reader: Reader },
}

/// The next chunk of events, and the position after it.
type Chunk = Pin<Box<dyn Future<Output = (Bytes, Option<Rest>)> + Send>>;

struct Rest {
    source: Source,
    at: u64,
}

fn next(source: Source, at: u64, first: bool) -> Chunk {
    Box::pin(async move {
        let mut chunk = String::new();
        if first {
            chunk = format!("retry: 1000\nevent: begin\ndata: {}\n\n", source.session);
            if let Some(address) = source.listening {
                chunk.push_str(&format!("event: listening\ndata: {address}\n\n"));
            }
        }
        let read = tokio::time::timeout(SILENCE, source.ring.read(at, CHUNK));
        let news = match read.await {
            Ok(news) => news,
            Err(_) => {
                chunk.push_str(": still here\n\n");
                return (chunk.into(), Some(Rest { source, at }));
            }
        };
        push(&mut chunk, &news, &source.session);
        let rest = (!news.ended).then_some(Rest { at: news.next, source });
        (chunk.into(), rest)
    })
}

fn push(chunk: &mut String, news: &News, session: &str) {
    if news.missed > 0 {
        chunk.push_str(&format!("event: missed\ndata: {}\n\n", news.missed));
    }
    let first = news.next - news.lines.len() as u64;
    for (number, line) in (first..).zip(&news.lines) {
        chunk.push_str(&format!("id: {session}.{}\ndata: {line}\n\n", number + 1));
    }
    if news.ended {
        chunk.push_str("event: over\ndata:\n\n");
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Answer::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Answer::Events { chunk, .. } => {
                let (bytes, rest) = ready!(chunk.as_mut().poll(cx));
                match rest {
                    Some(Rest { source, at }) => *chunk = next(source, at, false),
                    None => *self = Answer::Whole(None),
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Whole(None))
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
