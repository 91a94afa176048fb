//! Tests our client's frames one by one, and its results for correct answers.

use std::time::Duration;

use barewire::metadata::Entry;
use barewire::{CallOptions, Client, Code, Inbound, Metadata, Response, Status};
use tokio::task::JoinHandle;

use crate::common::frames::*;
use crate::common::peer::{RawPeer, value};
use crate::common::pipe::kinds;
use crate::common::server::{client_and_raw_server, client_recorded, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Note, count, note};
use crate::common::soon;

/// Spawns a unary call.
fn call(client: &Client) -> JoinHandle<Result<Response<Note>, Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.unary(ECHO, note("hi")).await })
}

/// Returns the result of a unary call whose answer is these frames.
async fn answered(frames: impl Into<Vec<Frame>>) -> Result<Response<Note>, Status> {
    let (client, mut server) = client_and_raw_server().await;
    let call = call(&client);
    expect_call(&mut server).await;
    server.send(frames).await;
    soon("the answer", call).await.unwrap()
}

/// Begins a server streaming call that the server has received.
async fn counting() -> (Inbound<Note>, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    (notes, server)
}

/// Expects the two frames of a unary call on stream 1.
async fn expect_call(server: &mut RawPeer) {
    let user_agent = concat!("grpc-rust-barewire/", env!("CARGO_PKG_VERSION"));
    server.expect(request(1, "/test.Service/Echo").field("user-agent", user_agent)).await;
    server.expect(data(1, text("hi")).end_stream()).await;
}

fn metadata(fields: &[(&str, &str)]) -> Metadata {
    let mut metadata = Metadata::new();
    fields.iter().for_each(|(key, value)| metadata.append(key, value).unwrap());
    metadata
}

#[tokio::test(start_paused = true)]
async fn unary_call_is_sent_as_two_frames_in_one_write() {
    let (client, mut server, writes) = client_recorded(|_| {}, []).await;
    let client = client.unwrap();
    writes.take();
    let call = call(&client);
    expect_call(&mut server).await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
    server.expect_silence().await;
    assert_eq!(writes.take().iter().map(kinds).collect::<Vec<_>>(), [[HEADERS, DATA]]);
}

