//! Abuse of flow control, on both sides: windows that overflow, stay closed, open byte by byte, or jump.
//!
//! RFC 9113 sections 5.2, 6.5.2 (SETTINGS_INITIAL_WINDOW_SIZE), 6.9. CVE-2019-9511 (data dribble), CVE-2019-9517 (internal data
//! buffering). Memory is counted by the allocator, on the one thread that both sides share.

use barewire::Code;
use prost::Message as _;

use crate::common::attack::*;
use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{CHAT, COUNT, ECHO, Event, FLOOD, Note, READ, count, note};
use crate::common::{quiet, soon};

/// The largest window, and the largest increment of one.
const MOST: u32 = 0x7FFF_FFFF;

/// Requests a gigabyte in messages of one kilobyte.
fn flood(stream: u32) -> [Frame; 2] {
    let wanted = Note { number: 1 << 20, ..note("x".repeat(1000)) }.encode_to_vec();
    [opens_at(stream, FLOOD.path(), 0), data(stream, message(wanted)).end_stream()]
}

fn window(size: u32) -> Frame {
    settings([(INITIAL_WINDOW_SIZE, size)])
}

#[test]
fn answers_waiting_for_window_hold_two_batches_each() {
    // A thousand calls may wait, each with a request, a task and two batches of 16 KiB.
    let thousand = |n: u32| wire((0..20).flat_map(|i| flood(id(n, i, 20))));
    costs("no window", 48 * MIB, Reads::Yes, 4 * MIB, |n| match n {
        0 => wire([window(0)]),
        _ => thousand(n),
    });
    // The client opens all windows and reads nothing.
    costs("no reader", 48 * MIB, Reads::No, 4 * MIB, |n| match n {
        0 => wire([window_update(0, MOST - 65_535)]),
        _ => thousand(n),
    });
}

#[test]
fn windows_opened_byte_by_byte_cost_bounded_memory() {
    for reads in [Reads::Yes, Reads::No] {
        costs("a byte at a time", MIB, reads, 2 * MIB, |n| match n {
            0 => wire([vec![window(0)], flood(1).to_vec()].concat()),
            _ => wire(vec![window_update(1, 1); 100]),
        });
    }
}

#[test]
fn jumping_windows_cost_bounded_memory() {
    costs("windows that jump", 8 * MIB, Reads::Yes, 256 << 10, |n| match n {
        0 => wire((0..100).flat_map(|i| flood(id(0, i, 100)))),
        _ => wire([window(0), window(65_535), window(1)]),
    });
}

#[tokio::test(start_paused = true)]
async fn overflow_of_the_connection_window_ends_the_connection() {
    let server = TestServer::start();
    let mut other = server.connect().await;
    // For an initial window over 2^31-1 h2 sends PROTOCOL_ERROR; RFC 9113 section 6.5.2 requires FLOW_CONTROL_ERROR.
    for (overflow, error) in
        [(window_update(0, MOST), Http2Error::FLOW_CONTROL_ERROR), (window(MOST + 1), Http2Error::PROTOCOL_ERROR)]
    {
        let mut client = server.connect().await;
        client.send(overflow).await;
        assert_eq!(client.expect_end().await, [error]);
    }
    other.send([request(1, ECHO.path()), data(1, text("hi")).end_stream()]).await;
    assert_eq!(other.answer(1).await.status(), ("0", ""));
}

/// WINDOW_UPDATE overflows one stream (RFC 9113 section 6.9.1), SETTINGS all of them (section 6.9.2).
#[tokio::test(start_paused = true)]
async fn overflow_of_a_stream_window_resets_it_and_drops_the_handler() {
    let mut server = TestServer::start();
    let mut client = server.connect().await;
    client.send([request(1, READ.path()), data(1, text("hi"))]).await;
    server.probe.expect(Event::Began).await;
    client.send(window_update(1, MOST)).await;
    assert_eq!(client.answer(1).await.reset(), Some(Http2Error::FLOW_CONTROL_ERROR));
    server.probe.expect(Event::Dropped).await;
    client.send([request(3, READ.path()), data(3, text("hi")), window_update(3, 1)]).await;
    server.probe.expect(Event::Began).await;
    client.send(window(MOST)).await;
    assert_eq!(client.expect_end().await, [Http2Error::FLOW_CONTROL_ERROR]);
    server.probe.expect(Event::Dropped).await;
}

