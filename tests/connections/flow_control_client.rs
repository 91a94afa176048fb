//! Tests flow control on the client, and between our own two sides: a reader that stops blocks only its own writer.

use std::time::Duration;

use barewire::{Client, Code, Outbound};
use futures_util::TryStreamExt;

use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Event, FLOOD, Note, READ, kilobyte, note};
use crate::common::{BATCHES, quiet, soon};

// Our client receives.

#[tokio::test(start_paused = true)]
async fn caller_that_stops_reading_blocks_only_its_call() {
    let (client, mut server) = client_with(|options| options.limits.stream_window = 100_000, []).await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send(response(1)).await;
    for _ in 0..10 {
        server.send(data(1, text(&"x".repeat(10_000 - 8)))).await;
    }
    assert_eq!(server.window_returned(1).await, 0);

    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
    server.expect_request(3).await;
    server.expect(data(3, text("hi")).end_stream()).await;
    server.send([response(3), data(3, text("hello")), trailers(3, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));

    for _ in 0..9 {
        assert!(soon("a note", notes.recv()).await.unwrap().is_some());
    }
    let returned = server.window_returned(1).await;
    assert!((50_000..=90_000).contains(&returned), "{returned}");
}

#[tokio::test(start_paused = true)]
async fn fully_read_answer_returns_its_window_while_its_handle_is_alive() {
    let (client, mut server) =
        client_with(|options| (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535), [])
            .await;
    let mut held = Vec::new();
    for stream in [1, 3, 5] {
        let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
        server.expect_request(stream).await;
        server.expect(data(stream, text("hi")).end_stream()).await;
        server.send(response(stream)).await;
        server.send(vec![data(stream, text(&"x".repeat(10_000 - 8))); 6]).await;
        server.send(trailers(stream, "0")).await;
        quiet().await;
        for _ in 0..6 {
            assert!(soon("a note", notes.recv()).await.unwrap().is_some());
        }
        assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
        held.push(notes);
        let returned = server.window_returned(0).await;
        assert!(returned + 65_535 / 2 >= 60_000 * (u64::from(stream) + 1) / 2, "{returned} after stream {stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn window_of_padding_in_an_answer_returns() {
    let (client, mut server) = client_with(|options| options.limits.stream_window = 65_535, []).await;
    let notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send(response(1)).await;
    let reading = tokio::spawn(notes.try_collect::<Vec<Note>>());
    for _ in 0..100 {
        server.send(vec![data(1, message([])).padded(255); 20]).await;
        quiet().await;
    }
    server.send(trailers(1, "0")).await;
    assert_eq!(soon("all notes", reading).await.unwrap().unwrap().len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn window_full_of_tiny_answers_waits_for_a_slow_caller() {
    let (client, mut server) = client_and_raw_server().await;
    let notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send(response(1)).await;
    for _ in 0..100 {
        server.send(vec![data(1, number(1)); 1000]).await;
    }
    quiet().await;
    server.send(trailers(1, "0")).await;
    let notes: Vec<Note> = soon("all notes", notes.try_collect()).await.unwrap();
    assert_eq!(notes.len(), 100_000);
}

// Our client sends.

/// Returns the number of notes of one kilobyte that a sender can send before it has to wait.
async fn sent_until_waiting(out: &mut Outbound<Note>) -> u64 {
    for sent in 0.. {
        let sending = tokio::time::timeout(Duration::from_nanos(1), out.send(kilobyte()));
        if sending.await.is_err() {
            return sent;
        }
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn server_that_stops_reading_blocks_only_its_sender() {
    let (client, mut server) = client_and_raw_server().await;
    let (mut out, _answer) = client.client_streaming(COLLECT).await.unwrap();
    server.expect_request(1).await;
    let sent = sent_until_waiting(&mut out).await;
    assert!((64..=64 + BATCHES / 1024).contains(&sent), "{sent} kilobytes of the window's 64");
    server.send(window_update(0, 1 << 20)).await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
    while !matches!(server.next().await, Some(Frame::Data { stream: 3, .. })) {}
    server.send([response(3), data(3, text("hello")), trailers(3, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
    server.send(window_update(1, 16_384)).await;
    quiet().await;
    assert_eq!(sent_until_waiting(&mut out).await, 16, "a batch of window, a batch of notes");
}

#[tokio::test(start_paused = true)]
async fn request_larger_than_the_window_is_sent_as_the_window_opens() {
    let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 0)]).await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect_silence().await;
    let body = text("hi");
    for (index, byte) in body.iter().enumerate() {
        server.send(window_update(1, 1)).await;
        let piece = data(1, [*byte]);
        server.expect(if index + 1 == body.len() { piece.end_stream() } else { piece }).await;
    }
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
}

// Our client and our server.

async fn connected(window: u32) -> (TestServer, Client) {
    let server = TestServer::with(|options| options.limits.stream_window = window);
    let client = server.client().await;
    (server, client)
}

#[tokio::test(start_paused = true)]
async fn messages_larger_than_every_window_arrive_both_ways() {
    let (_server, client) = connected(65_535).await;
    let long = note("x".repeat(3 << 20));
    assert!(*soon("the echo", client.unary(ECHO, &long)).await.unwrap() == long);
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    for _ in 0..3 {
        let (sent, received) = soon("the echo", async { tokio::join!(out.send(&long), notes.recv()) }).await;
        sent.unwrap();
        assert!(received.unwrap().unwrap() == long);
    }
}

#[tokio::test(start_paused = true)]
async fn handler_that_stops_reading_blocks_only_its_caller() {
    let (server, client) = connected(65_535).await;
    let (mut out, answer) = client.client_streaming(READ).await.unwrap();
    let sent = sent_until_waiting(&mut out).await;
    assert!((64..=64 + BATCHES / 1024).contains(&sent), "{sent} kilobytes of the window's 64");
    assert_eq!(*soon("the echo", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"));
    server.probe.go(1_000_000);
    for _ in sent..1000 {
        soon("room", out.send(kilobyte())).await.unwrap();
    }
    out.finish().await.unwrap();
    assert_eq!(soon("the answer", answer).await.unwrap().number, 1000);
}

#[tokio::test(start_paused = true)]
async fn caller_that_stops_reading_blocks_the_handler() {
    let (mut server, client) = connected(65_535).await;
    let ask = Note { number: 5000, ..kilobyte() };
    let notes = client.server_streaming(FLOOD, ask).await.unwrap();
    let Some(Event::Sent(sent)) = server.probe.last().await else { panic!() };
    assert!((1024..=1024 + BATCHES / 1024).contains(&sent), "{sent} kilobytes of the window's 1024");
    assert_eq!(*soon("the echo", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"));
    let notes: Vec<Note> = soon("all notes", notes.try_collect()).await.unwrap();
    assert_eq!(notes.len(), 5000);
}

#[tokio::test(start_paused = true)]
async fn call_over_a_limit_returns_the_connection_window() {
    let (client, mut server) =
        client_with(|options| (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535), [])
            .await;
    for stream in (1..20).step_by(2) {
        let other = client.clone();
        let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
        server.expect_request(stream).await;
        server.expect(data(stream, text("hi")).end_stream()).await;
        let body = [&prefix(0, u32::MAX)[..], &[0; 10_000]].concat();
        server.send([response(stream), data(stream, body)]).await;
        let status = soon("the answer", call).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        server.expect(reset(stream, Http2Error::CANCEL)).await;
    }
    assert!(server.window_returned(0).await + 65_535 / 2 >= 10 * 10_005);
}
