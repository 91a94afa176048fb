//! Tests the shutdown of a server: it refuses new calls, calls in progress go on, and after a while the rest is cut off.

use std::time::Duration;

use barewire::{Client, Code};
use tokio::time::Instant;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::{PipeConnector, connected, pipe};
use crate::common::server::TestServer;
use crate::common::service::{CHAT, ECHO, Event, Note, WAIT, note};
use crate::common::{quiet, soon};

const WORDS: &str = "the server is shutting down";

/// Starts a server and a raw client, with a call that waits in its handler.
async fn waiting() -> (TestServer, RawPeer) {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Wait"), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    (server, peer)
}

#[tokio::test(start_paused = true)]
async fn idle_connection_gets_two_goaways_and_is_closed() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.expect_silence().await;
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    // The first GOAWAY announces the shutdown. After the PING's acknowledgement the second names the last stream.
    assert_eq!(peer.next_any().await, Some(goaway(0x7fff_ffff, Http2Error::NO_ERROR)));
    let Some(Frame::Ping { ack: false, payload }) = peer.next_any().await else { panic!() };
    quiet().await;
    peer.send(Frame::Ping { ack: true, payload }).await;
    assert_eq!(peer.next_any().await, Some(goaway(0, Http2Error::NO_ERROR)));
    assert_eq!(peer.next_any().await, None);
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn call_in_progress_finishes() {
    let (server, mut peer) = waiting().await;
    let (probe, serving) = server.shut_down();
    peer.expect(goaway(0x7fff_ffff, Http2Error::NO_ERROR)).await;
    peer.expect(goaway(1, Http2Error::NO_ERROR)).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    probe.go(1);
    peer.expect(response(1)).await;
    peer.expect(data(1, text("hi"))).await;
    peer.expect(trailers(1, "0")).await;
    assert_eq!(peer.next().await, None);
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn stream_in_progress_finishes_both_ways() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Chat"), data(1, text("a"))]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("a"))).await;
    let (_probe, serving) = server.shut_down();
    peer.expect(goaway(0x7fff_ffff, Http2Error::NO_ERROR)).await;
    peer.expect(goaway(1, Http2Error::NO_ERROR)).await;
    peer.send([data(1, text("b")), half_close(1)]).await;
    peer.expect(data(1, text("b"))).await;
    peer.expect(trailers(1, "0")).await;
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn call_in_transit_is_served_and_one_after_the_final_goaway_is_not() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.expect_silence().await;
    let (_probe, serving) = server.shut_down();
    assert_eq!(peer.next_any().await, Some(goaway(0x7fff_ffff, Http2Error::NO_ERROR)));
    let Some(Frame::Ping { ack: false, payload }) = peer.next_any().await else { panic!() };
    peer.send([request(1, "/test.Service/Chat"), data(1, text("a"))]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("a"))).await;
    peer.send(Frame::Ping { ack: true, payload }).await;
    peer.expect(goaway(1, Http2Error::NO_ERROR)).await;
    peer.send([request(3, "/test.Service/Echo"), data(3, text("late")).end_stream()]).await;
    peer.expect_silence().await;
    peer.send(half_close(1)).await;
    peer.expect(trailers(1, "0")).await;
    assert_eq!(peer.next().await, None);
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_left_after_the_shutdown_timeout_are_unavailable() {
    let (server, mut peer) = waiting().await;
    peer.send([request(3, "/test.Service/Paced"), data(3, number(1)).end_stream()]).await;
    peer.send([request(5, "/test.Service/Collect"), data(5, text("a"))]).await;
    peer.expect(response(3)).await;
    let began = Instant::now();
    let (mut probe, serving) = server.shut_down();
    probe.expect(Event::Began).await;
    peer.expect(goaway(0x7fff_ffff, Http2Error::NO_ERROR)).await;
    peer.expect(goaway(5, Http2Error::NO_ERROR)).await;
    let answers = [peer.answer(1).await, peer.answer(3).await, peer.answer(5).await];
    assert_eq!(began.elapsed().as_secs(), 10);
    for answer in answers {
        assert_eq!(answer.status(), ("14", WORDS));
    }
    probe.expect(Event::Dropped).await;
    probe.expect(Event::Dropped).await;
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn shutdown_timeout_is_configurable() {
    let mut server = TestServer::with(|options| options.shutdown_timeout = Duration::from_secs(3));
    let client = server.client().await;
    let call = tokio::spawn(async move { client.unary(WAIT, note("hi")).await });
    server.probe.expect(Event::Began).await;
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    let status = soon("the end", call).await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, WORDS));
    soon("the end", serving).await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn stream_waiting_for_window_gets_trailers_at_the_shutdown_timeout() {
    let mut server = TestServer::start();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await;
    let ask = message(prost::Message::encode_to_vec(&Note { number: 100, ..note("x".repeat(10_000)) }));
    peer.send([request(1, "/test.Service/Flood"), data(1, ask).end_stream()]).await;
    peer.expect(response(1)).await;
    assert!(matches!(server.probe.last().await, Some(Event::Sent(_))));
    let (_probe, serving) = server.shut_down();
    assert_eq!(peer.answer(1).await.status(), ("14", WORDS));
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn stalled_peer_is_disconnected_after_the_shutdown_timeout() {
    let (server, peer) = waiting().await;
    let began = Instant::now();
    let (mut probe, serving) = server.shut_down();
    soon("the end", serving).await.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    probe.expect(Event::Dropped).await;
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn silent_connection_does_not_delay_shutdown() {
    let server = TestServer::start();
    let silent = server.dial();
    quiet().await;
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    soon("the end", serving).await.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn listener_is_dropped_on_shutdown() {
    let (server, _peer) = waiting().await;
    let arrivals = server.arrivals.clone();
    let (_probe, _serving) = server.shut_down();
    quiet().await;
    assert!(arrivals.is_closed(), "the listener was dropped");
}

#[tokio::test(start_paused = true)]
async fn our_client_finishes_its_call_and_new_calls_are_unavailable() {
    let server = TestServer::start();
    let client = server.client().await;
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    out.send(note("a")).await.unwrap();
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("a")));
    let (_probe, serving) = server.shut_down();
    quiet().await;
    let status = soon("the end", client.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the connection ended with GOAWAY NO_ERROR"));
    out.send(note("b")).await.unwrap();
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("b")));
    out.finish().await.unwrap();
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_without_connections_ends_at_once() {
    let server = TestServer::start();
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    soon("the end", serving).await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn lame_duck_accepts_connections_and_calls_until_its_end() {
    let mut server = TestServer::with(|options| options.lame_duck = Duration::from_secs(5));
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Wait"), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    let arrivals = server.arrivals.clone();
    let began = Instant::now();
    let (probe, serving) = server.shut_down();
    tokio::time::sleep(Duration::from_secs(4)).await;
    // Neither GOAWAY nor the end of the listener yet.
    peer.send([request(3, "/test.Service/Echo"), data(3, text("late")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status().0, "0");
    let (near, far) = pipe();
    arrivals.send(connected(near)).expect("the server listens");
    let client = soon("a connection", Client::connect(PipeConnector::new(far))).await.expect("it connects");
    client.unary(ECHO, note("later")).await.expect("an answer");
    assert!(!arrivals.is_closed());
    peer.expect(goaway(0x7fff_ffff, Http2Error::NO_ERROR)).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    peer.expect(goaway(3, Http2Error::NO_ERROR)).await;
    assert!(arrivals.is_closed());
    // The shutdown timeout begins after it.
    tokio::time::sleep(Duration::from_secs(9)).await;
    probe.go(1);
    assert_eq!(peer.answer(1).await.status().0, "0");
    drop(peer);
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_ignores_goaway_is_cut_off_at_the_shutdown_timeout() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.expect_silence().await;
    let began = Instant::now();
    let (_probe, serving) = server.shut_down();
    assert_eq!(peer.next_any().await, Some(goaway(0x7fff_ffff, Http2Error::NO_ERROR)));
    let Some(Frame::Ping { ack: false, .. }) = peer.next_any().await else { panic!() };
    // It does not acknowledge the PING, and goes on as if nothing had happened.
    peer.send([request(1, "/test.Service/Chat"), data(1, text("a"))]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("a"))).await;
    peer.send([request(3, "/test.Service/Chat"), data(3, text("b"))]).await;
    assert_eq!((peer.answer(1).await.status(), peer.answer(3).await.status().0), (("14", WORDS), "14"));
    soon("the end", serving).await.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
}
