//! Tests that idle and old connections end without losing a call (gRFC A9).

use std::collections::BTreeSet;
use std::time::Duration;

use barewire::Code;
use tokio::time::{Instant, sleep, timeout};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::TestServer;
use crate::common::service::{CHAT, ECHO, Event, Note, WAIT, note};
use crate::common::{quiet, soon};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The last stream of a GOAWAY that excludes no stream.
const ALL: u32 = 0x7fff_ffff;

fn leave(last: u32, reason: &'static str) -> Frame {
    Frame::GoAway { last, error: Http2Error::NO_ERROR, debug: reason.into() }
}

/// Starts a server with connections of about 100 s.
fn aging(grace: Option<Duration>) -> TestServer {
    TestServer::with(|options| {
        options.max_connection_age = Some(100 * SECOND);
        options.max_connection_age_grace = grace;
    })
}

fn idling() -> TestServer {
    TestServer::with(|options| options.max_connection_idle = Some(100 * SECOND))
}

/// Reads the first GOAWAY and the PING behind it, and returns the payload of the PING.
async fn first_goaway(peer: &mut RawPeer, reason: &'static str) -> [u8; 8] {
    peer.expect(leave(ALL, reason)).await;
    match peer.next_any().await {
        Some(Frame::Ping { ack: false, payload }) => payload,
        other => panic!("{other:?} came"),
    }
}

