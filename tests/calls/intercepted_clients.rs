//! Tests the interceptors of a client: what they see of each call, what they may change, and how each call ends for them.

use std::time::Duration;

use barewire::client::CallStart;
use barewire::{CallOptions, Client, Code, Metadata, Status};

use super::observed::Record;
use crate::common::frames::*;
use crate::common::peer::value;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, WAIT, count, note};
use crate::common::{quiet, soon};

/// Records the calls of a client.
fn recorded(client: &Client) -> (Client, Record) {
    let record = Record::default();
    let seen = record.clone();
    let client = client.intercept(move |call| {
        seen.push(format!("begin {} {:?}", call.path(), call.timeout()));
        call.observe(seen.observer(""));
        Ok(())
    });
    (client, record)
}

const OK: &str = "end OK Finished 0s []";

#[tokio::test(start_paused = true)]
async fn observer_sees_the_events_of_each_kind_of_call() {
    let server = TestServer::start();
    let (client, record) = recorded(&server.client().await);
    let answer = client.unary(ECHO, note("hi")).await.unwrap();
    assert_eq!(answer.initial_metadata().get("seen"), Some(""), "the observer changes what has arrived");
    let begin = |method: &str| format!("begin /test.Service/{method} None");
    let sent = ["out 4 4 false", "attempt 1 memory", "initial", "in 4 4 false", OK].map(str::to_owned);
    assert_eq!(record.take(), [&[begin("Echo")][..], &sent].concat());

    let mut notes = client.server_streaming(COUNT, count(2)).await.unwrap();
    quiet().await;
    let early = ["out 2 2 false", "attempt 1 memory", "initial"].map(str::to_owned);
    assert_eq!(record.take(), [&[begin("Count")][..], &early].concat(), "the end is seen after the messages");
    while notes.recv().await.unwrap().is_some() {}
    assert_eq!(record.take(), ["in 2 2 false", "in 2 2 false", OK]);

    let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
    out.send(note("abc")).await.unwrap();
    out.finish().await.unwrap();
    answer.await.unwrap();
    let sent = ["attempt 1 memory", "out 5 5 false", "initial", "in 5 5 false", OK].map(str::to_owned);
    assert_eq!(record.take(), [&[begin("Collect")][..], &sent].concat());

    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    out.send(note("abc")).await.unwrap();
    assert!(notes.recv().await.unwrap().is_some());
    drop(out);
    assert_eq!(notes.recv().await.unwrap(), None);
    assert_eq!(record.take(), [&[begin("Chat")][..], &sent].concat());
}

