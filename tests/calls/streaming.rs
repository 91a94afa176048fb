//! Tests calls with many messages, and the two handles that each side has.

use barewire::{CallOptions, Client, Code, Metadata};
use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt, stream};

use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, FAIL, FAIL_LATE, MISSING, Note, count, note};
use crate::common::{quiet, soon};

/// Makes a call of each kind with the test service, and checks its messages and its end.
pub async fn call_all_four_kinds(client: &Client) {
    assert_eq!(*soon("unary", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"));

    let notes = client.server_streaming(COUNT, count(1000)).await.unwrap();
    let notes: Vec<Note> = soon("server streaming", notes.try_collect()).await.unwrap();
    assert_eq!(notes, (1..=1000).map(count).collect::<Vec<_>>());

    let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
    for _ in 0..1000 {
        soon("room", out.send(note("abc"))).await.unwrap();
    }
    out.finish().await.unwrap();
    let expected = Note { text: "3000".into(), number: 1000, ..Note::default() };
    assert_eq!(*soon("client streaming", answer).await.unwrap(), expected);

    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    for number in 1..=100 {
        out.send(count(number)).await.unwrap();
        assert_eq!(soon("bidi streaming", notes.recv()).await.unwrap(), Some(count(number)));
    }
    out.finish().await.unwrap();
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None, "and stays");
}

#[tokio::test(start_paused = true)]
async fn all_four_kinds_work_between_our_client_and_server() {
    let server = TestServer::start();
    let client = server.client().await;
    call_all_four_kinds(&client).await;
}

#[tokio::test(start_paused = true)]
async fn client_sends_and_receives_concurrently() {
    let server = TestServer::start();
    let client = server.client().await;
    let (mut out, notes) = client.bidi_streaming(CHAT).await.unwrap();
    let sending = async {
        for number in 1..=20_000 {
            out.send(count(number)).await?;
        }
        out.finish().await
    };
    let receiving = notes.try_fold(0, |last, note| async move {
        assert_eq!(note, count(last + 1));
        Ok(note.number)
    });
    let (sent, received) = soon("both", async { tokio::join!(sending, receiving) }).await;
    sent.unwrap();
    assert_eq!(received.unwrap(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn handles_work_in_different_tasks() {
    let server = TestServer::start();
    let client = server.client().await;
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    let receiving = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(note) = notes.recv().await? {
            numbers.push(note.number);
        }
        Ok::<_, barewire::Status>(numbers)
    });
    tokio::spawn(async move {
        for number in 1..=100 {
            out.send(count(number)).await?;
            quiet().await;
        }
        out.finish().await
    });
    assert_eq!(soon("all", receiving).await.unwrap().unwrap(), (1..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn inbound_stream_ends_after_its_error() {
    let server = TestServer::start();
    let client = server.client().await;
    let ask = Note { number: 5, ..note("gone") };
    let notes = client.server_streaming(FAIL_LATE, ask).await.unwrap();
    let items: Vec<_> = soon("the end", notes.collect()).await;
    let [Ok(first), Err(status)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(*first, count(1));
    assert_eq!((status.code(), status.message()), (Code::NotFound, "gone"));
}

#[tokio::test(start_paused = true)]
async fn closing_the_outbound_sink_half_closes() {
    let (client, mut server) = client_and_raw_server().await;
    let (mut out, notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    let mut three = stream::iter([note("a"), note("b"), note("c")].map(Ok));
    soon("room", out.send_all(&mut three)).await.unwrap();
    server.expect(data(1, [text("a"), text("b"), text("c")].concat())).await;
    server.expect_silence().await;
    soon("the close", SinkExt::<Note>::close(&mut out)).await.unwrap();
    server.expect(half_close(1)).await;
    let status = SinkExt::send(&mut out, note("late")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "a message was sent after the half-close"));
    server.send([response(1), data(1, text("d")), trailers(1, "0")]).await;
    let notes: Vec<_> = soon("the end", notes.try_collect()).await.unwrap();
    assert_eq!(notes, [note("d")]);
}

#[tokio::test(start_paused = true)]
async fn inbound_can_be_forwarded_into_an_outbound() {
    let server = TestServer::start();
    let client = server.client().await;
    let source = client.server_streaming(COUNT, count(500)).await.unwrap();
    let (out, answer) = client.client_streaming(COLLECT).await.unwrap();
    let (forwarded, answer) = soon("both", async { tokio::join!(source.forward(out), answer) }).await;
    forwarded.unwrap();
    assert_eq!(answer.unwrap().number, 500);
}

#[tokio::test(start_paused = true)]
async fn flush_waits_for_the_window_of_the_peer() {
    let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, 0)]).await;
    let (mut out, _notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    out.send(note("hi")).await.unwrap();
    quiet().await;
    let mut flushing = std::pin::pin!(out.flush());
    assert!(flushing.as_mut().now_or_never().is_none(), "the window is empty");
    server.send(window_update(1, 100)).await;
    soon("the flush", flushing).await.unwrap();
    server.expect(data(1, text("hi"))).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_round_trips_in_every_kind() {
    let server = TestServer::start();
    let client = server.client().await;
    let all: Vec<u8> = (0..=255).collect();
    let mut sent = Metadata::new();
    for value in ["1", "2"] {
        sent.append("k", value).unwrap();
        sent.append("trailing", value).unwrap();
    }
    sent.append_bin("k-bin", &all).unwrap();
    sent.append_bin("trailing-bin", &all).unwrap();
    let client = client.with(CallOptions::new().metadata(sent));

    let answer = soon("unary", client.unary(ECHO, note("hi"))).await.unwrap();
    assert_eq!(answer.initial_metadata().get_all("k").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(answer.initial_metadata().get_bin("k-bin"), Some(Ok(all.clone())));
    assert_eq!(answer.trailing_metadata().get_all("trailing").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(answer.trailing_metadata().get_bin("trailing-bin"), Some(Ok(all.clone())));

    let mut notes = client.server_streaming(COUNT, count(1)).await.unwrap();
    assert_eq!(soon("headers", notes.initial_metadata()).await.unwrap().get_bin("k-bin"), Some(Ok(all.clone())));
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    assert_eq!(notes.trailing_metadata().get_all("trailing").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(notes.trailing_metadata().get_bin("trailing-bin"), Some(Ok(all.clone())));

    let failed = Note { number: 10, text: "☺".into(), details: vec![0x08, 10] };
    let status = soon("a failure", client.unary(FAIL, failed)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "☺"));
    assert_eq!(status.details()[..], [0x08, 10]);
    assert_eq!(status.trailing_metadata().get_bin("k-bin"), Some(Ok(all)));
}

#[tokio::test(start_paused = true)]
async fn unknown_method_is_unimplemented() {
    let server = TestServer::start();
    let client = server.client().await;
    let status = soon("the answer", client.unary(MISSING, note("hi"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.message(), "unknown method Missing of service test.Service");
}

#[tokio::test(start_paused = true)]
async fn metadata_over_the_limit_of_the_server_is_resource_exhausted() {
    let server = TestServer::with(|options| options.limits.max_metadata_size = 10_000);
    let client = server.client().await;
    let mut sent = Metadata::new();
    sent.append("k", &"x".repeat(20_000)).unwrap();
    let status =
        soon("the answer", client.with(CallOptions::new().metadata(sent)).unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(*soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"));
}

#[tokio::test(start_paused = true)]
async fn wrong_kind_of_call_fails_on_its_message_count() {
    let server = TestServer::start();
    let client = server.client().await;
    let wrong: barewire::Method<Note, Note, barewire::BidiStreaming> = barewire::Method::new(ECHO.path());
    let (mut out, mut notes) = client.bidi_streaming(wrong).await.unwrap();
    out.send(note("a")).await.unwrap();
    out.send(note("b")).await.unwrap();
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