#[tokio::test(start_paused = true)]
async fn old_connection_gets_two_goaways_and_finishes_its_call_without_limit() {
    let mut server = aging(None);
    let began = Instant::now();
    let mut peer = server.connect().await;
    peer.send([request(1, WAIT.path()), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    peer.expect(leave(ALL, "max_age")).await;
    let age = began.elapsed();
    assert!(age >= 90 * SECOND && age <= 110 * SECOND, "{age:?}");
    peer.expect(leave(1, "max_age")).await;
    sleep(HOUR).await;
    server.probe.go(1);
    assert_eq!(peer.answer(1).await.status().0, "0");
    assert_eq!(peer.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn ages_of_connections_differ() {
    let server = aging(None);
    let mut ages = BTreeSet::new();
    for _ in 0..20 {
        let began = Instant::now();
        let mut peer = server.connect().await;
        first_goaway(&mut peer, "max_age").await;
        ages.insert(began.elapsed().as_millis());
    }
    assert!(ages.len() > 15, "{ages:?}");
    assert!(ages.iter().all(|age| (90_000..=110_001).contains(age)), "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn large_answer_through_small_windows_survives_the_age() {
    let server = aging(Some(HOUR));
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 500)]).await;
    let ask = Note { number: 100, ..note("x".repeat(10_000)) };
    peer.send([request(1, "/test.Service/Flood"), data(1, message(prost::Message::encode_to_vec(&ask))).end_stream()])
        .await;
    let whole = 100 * text(&ask.text).len();
    let (mut body, mut owed, mut goaways) = (0, 0, Vec::new());
    loop {
        match peer.next().await.unwrap_or_else(|| panic!("the answer is complete: {body} {goaways:?}")) {
            Frame::Data { payload, .. } => {
                (body, owed) = (body + payload.len(), owed + payload.len() as u32);
                // The last of it needs no more window, and the connection closes behind it.
                if owed >= 250 && body - owed as usize + 500 < whole {
                    sleep(150 * MILLI).await;
                    peer.send([window_update(1, owed), window_update(0, owed)]).await;
                    owed = 0;
                }
            }
            Frame::GoAway { last, debug, .. } => goaways.push((last, debug, body)),
            Frame::Headers { end_stream: true, fields, .. } => {
                assert_eq!(crate::common::peer::value(&fields, "grpc-status"), Some("0"));
                break;
            }
            Frame::Headers { .. } => {}
            other => panic!("{other:?} came"),
        }
    }
    assert_eq!(body, whole);
    let [(ALL, first, before), (1, second, _)] = &goaways[..] else { panic!("{goaways:?}") };
    assert_eq!((&first[..], &second[..]), (&b"max_age"[..], &b"max_age"[..]));
    assert!(*before > 100_000 && *before < 900_000, "in the middle of the answer: {before}");
    assert_eq!(peer.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn call_sent_around_the_goaway_is_served() {
    for (server, reason) in [(aging(Some(HOUR)), "max_age"), (idling(), "max_idle")] {
        let mut peer = server.connect().await;
        let payload = first_goaway(&mut peer, reason).await;
        peer.send([request(1, CHAT.path()), data(1, text("a"))]).await;
        peer.expect(response(1)).await;
        peer.expect(data(1, text("a"))).await;
        peer.send(Frame::Ping { ack: true, payload }).await;
        peer.expect(leave(1, reason)).await;
        // A client that ignores the GOAWAY is not served.
        peer.send([request(3, ECHO.path()), data(3, text("late")).end_stream()]).await;
        peer.expect_silence().await;
        sleep(10 * SECOND).await;
        peer.send(half_close(1)).await;
        peer.expect(trailers(1, "0")).await;
        assert_eq!(peer.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn call_sent_at_the_moment_of_the_limit_is_served() {
    for offset in 0..6 {
        let server = idling();
        let mut peer = server.connect().await;
        sleep(100 * SECOND - 3 * MILLI + offset * MILLI).await;
        peer.send([request(1, ECHO.path()), data(1, text("hi")).end_stream()]).await;
        loop {
            match peer.next().await.expect("an answer") {
                Frame::GoAway { .. } | Frame::Data { .. } => {}
                Frame::Headers { end_stream: false, .. } => {}
                Frame::Headers { fields, .. } => {
                    assert_eq!(crate::common::peer::value(&fields, "grpc-status"), Some("0"));
                    break;
                }
                other => panic!("{offset}: {other:?} came"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_left_after_the_grace_end_with_the_connection() {
    let mut server = aging(Some(30 * SECOND));
    let mut peer = server.connect().await;
    peer.send([request(1, WAIT.path()), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    peer.expect(leave(ALL, "max_age")).await;
    let left = Instant::now();
    peer.expect(leave(1, "max_age")).await;
    // The last GOAWAY says why the connection closes now.
    peer.expect(leave(1, "max_age")).await;
    assert_eq!(peer.next().await, None);
    assert!(left.elapsed() >= 30 * SECOND && left.elapsed() < 31 * SECOND, "{:?}", left.elapsed());
    server.probe.expect(Event::Dropped).await;

    let client = server.client().await;
    let status = soon("the end", client.unary(WAIT, note("hi"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    server.probe.expect(Event::Began).await;
    server.probe.expect(Event::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_last_call() {
    let mut server = idling();
    let mut peer = server.connect().await;
    // A call that ends at once, and one that lasts longer than the limit.
    for stream in [1, 3] {
        sleep(90 * SECOND).await;
        peer.send([request(stream, ECHO.path()), data(stream, text("hi")).end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status().0, "0");
    }
    sleep(90 * SECOND).await;
    peer.send([request(5, WAIT.path()), data(5, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    sleep(HOUR).await;
    peer.expect_silence().await;
    server.probe.go(1);
    assert_eq!(peer.answer(5).await.status().0, "0");
    let ended = Instant::now();
    peer.expect(leave(ALL, "max_idle")).await;
    assert!(ended.elapsed() >= 100 * SECOND && ended.elapsed() < 101 * SECOND, "{:?}", ended.elapsed());
    peer.expect(leave(5, "max_idle")).await;
    assert_eq!(peer.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn connection_without_any_call_is_idle_from_its_beginning() {
    let server = idling();
    let mut peer = server.connect().await;
    let began = Instant::now();
    // PINGs don't prolong it.
    sleep(60 * SECOND).await;
    peer.ping().await;
    let payload = first_goaway(&mut peer, "max_idle").await;
    assert!(began.elapsed() >= 100 * SECOND && began.elapsed() < 101 * SECOND, "{:?}", began.elapsed());
    peer.send(Frame::Ping { ack: true, payload }).await;
    assert_eq!(peer.next_any().await, Some(leave(0, "max_idle")));
    assert_eq!(peer.next_any().await, None);
}

#[tokio::test(start_paused = true)]
async fn client_that_ignores_the_goaway_is_disconnected() {
    // Without calls: after the time that it has for the acknowledgement.
    for (server, reason) in [(aging(None), "max_age"), (idling(), "max_idle")] {
        let mut peer = server.connect().await;
        first_goaway(&mut peer, reason).await;
        let left = Instant::now();
        let Some(Frame::GoAway { last: 0, error: Http2Error::NO_ERROR, debug }) = peer.next_any().await else {
            panic!()
        };
        assert_eq!(debug, "a PING was not acknowledged in time");
        assert_eq!(peer.next_any().await, None);
        assert!(left.elapsed() >= 20 * SECOND && left.elapsed() < 21 * SECOND, "{:?}", left.elapsed());
    }
    // With a new call every 5 s: after the grace.
    let server = aging(Some(60 * SECOND));
    let mut peer = server.connect().await;
    first_goaway(&mut peer, "max_age").await;
    let left = Instant::now();
    for number in 0..11 {
        let stream = 2 * number + 1;
        peer.send([request(stream, ECHO.path()), data(stream, text("hi")).end_stream()]).await;
        while !matches!(peer.next_any().await, Some(Frame::Headers { end_stream: true, .. })) {}
        sleep(5 * SECOND).await;
    }
    while peer.next_any().await.is_some() {}
    assert!(left.elapsed() >= 60 * SECOND && left.elapsed() < 61 * SECOND, "{:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn client_that_keeps_sending_is_disconnected_after_the_grace() {
    let server = aging(Some(30 * SECOND));
    let mut peer = server.connect().await;
    peer.send(request(1, CHAT.path())).await;
    peer.expect(leave(ALL, "max_age")).await;
    let left = Instant::now();
    let flood = async {
        loop {
            peer.send(data(1, text("more"))).await;
            match peer.next().await {
                None => break,
                Some(_) => peer.send([window_update(0, 11), window_update(1, 11)]).await,
            }
            sleep(20 * MILLI).await;
        }
    };
    // The connection may close while the peer sends, which is an error of the pipe.
    let _: Result<(), _> = timeout(HOUR, tokio::task::unconstrained(flood)).await;
    assert!(left.elapsed() >= 30 * SECOND && left.elapsed() < 32 * SECOND, "{:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_connection_that_is_leaving() {
    let mut server = aging(None);
    let mut peer = server.connect().await;
    peer.send([request(1, WAIT.path()), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    peer.expect(leave(ALL, "max_age")).await;
    peer.expect(leave(1, "max_age")).await;
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    assert_eq!(peer.answer(1).await.status(), ("14", "the server is shutting down"));
    assert_eq!(began.elapsed().as_secs(), 10);
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn connection_in_shutdown_gets_no_older() {
    let mut server = TestServer::with(|options| {
        options.max_connection_age = Some(100 * SECOND);
        options.max_connection_age_grace = Some(SECOND);
        options.shutdown_timeout = 300 * SECOND;
    });
    let mut peer = server.connect().await;
    peer.send([request(1, WAIT.path()), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    let (probe, serving) = server.shut_down();
    peer.expect(goaway(ALL, Http2Error::NO_ERROR)).await;
    peer.expect(goaway(1, Http2Error::NO_ERROR)).await;
    sleep(200 * SECOND).await;
    quiet().await;
    probe.go(1);
    assert_eq!(peer.answer(1).await.status().0, "0");
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn our_client_finishes_its_stream_on_an_old_connection() {
    let server = aging(Some(HOUR));
    let client = server.client().await;
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    sleep(120 * SECOND).await;
    let status = soon("the end", client.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the connection ended with GOAWAY NO_ERROR"));
    assert!(format!("{status:#}").contains("\"max_age\""), "{status:#}");
    out.send(note("b")).await.unwrap();
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("b")));
    out.finish().await.unwrap();
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}