#[tokio::test(start_paused = true)]
async fn interceptors_add_metadata_in_order_and_the_call_is_sent_with_it() {
    let (client, mut server) = client_and_raw_server().await;
    let client = client
        .with(CallOptions::new().header("tenant", "blue"))
        .intercept(|call| {
            let tenant = call.metadata().get("tenant").unwrap_or_default().to_owned();
            call.metadata_mut().insert("first", &tenant)?;
            Ok(())
        })
        .intercept(|call| {
            assert_eq!(call.metadata().get("first"), Some("blue"));
            call.wait_for(async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Metadata::from_iter([("authorization", "Bearer 1"), ("tenant", "red")]))
            });
            Ok(())
        })
        .intercept(|call| {
            assert_eq!(call.metadata().get("tenant"), Some("red"), "it runs after the wait of the one before");
            Ok(())
        });
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let fields = server.expect_request(1).await;
    assert_eq!(value(&fields, "first"), Some("blue"));
    assert_eq!(value(&fields, "tenant"), Some("red"));
    assert_eq!(value(&fields, "authorization"), Some("Bearer 1"));
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn error_of_an_interceptor_fails_the_call_without_sending_it() {
    let (client, mut server) = client_and_raw_server().await;
    let (client, record) = recorded(&client);
    let client = client.intercept(|call: &mut CallStart<'_>| match call.path() {
        "/test.Service/Wait" => panic!("an interceptor that panics"),
        "/test.Service/Count" => {
            call.wait_for(async { Err(Status::unauthenticated("no token")) });
            Ok(())
        }
        _ => Err(Status::unauthenticated("no token")),
    });
    let failed = client.unary(ECHO, note("")).await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Unauthenticated, "no token"));
    assert_eq!(record.take_end(), "end UNAUTHENTICATED Refused 0s []");
    assert_eq!(client.server_streaming(COUNT, count(1)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(record.take_end(), "end UNAUTHENTICATED Refused 0s []");
    assert_eq!(client.bidi_streaming(CHAT).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(record.take_end(), "end UNAUTHENTICATED Refused 0s []");
    let panicked = client.unary(WAIT, note("")).await.unwrap_err();
    assert_eq!((panicked.code(), panicked.message()), (Code::Internal, "an interceptor panicked"));
    assert_eq!(record.take_end(), "end INTERNAL Refused 0s []");
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn reason_tells_how_the_call_ended() {
    let (client, mut server) = client_and_raw_server().await;
    let (client, record) = recorded(&client.with(CallOptions::new().timeout(Duration::from_secs(4))));
    // At its deadline: a unary call, and a stream.
    assert_eq!(client.unary(ECHO, note("")).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 4s []");
    let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    assert_eq!(notes.recv().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 4s []");
    // By the caller.
    let call = tokio::time::timeout(Duration::from_secs(1), client.unary(ECHO, note("")));
    call.await.unwrap_err();
    assert_eq!(record.take_end(), "end CANCELLED Cancelled 1s []");
    let call = client.bidi_streaming(CHAT).await.unwrap();
    drop(call);
    quiet().await;
    assert_eq!(record.take_end(), "end CANCELLED Cancelled 0s []");
    // By the server: its status, a reset, a malformed answer, the end of the connection.
    let mut calls = Vec::new();
    let steps = [
        ("end NOT_FOUND Finished 0s [hint]", 9),
        ("end UNAVAILABLE Reset 0s []", 11),
        ("end UNKNOWN Refused 0s []", 13),
        ("end UNAVAILABLE ConnectionLost 0s []", 15),
    ];
    for (expected, stream) in steps {
        let client = client.clone();
        calls.push(tokio::spawn(async move { client.unary(ECHO, note("")).await }));
        while !matches!(server.next().await, Some(Frame::Headers { stream: other, .. }) if other == stream) {}
        match stream {
            9 => {
                let end = response(9).field("grpc-status", "5").field("hint", "x").end_stream();
                server.send([end]).await;
            }
            11 => server.send([reset(11, Http2Error::REFUSED_STREAM)]).await,
            13 => server.send([response(13), data(13, text("hi")).end_stream()]).await,
            _ => server.shut_down().await,
        }
        soon("the end", calls.pop().unwrap()).await.unwrap().unwrap_err();
        assert_eq!(record.take_end(), expected);
    }
    // The connection is gone.
    assert_eq!(client.unary(ECHO, note("")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(record.take_end(), "end UNAVAILABLE ConnectionLost 0s []");
}

#[tokio::test(start_paused = true)]
async fn stream_that_is_dropped_unread_ends_with_its_status() {
    let (client, mut server) = client_and_raw_server().await;
    let (client, record) = recorded(&client);
    let notes = client.server_streaming(COUNT, count(1)).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, number(1)), trailers(1, "0").field("hint", "x")]).await;
    quiet().await;
    drop(notes);
    assert_eq!(record.take_end(), "end OK Finished 0s [hint]");
}

#[tokio::test(start_paused = true)]
async fn message_over_the_limit_is_refused_by_this_side() {
    let (client, _server) = client_with(|options| options.limits.max_send_message_size = 10, []).await;
    let (client, record) = recorded(&client);
    assert_eq!(client.unary(ECHO, note("x".repeat(20))).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(record.take_end(), "end RESOURCE_EXHAUSTED Refused 0s []");
}