/// A million messages of seven bytes: the buffer holds as many as fit the window, and the rest wait at the sender.
#[test]
fn million_small_messages_wait_at_the_sender_for_a_slow_reader() {
    const MANY: usize = 1_000_000;
    const TURN: usize = 50_000;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut server = TestServer::start();
            let healthy = server.client().await;
            let mut client = server.connect().await;
            client.send(request(1, READ.path())).await;
            server.probe.expect(Event::Began).await;
            let messages: Vec<u8> = (0..2000).flat_map(|_| number(1)).collect();
            let (mut sent, mut read) = (0, 0);
            while read < MANY {
                // Sends until the windows are used up; the connection's is 64 KiB plus its WINDOW_UPDATE.
                while sent < MANY
                    && (sent + 2000) * number(1).len() <= (1 << 20) + client.window_returned(1).await as usize
                {
                    client.send(chunks(1, &messages)).await;
                    sent += 2000;
                }
                server.probe.go(TURN);
                for event in server.probe.rest().await {
                    assert_eq!(event, Event::Read(Ok(Some(count(1)))));
                    read += 1;
                }
                served(&healthy).await;
            }
            client.send(half_close(1)).await;
            server.probe.go(1);
            assert_eq!(client.answer(1).await.body, number(MANY as u64));
        });
    });
    // Twice the window, because the buffer grows, plus the test's own events of a turn.
    assert!(memory.bytes_max < 12 * MIB as u64, "{} bytes", memory.bytes_max);
}

/// While the request is open, the caller that waits for the answer gets the error, with or without a deadline.
#[tokio::test(start_paused = true)]
async fn overflow_of_a_stream_window_by_the_server_fails_the_call() {
    let words = "the stream was reset with FLOW_CONTROL_ERROR because the server violated HTTP/2";
    let (client, mut server) = client_and_raw_server().await;
    let overflow = |stream| [window_update(stream, MOST), window_update(stream, MOST)];
    // Before the answer has begun, and after that.
    for (stream, begun) in [(1, vec![]), (3, vec![response(3), data(3, text("hello"))])] {
        let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
        server.expect_request(stream).await;
        let messages = begun.len() / 2;
        server.send(begun).await;
        for _ in 0..messages {
            assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
        }
        let waiting = tokio::spawn(async move { notes.recv().await });
        quiet().await;
        server.send(overflow(stream)).await;
        let status = soon("the end", waiting).await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, words));
        server.expect(reset(stream, Http2Error::FLOW_CONTROL_ERROR)).await;
    }
    // A unary call whose message is larger than the window.
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("x".repeat(100_000))).await });
    server.expect_request(5).await;
    server.send(overflow(5)).await;
    let status = soon("the end", call).await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, words));
}

/// Once the request is sent, its window does not matter: the answer counts, and the call does not hang.
#[tokio::test(start_paused = true)]
async fn overflow_after_the_request_was_sent_is_ignored() {
    let (client, mut server) = client_and_raw_server().await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send([window_update(1, MOST), window_update(1, MOST)]).await;
    server.expect_silence().await;
    server.send([response(1), data(1, text("hello")), window_update(1, MOST), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(3).await;
    server.expect(data(3, text("hi")).end_stream()).await;
    server.send([response(3), window_update(3, MOST), window_update(3, MOST), data(3, number(1))]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    server.send(trailers(3, "0")).await;
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn overflow_by_settings_of_the_server_ends_the_connection() {
    let (client, mut server) = client_and_raw_server().await;
    let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.send([window_update(1, 1), window(MOST)]).await;
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
    // The call fails first, and then the connection ends.
    let mut last = None;
    while let Some(frame) = server.next().await {
        last = Some(frame);
    }
    assert!(matches!(last, Some(Frame::GoAway { error: Http2Error::FLOW_CONTROL_ERROR, .. })), "{last:?}");
}

/// If a server opens the window byte by byte, a unary request still arrives, and a streaming caller waits.
#[test]
fn server_that_opens_the_window_byte_by_byte_blocks_the_sender() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = crate::common::server::client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 0)]).await;
            let (mut out, _notes) = client.bidi_streaming(CHAT).await.unwrap();
            server.expect_request(1).await;
            let sender = tokio::spawn(async move {
                let mut sent = 0u64;
                while out.send(note("x".repeat(1000))).await.is_ok() {
                    sent += 1;
                }
                sent
            });
            for _ in 0..2000 {
                server.send(window_update(1, 1)).await;
                assert!(matches!(server.next().await, Some(Frame::Data { payload, .. }) if payload.len() == 1));
            }
            drop(server);
            // Two batches and the bytes already sent.
            let sent = soon("the end", sender).await.unwrap();
            assert!(sent * 1008 <= 2 * 16_384 + 2000 + 1008, "{sent} messages");
        });
    });
    assert!(memory.bytes_max < MIB as u64, "{} bytes", memory.bytes_max);
}
