//! Tests flow control on the server: a reader that stops blocks only its own writer, and memory stays bounded.

use std::time::Duration;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::TestServer;
use crate::common::service::{Event, Note, kilobyte, note};
use crate::common::{BATCHES, quiet};

/// Returns the number of notes of one kilobyte that the service has sent.
async fn sent(server: &mut TestServer) -> u64 {
    match server.probe.last().await {
        Some(Event::Sent(count)) => count,
        other => panic!("{other:?}"),
    }
}

/// Requests this many notes of one kilobyte.
fn flood(stream: u32, times: u64) -> [Frame; 2] {
    let ask = prost::Message::encode_to_vec(&Note { number: times, ..kilobyte() });
    [request(stream, "/test.Service/Flood"), data(stream, message(ask)).end_stream()]
}

async fn assert_served(peer: &mut RawPeer, stream: u32) {
    peer.send([request(stream, "/test.Service/Echo"), data(stream, text("hi")).end_stream()]).await;
    let answer = peer.answer(stream).await;
    assert_eq!((&answer.body[..], answer.status()), (&text("hi")[..], ("0", "")));
}

// Our server sends.

#[tokio::test(start_paused = true)]
async fn client_that_stops_reading_blocks_only_its_handler() {
    let mut server = TestServer::start();
    // The connection window is larger than the stream window.
    let mut peer = server.connect().await;
    peer.send(window_update(0, 1 << 20)).await;
    peer.send(flood(1, 1000)).await;
    let before = sent(&mut server).await;
    assert!((64..=64 + BATCHES / 1024).contains(&before), "{before} kilobytes of the window's 64");
    assert_served(&mut peer, 3).await;
    assert_eq!(server.probe.last().await, None, "not one note more");
    peer.send(window_update(1, 16_384)).await;
    assert_eq!(sent(&mut server).await, before + 16, "a batch of window, a batch of notes");
    peer.send(window_update(1, 1 << 20)).await;
    let answer = peer.answer(1).await;
    assert_eq!((answer.body.len(), answer.status()), (1000 * 1024, ("0", "")));
}

#[tokio::test(start_paused = true)]
async fn zero_window_sends_only_headers_and_each_byte_of_window_one_byte() {
    let server = TestServer::start();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await;
    peer.send([request(1, "/test.Service/Count"), data(1, number(3)).end_stream()]).await;
    peer.expect(response(1)).await;
    peer.expect_silence().await;
    let body = (1..=3).flat_map(number).collect::<Vec<_>>();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.len().min(5));
        peer.send(window_update(1, piece.len() as u32)).await;
        peer.expect(data(1, piece)).await;
        rest = more;
    }
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn negative_window_blocks_until_it_is_positive() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(flood(1, 100)).await;
    let mut received = 0;
    peer.expect(response(1)).await;
    while received < 65_535 {
        let Some(Frame::Data { payload, .. }) = peer.next().await else { panic!() };
        received += payload.len();
    }
    // From 65,535 to 1,000: the window is at -64,535.
    peer.send([settings([(INITIAL_WINDOW_SIZE, 1000)]), window_update(0, 1 << 20)]).await;
    peer.send(window_update(1, 64_535)).await;
    peer.expect_silence().await;
    peer.send(window_update(1, 1)).await;
    let Some(Frame::Data { payload, .. }) = peer.next().await else { panic!() };
    assert_eq!(payload.len(), 1);
    peer.send(window_update(1, 1 << 20)).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn full_socket_blocks_the_handler_despite_an_open_window() {
    let mut server = TestServer::start();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]).await;
    peer.send(window_update(0, 0x7fff_ffff - 65_535)).await;
    peer.send(flood(1, 1_000_000)).await;
    let sent = sent(&mut server).await;
    // At most `UNSENT_OF_CALL`, the pipe's buffer and two batches.
    assert!(sent < 1536, "{sent} kilobytes are on their way");
}

#[tokio::test(start_paused = true)]
async fn answer_larger_than_the_window_arrives() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let long = text(&"x".repeat(100_000));
    peer.send([vec![request(1, "/test.Service/Echo")], chunks(1, &long), vec![half_close(1)]].concat()).await;
    let mut received = Vec::new();
    peer.expect(response(1)).await;
    while received.len() < long.len() {
        let Some(Frame::Data { payload, .. }) = peer.next().await else { panic!() };
        received.extend_from_slice(&payload);
        let count = payload.len() as u32;
        peer.send([window_update(0, count), window_update(1, count)]).await;
    }
    assert!(received == long);
    peer.expect(trailers(1, "0")).await;
}

