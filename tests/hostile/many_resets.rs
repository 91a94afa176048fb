//! Many calls cancelled at once: a well-behaved peer does not lose its connection.
//!
//! h2 counts events that could be an attack (CVE-2023-44487, CVE-2025-8671) and ends the connection beyond its limits; these
//! cases are within the limits.

use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{CHAT, ECHO, note};
use crate::common::{quiet, soon};

/// The resets arrive together with their requests, before the server accepts any of them.
#[tokio::test(start_paused = true)]
async fn server_keeps_serving_after_many_calls_are_cancelled_at_once() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    let given_up = (0..500).flat_map(|n| [request(2 * n + 1, ECHO.path()), reset(2 * n + 1, Http2Error::CANCEL)]);
    client.send(given_up.collect::<Vec<_>>()).await;
    client.send([request(1001, ECHO.path()), data(1001, text("hi")).end_stream()]).await;
    assert_eq!(client.answer(1001).await.status(), ("0", ""));
}

/// RFC 9113 section 5.1: frames in transit when a stream was reset are ignored.
#[tokio::test(start_paused = true)]
async fn client_ignores_answers_to_many_cancelled_calls() {
    const CALLS: u32 = 2000;
    let (client, mut server) = client_and_raw_server().await;
    let mut calls = Vec::new();
    for n in 0..CALLS {
        calls.push(client.bidi_streaming(CHAT).await.unwrap());
        server.expect_request(2 * n + 1).await;
    }
    drop(calls);
    for _ in 0..CALLS {
        assert!(soon("a reset", server.next()).await.is_some());
    }
    for n in 0..CALLS {
        server.send([response(2 * n + 1), data(2 * n + 1, text("late"))]).await;
    }
    quiet().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let stream = 2 * CALLS + 1;
    server.expect_request(stream).await;
    server.expect(data(stream, text("hi")).end_stream()).await;
    server.send([response(stream), data(stream, text("hello")), trailers(stream, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
}
