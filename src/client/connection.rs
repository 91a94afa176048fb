//! One connection on the client: connects, waits for the server's HTTP/2 SETTINGS, and spawns the connection task.
//!
//! RFC 9113 section 3.4: the server's first frame is SETTINGS. Without waiting for it, a peer that speaks another
//! protocol would be noticed only when the first call fails.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::{Authority, InvalidUri, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri};

use super::invoke::{Begin, CallStream, Head, Invoke};
use super::options::ClientOptions;
use crate::call::answer::Answer;
use crate::call::budget::Budget;
use crate::call::failure::{status_of, status_on};
use crate::call::link::{Keepalive, Link, Side};
use crate::call::piece::Piece;
use crate::call::send::SendHalf;
use crate::io::{ByteStream, ConnectionInfo, Connector, Gather, Outlet, Peer, PeerLimits, gather, h2_limit};
use crate::limits::{DATA_FRAME_BUDGET, MIN_KEEPALIVE_TIME, RESET_MEMORY, RESETS_REMEMBERED, UNSENT_OF_CALL};
use crate::status::Status;
use crate::wire::cause::{By, NoTls, What};
use crate::wire::http2::{FrameHeader, FrameType};

/// An HTTP/2 connection to a server. Closes when the last of its clients and calls is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), barewire::Status> {
/// use std::sync::Arc;
///
/// use barewire::client::Connection;
/// use barewire::{Client, ClientOptions, transport};
///
/// // As `Client::connect_with` does, but the connection can be shared with other code.
/// let options = ClientOptions::default();
/// let connection = Arc::new(Connection::open(&transport::tcp::connect("localhost:50051"), &options).await?);
/// let client = Client::over(connection.clone(), options)?;
/// # Ok(())
/// # }
/// ```
pub struct Connection {
    requests: SendRequest<Piece>,
    link: Arc<Link>,
    /// A reference that each call holds a clone of, if keepalive counts calls.
    calls: Option<Weak<()>>,
    scheme: Scheme,
    authority: Authority,
}

impl Connection {
    /// Connects and waits for the server's SETTINGS.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE, with a message that names the step that failed: nothing listens at the address, the TLS handshake
    /// failed, the peer does not speak HTTP/2, or [`ClientOptions::connect_timeout`] passed. Also for an invalid scheme
    /// or authority.
    pub async fn open(connector: &impl Connector, options: &ClientOptions) -> Result<Connection, Status> {
        let (scheme, authority) = (connector.scheme(), connector.authority());
        let scheme = Scheme::try_from(scheme)
            .map_err(|_| unavailable(format!("invalid scheme {scheme:?}: use http or https")))?;
        let authority = Authority::try_from(authority)
            .map_err(|error| unavailable(format!("invalid authority {authority:?}: use host:port ({error})")))?;
        let opening = async {
            let connected = connector.connect().await.map_err(can_not_connect)?;
            let (requests, calls, link) = shake_hands(connected, options).await?;
            Ok(Connection { requests, link: Arc::new(link), calls, scheme, authority })
        };
        match tokio::time::timeout(options.connect_timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(too_slow(options.connect_timeout)),
        }
    }

    /// Returns the server's address, and its certificates if the connection uses TLS.
    pub fn peer(&self) -> &Peer {
        self.link.connection.peer()
    }

