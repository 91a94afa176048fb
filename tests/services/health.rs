//! Tests the health service: statuses, watchers, shutdown, and the memory of watchers that do not read.

use std::time::Duration;

use barewire::services::health::messages::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, ServingStatus};
use barewire::services::health::{CHECK, Health, LIST, MAX_LISTED, WATCH};
use barewire::{Client, Code, Inbound};
use prost::Message;
use tokio::time::Instant;

use super::server::Running;
use crate::common::frames::*;
use crate::common::{quiet, soon};

const SERVING: ServingStatus = ServingStatus::Serving;
const NOT_SERVING: ServingStatus = ServingStatus::NotServing;
const SERVICE_UNKNOWN: ServingStatus = ServingStatus::ServiceUnknown;

fn named(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn start() -> (Health, Running, Client) {
    let health = Health::new();
    let server = Running::start(health.router());
    let client = server.client().await;
    (health, server, client)
}

async fn check(client: &Client, service: &str) -> Result<ServingStatus, (Code, String)> {
    let answer = client.unary(CHECK, named(service)).await;
    answer.map(|answer| answer.status()).map_err(|status| (status.code(), status.message().to_owned()))
}

async fn watch(client: &Client, service: &str) -> Inbound<HealthCheckResponse> {
    client.server_streaming(WATCH, named(service)).await.expect("it begins")
}

async fn next(changes: &mut Inbound<HealthCheckResponse>) -> ServingStatus {
    soon("a status", changes.recv()).await.expect("the call goes on").expect("a status").status()
}

#[tokio::test(start_paused = true)]
async fn check_returns_the_status_or_not_found() {
    let (health, _server, client) = start().await;
    assert_eq!(check(&client, "").await, Ok(SERVING));
    let unknown = Err((Code::NotFound, "unknown service".to_owned()));
    assert_eq!(check(&client, "a.A").await, unknown);
    health.set("a.A", NOT_SERVING);
    health.clone().set("a.B", ServingStatus::Unknown);
    assert_eq!(check(&client, "a.A").await, Ok(NOT_SERVING));
    assert_eq!(check(&client, "a.B").await, Ok(ServingStatus::Unknown));
    assert_eq!(check(&client, "").await, Ok(SERVING), "a service does not change the server");
    health.set("a.A", SERVICE_UNKNOWN);
    assert_eq!(check(&client, "a.A").await, unknown);
}

#[tokio::test(start_paused = true)]
async fn watch_sends_the_status_at_once_and_then_only_changes() {
    let (health, _server, client) = start().await;
    health.set("a.A", SERVING);
    let mut changes = watch(&client, "a.A").await;
    assert_eq!(next(&mut changes).await, SERVING);
    health.set("a.A", SERVING);
    health.set("a.B", NOT_SERVING);
    // Faster than the watcher: it never sees this one.
    health.set("a.A", NOT_SERVING);
    health.set("a.A", SERVING);
    quiet().await;
    health.set("a.A", NOT_SERVING);
    assert_eq!(next(&mut changes).await, NOT_SERVING);
    assert!(tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.is_err(), "no more changes");
}

#[tokio::test(start_paused = true)]
async fn watch_of_an_unknown_service_stays_open_until_it_has_a_status() {
    let (health, _server, client) = start().await;
    let mut changes = watch(&client, "a.A").await;
    assert_eq!(next(&mut changes).await, SERVICE_UNKNOWN);
    assert!(tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.is_err(), "it stays open");
    health.set("a.A", SERVING);
    assert_eq!(next(&mut changes).await, SERVING);
    health.set("a.A", SERVICE_UNKNOWN);
    assert_eq!(next(&mut changes).await, SERVICE_UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn statuses_stay_not_serving_after_shutdown_until_resume() {
    let (health, _server, client) = start().await;
    health.set("a.A", SERVING);
    let mut changes = watch(&client, "a.A").await;
    assert_eq!(next(&mut changes).await, SERVING);
    health.shutdown();
    assert_eq!(next(&mut changes).await, NOT_SERVING);
    health.set("a.A", SERVING);
    health.set("a.B", SERVING);
    assert_eq!((check(&client, "").await, check(&client, "a.A").await), (Ok(NOT_SERVING), Ok(NOT_SERVING)));
    assert_eq!(check(&client, "a.B").await.unwrap_err().0, Code::NotFound);
    health.resume();
    assert_eq!(next(&mut changes).await, SERVING);
    health.set("a.A", NOT_SERVING);
    assert_eq!((check(&client, "").await, check(&client, "a.A").await), (Ok(SERVING), Ok(NOT_SERVING)));
}

#[tokio::test(start_paused = true)]
async fn list_returns_all_statuses_up_to_the_limit() {
    let (health, _server, client) = start().await;
    health.set("a.A", NOT_SERVING);
    let listed = client.unary(LIST, HealthListRequest {}).await.unwrap().into_message();
    let listed: Vec<_> = listed.statuses.iter().map(|(name, status)| (&**name, status.status())).collect();
    assert_eq!(listed, [("", SERVING), ("a.A", NOT_SERVING)]);
    for number in 2..MAX_LISTED {
        health.set(format!("a.S{number}"), SERVING);
    }
    let listed = client.unary(LIST, HealthListRequest {}).await.unwrap();
    assert_eq!(listed.statuses.len(), 100);
    health.set("one.more", SERVING);
    let refused = client.unary(LIST, HealthListRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("more than 100 services"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn watchers_get_not_serving_and_a_status_at_shutdown_and_do_not_delay_it() {
    for told in [false, true] {
        let (health, server, client) = start().await;
        health.set("a.Down", NOT_SERVING);
        let mut watchers = Vec::new();
        for (service, before, after) in
            [("", SERVING, Some(NOT_SERVING)), ("a.Down", NOT_SERVING, None), ("a.Unknown", SERVICE_UNKNOWN, None)]
        {
            let mut changes = watch(&client, service).await;
            assert_eq!(next(&mut changes).await, before);
            watchers.push((changes, after));
        }
        let began = Instant::now();
        // A program may announce its end, and need not.
        if told {
            health.shutdown();
        }
        server.shut_down().await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        for (mut changes, after) in watchers {
            if let Some(after) = after {
                assert_eq!(next(&mut changes).await, after);
            }
            let end = changes.recv().await.unwrap_err();
            assert_eq!((end.code(), end.message()), (Code::Unavailable, "the server is shutting down"));
        }
    }
}

/// Opens a call of Watch for the whole server on a stream.
fn watch_frames(stream: u32) -> Vec<Frame> {
    let message = message(named("").encode_to_vec());
    vec![request(stream, WATCH.path()), data(stream, message).end_stream()]
}

#[test]
fn watchers_that_never_read_hold_bounded_memory_and_get_the_latest_status() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (health, server, mut peer) = runtime.block_on(async {
        let health = Health::new();
        let server = Running::start(health.router());
        let mut peer = server.client_without_window().await;
        for number in 0..20 {
            peer.send(watch_frames(2 * number + 1)).await;
            peer.expect(response(2 * number + 1)).await;
        }
        (health, server, peer)
    });
    let change = |times: u32| {
        runtime.block_on(async {
            for number in 0..times {
                health.set("", if number % 2 == 0 { NOT_SERVING } else { SERVING });
                quiet().await;
            }
        });
    };
    change(10);
    let memory = allocation_counter::measure(|| change(10_000));
    assert!(memory.bytes_current < 4096, "{} bytes are held after 10,000 changes", memory.bytes_current);
    health.set("", NOT_SERVING);
    runtime.block_on(async {
        for stream in (0..20).map(|number| 2 * number + 1) {
            peer.send(window_update(stream, 1000)).await;
            // The status at the beginning waited for the window; after it comes the latest one.
            for status in [SERVING, NOT_SERVING] {
                peer.expect(data(stream, message(HealthCheckResponse::from(status).encode_to_vec()))).await;
            }
        }
        let ending = tokio::spawn(server.shut_down());
        for stream in (0..20).map(|number| 2 * number + 1) {
            assert_eq!(peer.answer(stream).await.status(), ("14", "the server is shutting down"));
        }
        drop(peer);
        ending.await.expect("no panic");
    });
}

#[tokio::test(start_paused = true)]
async fn watcher_without_window_delays_the_shutdown_up_to_its_timeout() {
    let server = Running::start(Health::new().router());
    let mut peer = server.client_without_window().await;
    peer.send(watch_frames(1)).await;
    peer.expect(response(1)).await;
    let began = Instant::now();
    let ended = tokio::spawn(async move {
        server.shut_down().await;
        began.elapsed()
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(peer);
    assert_eq!(soon("the end", ended).await.expect("no panic").as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn watch_of_a_name_that_is_too_long_is_refused() {
    let (_health, _server, client) = start().await;
    // A call that stays open would hold the name, and a connection has a thousand of them.
    let mut changes = watch(&client, &"a".repeat(1 << 20)).await;
    let refused = soon("a status", changes.recv()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "the service's name has more than 1024 bytes")
    );
    let mut changes = watch(&client, &"a".repeat(1024)).await;
    assert_eq!(next(&mut changes).await, SERVICE_UNKNOWN);
}
