//! Tests calls that end early: the frames on the wire, and the error that each side gets.

use barewire::wire::code_map::code_of_http2_error;
use barewire::{Client, Code};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Event, count, note};
use crate::common::{Streaming, quiet, soon};

// Cancellation by a client.

#[tokio::test(start_paused = true)]
async fn dropping_a_unary_call_resets_its_stream() {
    let (client, mut server) = client_and_raw_server().await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    call.abort();
    server.expect(reset(1, Http2Error::CANCEL)).await;

    // After the headers and a part of the answer have arrived.
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
    server.expect_request(3).await;
    server.expect(data(3, text("hi")).end_stream()).await;
    server.send([response(3), data(3, prefix(0, 100))]).await;
    quiet().await;
    call.abort();
    server.expect(reset(3, Http2Error::CANCEL)).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_unary_call_whose_message_waits_for_window_resets_its_stream() {
    let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 2)]).await;
    let call = tokio::spawn(async move { (client.unary(ECHO, note("hi")).await, client) });
    server.expect_request(1).await;
    server.expect(data(1, &text("hi")[..2])).await;
    call.abort();
    server.expect(reset(1, Http2Error::CANCEL)).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_receiving_half_resets_the_stream() {
    let (client, mut server) = client_and_raw_server().await;
    let notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    drop(notes);
    server.expect(reset(1, Http2Error::CANCEL)).await;

    let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
    server.expect_request(3).await;
    drop(answer);
    server.expect(reset(3, Http2Error::CANCEL)).await;
    assert_eq!(out.send(note("late")).await.unwrap_err().code(), Code::Cancelled);

    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(5).await;
    out.send(note("hi")).await.unwrap();
    server.expect(data(5, text("hi"))).await;
    server.send([response(5), data(5, text("hi"))]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hi")));
    drop(notes);
    server.expect(reset(5, Http2Error::CANCEL)).await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn call_dropped_before_it_is_sent_is_unsent_or_cancelled() {
    let (client, mut server) = client_and_raw_server().await;
    drop(client.bidi_streaming(CHAT).await.unwrap());
    let notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    loop {
        match server.next().await.unwrap() {
            Frame::ResetStream { stream: 1, error } => assert_eq!(error, Http2Error::CANCEL),
            Frame::Headers { stream: 1, .. } => {}
            Frame::Headers { stream: 3, .. } => break,
            frame => panic!("{frame:?}"),
        }
    }
    drop(notes);
}

#[tokio::test(start_paused = true)]
async fn ended_call_is_not_reset() {
    let (client, mut server) = client_and_raw_server().await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send([response(1), data(1, [number(1), number(2)].concat()), trailers(1, "0")]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    drop(notes);
    server.expect_silence().await;
}

/// Begins a bidirectional call of our client to a raw server.
async fn chatting() -> (Client, Streaming, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let streaming = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    (client, streaming, server)
}

#[tokio::test(start_paused = true)]
async fn status_before_the_half_close_resets_with_no_error() {
    let (_client, (mut out, mut notes), mut server) = chatting().await;
    server.send([response(1), trailers(1, "5")]).await;
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::NotFound);
    server.expect(reset(1, Http2Error::NO_ERROR)).await;
    assert_eq!(soon("the error", out.send(note("late"))).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn sender_gets_the_status_of_an_ended_call() {
    let (_client, (mut out, _notes), mut server) = chatting().await;
    server.send([response(1), trailers(1, "5")]).await;
    quiet().await;
    assert_eq!(soon("the error", out.send(note("late"))).await.unwrap_err().code(), Code::NotFound);

    let (_client, (mut out, _notes), mut server) = chatting().await;
    server.send([response(1), trailers(1, "0")]).await;
    quiet().await;
    assert_eq!(soon("the error", out.send(note("late"))).await.unwrap_err().code(), Code::Cancelled);

    let (_client, (mut out, _notes), mut server) = chatting().await;
    server.send(reset(1, Http2Error::ENHANCE_YOUR_CALM)).await;
    quiet().await;
    assert_eq!(soon("the error", out.send(note("late"))).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn invalid_message_resets_the_stream_while_its_handle_is_alive() {
    for (answer, code) in [
        (prefix(0, u32::MAX).to_vec(), Code::ResourceExhausted),
        (flagged(2, b"").to_vec(), Code::Internal),
        (message([0x0a, 5, b'x']).to_vec(), Code::Internal),
    ] {
        let (_client, (_out, mut notes), mut server) = chatting().await;
        server.send([response(1), data(1, answer)]).await;
        assert_eq!(soon("the error", notes.recv()).await.unwrap_err().code(), code);
        server.expect(reset(1, Http2Error::CANCEL)).await;
        assert_eq!(soon("the same", notes.recv()).await.unwrap_err().code(), code, "and stays");
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_headers_reset_the_stream_while_its_handle_is_alive() {
    for head in [response(1).field("grpc-encoding", "lzma"), response(1).field("k-bin", "?")] {
        let (_client, (_out, mut notes), mut server) = chatting().await;
        server.send(head.clone()).await;
        assert_eq!(soon("the error", notes.recv()).await.unwrap_err().code(), Code::Internal);
        server.expect(reset(1, Http2Error::CANCEL)).await;

        // The same after the client's half-close.
        let (client, mut server) = client_and_raw_server().await;
        let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
        server.expect_request(1).await;
        server.expect(data(1, text("hi")).end_stream()).await;
        server.send(head).await;
        assert_eq!(soon("the error", notes.recv()).await.unwrap_err().code(), Code::Internal);
        server.expect(reset(1, Http2Error::CANCEL)).await;
    }
}

// Cancellation as a server sees it.

/// A raw client whose call has reached its handler.
async fn calling(path: &str) -> (TestServer, RawPeer) {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    let body = data(1, message([0x0a, 2, b'h', b'i', 0x10, 1]));
    let streams = ["/test.Service/Read", "/test.Service/Spawn", "/test.Service/Deaf"].contains(&path);
    peer.send([request(1, path), if streams { body } else { body.end_stream() }]).await;
    server.probe.expect(Event::Began).await;
    (server, peer)
}

#[tokio::test(start_paused = true)]
async fn reset_drops_the_handler_of_every_kind() {
    for path in ["/test.Service/Wait", "/test.Service/Paced", "/test.Service/Read", "/test.Service/Deaf"] {
        for error in (0..=0xe).map(Http2Error) {
            let (mut server, mut peer) = calling(path).await;
            peer.send(reset(1, error)).await;
            server.probe.expect(Event::Dropped).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn call_reset_on_arrival_leaks_nothing() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    for path in ["/test.Service/Wait", "/test.Service/Read", "/test.Service/Paced"] {
        let call = [request(1, path), data(1, number(1)).end_stream(), reset(1, Http2Error::CANCEL)];
        let mut calls = Vec::new();
        for stream in (1..20).step_by(2) {
            calls.extend(call.iter().cloned().map(|frame| frame.on(stream)));
        }
        peer.send(calls).await;
        peer.expect_silence().await;
        let events: Vec<Event> = server.probe.rest().await;
        let count = |wanted: Event| events.iter().filter(|event| **event == wanted).count();
        assert_eq!(count(Event::Began), count(Event::Dropped), "{path}: {events:?}");
        peer = server.connect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_connection_drops_the_handler_of_every_kind() {
    for path in ["/test.Service/Wait", "/test.Service/Paced", "/test.Service/Read", "/test.Service/Deaf"] {
        let (mut server, peer) = calling(path).await;
        drop(peer);
        server.probe.expect(Event::Dropped).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reset_drops_a_handler_that_waits_for_window() {
    let mut server = TestServer::start();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await;
    let ask = message(prost::Message::encode_to_vec(&crate::common::service::Note {
        number: 100,
        ..note("x".repeat(10_000))
    }));
    peer.send([request(1, "/test.Service/Flood"), data(1, ask).end_stream()]).await;
    peer.expect(response(1)).await;
    assert!(matches!(server.probe.last().await, Some(Event::Sent(1..10))));
    peer.send(reset(1, Http2Error::CANCEL)).await;
    server.probe.expect(Event::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn reset_is_an_error_for_a_reader_in_another_task() {
    for error in (0..=0xe).map(Http2Error) {
        let code = code_of_http2_error(error);
        let (mut server, mut peer) = calling("/test.Service/Spawn").await;
        server.probe.expect(Event::Read(Ok(Some(crate::common::service::Note { number: 1, ..note("hi") })))).await;
        peer.expect(response(1)).await;
        peer.send([data(1, text("last")), reset(1, error)]).await;
        let mut events = Vec::new();
        for _ in 0..5 {
            events.push(server.probe.next().await);
            if matches!(events.last(), Some(Event::Read(Err(_)))) {
                break;
            }
        }
        assert_eq!(events.last(), Some(&Event::Read(Err(code))), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_connection_is_an_error_for_a_reader_in_another_task() {
    let (mut server, peer) = calling("/test.Service/Spawn").await;
    server.probe.expect(Event::Read(Ok(Some(crate::common::service::Note { number: 1, ..note("hi") })))).await;
    drop(peer);
    let mut rest = vec![server.probe.next().await, server.probe.next().await, server.probe.next().await];
    rest.sort_by_key(|event| format!("{event:?}"));
    let expected = [Event::Dropped, Event::Read(Err(Code::Cancelled)), Event::SendFailed(Code::Cancelled)];
    assert_eq!(rest, expected);
}

#[tokio::test(start_paused = true)]
async fn handles_that_outlive_their_handler_get_errors() {
    let (mut server, mut peer) = calling("/test.Service/Spawn").await;
    server.probe.expect(Event::Read(Ok(Some(crate::common::service::Note { number: 1, ..note("hi") })))).await;
    peer.expect(response(1)).await;
    server.probe.go(1);
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
    // The client has not half-closed, so the request ends with an error.
    server.probe.expect(Event::Read(Err(Code::Cancelled))).await;
    server.probe.expect(Event::SendFailed(Code::Cancelled)).await;
}

#[tokio::test(start_paused = true)]
async fn server_that_ends_before_the_half_close_resets_with_no_error() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/First"), data(1, text("hi"))]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("hi"))).await;
    peer.expect(trailers(1, "0")).await;
    peer.expect(reset(1, Http2Error::NO_ERROR)).await;
    // DATA already in transit is not an error.
    peer.send([data(1, text("late")), half_close(1)]).await;
    peer.send([request(3, "/test.Service/Echo"), data(3, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn call_cancelled_by_our_client_is_dropped_by_our_server() {
    let mut server = TestServer::start();
    let client = server.client().await;
    let call = tokio::spawn(async move { (client.unary(crate::common::service::WAIT, note("hi")).await, client) });
    server.probe.expect(Event::Began).await;
    call.abort();
    server.probe.expect(Event::Dropped).await;
}

// Panics.

#[tokio::test(start_paused = true)]
async fn handler_panic_is_unknown_and_affects_only_its_call() {
    let (server, mut peer) = calling("/test.Service/Wait").await;
    peer.send([request(3, "/test.Service/Panic"), data(3, text("hi")).end_stream()]).await;
    let unknown = [("grpc-status", "2"), ("grpc-message", "the handler panicked")];
    let [status, words] = unknown;
    peer.expect(response(3).field(status.0, status.1).field(words.0, words.1).end_stream()).await;
    peer.send([request(5, "/test.Service/PanicLate"), data(5, text("hi")).end_stream()]).await;
    peer.expect(response(5)).await;
    peer.expect(data(5, number(1))).await;
    peer.expect(headers(5, unknown).end_stream()).await;
    server.probe.go(1);
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}