    fn request(&self, path: Cow<'static, str>, headers: HeaderMap) -> Result<Request<()>, Status> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(parse_path(path)?);
        let uri = Uri::from_parts(parts).map_err(|error| Status::internal(error.to_string()))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn open_stream(&self, head: Head) -> Result<CallStream, Status> {
        let Head { path, headers, receive_limit, compressors, code_of_http_status } = head;
        let request = self.request(path, headers)?;
        // Each call uses its own clone: beyond MAX_CONCURRENT_STREAMS h2 queues the stream, and the next call need not wait.
        let mut requests = self.requests.clone();
        let lost = |error: h2::Error| self.link.witnessed(status_on(&error, &self.link));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match requests.poll_ready(&mut context) {
            Poll::Ready(ready) => ready.map_err(lost)?,
            Poll::Pending => return Err(Status::internal("h2 refused a new stream")),
        }
        let (response, stream) = requests.send_request(request, false).map_err(lost)?;
        let counted = self.calls.as_ref().and_then(Weak::upgrade);
        let answer = Answer::new(response, receive_limit, compressors, code_of_http_status, self.link.clone(), counted);
        Ok(CallStream { sending: SendHalf::stream(stream, self.link.budget.clone()), answer })
    }
}

impl Invoke for Connection {
    fn begin(&self, head: Head) -> Begin {
        Begin::Now(self.open_stream(head))
    }
}

/// Performs the HTTP/2 handshake, from the preface to the server's SETTINGS.
async fn shake_hands(
    connected: ByteStream,
    options: &ClientOptions,
) -> Result<(SendRequest<Piece>, Option<Weak<()>>, Link), Status> {
    let keepalive = options.keepalive_time.map(|time| time.max(MIN_KEEPALIVE_TIME));
    // The timeout for connecting covers the greeting too.
    let max_metadata_size = options.limits.max_metadata_size;
    let limits = PeerLimits { greeting: None, patience: options.limits.peer_timeout, keepalive, max_metadata_size };
    let (io, outlet) = gather(connected.io, limits, false);
    let link = Link {
        side: Side::Client,
        connection: Arc::new(ConnectionInfo::new(connected.peer)),
        budget: Budget::new(options.limits.max_connection_memory, options.limits.peer_timeout),
        blocks: outlet.blocks(),
        witness: connected.witness,
        keepalive: keepalive.map(|time| Keepalive { time, without_calls: options.keepalive_without_calls }),
    };
    let mut builder = Builder::new();
    builder
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .reset_stream_duration(RESET_MEMORY)
        .initial_window_size(options.limits.stream_window)
        .initial_connection_window_size(options.limits.connection_window)
        .max_header_list_size(h2_limit(max_metadata_size, false))
        .max_send_buffer_size(UNSENT_OF_CALL)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .enable_push(false);
    let (requests, connection) = builder.handshake(io).await.map_err(|error| status_of(&error, Side::Client))?;
    let mut connection = Box::pin(connection);
    poll_fn(|cx| {
        let ended = connection.as_mut().poll(cx);
        outlet.end_turn(cx);
        let greeting = outlet.greeting();
        match (FrameHeader::parse(&greeting).map(|header| header.kind), ended) {
            (Some(FrameType::SETTINGS), Poll::Pending) => Poll::Ready(Ok(())),
            (Some(kind), Poll::Pending) if kind.is_defined() => Poll::Ready(Err(not_http2(&greeting, None))),
            (_, Poll::Pending) => Poll::Pending,
            (_, Poll::Ready(end)) => Poll::Ready(Err(not_http2(&greeting, end.err()))),
        }
    })
    .await?;
    let counts = keepalive.is_some() && !options.keepalive_without_calls;
    let calls = counts.then(|| Arc::new(()));
    let counted = calls.as_ref().map(Arc::downgrade);
    tokio::spawn(drive(connection, outlet, calls));
    Ok((requests, counted, link))
}

/// Runs the connection until it has ended, and then closes it gracefully. Each call holds a clone of `calls`, if
/// keepalive has to know when the connection is idle.
async fn drive(
    mut connection: Pin<Box<h2::client::Connection<Gather, Piece>>>,
    outlet: Outlet,
    calls: Option<Arc<()>>,
) {
    poll_fn(|cx| {
        if let Some(calls) = &calls {
            outlet.set_idle(Arc::strong_count(calls) == 1);
        }
        let ended = connection.as_mut().poll(cx);
        outlet.end_turn(cx);
        // The connection's calls report the error.
        ended.map(drop)
    })
    .await;
    drop(connection);
    outlet.linger().await;
}

/// Parses the path of a method; one of a constant is not copied.
fn parse_path(path: Cow<'static, str>) -> Result<PathAndQuery, Status> {
    let invalid = |path: &str, error| Status::internal(format!("invalid method path {path:?}: {error}"));
    match path {
        Cow::Borrowed(path) => PathAndQuery::from_maybe_shared(Bytes::from_static(path.as_bytes()))
            .map_err(|error: InvalidUri| invalid(path, error)),
        Cow::Owned(path) => PathAndQuery::try_from(path.as_str()).map_err(|error| invalid(&path, error)),
    }
}

fn unavailable(message: impl Into<std::borrow::Cow<'static, str>>) -> Status {
    Status::unavailable(message)
}

fn can_not_connect(error: io::Error) -> Status {
    let status = unavailable(format!("can't connect: {error}"));
    match error.get_ref().and_then(|inner| inner.downcast_ref::<NoTls>()) {
        Some(NoTls { by, .. }) => status.caused(*by, What::Tls(error)),
        None => status.caused(By::Path, What::Io(error)),
    }
}

fn too_slow(timeout: Duration) -> Status {
    let message = format!("no HTTP/2 connection within {timeout:?}");
    unavailable(message).caused(By::Path, What::Io(io::ErrorKind::TimedOut.into()))
}

/// Returns the status for a peer that does not speak HTTP/2, and guesses its protocol from its first bytes.
fn not_http2(greeting: &[u8], error: Option<h2::Error>) -> Status {
    let message = match greeting {
        [] => "the peer closed the connection before it spoke HTTP/2".to_owned(),
        [b'H', b'T', b'T', b'P', b'/', ..] => {
            let line = greeting.split(|byte| *byte == b'\r').next().unwrap_or_default();
            format!("the peer answered {:?}: is this a gRPC port?", String::from_utf8_lossy(line))
        }
        [_, _, _, kind, ..] if FrameHeader::parse(greeting).is_some_and(|header| header.kind.is_defined()) => {
            format!("the peer's first frame must be SETTINGS (4), but has type {kind}")
        }
        [b'<', ..] => "the peer answered with a page of HTML: is this a gRPC port?".to_owned(),
        [0x15, 0x03, ..] => "the peer answered with a TLS alert: does this port want TLS?".to_owned(),
        _ => format!("the peer does not speak HTTP/2: its first bytes are {greeting:02x?}"),
    };
    match error.and_then(h2::Error::into_io) {
        Some(error) if greeting.is_empty() => {
            let (by, what) = What::of_io(error);
            unavailable(message).caused(by, what)
        }
        _ => unavailable(message).caused(By::Peer, What::NotHttp2 { beginning: greeting.to_vec() }),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("authority", &self.authority)
            .field("peer", self.link.connection.peer())
            .finish_non_exhaustive()
    }
}
