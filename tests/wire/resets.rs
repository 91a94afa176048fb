//! Tests stream resets on both sides: messages received before the reset are still delivered, writer and reader get the same
//! error, and other calls are not affected.

use barewire::wire::code_map::code_of_http2_error;
use barewire::{Client, Code};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, ECHO, Event, Note, count, note};
use crate::common::{Streaming, quiet, soon};

/// Returns every error of RFC 9113 section 7, and one without a name.
fn errors() -> impl Iterator<Item = Http2Error> {
    (0..=0xe).map(Http2Error)
}

// On our client.

async fn chatting() -> (Client, Streaming, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let streaming = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    (client, streaming, server)
}

#[tokio::test(start_paused = true)]
async fn complete_messages_before_a_reset_are_delivered_and_both_handles_get_its_code() {
    let part = text("part");
    for error in errors() {
        let code = code_of_http2_error(error);
        for whole in 0..3 {
            for length in [0, 3, 5, 7] {
                let (_client, (mut out, mut notes), mut server) = chatting().await;
                out.send(note("a")).await.unwrap();
                server.expect(data(1, text("a"))).await;
                let messages = (1..=whole).map(|n| data(1, number(n)));
                let rest = [data(1, &part[..length]), reset(1, error)];
                server.send([response(1)].into_iter().chain(messages).chain(rest).collect::<Vec<_>>()).await;
                quiet().await;
                // The writer first: its error does not affect the reader.
                assert_eq!(soon("the error", out.send(note("b"))).await.unwrap_err().code(), code, "{error}");
                for n in 1..=whole {
                    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(n)), "{error}");
                }
                for _ in 0..2 {
                    let status = soon("the end", notes.recv()).await.unwrap_err();
                    let words = format!("the server reset the stream with {error}");
                    assert_eq!((status.code(), status.message()), (code, &*words));
                }
                assert_eq!(soon("the same", out.send(note("c"))).await.unwrap_err().code(), code, "{error}");
                server.expect_silence().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reading_continues_after_writing_failed() {
    let (_client, (mut out, mut notes), mut server) = chatting().await;
    server.send([response(1), data(1, [number(1), number(2)].concat()), trailers(1, "9")]).await;
    quiet().await;
    for _ in 0..2 {
        let status = soon("the error", out.send(note("late"))).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
    }
    for n in 1..=2 {
        assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(n)));
    }
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn reset_before_the_answer_fails_the_waiting_writer_and_reader() {
    for error in errors() {
        let code = code_of_http2_error(error);
        let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 0)]).await;
        let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
        server.expect_request(1).await;
        let long = note("x".repeat(10_000));
        let writing = async {
            loop {
                if let Err(status) = out.send(&long).await {
                    break status.code();
                }
            }
        };
        let resetting = async {
            quiet().await;
            server.send(reset(1, error)).await;
        };
        let (written, ()) = soon("the error", async { tokio::join!(writing, resetting) }).await;
        assert_eq!(written, code, "{error}");
        assert_eq!(soon("the answer", answer).await.unwrap_err().code(), code, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn reset_affects_only_its_call() {
    let (client, (_out, mut notes), mut server) = chatting().await;
    let other = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(3).await;
    server.expect(data(3, text("hi")).end_stream()).await;
    server.send([reset(1, Http2Error::PROTOCOL_ERROR), response(3), data(3, text("hello")), trailers(3, "0")]).await;
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::Internal);
    assert_eq!(*soon("the answer", other).await.unwrap().unwrap(), note("hello"));
}