// Our server receives.

#[tokio::test(start_paused = true)]
async fn window_returns_only_when_messages_are_taken() {
    let mut server = TestServer::with(|options| options.limits.stream_window = 100_000);
    let mut peer = server.connect().await;
    let notes = text(&"x".repeat(10_000 - 8));
    assert_eq!(notes.len(), 10_000);
    peer.send(request(1, "/test.Service/Read")).await;
    server.probe.expect(Event::Began).await;
    for _ in 0..10 {
        peer.send(data(1, &notes)).await;
    }
    let connection = peer.window_returned(0).await;
    assert_eq!(peer.window_returned(1).await, 0, "no message was taken");
    assert_served(&mut peer, 3).await;
    server.probe.go(9);
    for _ in 0..9 {
        assert!(matches!(server.probe.next().await, Event::Read(Ok(Some(_)))));
    }
    // h2 sends WINDOW_UPDATE once half a window has been returned.
    let returned = peer.window_returned(1).await;
    assert!((50_000..=90_000).contains(&returned), "{returned}");
    assert!(peer.window_returned(0).await - connection <= 90_020, "the connection window returns too");
}

/// The window of a small last message may return at the end of the call.
#[tokio::test(start_paused = true)]
async fn window_returns_after_the_client_has_half_closed() {
    let mut server = TestServer::with(|options| {
        (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535);
    });
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Read")).await;
    peer.send(vec![data(1, text(&"x".repeat(10_000 - 8))); 6]).await;
    peer.send(half_close(1)).await;
    server.probe.expect(Event::Began).await;
    server.probe.go(6);
    for _ in 0..6 {
        assert!(matches!(server.probe.next().await, Event::Read(Ok(Some(_)))));
    }
    // The handler has taken all messages and waits: other calls can use the connection window.
    let returned = peer.window_returned(0).await;
    assert!(returned >= 60_000 - 16_384, "{returned} of 60000 bytes");
}

#[tokio::test(start_paused = true)]
async fn window_of_an_incomplete_message_returns_only_to_a_waiting_reader() {
    let mut server = TestServer::with(|options| options.limits.stream_window = 65_535);
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Read")).await;
    server.probe.expect(Event::Began).await;
    let long = text(&"x".repeat(200_000));
    let mut windows = long.chunks(65_535);
    peer.send(chunks(1, windows.next().unwrap())).await;
    assert_eq!(peer.window_returned(1).await, 0, "the handler does not read");
    server.probe.go(1);
    assert_eq!(peer.window_returned(1).await, 65_535, "the handler waits for the message");
    for window in windows {
        peer.send(chunks(1, window)).await;
        quiet().await;
    }
    server.probe.expect(Event::Read(Ok(Some(note("x".repeat(200_000)))))).await;
}

#[tokio::test(start_paused = true)]
async fn window_of_padding_returns() {
    let server = TestServer::with(|options| options.limits.stream_window = 65_535);
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Collect")).await;
    // Each frame has a message of five bytes and 255 bytes of padding: together many times the window.
    for _ in 0..100 {
        peer.send(vec![data(1, message([])).padded(255); 20]).await;
        quiet().await;
    }
    peer.send(half_close(1)).await;
    let answer = peer.answer(1).await;
    assert_eq!(answer.status(), ("0", ""));
    assert!(peer.window_returned(1).await >= 2000 * 261 - 65_535);
}

