//! Tests metadata over the limits, in either direction: RESOURCE_EXHAUSTED with a message that names the limit, and never a
//! truncated list of fields.
//!
//! By itself, h2 drops the trailer fields that do not fit and delivers the rest.

use barewire::{CallOptions, Client, Code, Metadata, Status};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{CHAT, COUNT, ECHO, count, note};
use crate::common::{quiet, soon};

/// Returns lists of fields over the default limit of 65,536 bytes: one huge field, several large ones, many small ones; below
/// and above h2's own limit, which is three times as much on a server and eight times on a client.
fn over() -> Vec<(&'static str, Vec<(String, String)>)> {
    let field = |size: usize| vec![("k".to_owned(), "x".repeat(size))];
    let many = |count: usize, size: usize| (0..count).map(|n| (format!("k{n}"), "x".repeat(size))).collect();
    vec![
        ("one field a little over", field(65_536)),
        ("one field of 100 kB", field(100_000)),
        ("one field of 190 kB", field(190_000)),
        ("one field of 400 kB", field(400_000)),
        ("ten fields of 7 kB", many(10, 7_000)),
        ("a hundred fields of 1 kB", many(100, 1_000)),
        ("five hundred fields of 200 bytes", many(500, 200)),
        ("two thousand small fields", many(2_000, 1)),
    ]
}

fn with(frame: Frame, fields: &[(String, String)]) -> Frame {
    fields.iter().fold(frame, |frame, (name, value)| frame.field(name, value))
}

/// Returns the limit that the error message names.
fn limit_of(fields: &[(String, String)]) -> &'static str {
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    if size > 65_536 { "65536 bytes" } else { "512 fields" }
}

/// Returns the status of a unary call whose answer is these frames. Asserts that the next call on the connection succeeds.
async fn status_of(frames: impl Into<Vec<Frame>>) -> (Status, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.unary(ECHO, note("hi")).await }
    });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send(frames).await;
    let status = soon("the answer", call).await.unwrap().expect_err("it is over the limit");
    assert_next(&client, &mut server).await;
    (status, server)
}

