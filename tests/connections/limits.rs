//! Tests the limits of a whole server: connections beyond theirs are closed at once, calls beyond theirs are refused at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use barewire::{Code, Method, Request, Router, Server, ServerOptions, Status, Unary};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::Writes;
use crate::common::server::TestServer;
use crate::common::service::{ECHO, Event, Note, note};
use crate::common::{quiet, soon};

/// Returns true if the server closes a new connection without a byte, before any time passes.
async fn is_closed_at_once(server: &TestServer) -> bool {
    let began = Instant::now();
    let (mut connection, writes): (_, Writes) = server.dial();
    let read = tokio::time::timeout(Duration::from_millis(1), connection.read(&mut [0; 100])).await;
    matches!(read, Ok(Ok(0))) && writes.take().is_empty() && began.elapsed().is_zero()
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let server = TestServer::with(|options| options.max_connections = 2);
    // The first one does not even send its preface.
    let silent = server.dial();
    let client = server.client().await;
    assert!(is_closed_at_once(&server).await);
    assert!(is_closed_at_once(&server).await, "refused connections are not counted");
    client.unary(ECHO, note("hi")).await.expect("the open ones are served");
    drop(silent);
    quiet().await;
    let other = server.client().await;
    other.unary(ECHO, note("hi")).await.expect("a place is free");
    assert!(is_closed_at_once(&server).await);
    // The handshake of the next one takes too long.
    drop(client);
    quiet().await;
    let late = server.dial();
    assert!(is_closed_at_once(&server).await);
    tokio::time::sleep(Duration::from_secs(30)).await;
    server.client().await.unary(ECHO, note("hi")).await.expect("the place of the late one is free");
    drop(late);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_are_served_without_a_limit() {
    let server = TestServer::start();
    let silent: Vec<_> = (0..1000).map(|_| server.dial()).collect();
    server.client().await.unary(ECHO, note("hi")).await.expect("an answer");
    drop(silent);
}

/// The trailers of a refused call of a server whose limit is 2.
const REFUSAL: (&str, &str) = ("8", "the server runs 2 calls, its limit (max_concurrent_calls): try again later");

fn two_calls(options: &mut ServerOptions) {
    options.max_concurrent_calls = 2;
}

/// Returns true if a call of this connection is answered, and false if it is refused because of the limit.
async fn is_admitted(peer: &mut RawPeer, stream: u32) -> bool {
    peer.send([request(stream, "/test.Service/Echo"), data(stream, text("hi")).end_stream()]).await;
    let began = Instant::now();
    let answer = peer.answer(stream).await;
    assert!(began.elapsed().is_zero(), "it is answered at once");
    if answer.status() == ("0", "") {
        return true;
    }
    assert_eq!(answer.status(), REFUSAL);
    assert!(answer.is_trailers_only());
    assert_eq!(answer.reset(), None);
    false
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_of_all_connections_are_refused_with_retry_info() {
    let mut server = TestServer::with(two_calls);
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    for peer in [&mut one, &mut two] {
        peer.send([request(1, "/test.Service/Wait"), data(1, text("hi")).end_stream()]).await;
        server.probe.expect(Event::Began).await;
    }
    assert!(!is_admitted(&mut one, 3).await);
    let client = server.client().await;
    let status = soon("an answer", client.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, REFUSAL.1));
    // google.rpc.Status { code: 8, message, details: [RetryInfo { retry_delay: 1 s }] }
    let retry: &[u8] = b"\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x01";
    let expected = [b"\x08\x08\x12\x4a", REFUSAL.1.as_bytes(), retry].concat();
    assert_eq!(status.details(), &expected);
    server.probe.go(1);
    assert_eq!(one.answer(1).await.status(), ("0", ""));
    assert!(is_admitted(&mut one, 5).await);
    client.unary(ECHO, note("hi")).await.expect("a place is free");
}

/// Occupies one of two places and checks that the other calls have one place.
async fn one_place_left(peer: &mut RawPeer, stream: u32) {
    peer.send([request(stream, "/test.Service/Chat"), data(stream, text("a"))]).await;
    peer.expect(response(stream)).await;
    peer.expect(data(stream, text("a"))).await;
    assert!(!is_admitted(peer, stream + 2).await);
    peer.send(reset(stream, Http2Error::CANCEL)).await;
    quiet().await;
    assert!(is_admitted(peer, stream + 4).await);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_call_frees_its_place() {
    let mut server = TestServer::with(two_calls);
    let mut peer = server.connect().await;
    // This call keeps its place until the end.
    peer.send([request(1, "/test.Service/Wait"), data(1, text("a")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    one_place_left(&mut peer, 3).await;

    // The deadline of a handler that waits.
    peer.send([request(11, "/test.Service/Wait").field("grpc-timeout", "1S"), data(11, text("a")).end_stream()]).await;
    assert_eq!(peer.answer(11).await.status().0, "4");
    one_place_left(&mut peer, 13).await;

    // A deadline that had passed before the call began, an unknown method, a request without a message.
    peer.send([request(21, "/test.Service/Wait").field("grpc-timeout", "0n").end_stream()]).await;
    assert_eq!(peer.answer(21).await.status().0, "4");
    peer.send([request(23, "/test.Service/Missing").end_stream()]).await;
    assert_eq!(peer.answer(23).await.status().0, "12");
    peer.send([request(25, "/test.Service/Wait").end_stream()]).await;
    assert_eq!(peer.answer(25).await.status().0, "12");
    one_place_left(&mut peer, 27).await;

    // Panics before and after the first message.
    peer.send([request(33, "/test.Service/Panic"), data(33, text("a")).end_stream()]).await;
    assert_eq!(peer.answer(33).await.status(), ("2", "the handler panicked"));
    peer.send([request(35, "/test.Service/PanicLate"), data(35, text("a")).end_stream()]).await;
    assert_eq!(peer.answer(35).await.status(), ("2", "the handler panicked"));
    one_place_left(&mut peer, 37).await;

    // A lost connection.
    let mut other = server.connect().await;
    other.send([request(1, "/test.Service/Chat"), data(1, text("a"))]).await;
    other.expect(response(1)).await;
    assert!(!is_admitted(&mut peer, 43).await);
    drop(other);
    quiet().await;
    one_place_left(&mut peer, 45).await;

    // A client that reads nothing and then cancels a call that waits for its window.
    let mut full = server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await;
    full.send([request(1, "/test.Service/Echo"), data(1, text("a")).end_stream()]).await;
    full.expect(response(1)).await;
    assert!(!is_admitted(&mut peer, 51).await, "a call counts until its answer is sent");
    full.send(reset(1, Http2Error::CANCEL)).await;
    quiet().await;
    one_place_left(&mut peer, 53).await;
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_the_refusal_and_their_waits_count() {
    let (opened, refusals) = (Arc::new(Notify::new()), Arc::new(Mutex::new(vec![])));
    let (waits, seen) = (opened.clone(), refusals.clone());
    let server = TestServer::built(move |server: Server| {
        let mut options = ServerOptions::default();
        two_calls(&mut options);
        server.with_options(options).intercept(move |call| {
            seen.lock().unwrap().push(call.refusal().map(Status::code));
            match call.metadata().get("ask") {
                Some("no") => return Err(Status::unauthenticated("no")),
                Some(_) => {
                    let waits = waits.clone();
                    call.wait_for(async move {
                        waits.notified().await;
                        Ok(())
                    });
                }
                None => {}
            }
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    for stream in [1, 3] {
        peer.send([request(stream, "/test.Service/Echo").field("ask", "later"), data(stream, text("a")).end_stream()])
            .await;
    }
    assert!(!is_admitted(&mut peer, 5).await);
    assert_eq!(*refusals.lock().unwrap(), [None, None, Some(Code::ResourceExhausted)]);
    // An interceptor's own answer replaces the refusal.
    peer.send([request(7, "/test.Service/Echo").field("ask", "no").end_stream()]).await;
    assert_eq!(peer.answer(7).await.status(), ("16", "no"));
    opened.notify_waiters();
    assert_eq!((peer.answer(1).await.status().0, peer.answer(3).await.status().0), ("0", "0"));
    // A call that an interceptor refused has left its place.
    for stream in [9, 11, 13] {
        peer.send([request(stream, "/test.Service/Echo").field("ask", "no").end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status().0, "16");
    }
    assert!(is_admitted(&mut peer, 15).await);
}

#[tokio::test(start_paused = true)]
async fn exempt_methods_are_neither_refused_nor_counted() {
    const FREE: Method<Note, Note, Unary> = Method::new("/test.Exempt/Wait");
    const COUNTED: Method<Note, Note, Unary> = Method::new("/test.Counted/Echo");
    let server = TestServer::built(|_| {
        let free =
            Router::new(()).unary(FREE, |_: &(), _: Request<Note>| std::future::pending::<Result<Note, Status>>());
        let counted = Router::new(()).unary(COUNTED, |_: &(), note: Request<Note>| async {
            if note.number == 1 { std::future::pending().await } else { Ok::<_, Status>(note.into_message()) }
        });
        Server::builder().max_concurrent_calls(1).build(free.exempt_from_limits().merge(counted))
    });
    let mut peer = server.connect().await;
    for stream in [1, 3] {
        let free = request(stream, "/test.Exempt/Wait").field("grpc-timeout", "1S");
        peer.send([free, data(stream, text("a")).end_stream()]).await;
    }
    let client = server.client().await;
    assert_eq!(client.unary(COUNTED, note("hi")).await.expect("two exempt calls take no place").text, "hi");
    peer.send([request(5, "/test.Counted/Echo"), data(5, number(1)).end_stream()]).await;
    peer.expect_silence().await;
    let status = client.unary(COUNTED, note("hi")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    peer.send([request(7, "/test.Exempt/Wait").field("grpc-timeout", "1S"), data(7, text("a")).end_stream()]).await;
    // Each ends at its deadline: it had a handler.
    for stream in [1, 3, 7] {
        assert_eq!(peer.answer(stream).await.status().0, "4");
    }
}