#[tokio::test(start_paused = true)]
async fn sender_that_ignores_the_window_is_reset() {
    let mut server = TestServer::with(|options| options.limits.stream_window = 65_535);
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Read")).await;
    server.probe.expect(Event::Began).await;
    let frames = vec![data(1, text(&"x".repeat(8_000))); 9];
    peer.send(frames).await;
    peer.expect(reset(1, Http2Error::FLOW_CONTROL_ERROR)).await;
    server.probe.expect(Event::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn stopped_readers_do_not_block_other_calls() {
    let mut server = TestServer::with(|options| {
        (options.limits.stream_window, options.limits.connection_window) = (65_535, 16 * 65_535);
    });
    let mut peer = server.connect().await;
    let whole = text(&"x".repeat(65_535 - 9));
    assert_eq!(whole.len(), 65_535);
    for stream in (1..=29).step_by(2) {
        peer.send(request(stream, "/test.Service/Read")).await;
        peer.send(chunks(stream, &whole)).await;
        server.probe.expect(Event::Began).await;
    }
    peer.send(request(31, "/test.Service/Echo")).await;
    peer.send(chunks(31, &whole)).await;
    peer.send(half_close(31)).await;
    peer.send(window_update(31, 1 << 20)).await;
    assert_eq!(peer.answer(31).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn connection_window_returns_when_a_call_ends_unread() {
    let read = || request(1, "/test.Service/Read");
    for (head, end, what) in [
        (read(), Some(reset(1, Http2Error::CANCEL)), "a reset"),
        (read().field("grpc-timeout", "1S"), None, "a deadline"),
        (read().field("grpc-timeout", "x"), None, "a refusal"),
        (read().set("content-type", "text/html"), Some(half_close(1)), "a refusal in HTTP"),
        (request(1, "/test.Service/Missing"), None, "an unknown method"),
        (request(1, "/test.Service/First"), None, "a handler that read one message"),
    ] {
        let server = TestServer::with(|options| {
            (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535);
        });
        let mut peer = server.connect().await;
        peer.send(head).await;
        peer.send(vec![data(1, text(&"x".repeat(10_000 - 8))); 6]).await;
        quiet().await;
        peer.send(Vec::from_iter(end)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let returned = peer.window_returned(0).await;
        assert_eq!(returned, 60_000, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_after_the_handler_stopped_reading_is_discarded() {
    let server = TestServer::with(|options| {
        (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535);
    });
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Deaf"), data(1, text("hi"))]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, number(1))).await;
    // The handler goes on answering, and the client may go on sending: ten windows.
    for turn in 1..=20 {
        peer.send(vec![data(1, text(&"x".repeat(10_000 - 8))); 3]).await;
        let (stream, connection) = (peer.window_returned(1).await, peer.window_returned(0).await);
        assert!(stream + 40_000 >= turn * 30_000, "{stream} of {} bytes on the stream", turn * 30_000);
        assert!(connection + 40_000 >= turn * 30_000, "{connection} of {} on the connection", turn * 30_000);
        server.probe.go(1);
        peer.expect(data(1, number(turn + 1))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn window_of_buffered_data_returns_when_the_handler_stops_reading() {
    let server = TestServer::with(|options| {
        (options.limits.stream_window, options.limits.connection_window) = (65_535, 65_535);
    });
    let mut peer = server.connect().await;
    // In one write: a note for the handler, and nearly a window of data that it will not read.
    let rest = vec![data(1, text(&"x".repeat(10_000 - 8))); 6];
    peer.send([vec![request(1, "/test.Service/Deaf"), data(1, text("hi"))], rest].concat()).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, number(1))).await;
    let returned = peer.window_returned(0).await;
    assert!(returned + 65_535 / 2 >= 60_000, "{returned} of 60000 bytes");
}

/// h2 charges every small frame that is not read, and would end the connection.
#[tokio::test(start_paused = true)]
async fn window_full_of_tiny_messages_waits_for_a_slow_reader() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Read")).await;
    server.probe.expect(Event::Began).await;
    for _ in 0..100 {
        peer.send(vec![data(1, number(1)); 1000]).await;
    }
    assert_served(&mut peer, 3).await;
    peer.send(half_close(1)).await;
    server.probe.go(100_001);
    let answer = peer.answer(1).await;
    assert_eq!((&answer.body[..], answer.status()), (&number(100_000)[..], ("0", "")));
}

#[tokio::test(start_paused = true)]
async fn flood_of_empty_frames_ends_the_connection() {
    let mut server = TestServer::start();
    let mut other = server.connect().await;
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Read")).await;
    server.probe.expect(Event::Began).await;
    peer.send(vec![data(1, []); 1000]).await;
    assert_eq!(peer.expect_end().await, [Http2Error::ENHANCE_YOUR_CALM]);
    server.probe.expect(Event::Dropped).await;
    assert_served(&mut other, 1).await;
}
