//! Tests the beginning of a connection: which side sends first, how long the other waits, and connections that never begin.

use std::future::{Future, pending, ready};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use barewire::io::{Address, ByteStream, Connector, Listener};
use barewire::{Client, ClientOptions, Code, Request, Response, Router, Server, Status};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::{PipeConnector, PipeListener, connected, pipe};
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{ECHO, Note, note};
use crate::common::{quiet, soon};

// On the server.

#[tokio::test(start_paused = true)]
async fn server_sends_settings_without_waiting_for_the_client() {
    let server = TestServer::start();
    let mut peer = RawPeer::silent(server.dial().0);
    assert!(matches!(peer.next_any().await, Some(Frame::Settings { ack: false, .. })));
}

#[tokio::test(start_paused = true)]
async fn missing_preface_closes_the_connection_after_the_handshake_timeout() {
    for spoken in [&b""[..], &PREFACE[..10], &PREFACE[..23]] {
        let server = TestServer::start();
        let began = Instant::now();
        let mut peer = RawPeer::silent(server.dial().0);
        peer.write(spoken).await;
        assert!(matches!(peer.next_any().await, Some(Frame::Settings { ack: false, .. })));
        while peer.next_any().await.is_some() {}
        let waited = began.elapsed();
        assert!((20..=21).contains(&waited.as_secs()), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn handshake_timeout_is_configurable_and_ends_with_the_handshake() {
    let server = TestServer::with(|options| options.handshake_timeout = Duration::from_secs(3));
    let began = Instant::now();
    let mut silent = RawPeer::silent(server.dial().0);
    let mut peer = server.connect().await;
    while silent.next_any().await.is_some() {}
    assert_eq!(began.elapsed().as_secs(), 3);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

/// A listener whose connections need a handshake, for example TLS.
struct Slow(mpsc::UnboundedReceiver<io::Result<Handshake>>);

type Handshake = Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>>;

impl Listener for Slow {
    type Handshake = Handshake;

    async fn accept(&mut self) -> io::Result<Handshake> {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slow_handshakes_and_accept_errors_do_not_delay_others() {
    let (router, _probe) = crate::common::service::service();
    let (arrivals, incoming) = mpsc::unbounded_channel::<io::Result<Handshake>>();
    tokio::spawn(Server::new(router).serve(Slow(incoming)));
    let (stopped, ended) = tokio::sync::oneshot::channel::<()>();
    let never: Handshake = Box::pin(async move {
        let _stopped = stopped;
        pending().await
    });
    let failing: Handshake = Box::pin(async { Err(io::ErrorKind::InvalidData.into()) });
    let (near, far) = pipe();
    let good: Handshake = Box::pin(ready(Ok(connected(near))));
    let began = Instant::now();
    for arrival in [Ok(never), Err(io::ErrorKind::ConnectionAborted.into()), Ok(failing), Ok(good)] {
        arrivals.send(arrival).ok().unwrap();
    }
    let mut peer = RawPeer::client(far, []).await;
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // The handshake that never ends times out.
    assert!(soon("the end", ended).await.is_err());
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn handler_sees_the_peer_and_the_authority() {
    struct Names;
    impl Names {
        async fn name(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
            assert_eq!(request.peer().address, Address::Memory);
            assert!(request.peer().tls.is_none());
            let context = request.context();
            Ok(note(format!("{} at {}", context.path(), context.authority().unwrap_or("nobody"))).into())
        }
    }
    let (arrivals, incoming) = mpsc::unbounded_channel();
    tokio::spawn(Server::new(Router::new(Names).unary(ECHO, Names::name)).serve(PipeListener(incoming)));
    let (near, far) = pipe();
    arrivals.send(connected(near)).ok().unwrap();
    let mut peer = RawPeer::client(far, []).await;
    let ask = request(1, "/test.Service/Echo");
    peer.send([ask.clone(), data(1, text("?")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.body, text("/test.Service/Echo at test"));
    let Frame::Headers { fields, .. } = ask.without(":authority").field("host", "elsewhere") else { unreachable!() };
    peer.send([Frame::Headers { stream: 3, fields, end_stream: false }, data(3, text("?")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.body, text("/test.Service/Echo at elsewhere"));
}

// On the client.

/// Returns our client's error for a server that sends these bytes, and then closes its side if `closes`.
async fn connecting_to(spoken: &[u8], closes: bool) -> (Status, Duration) {
    let (near, mut far) = pipe();
    let began = Instant::now();
    let playing = async {
        far.write_all(spoken).await.unwrap();
        if closes {
            far.shutdown().await.unwrap();
        }
    };
    let (outcome, ()) =
        soon("the outcome", async { tokio::join!(Client::connect(PipeConnector::new(near)), playing) }).await;
    (outcome.expect_err("that was no server"), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn other_protocol_of_the_server_is_unavailable_with_a_hint() {
    for (spoken, words) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "the peer answered \"HTTP/1.1 400 Bad Request\": is this a gRPC port?",
        ),
        (b"\x15\x03\x01\x00\x02\x02\x16", "the peer answered with a TLS alert: does this port want TLS?"),
        (b"SSH-2.0-OpenSSH_9\r\n", "the peer does not speak HTTP/2: its first bytes are "),
        (b"", "the peer closed the connection before it spoke HTTP/2"),
    ] {
        let (status, waited) = connecting_to(spoken, true).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().starts_with(words), "{status}");
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_server_is_unavailable_after_the_connect_timeout() {
    let (status, waited) = connecting_to(b"", false).await;
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "no HTTP/2 connection within 20s"));
    assert_eq!(waited.as_secs(), 20);
}

/// A connector that never connects.
struct Never;

impl Connector for Never {
    async fn connect(&self) -> io::Result<ByteStream> {
        pending().await
    }

    fn authority(&self) -> &str {
        "test"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

#[tokio::test(start_paused = true)]
async fn connect_timeout_is_configurable_and_covers_the_transport() {
    let mut options = ClientOptions::default();
    options.connect_timeout = Duration::from_secs(3);
    let began = Instant::now();
    let status = soon("the outcome", Client::connect_with(Never, options)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "no HTTP/2 connection within 3s"));
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn transport_error_is_reported() {
    let (near, _far) = pipe();
    let connector = PipeConnector::new(near);
    drop(connector.connect().await);
    let status = Client::connect(connector).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "can't connect: connection refused"));
}

#[tokio::test(start_paused = true)]
async fn connect_waits_for_the_settings_of_the_server() {
    let (near, far) = pipe();
    let connecting = tokio::spawn(Client::connect(PipeConnector::new(near)));
    quiet().await;
    assert!(!connecting.is_finished(), "the server has not spoken");
    let _server = RawPeer::server(far, [(MAX_CONCURRENT_STREAMS, 1)]).await;
    soon("the connection", connecting).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_answers_pings_while_a_call_waits() {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.ping().await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
}

/// RFC 9113 section 3.4: a server's first frame must be SETTINGS.
#[tokio::test(start_paused = true)]
async fn server_that_does_not_begin_with_settings_is_unavailable() {
    for (first, words) in [
        (ping(*b"8 octets"), "the peer's first frame must be SETTINGS (4), but has type 6"),
        (window_update(0, 1), "the peer's first frame must be SETTINGS (4), but has type 8"),
        (response(1), "the peer's first frame must be SETTINGS (4), but has type 1"),
        (goaway(0, Http2Error::NO_ERROR), "the peer's first frame must be SETTINGS (4), but has type 7"),
    ] {
        let mut wire = bytes::BytesMut::new();
        [first, settings([])].iter().for_each(|frame| frame.encode(&mut wire));
        let (status, _) = connecting_to(&wire, false).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), words);
    }
}
