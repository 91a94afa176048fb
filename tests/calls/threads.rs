//! Many calls of every kind on one connection and several threads, on the real clock: no race loses a wake-up.

use std::time::Duration;

use barewire::{CallOptions, Client, Code, Status};
use futures_util::TryStreamExt;
use tokio::task::JoinSet;

use crate::common::server::TestServer;
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, FLOOD, Note, PACED, WAIT, count, kilobyte, note};

/// The time limit; a test takes a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Connects a client and a server whose windows are much smaller than the data of a test.
async fn narrow() -> (TestServer, Client) {
    let server = TestServer::with(|options| options.limits.stream_window = 65_535);
    let client = server.client().await;
    (server, client)
}

async fn all(calls: JoinSet<Result<(), Status>>) {
    let all = tokio::time::timeout(PATIENCE, calls.join_all()).await.expect("every call ends");
    all.into_iter().for_each(|outcome| outcome.expect("every call succeeds"));
}

/// Uses both handles in separate tasks, each with a pause in the middle.
async fn chat(client: Client, times: u64) -> Result<(), Status> {
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await?;
    let sending = tokio::spawn(async move {
        for number in 1..=times {
            out.send(Note { number, ..kilobyte() }).await?;
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        out.finish().await
    });
    for number in 1..=times {
        assert_eq!(notes.recv().await?.expect("a note").number, number);
        if number % 77 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(notes.recv().await?, None);
    sending.await.expect("no panic")
}

async fn collect(client: Client, times: u64) -> Result<(), Status> {
    let (mut out, answer) = client.client_streaming(COLLECT).await?;
    for _ in 0..times {
        out.send(kilobyte()).await?;
    }
    out.finish().await?;
    assert_eq!(answer.await?.number, times);
    Ok(())
}

async fn flood(client: Client, times: u64) -> Result<(), Status> {
    let notes = client.server_streaming(FLOOD, Note { number: times, ..kilobyte() }).await?;
    let notes: Vec<Note> = notes.try_collect().await?;
    assert_eq!(notes.len() as u64, times);
    Ok(())
}

async fn echo(client: Client, times: u64) -> Result<(), Status> {
    for number in 1..=times {
        assert_eq!(*client.unary(ECHO, count(number)).await?, count(number));
    }
    let long = note("x".repeat(300_000));
    assert!(*client.unary(ECHO, &long).await? == long);
    let notes: Vec<Note> = client.server_streaming(COUNT, count(times)).await?.try_collect().await?;
    assert_eq!(notes.len() as u64, times);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_of_every_kind_run_concurrently() {
    let (_server, client) = narrow().await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(chat(client.clone(), 1000));
        calls.spawn(collect(client.clone(), 1000));
        calls.spawn(flood(client.clone(), 1000));
        calls.spawn(echo(client.clone(), 200));
    }
    all(calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_cancelled_at_any_moment_do_not_affect_others() {
    let (server, client) = narrow().await;
    let mut calls = JoinSet::new();
    for turn in 0..200u64 {
        let given_up = tokio::spawn({
            let client = client.clone();
            async move {
                let _ = tokio::join!(
                    chat(client.clone(), 1000),
                    collect(client.clone(), 1000),
                    flood(client.clone(), 1000),
                    client.unary(WAIT, note("for ever")),
                );
            }
        });
        calls.spawn(async move {
            for _ in 0..turn % 50 {
                tokio::task::yield_now().await;
            }
            given_up.abort();
            Ok(())
        });
        calls.spawn(echo(client.clone(), 5));
    }
    all(calls).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deadlines_at_any_moment_end_only_their_calls() {
    let (server, client) = narrow().await;
    let mut calls = JoinSet::new();
    for millis in 0..100 {
        let hurried = client.with(CallOptions::new().timeout(Duration::from_millis(millis)));
        calls.spawn(async move {
            let (one, two, three) =
                tokio::join!(hurried.unary(WAIT, note("for ever")), flood(hurried.clone(), u64::MAX), async {
                    let notes: Vec<Note> = hurried.server_streaming(PACED, count(1)).await?.try_collect().await?;
                    Ok::<_, Status>(notes)
                });
            for failure in [one.err(), two.err(), three.err()] {
                let status = failure.expect("every call exceeds its deadline");
                assert_eq!(status.code(), Code::DeadlineExceeded, "{status:#}");
            }
            Ok(())
        });
        calls.spawn(echo(client.clone(), 5));
    }
    all(calls).await;
    drop(server);
}