/// Asserts that another call on the connection succeeds.
async fn assert_next(client: &Client, server: &mut RawPeer) {
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.unary(ECHO, note("again")).await }
    });
    loop {
        match server.next().await.expect("the connection is open") {
            Frame::Headers { stream: 3, .. } => break,
            Frame::ResetStream { stream: 1, .. } => {}
            other => panic!("{other:?} came"),
        }
    }
    server.expect(data(3, text("again")).end_stream()).await;
    server.send([response(3), data(3, text("again")), trailers(3, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().expect("it succeeds"), note("again"));
}

#[track_caller]
fn assert_exhausted(status: &Status, section: &str, limit: &str, what: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{what}: {status}");
    let words = format!("the {section} is larger than {limit}, the max_metadata_size of this client");
    let fields = format!("the {section} has more than {limit}, the limit of this client");
    assert!([&words, &fields].contains(&&status.message().to_owned()), "{what}: {status}");
    assert!(status.cause().is_some_and(|cause| cause.to_string().contains("by this side")), "{:?}", status.cause());
}

#[tokio::test(start_paused = true)]
async fn trailers_over_the_limit_are_resource_exhausted_and_never_truncated() {
    for (what, fields) in over() {
        for after_status in [true, false] {
            let trailers = match after_status {
                true => with(headers(1, [("grpc-status", "0"), ("grpc-message", "m")]), &fields),
                false => with(headers(1, []), &fields).field("grpc-status", "0").field("grpc-message", "m"),
            };
            let answer = [response(1), data(1, text("hello")), trailers.end_stream()];
            let (status, _) = status_of(answer).await;
            assert_exhausted(&status, "trailing metadata", limit_of(&fields), what);
            assert!(status.trailing_metadata().is_empty(), "{what}");
        }
    }
}

/// The usual reason for long trailers is a long error message.
#[tokio::test(start_paused = true)]
async fn long_grpc_message_counts_towards_the_limit() {
    for size in [70_000, 150_000, 250_000, 500_000] {
        let long = headers(1, [("grpc-status", "5")]).field("grpc-message", "m".repeat(size)).field("k", "v");
        let (status, _) = status_of([response(1), long.clone().end_stream()]).await;
        assert_exhausted(&status, "trailing metadata", "65536 bytes", "trailers");
        let only = response(1).field("grpc-status", "5").field("grpc-message", "m".repeat(size)).end_stream();
        let (status, _) = status_of(only).await;
        assert_exhausted(&status, "trailing metadata", "65536 bytes", "Trailers-Only");
    }
}

#[tokio::test(start_paused = true)]
async fn initial_metadata_over_the_limit_is_resource_exhausted() {
    for (what, fields) in over() {
        let (status, _) = status_of(with(response(1), &fields)).await;
        assert_exhausted(&status, "initial metadata", limit_of(&fields), what);
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_only_over_the_limit_is_resource_exhausted() {
    for (what, fields) in over() {
        let (status, _) = status_of(with(response(1).field("grpc-status", "5"), &fields).end_stream()).await;
        assert_exhausted(&status, "trailing metadata", limit_of(&fields), what);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_within_the_limits_is_delivered() {
    for size in [100, 30_000, 65_000] {
        let (client, mut server) = client_and_raw_server().await;
        let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
        server.expect_request(1).await;
        server.expect(data(1, text("hi")).end_stream()).await;
        let fields: Vec<_> = (0..500).map(|n| (format!("k{n}"), "x".repeat(80))).collect();
        let value = "x".repeat(size);
        let end = headers(1, [("grpc-status", "0")]).field("k", &value).end_stream();
        server.send([with(response(1), &fields), data(1, text("hello")), end]).await;
        let answer = soon("the answer", call).await.unwrap().expect("it succeeds");
        assert_eq!(answer.initial_metadata().iter().count(), 500);
        assert_eq!(answer.trailing_metadata().get("k"), Some(&*value));
    }
}

/// For every limit down to zero: a list that h2 truncated is never delivered.
#[tokio::test(start_paused = true)]
async fn small_metadata_limits_are_enforced() {
    for limit in [0, 100, 1_000, 5_000, 20_000] {
        for size in [limit + 100, 3 * limit + 50_000, 10 * limit + 70_000, 300_000] {
            let (client, mut server) = client_with(|options| options.limits.max_metadata_size = limit, []).await;
            let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
            server.expect_request(1).await;
            server.expect(data(1, text("hi")).end_stream()).await;
            let end = headers(1, []).field("k", "x".repeat(size as usize)).field("grpc-status", "0").end_stream();
            server.send([response(1), data(1, text("hello")), end]).await;
            let status = soon("the answer", call).await.unwrap().expect_err("it is over the limit");
            assert!(matches!(status.code(), Code::ResourceExhausted | Code::Unavailable), "{limit}, {size}: {status}");
            assert!(status.message().contains(&format!("{limit} bytes, the max_metadata_size")), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_over_the_limit_fail_a_server_streaming_call() {
    let (client, mut server) = client_and_raw_server().await;
    let mut notes = client.server_streaming(COUNT, count(1)).await.unwrap();
    server.expect_request(1).await;
    server.next().await;
    server.send([response(1), data(1, number(1))]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    server.send(headers(1, [("k", &"x".repeat(300_000)), ("grpc-status", "0")]).end_stream()).await;
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_exhausted(&status, "trailing metadata", "65536 bytes", "a stream");
    assert_next(&client, &mut server).await;
}

/// h2 ends the connection over a list that is several times its limit. A long header block identifies the call to blame.
#[tokio::test(start_paused = true)]
async fn connection_that_ends_over_metadata_reports_the_limit() {
    let (client, mut server) = client_and_raw_server().await;
    let guilty = tokio::spawn({
        let client = client.clone();
        async move { client.unary(ECHO, note("hi")).await }
    });
    server.expect_request(1).await;
    server.next().await;
    let other = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(3).await;
    server.next().await;
    server.send([response(1), headers(1, [("k", &"x".repeat(3_000_000))]).end_stream()]).await;
    let status = soon("the end", guilty).await.unwrap().unwrap_err();
    assert_exhausted(&status, "trailing metadata", "65536 bytes", "far over");
    let status = soon("the end", other).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let words = "the connection ended: the metadata of a call was far larger than 65536 bytes, the max_metadata_size of this client";
    assert_eq!(status.message(), words);
}

/// A repeated field costs its sender one byte, and the reader a hundred.
#[tokio::test(start_paused = true)]
async fn indexed_fields_of_one_byte_are_counted() {
    // A field of 2 KB that is added to the table, and then `count` references to it.
    let block = |count: usize| {
        let literal = [&[0x40, 1, b'k', 0x7f, 0xd1, 0x0e][..], &[b'x'; 2000]].concat();
        [&[0x88][..], &literal, &vec![0xbe; count]].concat()
    };
    for (count, code, words) in [
        (
            40,
            Code::ResourceExhausted,
            "the initial metadata is larger than 65536 bytes, the max_metadata_size of this client",
        ),
        (
            200,
            Code::ResourceExhausted,
            "the initial metadata is larger than 65536 bytes, the max_metadata_size of this client",
        ),
        (
            1_900,
            Code::Unavailable,
            "the connection ended: the metadata of a call was far larger than 65536 bytes, the max_metadata_size of this client",
        ),
    ] {
        let (client, mut server) = client_and_raw_server().await;
        let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
        server.expect_request(1).await;
        server.next().await;
        server.send(raw(HEADERS, END_HEADERS, 1, &block(count))).await;
        let status = soon("the answer", call).await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (code, words), "{count}");
    }
}

// The same for requests.

async fn ask(frames: impl Into<Vec<Frame>>) -> (String, String) {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(frames).await;
    let answer = peer.answer(1).await;
    assert_eq!(answer.header(":status"), Some("200"));
    assert!(answer.is_trailers_only());
    let (code, message) = answer.status();
    let refused = (code.to_owned(), message.to_owned());
    peer.send([request(3, "/test.Service/Echo"), data(3, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status(), ("0", ""), "the connection is open");
    refused
}

#[tokio::test(start_paused = true)]
async fn request_over_the_limit_is_resource_exhausted() {
    for (what, fields) in over().into_iter().filter(|(what, _)| !what.contains("400 kB")) {
        let head = with(request(1, "/test.Service/Echo"), &fields);
        let (code, message) = ask([head, data(1, text("hi")).end_stream()]).await;
        let limit = limit_of(&fields);
        assert_eq!(code, "8", "{what}: {message}");
        let words = [
            format!("the metadata of the request is larger than {limit}, the max_metadata_size of this server"),
            format!("the metadata of the request has more than {limit}, the limit of this server"),
        ];
        assert!(words.contains(&message), "{what}: {message}");
    }
}

/// The pseudo-header fields count as well (RFC 9113 section 6.5.2).
#[tokio::test(start_paused = true)]
async fn long_path_counts_towards_the_metadata_limit() {
    let path = format!("/test.Service/{}", "x".repeat(65_000));
    let (code, message) = ask(request(1, &path).field("k", "x".repeat(500)).end_stream()).await;
    assert_eq!(code, "8", "{message}");
}

/// Beyond three times the limit, h2 itself answers.
#[tokio::test(start_paused = true)]
async fn request_over_three_times_the_limit_is_answered_with_431() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Echo").field("k", "x".repeat(200_000)).end_stream()).await;
    assert_eq!(peer.answer(1).await.header(":status"), Some("431"));
}

#[tokio::test(start_paused = true)]
async fn grpc_client_gets_the_name_of_the_limit() {
    let server = TestServer::with(|options| options.limits.max_metadata_size = 10_000);
    let client = server.client().await;
    let mut sent = Metadata::new();
    sent.append("k", &"x".repeat(20_000)).unwrap();
    let call = client.with(CallOptions::new().metadata(sent));
    let status = soon("the answer", call.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let words = "the metadata of the request is larger than 10000 bytes, the max_metadata_size of this server";
    assert_eq!(status.message(), words);
}

#[tokio::test(start_paused = true)]
async fn request_trailers_over_the_limit_end_the_call() {
    for (what, fields) in over().into_iter().filter(|(what, _)| !what.contains("400 kB")) {
        let end = with(headers(1, []), &fields).end_stream();
        let (code, message) = ask([request(1, "/test.Service/Echo"), data(1, text("hi")), end]).await;
        assert_eq!(code, "8", "{what}: {message}");
        assert!(message.starts_with("the trailing metadata of the request "), "{what}: {message}");
        assert!(message.contains(limit_of(&fields)), "{what}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_trailers_within_the_limit_are_ignored() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let end = headers(1, [("k", "v")]).end_stream();
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")), end.clone()]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
    peer.send([request(3, "/test.Service/Chat"), data(3, text("hi")), end.on(3)]).await;
    assert_eq!(peer.answer(3).await.status(), ("0", ""));
}

/// SETTINGS announces the configured limit, not the larger one that h2 uses.
#[tokio::test(start_paused = true)]
async fn settings_announce_the_configured_limit() {
    let (_client, server) = client_and_raw_server().await;
    assert!(server.settings.contains(&(MAX_HEADER_LIST_SIZE, 65_536)), "{:?}", server.settings);
    let (_client, server) = client_with(|options| options.limits.max_metadata_size = 12_345, []).await;
    assert!(server.settings.contains(&(MAX_HEADER_LIST_SIZE, 12_345)), "{:?}", server.settings);
    let server = TestServer::with(|options| options.limits.max_metadata_size = u32::MAX);
    let peer = server.connect().await;
    assert!(peer.settings.contains(&(MAX_HEADER_LIST_SIZE, u32::MAX)), "{:?}", peer.settings);
}

// Informational responses (RFC 9110 section 15.2).

fn early_hints(stream: u32) -> Frame {
    headers(stream, [(":status", "103"), ("link", "</style.css>")])
}

#[tokio::test(start_paused = true)]
async fn sixteen_informational_responses_are_skipped() {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.next().await;
    for _ in 0..16 {
        server.send(early_hints(1)).await;
        quiet().await;
    }
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn too_many_informational_responses_fail_the_call() {
    // The first informational response of a connection is recognised only when the second arrives; it may not be counted.
    for (at_once, count) in [(true, 17), (false, 18)] {
        let (client, mut server) = client_and_raw_server().await;
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.unary(ECHO, note("hi")).await }
        });
        server.expect_request(1).await;
        server.next().await;
        for _ in 0..count {
            server.send(early_hints(1)).await;
            if !at_once {
                quiet().await;
            }
        }
        let status = soon("the end", call).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(status.message(), "more than 16 informational responses (1xx) arrived, the limit of this client");
        server.expect(reset(1, Http2Error::CANCEL)).await;
        assert_next(&client, &mut server).await;
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_informational_responses_fail_a_streaming_call() {
    let (client, mut server) = client_and_raw_server().await;
    let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.send(vec![early_hints(1); 17]).await;
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    server.expect(reset(1, Http2Error::CANCEL)).await;
}