/// The answer arrives before all of the request was sent. h2 holds the rest, and sends it when the window opens.
#[tokio::test(start_paused = true)]
async fn answer_counts_while_the_request_waits_for_window() {
    for (end, code) in [("0", Code::Ok), ("5", Code::NotFound)] {
        let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 2)]).await;
        let call = tokio::spawn(async move { (client.unary(ECHO, note("hi")).await, client) });
        server.expect_request(1).await;
        server.expect(data(1, &text("hi")[..2])).await;
        server.send([response(1), data(1, text("hello")), trailers(1, end)]).await;
        let (outcome, _client) = soon("the answer", call).await.unwrap();
        assert_eq!(outcome.map_or_else(|status| status.code(), |_| Code::Ok), code);
        server.send(window_update(1, 1000)).await;
        server.expect(data(1, &text("hi")[2..]).end_stream()).await;
    }
}

// On our server.

/// Starts a server and a raw client, whose call has reached a handler that reads.
async fn reading() -> (TestServer, RawPeer) {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Read"), data(1, text("hi"))]).await;
    server.probe.expect(Event::Began).await;
    server.probe.go(1);
    server.probe.expect(Event::Read(Ok(Some(note("hi"))))).await;
    (server, peer)
}

async fn assert_served(peer: &mut RawPeer, stream: u32) {
    peer.send([request(stream, "/test.Service/Echo"), data(stream, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(stream).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn extra_header_block_in_a_request_resets_it_and_drops_the_handler() {
    let trailing = headers(1, [("k", "v")]);
    for wrong in [trailing, request(1, "/test.Service/Echo")] {
        let (mut server, mut peer) = reading().await;
        peer.send(wrong.clone()).await;
        assert_eq!(peer.answer(1).await.reset(), Some(Http2Error::PROTOCOL_ERROR), "{wrong:?}");
        server.probe.expect(Event::Dropped).await;
        assert_served(&mut peer, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn frames_after_the_half_close_end_the_connection() {
    for late in [data(1, text("late")), half_close(1), headers(1, [("k", "v")]).end_stream()] {
        for last in [half_close(1), headers(1, [("k", "v")]).end_stream()] {
            let (mut server, mut peer) = reading().await;
            peer.send([last.clone(), late.clone()]).await;
            // h2 treats frames after END_STREAM as a connection error.
            assert_eq!(peer.expect_end().await, [Http2Error::PROTOCOL_ERROR], "{last:?} {late:?}");
            server.probe.expect(Event::Dropped).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_sent_goaway_is_answered() {
    for error in [Http2Error::NO_ERROR, Http2Error::ENHANCE_YOUR_CALM] {
        let (mut server, mut peer) = reading().await;
        peer.send(goaway(0, error)).await;
        peer.send(data(1, text("more"))).await;
        server.probe.go(1);
        server.probe.expect(Event::Read(Ok(Some(note("more"))))).await;
        peer.send(half_close(1)).await;
        server.probe.go(1);
        server.probe.expect(Event::Read(Ok(None))).await;
        let answer = peer.answer(1).await;
        assert_eq!((&answer.body[..], answer.status()), (&number(2)[..], ("0", "")));
    }
}

// PING (rule 62).

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_data_waits_for_window_and_between_messages() {
    let server = TestServer::start();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 1000)]).await;
    let flood = message(prost::Message::encode_to_vec(&Note { number: 100, ..note("x".repeat(5000)) }));
    peer.send([request(1, "/test.Service/Flood"), data(1, flood).end_stream()]).await;
    peer.expect(response(1)).await;
    for _ in 0..3 {
        assert!(matches!(peer.next().await, Some(Frame::Data { stream: 1, payload, .. }) if payload.len() == 1000));
        peer.ping().await;
        peer.send(window_update(1, 1000)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn our_client_answers_pings_while_its_data_waits_for_window_and_within_an_answer() {
    let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 10)]).await;
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    out.send(note("x".repeat(1000))).await.unwrap();
    assert!(matches!(server.next().await, Some(Frame::Data { payload, .. }) if payload.len() == 10));
    server.ping().await;
    let whole = text("hello");
    server.send([response(1), data(1, &whole[..7])]).await;
    server.ping().await;
    server.send(data(1, &whole[7..])).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
}