#[tokio::test(start_paused = true)]
async fn timeout_comes_first_and_custom_metadata_last() {
    let (client, mut server) = client_with(|options| options.user_agent = "app/1.2".into(), []).await;
    let mut sent = metadata(&[("k", "1"), ("z", "x"), ("k", "2")]);
    sent.append_bin("k-bin", &[0xab; 4]).unwrap();
    let client = client.with(CallOptions::new().timeout(Duration::from_secs(10)).metadata(sent));
    let _call = call(&client);
    let fields = server.expect_request(1).await;
    let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
    let pseudo = [":method", ":scheme", ":path", ":authority"];
    assert_eq!(std::collections::BTreeSet::from_iter(&names[..4]), std::collections::BTreeSet::from_iter(&pseudo));
    let expected = ["grpc-timeout", "te", "content-type", "user-agent", "k", "k", "z", "k-bin"];
    assert_eq!(names[4..], expected, "equal keys are adjacent");
    let agent = concat!("app/1.2 grpc-rust-barewire/", env!("CARGO_PKG_VERSION"));
    for (name, expected) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/test.Service/Echo"),
        (":authority", "test"),
        ("grpc-timeout", "10000000u"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", agent),
        ("k-bin", "q6urqw"),
    ] {
        assert_eq!(value(&fields, name), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_user_agent_is_refused() {
    let (client, _server, _) = client_recorded(|options| options.user_agent = "new\nline".into(), []).await;
    let refused = client.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(refused.message(), r#"invalid user_agent "new\nline": use printable ASCII characters"#);
}

#[tokio::test(start_paused = true)]
async fn streaming_call_sends_messages_at_once_and_half_closes_at_the_end() {
    let (client, mut server) = client_and_raw_server().await;
    let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
    server.expect_request(1).await;
    server.expect_silence().await;
    out.send(note("a")).await.unwrap();
    server.expect(data(1, text("a"))).await;
    // Messages sent without a pause share a write.
    out.send(note("b")).await.unwrap();
    out.send(note("c")).await.unwrap();
    server.expect(data(1, [text("b"), text("c")].concat())).await;
    server.expect_silence().await;
    out.finish().await.unwrap();
    server.expect(half_close(1)).await;
    server.send([response(1), data(1, number(3)), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", answer).await.unwrap(), count(3));
}

#[tokio::test(start_paused = true)]
async fn dropped_sender_half_closes_with_its_last_message() {
    let (client, mut server) = client_and_raw_server().await;
    let (mut out, _notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    out.send(note("a")).await.unwrap();
    drop(out);
    server.expect(data(1, text("a")).end_stream()).await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn initial_and_trailing_metadata_are_delivered_separately() {
    let all: Vec<u8> = (0..=255).collect();
    let unpadded = barewire::wire::binary::encode(&all);
    let head = response(1).field("k", "1").field("k", "2").field("k-bin", format!("AQI=,{unpadded}=="));
    let end = headers(1, [("grpc-status", "0"), ("t", "3"), ("t-bin", &unpadded)]).end_stream();
    let answer = answered([head, data(1, text("hello")), end]).await.unwrap();
    let entries: Vec<_> = answer.initial_metadata().iter().collect();
    let expected = [
        Entry::Ascii("k", b"1"),
        Entry::Ascii("k", b"2"),
        Entry::Binary("k-bin", vec![1, 2]),
        Entry::Binary("k-bin", all.clone()),
    ];
    assert_eq!(entries, expected);
    let entries: Vec<_> = answer.trailing_metadata().iter().collect();
    assert_eq!(entries, [Entry::Ascii("t", b"3"), Entry::Binary("t-bin", all)]);
}

#[tokio::test(start_paused = true)]
async fn binary_metadata_of_all_byte_values_is_sent_unpadded() {
    let (client, mut server) = client_and_raw_server().await;
    let mut sent = Metadata::new();
    let all: Vec<u8> = (0..=255).collect();
    sent.append_bin("k-bin", &all).unwrap();
    sent.append_bin("k-bin", &[]).unwrap();
    let _call = call(&client.with(CallOptions::new().metadata(sent)));
    let fields = server.expect_request(1).await;
    let values: Vec<_> = fields.iter().filter(|field| field.name == "k-bin").map(|field| &field.value[..]).collect();
    assert_eq!(values, [barewire::wire::binary::encode(&all).as_bytes(), b""]);
    assert!(!values[0].contains(&b'='));
}

#[tokio::test(start_paused = true)]
async fn metadata_of_trailers_only_is_trailing() {
    let only = response(1).field("grpc-status", "5").field("grpc-message", "no %E2%98%BA").field("k", "v").end_stream();
    let status = answered(only.clone()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no ☺"));
    assert_eq!(status.trailing_metadata().get("k"), Some("v"));

    let (mut notes, mut server) = counting().await;
    server.send(only).await;
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(notes.trailing_metadata().get("k"), Some("v"));
    let headers = soon("headers", notes.initial_metadata()).await;
    assert!(headers.is_err() || headers.unwrap().is_empty(), "no headers arrived");
}

#[tokio::test(start_paused = true)]
async fn trailers_only_with_ok_is_an_empty_stream() {
    let (mut notes, mut server) = counting().await;
    server.send(response(1).field("grpc-status", "0").field("k", "v").end_stream()).await;
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    assert_eq!(notes.trailing_metadata().get("k"), Some("v"));
    assert!(soon("headers", notes.initial_metadata()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn response_headers_can_be_awaited_before_the_first_message() {
    let (mut notes, mut server) = counting().await;
    server.send(response(1).field("k", "v")).await;
    assert_eq!(soon("headers", notes.initial_metadata()).await.unwrap().get("k"), Some("v"));
    assert!(notes.trailing_metadata().is_empty());
    server.send([data(1, number(1)), headers(1, [("grpc-status", "0"), ("t", "w")]).end_stream()]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    assert_eq!(notes.trailing_metadata().get("t"), Some("w"));
}

#[tokio::test(start_paused = true)]
async fn informational_answers_are_skipped() {
    let early = |status| headers(1, [(":status", status), ("link", "x")]);
    let answer = [early("100"), early("103"), response(1), data(1, text("hello")), trailers(1, "0")];
    assert_eq!(*answered(answer).await.unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn status_has_message_details_and_metadata() {
    let end = headers(
        1,
        [
            ("grpc-status", "5"),
            ("grpc-message", "50% %zz %e2%98%ba"),
            // google.rpc.Status { code: 5, message: "m" }, padded
            ("grpc-status-details-bin", "CAUSAW0="),
            ("k", "v"),
        ],
    );
    let status = answered([response(1).field("h", "1"), end.end_stream()]).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "50% %zz ☺"));
    assert_eq!(status.details()[..], [0x08, 5, 0x12, 1, b'm']);
    assert_eq!(status.trailing_metadata().get("k"), Some("v"));
    assert_eq!(status.trailing_metadata().iter().count(), 1, "neither protocol headers nor initial metadata");
}

#[tokio::test(start_paused = true)]
async fn unknown_status_code_keeps_its_number() {
    for (sent, number) in [("17", 17), ("4711", 4711), ("016", 16)] {
        let status = answered([response(1), trailers(1, sent)]).await.unwrap_err();
        assert_eq!(status.number(), number);
        assert_eq!(status.code(), if number == 16 { Code::Unauthenticated } else { Code::Unknown });
    }
}

#[tokio::test(start_paused = true)]
async fn status_is_delivered_after_the_messages() {
    let (mut notes, mut server) = counting().await;
    server.send([response(1), data(1, [number(1), number(2)].concat()), trailers(1, "9")]).await;
    crate::common::quiet().await;
    assert_eq!(notes.recv().await.unwrap(), Some(count(1)));
    assert_eq!(notes.recv().await.unwrap(), Some(count(2)));
    for _ in 0..3 {
        assert_eq!(notes.recv().await.unwrap_err().code(), Code::FailedPrecondition, "and stays");
    }
}

#[tokio::test(start_paused = true)]
async fn boundaries_of_data_frames_do_not_matter() {
    let whole = text("hello");
    let pieces = whole.chunks(1).map(|byte| data(1, byte));
    let frames: Vec<Frame> = [response(1)].into_iter().chain(pieces).chain([trailers(1, "0")]).collect();
    assert_eq!(*answered(frames).await.unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn answer_may_name_identity_and_list_encodings() {
    let head = response(1).field("grpc-encoding", "identity").field("grpc-accept-encoding", "gzip, zstd,identity");
    let answer = answered([head, data(1, text("hello")), trailers(1, "0")]).await.unwrap();
    assert_eq!(*answer, note("hello"));
    assert!(answer.initial_metadata().is_empty());
}

#[tokio::test(start_paused = true)]
async fn call_over_the_stream_limit_waits_for_a_free_stream() {
    let (client, mut server) = client_with(|_| {}, [(MAX_CONCURRENT_STREAMS, 1)]).await;
    let first = call(&client);
    expect_call(&mut server).await;
    let second = call(&client);
    server.expect_silence().await;
    server.send([response(1), data(1, text("1")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", first).await.unwrap().unwrap(), note("1"));
    server.expect_request(3).await;
    server.expect(data(3, text("hi")).end_stream()).await;
    server.send([response(3), data(3, text("2")), trailers(3, "0")]).await;
    assert_eq!(*soon("the answer", second).await.unwrap().unwrap(), note("2"));
}

#[tokio::test(start_paused = true)]
async fn queued_call_that_is_dropped_is_opened_and_cancelled() {
    let (client, mut server) = client_with(|_| {}, [(MAX_CONCURRENT_STREAMS, 1)]).await;
    let first = call(&client);
    expect_call(&mut server).await;
    let given_up = call(&client);
    server.expect_silence().await;
    given_up.abort();
    server.expect_silence().await;
    server.send([response(1), data(1, text("1")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", first).await.unwrap().unwrap(), note("1"));
    // h2 has assigned the stream, so it sends HEADERS and RST_STREAM.
    server.expect_request(3).await;
    server.expect(reset(3, Http2Error::CANCEL)).await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn message_over_the_send_limit_is_not_sent() {
    let (client, mut server) = client_with(|options| options.limits.max_send_message_size = 3, []).await;
    let status = client.unary(ECHO, note("hi")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "message of 4 bytes is over the limit of 3")
    );
    server.expect_silence().await;

    // In a stream only this message fails, and the call goes on.
    let (mut out, _answer) = client.client_streaming(COLLECT).await.unwrap();
    server.expect_request(1).await;
    assert_eq!(out.send(note("hi")).await.unwrap_err().code(), Code::ResourceExhausted);
    out.send(note("i")).await.unwrap();
    server.expect(data(1, text("i"))).await;
}

#[tokio::test(start_paused = true)]
async fn connection_without_clients_and_calls_is_closed() {
    let (client, mut server) = client_and_raw_server().await;
    let call = call(&client);
    expect_call(&mut server).await;
    drop(client);
    server.expect_silence().await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
    assert_eq!(server.expect_end().await, [Http2Error::NO_ERROR]);
}
