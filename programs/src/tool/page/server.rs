//! Serves the page and its events: HTTP/1.1 by hyper, Server-Sent Events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! The traffic of a tap is confidential. The page is bound to the loopback interface unless an address is given. A request's
//! Host must be an IP address or localhost, so that a foreign name can't be made to point here (DNS rebinding). Other origins
//! can't read the responses, and the page may load from this server only.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::html::{SCRIPT, STYLE, served};
use super::json::Lines;
use super::ring::{News, Ring};

/// Maximum number of connections from browsers.
const CONNECTIONS: usize = 64;

/// Maximum size of a chunk of lines, in bytes.
const CHUNK: usize = 256 << 10;

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
    readers: Arc<Readers>,
    /// True if the program ends after the last line.
    is_tap: bool,
}

impl Handle {
    /// Returns the address of the page.
    pub(in crate::tool) fn address(&self) -> SocketAddr {
        self.address
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
    let handle = Handle { ring, address: listener.local_addr()?, readers, is_tap: listening.is_some() };
    // A page that is still open when the program restarts must not mistake its position for one in the new session.
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let session = format!("{began:x}-{:x}", std::process::id()).into();
    let source = Source { ring: handle.ring.clone(), session, listening, readers: handle.readers.clone() };
    tokio::spawn(accept(listener, source));
    Ok(handle)
}

#[derive(Clone)]
struct Source {
    ring: Arc<Ring>,
    session: Arc<str>,
    listening: Option<SocketAddr>,
    readers: Arc<Readers>,
}

async fn accept(listener: TcpListener, source: Source) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = source.clone();
                tokio::spawn(async move {
                    connection(stream, source).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

async fn connection(stream: TcpStream, source: Source) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(16 << 10);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &source);
        async move { Ok::<_, Infallible>(response) }
    });
    // A browser that disconnects is not a failure.
    let _: Result<(), _> = http.serve_connection(TokioIo::new(stream), service).await;
}

fn answer<B>(request: &Request<B>, source: &Source) -> Response<Answer> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(header::HOST).unwrap_or_default();
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let path = request.uri().path();
    match (request.method(), path) {
        _ if !is_local_name(host) => {
            let text = "This page is served only at an IP address or localhost, but the request names another host.\n";
            respond(StatusCode::MISDIRECTED_REQUEST, "text/plain", text.into())
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Returns the server's response to a request line with these headers, up to `until` or to the end.
    async fn ask(address: SocketAddr, line: &str, headers: &str, until: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let mut piece = [0; 4096];
        while until.is_empty() || !answer.contains(until) {
            let read = stream.read(&mut piece).await.unwrap();
            if read == 0 {
                break;
            }
            answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        answer
    }

    #[tokio::test]
    async fn lines_are_events_and_a_reader_resumes_where_it_was() {
        let mut handle = serve("0", 1 << 20, None).await.unwrap();
        let address = handle.address();
        assert!(address.ip().is_loopback(), "a port alone means the loopback interface");
        handle.line("{\"a\":1}\n").unwrap();
        handle.line("{\"b\":2}\n").unwrap();
        let seen = ask(address, "GET /events", "host: localhost\r\n", "{\"b\":2}\n\n").await;
        assert!(seen.contains("content-type: text/event-stream") && seen.contains("event: begin\n"), "{seen}");
        let (_, id) = seen.rsplit_once("id: ").unwrap();
        let last = format!("host: localhost\r\nlast-event-id: {}\r\n", id.lines().next().unwrap());
        handle.line("{\"c\":3}\n").unwrap();
        handle.end().unwrap();
        let seen = ask(address, "GET /events", &last, "").await;
        assert!(seen.contains("data: {\"c\":3}\n\n") && seen.contains("event: over\n"), "{seen}");
        assert!(!seen.contains("{\"b\":2}") && !seen.contains("event: begin"), "{seen}");
        let stranger = ask(address, "GET /events", "host: localhost\r\nlast-event-id: other.7\r\n", "").await;
        assert!(stranger.contains("{\"a\":1}") && stranger.contains("event: begin"), "{stranger}");
    }

    #[tokio::test]
    async fn a_late_reader_learns_what_it_missed() {
        let tap = SocketAddr::from(([127, 0, 0, 1], 50052));
        let mut handle = serve("127.0.0.1:0", 100, Some(tap)).await.unwrap();
        for line in ["first", "second", "third"] {
            handle.line(&line.repeat(10)).unwrap();
        }
        handle.end().unwrap();
        let seen = ask(handle.address(), "GET /events", "host: localhost\r\n", "").await;
        assert!(
            seen.contains("event: missed\ndata: 2\n\n") && !seen.contains("second") && seen.contains("third"),
            "{seen}"
        );
        assert!(seen.contains("event: listening\ndata: 127.0.0.1:50052\n\n"), "{seen}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_end_of_a_tap_waits_for_its_readers() {
        let mut handle = serve("0", 1 << 20, Some(SocketAddr::from(([127, 0, 0, 1], 50052)))).await.unwrap();
        let address = handle.address();
        handle.line("{\"a\":1}").unwrap();
        let reader = tokio::spawn(ask(address, "GET /events", "host: localhost\r\n", ""));
        while *handle.readers.count.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        handle.end().unwrap();
        assert_eq!(*handle.readers.count.lock().unwrap(), 0);
        assert!(reader.await.unwrap().contains("event: over"));
    }

    #[tokio::test]
    async fn other_hosts_and_other_origins_are_refused() {
        let address = serve(":0", 1 << 20, None).await.unwrap().address();
        for (line, headers, status) in [
            ("GET /", "host: evil.example\r\n", "421"),
            ("GET /events", "host: evil.example\r\n", "421"),
            ("GET /", "", "421"),
            ("GET /", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "200"),
            ("GET /events", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "403"),
            ("GET /page.js", "host: 127.0.0.1\r\nsec-fetch-site: same-origin\r\n", "200"),
            ("POST /", "host: 127.0.0.1\r\n", "405"),
            ("GET /page", "host: 127.0.0.1\r\n", "404"),
        ] {
            let answer = ask(address, line, headers, "\r\n\r\n").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {headers}: {answer}");
            assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
            assert!(!answer.contains("access-control"), "{answer}");
        }
    }

    #[test]
    fn hosts() {
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "192.0.2.7:1"] {
            assert!(is_local_name(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:port", "[localhost]"]
        {
            assert!(!is_local_name(host), "{host}");
        }
    }

    #[tokio::test]
    async fn an_error_names_the_address_in_use() {
        let taken = serve("0", 1, None).await.unwrap().address().to_string();
        let error = serve(&taken, 1, None).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("can't listen on {taken}: ")), "{error}");
    }
}
