//! Tests the edges of interception: calls that end while an interceptor waits, observers that outlive, panic late or call back.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use barewire::call::{CallEnd, CallObserver};
use barewire::client::CallStart;
use barewire::{CallOptions, Client, Code, Inbound, Metadata, Status};

use super::observed::Record;
use crate::common::frames::*;
use crate::common::peer::value;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Note, count, note};
use crate::common::{quiet, soon};

#[tokio::test(start_paused = true)]
async fn time_limit_of_an_interceptor_ends_the_wait_for_a_decision() {
    let record = Record::default();
    let ends = record.clone();
    let server = TestServer::built(|server| {
        let server = server.intercept(move |call| {
            call.observe(ends.observer(""));
            match call.metadata().contains_key("late") {
                true => call.wait_for(async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(1_u8)
                }),
                false => call.limit_time(Duration::from_secs(2)),
            }
            Ok(())
        });
        server.intercept(|call| {
            call.limit_time(Duration::from_secs(3));
            call.wait_for(std::future::pending::<Result<u8, Status>>());
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    let echo = |stream| request(stream, "/test.Service/Echo");
    peer.send([echo(1), data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status().0, "4");
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 2s [cost]");
    // The second interceptor limits the time after the first one has waited.
    peer.send([echo(3).field("late", ""), data(3, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status().0, "4");
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 4s [cost]");
}

/// Fails each call with the status of another call, to a service of tokens for example.
fn refused_by_another(client: &Client, waits: bool) -> (Client, Record) {
    let (record, tokens) = (Record::default(), client.clone());
    let observed = record.clone();
    let client = client.intercept(move |call: &mut CallStart<'_>| {
        call.observe(observed.observer(""));
        let tokens = tokens.clone();
        if waits {
            call.wait_for(async move {
                tokens
                    .unary(barewire::Method::new("/test.Service/Missing"), note(""))
                    .await
                    .map(|_: barewire::Response<Note>| Metadata::new())
            });
        }
        Ok(())
    });
    (client, record)
}

#[tokio::test(start_paused = true)]
async fn call_that_fails_with_the_status_of_another_call_is_refused() {
    let server = TestServer::start();
    let plain = server.client().await;
    let (client, record) = refused_by_another(&plain, true);
    let failed = client.unary(ECHO, note("")).await.unwrap_err();
    assert_eq!(failed.code(), Code::Unimplemented);
    assert_eq!(record.take_end(), "end UNIMPLEMENTED Refused 0s []", "the call itself was not sent");
    client.bidi_streaming(CHAT).await.unwrap_err();
    assert_eq!(record.take_end(), "end UNIMPLEMENTED Refused 0s []");
    // Also if the interceptor need not wait.
    let observed = record.clone();
    let client = plain.intercept(move |call| {
        call.observe(observed.observer(""));
        Err(failed.clone())
    });
    client.server_streaming(COUNT, count(1)).await.unwrap_err();
    assert_eq!(record.take_end(), "end UNIMPLEMENTED Refused 0s []");
}

#[tokio::test(start_paused = true)]
async fn call_that_waited_for_metadata_tells_the_server_the_time_that_is_left() {
    let (client, mut server) = client_and_raw_server().await;
    let client = client.timeout(Duration::from_secs(5)).intercept(|call| {
        call.wait_for(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(Metadata::new())
        });
        Ok(())
    });
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let fields = server.expect_request(1).await;
    assert_eq!(value(&fields, "grpc-timeout"), Some("3000000u"));
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}

/// Holds a value, and sees nothing.
struct Holds(#[allow(dead_code)] Arc<()>);

impl CallObserver for Holds {}

#[tokio::test(start_paused = true)]
async fn observer_is_dropped_at_the_end_even_if_the_handles_are_held() {
    let server = TestServer::start();
    let held = Arc::new(());
    let value = held.clone();
    let client = server.client().await.timeout(Duration::from_secs(1)).intercept(move |call| {
        call.observe(Holds(value.clone()));
        Ok(())
    });
    let (out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    assert_eq!(Arc::strong_count(&held), 3);
    assert_eq!(notes.recv().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(Arc::strong_count(&held), 2, "the handles hold the observer");
    drop((out, notes));
}

/// Panics at the end of the observer, or of its last event but one.
struct PanicsLate(bool);

impl CallObserver for PanicsLate {
    fn trailing_metadata(&mut self, _: Result<(), &Status>, _: &mut Metadata) {
        assert!(self.0, "an observer that panics before the trailers");
    }
}

impl Drop for PanicsLate {
    fn drop(&mut self) {
        assert!(!self.0, "an observer that panics when it is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn observer_that_panics_late_harms_only_its_call() {
    let record = Record::default();
    let ends = record.clone();
    let server = TestServer::built(|server| {
        server.intercept(move |call| {
            call.observe(ends.observer(""));
            call.observe(PanicsLate(call.metadata().contains_key("drop")));
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    for (stream, path) in [(1, "/test.Service/Echo"), (3, "/test.Service/Chat"), (5, "/test.Service/Count")] {
        peer.send([request(stream, path), data(stream, number(1)).end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status(), ("13", "an interceptor panicked"), "{path}");
        assert!(record.take_end().starts_with("end INTERNAL Finished"), "{path}");
    }
    // A status that is an error already stays.
    peer.send([request(7, "/test.Service/Fail"), data(7, number(5)).end_stream()]).await;
    assert_eq!(peer.answer(7).await.status().0, "5");
    for stream in [9, 11] {
        let echo = request(stream, "/test.Service/Echo").field("drop", "");
        peer.send([echo, data(stream, text("hi")).end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status().0, "0");
    }
    peer.ping().await;
}

#[test]
fn end_of_a_call_may_drop_its_handle() {
    // On a thread of its own: a call that waits for its own lock blocks the thread.
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (client, mut server) = client_and_raw_server().await;
            let held: Arc<Mutex<Option<Inbound<Note>>>> = Arc::default();
            let handle = held.clone();
            let client = client.intercept(move |call| {
                let handle = handle.clone();
                call.on_end(move |end: &CallEnd<'_>| {
                    assert_eq!(end.code(), Code::NotFound);
                    drop(handle.lock().unwrap().take());
                });
                Ok(())
            });
            *held.lock().unwrap() =
                Some(client.with(CallOptions::new()).server_streaming(COUNT, count(1)).await.unwrap());
            server.expect_request(1).await;
            server.send([response(1).field("grpc-status", "5").end_stream()]).await;
            quiet().await;
            assert!(held.lock().unwrap().is_none(), "the end was reported");
        });
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("the call ends");
}

#[tokio::test(start_paused = true)]
async fn watcher_whose_call_is_cancelled_while_an_interceptor_waits_is_dropped() {
    let held = Arc::new(());
    let value = held.clone();
    let server = TestServer::built(|server| {
        server.intercept(move |call| {
            let value = value.clone();
            call.wait_for(async move {
                std::future::pending::<()>().await;
                Ok(value)
            });
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
    quiet().await;
    assert_eq!(Arc::strong_count(&held), 3);
    peer.send([reset(1, Http2Error::CANCEL)]).await;
    soon("the drop", async {
        while Arc::strong_count(&held) > 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    peer.ping().await;
}

#[tokio::test(start_paused = true)]
async fn end_shows_the_trailing_metadata_of_the_status_and_of_observers() {
    let record = Record::default();
    let ends = record.clone();
    let server = TestServer::built(|server| {
        server.intercept(move |call| {
            call.observe(ends.observer(""));
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    let fail = request(1, "/test.Service/Fail").field("hint", "x");
    peer.send([fail, data(1, number(5)).end_stream()]).await;
    let answer = peer.answer(1).await;
    assert_eq!((answer.trailer("hint"), answer.trailer("cost")), (Some("x"), Some("")));
    assert_eq!(record.take_end(), "end NOT_FOUND Finished 0s [cost,hint]");
}

#[tokio::test(start_paused = true)]
async fn single_answer_that_is_refused_is_reported_as_refused() {
    let (client, mut server) = client_and_raw_server().await;
    let record = Record::default();
    let ends = record.clone();
    let client = client.intercept(move |call| {
        call.observe(ends.observer(""));
        Ok(())
    });
    let answers = [
        vec![response(1), trailers(1, "0")],
        vec![response(3), data(3, text("a")), data(3, text("b")), trailers(3, "0")],
        // The call goes on when the second message arrives.
        vec![response(5), data(5, text("a")), data(5, text("b"))],
    ];
    for (frames, stream) in answers.into_iter().zip([1, 3, 5]) {
        let (out, answer) = client.client_streaming(COLLECT).await.unwrap();
        while !matches!(server.next().await, Some(Frame::Headers { stream: other, .. }) if other == stream) {}
        server.send(frames).await;
        quiet().await;
        let refused = soon("the answer", answer).await.unwrap_err();
        quiet().await;
        assert_eq!(record.take_end(), format!("end {} Refused 0s []", refused.code()), "{stream}");
        drop(out);
    }
    // An answer that the caller does not wait for ends with the server's status.
    let (_out, answer) = client.client_streaming(COLLECT).await.unwrap();
    while !matches!(server.next().await, Some(Frame::Headers { stream: 7, .. })) {}
    server.send([response(7), data(7, text("a")), trailers(7, "0")]).await;
    quiet().await;
    drop(answer);
    assert_eq!(record.take_end(), "end OK Finished 0s []");
}
