//! Tests connections that end, or are about to, while our client has calls: GOAWAY with every kind of last stream at every stage
//! of an answer, calls that wait for their turn, and servers that stop speaking HTTP/2.

use barewire::{Client, Code, Response, Status};
use tokio::task::JoinHandle;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{client_and_raw_server, client_with};
use crate::common::service::{CHAT, ECHO, Note, note};
use crate::common::{Streaming, quiet, soon};

/// The last stream in the first GOAWAY of a graceful shutdown, which excludes no stream.
const NONE: u32 = 0x7fff_ffff;

/// Begins two bidirectional calls, on streams 1 and 3, which the server has received.
async fn two_calls() -> (Client, [Streaming; 2], RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let calls = [client.bidi_streaming(CHAT).await.unwrap(), client.bidi_streaming(CHAT).await.unwrap()];
    server.expect_request(1).await;
    server.expect_request(3).await;
    (client, calls, server)
}

/// Returns an answer with one message on stream 3, split in two at every stage.
fn stages() -> Vec<(Vec<Frame>, Vec<Frame>)> {
    let whole = text("hello");
    let [head, prefix, message, end] = [response(3), data(3, &whole[..3]), data(3, &whole[3..]), trailers(3, "0")];
    let all = [head, prefix, message, end];
    (0..all.len()).map(|at| (all[..at].to_vec(), all[at..].to_vec())).collect()
}

async fn expect_end(notes: &mut barewire::Inbound<Note>, words: &str) {
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, words));
}

async fn expect_hello(notes: &mut barewire::Inbound<Note>) {
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
}

/// Spawns a unary call.
fn call(client: &Client) -> JoinHandle<Result<Response<Note>, Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.unary(ECHO, note("hi")).await })
}

