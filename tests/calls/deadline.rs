//! Tests deadlines: the whole call on both sides, on a clock that moves only when all tasks are idle.

use std::time::Duration;

use barewire::{CallOptions, Client, Code, Status};
use tokio::time::Instant;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Event, FLOOD, Note, PACED, WAIT, count, note};
use crate::common::{quiet, soon};

const WORDS: &str = "deadline exceeded before the call completed";

// On the server.

/// Starts a server and a raw client, whose call with this timeout has arrived.
async fn calling(path: &str, timeout: &str, last: bool) -> (TestServer, RawPeer, Instant) {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let began = Instant::now();
    let body = data(1, number(3));
    let body = if last { body.end_stream() } else { body };
    peer.send([request(1, path).field("grpc-timeout", timeout), body]).await;
    (server, peer, began)
}

#[tokio::test(start_paused = true)]
async fn expired_handler_is_dropped_and_trailers_are_sent() {
    let (mut server, mut peer, began) = calling("/test.Service/Wait", "1500m", true).await;
    server.probe.expect(Event::Began).await;
    peer.expect(response(1).field("grpc-status", "4").field("grpc-message", WORDS).end_stream()).await;
    assert_eq!(began.elapsed().as_millis(), 1500);
    server.probe.expect(Event::Dropped).await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn every_timeout_unit_sets_its_deadline() {
    for (timeout, millis) in [
        ("2H", 7_200_000),
        ("2M", 120_000),
        ("2S", 2000),
        ("2m", 2),
        ("2000u", 2),
        ("2000000n", 2),
        ("00000002S", 2000),
    ] {
        let (mut server, mut peer, began) = calling("/test.Service/Wait", timeout, true).await;
        server.probe.expect(Event::Began).await;
        // A test waits at most some minutes for a frame, so longer timeouts need a sleep.
        tokio::time::sleep_until(began + Duration::from_millis(millis) - Duration::from_millis(1)).await;
        assert_eq!(peer.answer(1).await.status(), ("4", WORDS));
        assert_eq!(began.elapsed().as_millis(), u128::from(millis), "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn zero_timeout_expires_at_once() {
    for timeout in ["0n", "0H", "00000000m"] {
        let (mut server, mut peer, began) = calling("/test.Service/Wait", timeout, true).await;
        peer.expect(response(1).field("grpc-status", "4").field("grpc-message", WORDS).end_stream()).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(server.probe.last().await, None, "the handler was never called");
    }
}

#[tokio::test(start_paused = true)]
async fn missing_timeout_never_expires_and_the_longest_does_not_overflow() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    let ask = |stream| [request(stream, "/test.Service/Wait"), data(stream, text("hi")).end_stream()];
    peer.send(ask(1)).await;
    let [head, body] = ask(3);
    peer.send([head.field("grpc-timeout", "99999999H"), body]).await;
    for _ in 0..2 {
        server.probe.expect(Event::Began).await;
    }
    // The longest time that tokio's timers support: some two years.
    tokio::time::advance(Duration::from_secs(365 * 24 * 3600)).await;
    peer.expect_silence().await;
    server.probe.go(2);
    for stream in [1, 3] {
        assert_eq!(peer.answer(stream).await.status(), ("0", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_covers_the_whole_stream() {
    let (mut server, mut peer, began) = calling("/test.Service/Paced", "10S", true).await;
    server.probe.expect(Event::Began).await;
    peer.expect(response(1)).await;
    for number in 1..=2 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.probe.go(1);
        peer.expect(data(1, crate::common::frames::number(number))).await;
    }
    peer.expect(headers(1, [("grpc-status", "4"), ("grpc-message", WORDS)]).end_stream()).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    server.probe.expect(Event::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn deadline_covers_a_request_that_does_not_end() {
    for path in ["/test.Service/Collect", "/test.Service/Echo"] {
        let (_server, mut peer, began) = calling(path, "10S", false).await;
        peer.expect(response(1).field("grpc-status", "4").field("grpc-message", WORDS).end_stream()).await;
        assert_eq!(began.elapsed().as_secs(), 10);
        peer.expect(reset(1, Http2Error::NO_ERROR)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_are_sent_at_the_deadline_despite_a_closed_window() {
    // A unary answer, and a stream of answers.
    for path in ["/test.Service/Echo", "/test.Service/Flood"] {
        let server = TestServer::start();
        let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 3)]).await;
        let ask = message(prost::Message::encode_to_vec(&Note { number: 100, ..note("x".repeat(1000)) }));
        peer.send([request(1, path).field("grpc-timeout", "1S"), data(1, ask).end_stream()]).await;
        peer.expect(response(1)).await;
        let Some(Frame::Data { payload, end_stream: false, .. }) = peer.next().await else { panic!("the window") };
        assert_eq!(payload.len(), 3);
        peer.expect(headers(1, [("grpc-status", "4"), ("grpc-message", WORDS)]).end_stream()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn handler_can_read_its_deadline() {
    use barewire::{Request, Response, Router};
    struct Clock;
    impl Clock {
        async fn left(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
            let left = request.deadline().map(|deadline| deadline.duration_since(Instant::now()).as_secs());
            Ok(count(left.unwrap_or(u64::MAX)).into())
        }
    }
    let (io, far) = crate::common::pipe::pipe();
    let (arrivals, incoming) = tokio::sync::mpsc::unbounded_channel();
    arrivals.send(crate::common::pipe::connected(io)).ok().unwrap();
    let server = barewire::Server::new(Router::new(Clock).unary(ECHO, Clock::left));
    tokio::spawn(server.serve(crate::common::pipe::PipeListener(incoming)));
    let connector = crate::common::pipe::PipeConnector::new(far);
    let client = soon("the connection", Client::connect(connector)).await.unwrap();
    assert_eq!(soon("the answer", client.unary(ECHO, note("?"))).await.unwrap().number, u64::MAX);
    let hurried = client.with(CallOptions::new().timeout(Duration::from_secs(90)));
    assert_eq!(soon("the answer", hurried.unary(ECHO, note("?"))).await.unwrap().number, 90);
}

// On the client.

fn within(client: &Client, seconds: u64) -> Client {
    client.with(CallOptions::new().timeout(Duration::from_secs(seconds)))
}

#[track_caller]
fn assert_expired<T>(outcome: Result<T, Status>, began: Instant, seconds: u64) {
    let Err(status) = outcome else { panic!("it should have expired") };
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, WORDS));
    assert_eq!(began.elapsed().as_secs(), seconds);
}

#[tokio::test(start_paused = true)]
async fn unary_call_expires_and_resets_its_stream() {
    let whole = text("hello");
    for answer in
        [vec![], vec![response(1)], vec![response(1), data(1, &whole[..6])], vec![response(1), data(1, &whole)]]
    {
        let (client, mut server) = client_and_raw_server().await;
        let began = Instant::now();
        let hurried = within(&client, 10);
        let call = tokio::spawn(async move { hurried.unary(ECHO, note("hi")).await });
        server.expect_request(1).await;
        server.expect(data(1, text("hi")).end_stream()).await;
        if !answer.is_empty() {
            server.send(answer).await;
        }
        assert_expired(soon("the end", call).await.unwrap(), began, 10);
        server.expect(reset(1, Http2Error::CANCEL)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn streaming_call_expires_and_resets_its_stream() {
    let (client, mut server) = client_and_raw_server().await;
    let began = Instant::now();
    let (mut out, mut notes) = within(&client, 10).bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, text("a"))]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("a")));
    assert_expired(soon("the end", notes.recv()).await, began, 10);
    server.expect(reset(1, Http2Error::CANCEL)).await;
    assert_expired(soon("the end", out.send(note("late"))).await, began, 10);
    assert_expired(soon("the same", notes.recv()).await, began, 10);
}

#[tokio::test(start_paused = true)]
async fn unpolled_call_is_reset_at_its_deadline() {
    let (client, mut server) = client_and_raw_server().await;
    let began = Instant::now();
    let (_out, answer) = within(&client, 10).client_streaming(COLLECT).await.unwrap();
    server.expect_request(1).await;
    server.expect(reset(1, Http2Error::CANCEL)).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_expired(soon("the end", answer).await, began, 10);
}

#[tokio::test(start_paused = true)]
async fn sender_waiting_for_window_gets_deadline_exceeded() {
    let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 0)]).await;
    let began = Instant::now();
    let (mut out, _notes) = within(&client, 10).bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    let long = note("x".repeat(10_000));
    let outcome = async {
        loop {
            out.send(&long).await?;
        }
    };
    let outcome: Result<(), Status> = soon("the end", outcome).await;
    assert_expired(outcome, began, 10);
    server.expect(reset(1, Http2Error::CANCEL)).await;
}

#[tokio::test(start_paused = true)]
async fn zero_timeout_sends_nothing() {
    let (client, mut server) = client_and_raw_server().await;
    let began = Instant::now();
    let hurried = client.with(CallOptions::new().timeout(Duration::ZERO));
    assert_expired(hurried.unary(ECHO, note("hi")).await, began, 0);
    assert_expired(hurried.server_streaming(COUNT, note("hi")).await, began, 0);
    assert_expired(hurried.bidi_streaming(CHAT).await, began, 0);
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn answer_after_the_deadline_is_ignored() {
    let only = response(1).field("grpc-status", "0").end_stream();
    let answer = vec![response(1), data(1, text("hello")), trailers(1, "0")];
    for late in [vec![reset(1, Http2Error::CANCEL)], answer, vec![only]] {
        let (client, mut server) = client_and_raw_server().await;
        let began = Instant::now();
        let hurried = within(&client, 10);
        let call = tokio::spawn(async move { hurried.unary(ECHO, note("hi")).await });
        server.expect_request(1).await;
        at_once_with_the_deadline(&mut server, began, late).await;
        assert_expired(soon("the end", call).await.unwrap(), began, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn cancel_by_the_server_at_the_deadline_is_deadline_exceeded() {
    let (client, mut server) = client_and_raw_server().await;
    let began = Instant::now();
    let mut notes = within(&client, 10).server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    at_once_with_the_deadline(&mut server, began, reset(1, Http2Error::CANCEL)).await;
    assert_expired(soon("the end", notes.recv()).await, began, 10);
}

/// Lets the deadline pass and the frames arrive between two turns of the client.
async fn at_once_with_the_deadline(server: &mut RawPeer, began: Instant, late: impl Into<Vec<Frame>>) {
    tokio::time::sleep_until(began + Duration::from_millis(9_999)).await;
    let clock = tokio::time::advance(Duration::from_millis(2));
    tokio::join!(clock, server.send(late));
}

#[tokio::test(start_paused = true)]
async fn queued_call_expires_at_its_deadline() {
    let (client, mut server) = client_with(|_| {}, [(MAX_CONCURRENT_STREAMS, 1)]).await;
    let _first = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    let began = Instant::now();
    assert_expired(soon("the end", within(&client, 5).unary(ECHO, note("hi"))).await, began, 5);
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn reset_before_the_deadline_keeps_its_code() {
    let (client, mut server) = client_and_raw_server().await;
    let hurried = within(&client, 10);
    let call = tokio::spawn(async move { hurried.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.send(reset(1, Http2Error::CANCEL)).await;
    assert_eq!(soon("the end", call).await.unwrap().unwrap_err().code(), Code::Cancelled);
}

// On both sides.

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_call_on_both_sides() {
    let mut server = TestServer::start();
    let client = server.client().await;
    let began = Instant::now();
    assert_expired(soon("the end", within(&client, 10).unary(WAIT, note("hi"))).await, began, 10);
    server.probe.expect(Event::Began).await;
    server.probe.expect(Event::Dropped).await;

    let began = Instant::now();
    let mut notes = within(&client, 10).server_streaming(PACED, count(3)).await.unwrap();
    server.probe.go(1);
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    assert_expired(soon("the end", notes.recv()).await, began, 10);
    server.probe.expect(Event::Began).await;
    server.probe.expect(Event::Dropped).await;

    // A caller that does not read.
    let ask = Note { number: 1_000_000, ..note("x".repeat(10_000)) };
    let mut notes = within(&client, 10).server_streaming(FLOOD, ask).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(matches!(server.probe.last().await, Some(Event::Sent(_))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(server.probe.last().await, Some(Event::Dropped)));
    quiet().await;
    let end = loop {
        match soon("the end", notes.recv()).await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
}
