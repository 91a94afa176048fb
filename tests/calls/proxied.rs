//! Tests calls through the proxy of `examples/proxy.rs`: they must look as they do without it.

use std::time::Duration;

use barewire::{CallOptions, Client, ClientOptions, Code, Metadata, Server, ServerOptions, Status, testing};

use super::streaming::call_all_four_kinds;
use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{
    COUNT, ECHO, Event, FAIL, FAIL_LATE, FIRST, FLOOD, MISSING, Note, PACED, PANIC, WAIT, count, note,
};
use crate::common::{quiet, soon};
use crate::proxy::Proxy;

/// Returns a client of a proxy before a test server.
async fn proxied() -> (Client, TestServer) {
    let server = TestServer::start();
    let proxy = Proxy::router(server.client().await);
    (testing::client(proxy).await, server)
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_all_four_kinds() {
    let (client, _server) = proxied().await;
    call_all_four_kinds(&client).await;
    assert_eq!(*soon("unary", client.unary(ECHO, Note::default())).await.unwrap(), Note::default(), "no bytes");
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_large_messages() {
    let (client, _server) = proxied().await;
    let large = note("x".repeat(3 << 20));
    assert_eq!(*soon("unary", client.unary(ECHO, &large)).await.unwrap(), large);
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_metadata_both_ways() {
    let (client, _server) = proxied().await;
    let mut metadata = Metadata::from_iter([("tenant", "blue"), ("tenant", "red"), ("trailing", "last")]);
    metadata.insert_bin("trailing-bin", &[0, 255]).unwrap();
    let client = client.with(CallOptions::new().metadata(metadata));
    let answer = soon("unary", client.unary(ECHO, note("hi"))).await.unwrap();
    let (initial, trailing) = (answer.initial_metadata(), answer.trailing_metadata());
    assert_eq!(initial.get_all("tenant").collect::<Vec<_>>(), ["blue", "red"]);
    assert_eq!(initial.get_all("user-agent").count(), 1, "{initial:?}");
    assert_eq!(trailing.get("trailing"), Some("last"));
    assert_eq!(trailing.get_bin("trailing-bin"), Some(Ok(vec![0, 255])));

    let mut notes = soon("the call", client.server_streaming(COUNT, count(1))).await.unwrap();
    let initial = soon("headers", notes.initial_metadata()).await.unwrap();
    assert_eq!(initial.get("trailing"), Some("last"));
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    assert_eq!(notes.trailing_metadata().get("trailing"), Some("last"));
}

#[tokio::test(start_paused = true)]
async fn proxy_sends_the_initial_metadata_before_the_first_message() {
    let (client, server) = proxied().await;
    let mut notes = client.server_streaming(PACED, count(1)).await.unwrap();
    soon("headers", notes.initial_metadata()).await.unwrap();
    server.probe.go(1);
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_every_part_of_a_status() {
    let (client, _server) = proxied().await;
    let direct = TestServer::start();
    let clients = [client, direct.client().await].map(|client| client.header("tenant", "blue"));
    let ask = Note { number: 5, text: "gone ☺".into(), details: vec![8, 5] };
    let mut statuses = Vec::new();
    for client in clients {
        let mut these =
            vec![client.unary(FAIL, &ask).await.unwrap_err(), client.unary(MISSING, &ask).await.unwrap_err()];
        these.push(client.unary(PANIC, note("")).await.unwrap_err());
        let mut notes = client.server_streaming(FAIL_LATE, &ask).await.unwrap();
        assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
        these.push(soon("the status", notes.recv()).await.unwrap_err());
        for status in &mut these {
            status.trailing_metadata_mut().remove("user-agent");
        }
        statuses.push(these);
    }
    assert_eq!(statuses[0], statuses[1]);
    let [failed, missing, panicked, late] = &statuses[0][..] else { panic!("{statuses:?}") };
    assert_eq!((failed.code(), failed.message(), &failed.details()[..]), (Code::NotFound, "gone ☺", &[8, 5][..]));
    assert_eq!(failed.trailing_metadata().get("tenant"), Some("blue"));
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::Unimplemented, "unknown method Missing of service test.Service")
    );
    assert_eq!(panicked.code(), Code::Unknown);
    assert_eq!(late, failed);
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_the_status_before_the_half_close() {
    let (client, _server) = proxied().await;
    let (mut out, answer) = client.client_streaming(FIRST).await.unwrap();
    out.send(note("first")).await.unwrap();
    assert_eq!(*soon("the answer", answer).await.unwrap(), note("first"));
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_a_cancellation() {
    let (client, mut server) = proxied().await;
    let notes = client.server_streaming(PACED, count(5)).await.unwrap();
    server.probe.expect(Event::Began).await;
    drop(notes);
    server.probe.expect(Event::Dropped).await;

    let call = tokio::spawn(async move { client.unary(WAIT, note("hi")).await });
    server.probe.expect(Event::Began).await;
    call.abort();
    server.probe.expect(Event::Dropped).await;
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_the_remaining_time() {
    let (server, mut raw) = client_and_raw_server().await;
    let client = testing::client(Proxy::router(server)).await.timeout(Duration::from_secs(5));
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let fields = raw.expect_request(1).await;
    let timeout = fields.iter().find(|field| field.name == "grpc-timeout").map(|field| &field.value[..]);
    assert_eq!(timeout, Some(&b"5000000u"[..]));
    raw.expect(data(1, text("hi")).end_stream()).await;
    assert_eq!(soon("the end", call).await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    raw.expect(reset(1, Http2Error::CANCEL)).await;
}

#[tokio::test(start_paused = true)]
async fn proxy_reads_only_as_fast_as_its_client() {
    let (client, mut server) = proxied().await;
    let ask = Note { number: 10_000, ..note("x".repeat(10_000)) };
    let mut notes = client.server_streaming(FLOOD, &ask).await.unwrap();
    quiet().await;
    let Some(Event::Sent(sent)) = server.probe.last().await else { panic!("the server sends") };
    // Three windows of 1 MiB and some buffers lie between them; without flow control all 100 MB would.
    assert!((100..500).contains(&sent), "{sent} messages");
    for _ in 0..10_000 {
        assert_eq!(soon("a note", notes.recv()).await.unwrap().map(|note| note.text.len()), Some(10_000));
    }
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn lost_server_is_unavailable() {
    let (server, raw) = client_and_raw_server().await;
    let client = testing::client(Proxy::router(server)).await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    quiet().await;
    drop(raw);
    assert_eq!(soon("the end", call).await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn request_over_a_limit_of_the_proxy_fails_both_calls() {
    let mut server = TestServer::start();
    let mut options = ServerOptions::default();
    options.limits.max_receive_message_size = 10;
    let proxy = Server::new(Proxy::router(server.client().await)).with_options(options);
    let client = testing::client_with(proxy, ClientOptions::default()).await.unwrap();
    let (mut out, answer) = client.client_streaming(crate::common::service::READ).await.unwrap();
    out.send(note("small")).await.unwrap();
    server.probe.expect(Event::Began).await;
    out.send(note("over the limit of ten bytes")).await.unwrap();
    let status: Status = soon("the status", answer).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    server.probe.expect(Event::Dropped).await;
}