#[tokio::test(start_paused = true)]
async fn call_continues_unless_goaway_excludes_it() {
    for error in [Http2Error::NO_ERROR, Http2Error::ENHANCE_YOUR_CALM, Http2Error::INTERNAL_ERROR] {
        for (last, goes_on) in [(0, false), (1, false), (3, true), (5, true), (NONE, true)] {
            for (before, after) in stages() {
                let (client, [_first, (mut out, mut notes)], mut server) = two_calls().await;
                server.send([before.clone(), vec![goaway(last, error)]].concat()).await;
                quiet().await;
                let words = format!("the connection ended with GOAWAY {error}");
                if goes_on {
                    out.send(note("more")).await.unwrap();
                    server.expect(data(3, text("more"))).await;
                    server.send(after).await;
                    expect_hello(&mut notes).await;
                    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None, "{error} {last} {before:?}");
                } else {
                    if before.len() == 3 {
                        expect_hello(&mut notes).await;
                    }
                    expect_end(&mut notes, &words).await;
                    assert_eq!(soon("the error", out.send(note("more"))).await.unwrap_err().code(), Code::Unavailable);
                }
                // Whatever the result of this call, the next one fails.
                let status = soon("the next", call(&client)).await.unwrap().unwrap_err();
                assert_eq!((status.code(), status.message()), (Code::Unavailable, &*words), "{last}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lowest_last_stream_of_several_goaways_counts() {
    for (lasts, goes_on) in [
        (&[NONE, 3][..], [true, true]),
        (&[NONE, 1], [true, false]),
        (&[NONE, 3, 1], [true, false]),
        (&[NONE, NONE], [true, true]),
        (&[3, 0], [false, false]),
        (&[1, 1], [true, false]),
    ] {
        let (_client, calls, mut server) = two_calls().await;
        let words = "the connection ended with GOAWAY NO_ERROR";
        for last in lasts {
            server.send(goaway(*last, Http2Error::NO_ERROR)).await;
            quiet().await;
        }
        for ((stream, (_out, mut notes)), goes_on) in [1, 3].into_iter().zip(calls).zip(goes_on) {
            if goes_on {
                server.send([response(stream), data(stream, text("hello")), trailers(stream, "0")]).await;
                expect_hello(&mut notes).await;
                assert_eq!(soon("the end", notes.recv()).await.unwrap(), None, "{lasts:?}");
            } else {
                expect_end(&mut notes, words).await;
            }
        }
    }
}

/// RFC 9113 section 6.8: an endpoint must not increase the last stream, and h2 ends the connection of one that does.
#[tokio::test(start_paused = true)]
async fn goaway_with_a_higher_last_stream_ends_the_connection() {
    let (_client, [(_out, mut first), (_other, mut second)], mut server) = two_calls().await;
    server.send(goaway(1, Http2Error::NO_ERROR)).await;
    expect_end(&mut second, "the connection ended with GOAWAY NO_ERROR").await;
    server.send(goaway(3, Http2Error::NO_ERROR)).await;
    expect_end(&mut first, "the connection ended with GOAWAY PROTOCOL_ERROR").await;
    let mut frames = Vec::new();
    while let Some(frame) = server.next().await {
        frames.push(frame);
    }
    assert!(frames.contains(&goaway(0, Http2Error::PROTOCOL_ERROR)), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn connection_loss_after_goaway_fails_the_remaining_calls() {
    for (before, _) in stages() {
        let (_client, [_first, (_out, mut notes)], mut server) = two_calls().await;
        server.send([before.clone(), vec![goaway(3, Http2Error::NO_ERROR)]].concat()).await;
        drop(server);
        if before.len() == 3 {
            expect_hello(&mut notes).await;
        }
        let status = soon("the end", notes.recv()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

/// Begins two calls; the second waits, because the server allows one stream.
async fn waiting() -> (JoinHandle<Result<Response<Note>, Status>>, JoinHandle<Result<Response<Note>, Status>>, RawPeer)
{
    let (client, mut server) = client_with(|_| {}, [(MAX_CONCURRENT_STREAMS, 1)]).await;
    let first = call(&client);
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    let second = call(&client);
    server.expect_silence().await;
    (first, second, server)
}

#[tokio::test(start_paused = true)]
async fn queued_call_fails_on_goaway() {
    for last in [0, 1, NONE] {
        let (first, second, mut server) = waiting().await;
        server.send(goaway(last, Http2Error::NO_ERROR)).await;
        quiet().await;
        if last > 0 {
            server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
        }
        let first = soon("the answer", first).await.unwrap();
        assert_eq!(first.map_or_else(|status| status.code(), |_| Code::Ok) == Code::Ok, last > 0, "{last}");
        if last == NONE {
            // After GOAWAY with the highest stream h2 still opens it: a graceful server sends the final last stream later.
            server.expect_request(3).await;
            server.send(goaway(1, Http2Error::NO_ERROR)).await;
        }
        let status = soon("the end", second).await.unwrap().unwrap_err();
        let words = "the connection ended with GOAWAY NO_ERROR";
        assert_eq!((status.code(), status.message()), (Code::Unavailable, words), "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn queued_call_fails_with_the_connection() {
    let (first, second, server) = waiting().await;
    drop(server);
    for outcome in [first, second] {
        let status = soon("the end", outcome).await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the connection was lost"));
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_stream_limit_may_be_zero_and_may_change() {
    let (client, mut server) = client_with(|_| {}, [(MAX_CONCURRENT_STREAMS, 0)]).await;
    let calls = [call(&client), call(&client), call(&client)];
    server.expect_silence().await;
    server.send(settings([(MAX_CONCURRENT_STREAMS, 2)])).await;
    for stream in [1, 3] {
        server.expect_request(stream).await;
    }
    for stream in [1, 3] {
        server.expect(data(stream, text("hi")).end_stream()).await;
    }
    server.expect_silence().await;
    // A limit below the calls in progress ends none of them; no call begins until enough have ended.
    server.send(settings([(MAX_CONCURRENT_STREAMS, 1)])).await;
    server.send([response(1), data(1, text("1")), trailers(1, "0")]).await;
    server.expect_silence().await;
    server.send([response(3), data(3, text("3")), trailers(3, "0")]).await;
    server.expect_request(5).await;
    server.expect(data(5, text("hi")).end_stream()).await;
    server.send([response(5), data(5, text("5")), trailers(5, "0")]).await;
    for (call, answer) in calls.into_iter().zip(["1", "3", "5"]) {
        assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note(answer));
    }
}

/// Sends invalid bytes on a working connection: an HTTP/1.1 answer, a TLS alert, a PING of seven bytes, SETTINGS on a stream,
/// and a frame over the maximum size. The errors are h2's.
#[tokio::test(start_paused = true)]
async fn server_that_stops_speaking_http2_gets_goaway_and_calls_are_unavailable() {
    for (bytes, error) in [
        (&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], Http2Error::FRAME_SIZE_ERROR),
        (b"\x15\x03\x03\x00\x02\x02\x50\x00\x00", Http2Error::FRAME_SIZE_ERROR),
        (b"\x00\x00\x07\x06\x00\x00\x00\x00\x00sevenby", Http2Error::PROTOCOL_ERROR),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x01", Http2Error::PROTOCOL_ERROR),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", Http2Error::FRAME_SIZE_ERROR),
    ] {
        let (client, [(_out, mut notes), _second], mut server) = two_calls().await;
        server.write(bytes).await;
        expect_end(&mut notes, &format!("the connection ended with GOAWAY {error}")).await;
        assert_eq!(soon("the next", call(&client)).await.unwrap().unwrap_err().code(), Code::Unavailable);
        let mut last = None;
        while let Some(frame) = server.next().await {
            last = Some(frame);
        }
        assert_eq!(last, Some(goaway(0, error)), "{bytes:?}");
    }
}
