//! Tests our client's result for each kind of invalid answer: one status, never a clean end, never a hang.

use barewire::{Client, Code, Status};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, count, note};
use crate::common::{quiet, soon};

/// Returns the status of a unary call whose answer is these frames.
async fn status_of(frames: impl Into<Vec<Frame>>) -> Status {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send(frames).await;
    soon("the answer", call).await.unwrap().expect_err("it was wrong")
}

#[track_caller]
fn assert_status(status: &Status, code: Code, message: &str) {
    assert_eq!((status.code(), status.message()), (code, message));
}

#[tokio::test(start_paused = true)]
async fn missing_status_is_unknown() {
    let words = "the response ended without grpc-status";
    assert_status(&status_of(response(1).end_stream()).await, Code::Unknown, words);
    assert_status(&status_of([response(1), half_close(1)]).await, Code::Unknown, words);
    assert_status(&status_of([response(1), data(1, text("hello")).end_stream()]).await, Code::Unknown, words);
    let other = headers(1, [("k", "v")]).end_stream();
    let status = status_of([response(1), data(1, text("hello")), other]).await;
    assert_status(&status, Code::Unknown, words);
    assert_eq!(status.trailing_metadata().get("k"), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn status_that_is_not_a_number_is_unknown() {
    for value in ["", "-1", "+0", "ok", "0x0"] {
        let words = format!("grpc-status {value:?} is not a number");
        assert_status(&status_of([response(1), trailers(1, value)]).await, Code::Unknown, &words);
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_not_grpc_gets_the_code_of_its_http_status() {
    for (http, code) in [
        ("400", Code::Internal),
        ("401", Code::Unauthenticated),
        ("403", Code::PermissionDenied),
        ("404", Code::Unimplemented),
        ("429", Code::Unavailable),
        ("431", Code::Internal),
        ("502", Code::Unavailable),
        ("503", Code::Unavailable),
        ("504", Code::Unavailable),
        ("200", Code::Unknown),
        ("204", Code::Unknown),
        ("302", Code::Unknown),
        ("415", Code::Unknown),
        ("500", Code::Unknown),
    ] {
        let status = status_of(headers(1, [(":status", http)]).end_stream()).await;
        let words = format!("the peer answered HTTP {http} with no content-type instead of gRPC");
        assert_status(&status, code, &words);
    }
}

#[tokio::test(start_paused = true)]
async fn error_quotes_the_beginning_of_an_html_page() {
    let head = headers(1, [(":status", "502"), ("content-type", "text/html")]);
    let status = status_of([head.clone(), data(1, b"<html>no").end_stream()]).await;
    let words = "the peer answered HTTP 502 with content-type \"text/html\" instead of gRPC, beginning \"<html>no\"";
    assert_status(&status, Code::Unavailable, words);
    // A long page is quoted in part, and its end is not awaited.
    let status = status_of([head, data(1, "x".repeat(1000))]).await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().len() < 400, "{status}");
}

#[tokio::test(start_paused = true)]
async fn http_error_with_grpc_content_type_keeps_its_http_code() {
    let head = headers(1, [(":status", "503"), ("content-type", "application/grpc")]);
    assert_eq!(status_of([head, trailers_without_status()]).await.code(), Code::Unavailable);
    for value in ["application/json", "application/grpc-web", "application/grpcfoo"] {
        let head = headers(1, [(":status", "200"), ("content-type", value)]);
        assert_eq!(status_of([head, data(1, text("hello")), trailers_without_status()]).await.code(), Code::Unknown);
    }
}

fn trailers_without_status() -> Frame {
    headers(1, [("k", "v")]).end_stream()
}

#[tokio::test(start_paused = true)]
async fn grpc_status_overrides_http_status() {
    let only = headers(1, [(":status", "503"), ("content-type", "text/html"), ("grpc-status", "5")]).end_stream();
    assert_eq!(status_of(only).await.code(), Code::NotFound);
    let head = headers(1, [(":status", "503"), ("content-type", "text/html")]);
    assert_eq!(status_of([head, data(1, b"<html>"), trailers(1, "5")]).await.code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn status_in_headers_without_end_stream_is_ignored() {
    let head = response(1).field("grpc-status", "5").field("grpc-message", "wrong place");
    assert_status(&status_of([head.clone(), trailers(1, "9")]).await, Code::FailedPrecondition, "");
    let status = status_of([head, data(1, text("hello")), half_close(1)]).await;
    assert_status(&status, Code::Unknown, "the response ended without grpc-status");
}

#[tokio::test(start_paused = true)]
async fn second_header_block_without_end_stream_is_internal() {
    let words = "the stream was reset with PROTOCOL_ERROR because the server violated HTTP/2";
    assert_status(&status_of([response(1), response(1)]).await, Code::Internal, words);
    // Trailers without END_STREAM.
    let open = headers(1, [("grpc-status", "0")]);
    assert_status(&status_of([response(1), data(1, text("hello")), open]).await, Code::Internal, words);
}

/// h2 treats this as a connection error.
#[tokio::test(start_paused = true)]
async fn data_before_headers_ends_the_connection() {
    let status = status_of(data(1, text("hello"))).await;
    assert_status(&status, Code::Unavailable, "the connection ended with GOAWAY PROTOCOL_ERROR");
}

#[tokio::test(start_paused = true)]
async fn frames_after_the_trailers_are_ignored() {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0"), trailers(1, "5")]).await;
    assert_eq!(*soon("the answer", call).await.unwrap().unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn informational_response_with_end_stream_is_internal() {
    let status = status_of(headers(1, [(":status", "103")]).end_stream()).await;
    assert_eq!(status.code(), Code::Internal, "{status}");
}

/// Before the headers, after them, within a message, after a message.
#[tokio::test(start_paused = true)]
async fn reset_maps_to_its_code_at_every_stage() {
    for (error, code) in [
        (Http2Error::NO_ERROR, Code::Internal),
        (Http2Error::PROTOCOL_ERROR, Code::Internal),
        (Http2Error::INTERNAL_ERROR, Code::Internal),
        (Http2Error::FLOW_CONTROL_ERROR, Code::Internal),
        (Http2Error::SETTINGS_TIMEOUT, Code::Internal),
        (Http2Error::STREAM_CLOSED, Code::Internal),
        (Http2Error::FRAME_SIZE_ERROR, Code::Internal),
        (Http2Error::REFUSED_STREAM, Code::Unavailable),
        (Http2Error::CANCEL, Code::Cancelled),
        (Http2Error::COMPRESSION_ERROR, Code::Internal),
        (Http2Error::CONNECT_ERROR, Code::Internal),
        (Http2Error::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (Http2Error::INADEQUATE_SECURITY, Code::PermissionDenied),
        (Http2Error::HTTP_1_1_REQUIRED, Code::Unknown),
        (Http2Error(0xdead), Code::Unknown),
    ] {
        let words = format!("the server reset the stream with {error}");
        let whole = text("hello");
        for before in [
            vec![],
            vec![response(1)],
            vec![response(1), data(1, &whole[..3])],
            vec![response(1), data(1, &whole[..7])],
            vec![response(1), data(1, &whole)],
        ] {
            let status = status_of([before, vec![reset(1, error)]].concat()).await;
            assert_status(&status, code, &words);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_before_a_reset_are_delivered() {
    let (client, mut server) = client_and_raw_server().await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, number(1)), reset(1, Http2Error::CANCEL)]).await;
    quiet().await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn reset_after_the_trailers_does_not_replace_the_status() {
    for error in (0..=0xe).map(Http2Error) {
        let status = status_of([response(1), trailers(1, "5"), reset(1, error)]).await;
        assert_eq!(status.code(), Code::NotFound);
        let only = response(1).field("grpc-status", "5").end_stream();
        assert_eq!(status_of([only.clone(), reset(1, error)]).await.code(), Code::NotFound);

        // The client has not half-closed, and reads after everything has arrived.
        for answer in [vec![response(1), trailers(1, "5")], vec![only]] {
            let (client, mut server) = client_and_raw_server().await;
            let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
            server.expect_request(1).await;
            server.send([answer, vec![reset(1, error)]].concat()).await;
            quiet().await;
            assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::NotFound);
        }
    }
}

/// Begins a streaming call that the server has received.
async fn streaming_call() -> (Client, crate::common::Streaming, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let (out, notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    (client, (out, notes), server)
}

#[tokio::test(start_paused = true)]
async fn lost_connection_is_unavailable_at_every_stage() {
    let whole = text("hello");
    for before in
        [vec![], vec![response(1)], vec![response(1), data(1, &whole[..3])], vec![response(1), data(1, &whole)]]
    {
        let messages = before.len() / 2 * usize::from(before.get(1) == Some(&data(1, &whole)));
        let (client, (_out, mut notes), mut server) = streaming_call().await;
        server.send(before).await;
        drop(server);
        for _ in 0..messages {
            assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
        }
        let status = soon("the end", notes.recv()).await.unwrap_err();
        assert_status(&status, Code::Unavailable, "the connection was lost");
        // The next call is UNAVAILABLE too.
        let status = soon("the next", client.unary(ECHO, note("hi"))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

/// Sends the answer and closes at once: the client reads both together, and knows the end of the connection before it reads
/// the answer.
async fn lost_at_once_after(answer: Vec<Frame>) -> (crate::common::Streaming, Client) {
    let (client, streaming, mut server) = streaming_call().await;
    server.send([answer, vec![goaway(1, Http2Error::NO_ERROR)]].concat()).await;
    drop(server);
    quiet().await;
    (streaming, client)
}

#[tokio::test(start_paused = true)]
async fn connection_loss_after_the_trailers_keeps_the_status() {
    let answer = vec![response(1), data(1, text("hello")), trailers(1, "5")];
    let ((_out, mut notes), _client) = lost_at_once_after(answer).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn connection_loss_after_trailers_only_keeps_the_status() {
    let ((_out, mut notes), _client) =
        lost_at_once_after(vec![response(1).field("grpc-status", "5").end_stream()]).await;
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn goaway_ends_only_the_calls_it_excludes() {
    let (client, mut server) = client_and_raw_server().await;
    let (_out, mut first) = client.bidi_streaming(CHAT).await.unwrap();
    let (_out, mut second) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.expect_request(3).await;
    server.send(goaway(1, Http2Error::NO_ERROR)).await;
    let status = soon("the end", second.recv()).await.unwrap_err();
    assert_status(&status, Code::Unavailable, "the connection ended with GOAWAY NO_ERROR");
    let status = soon("the next", client.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_status(&status, Code::Unavailable, "the connection ended with GOAWAY NO_ERROR");
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(soon("a note", first.recv()).await.unwrap(), Some(note("hello")));
    assert_eq!(soon("the end", first.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn graceful_goaway_pair_keeps_the_call() {
    let (_client, (_out, mut notes), mut server) = streaming_call().await;
    server.send([goaway(0x7fff_ffff, Http2Error::NO_ERROR), goaway(1, Http2Error::NO_ERROR)]).await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hello")));
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn unoffered_encoding_is_internal() {
    let words =
        "the server answered with grpc-encoding \"gzip\", which this client did not list in grpc-accept-encoding";
    let head = response(1).field("grpc-encoding", "gzip");
    assert_status(&status_of([head, data(1, flagged(1, b"?")), trailers(1, "0")]).await, Code::Internal, words);
}

#[tokio::test(start_paused = true)]
async fn compressed_message_without_an_encoding_is_internal() {
    let words = "message is flagged as compressed, but grpc-encoding is missing or identity";
    let status = status_of([response(1), data(1, flagged(1, b"?")), trailers(1, "0")]).await;
    assert_status(&status, Code::Internal, words);
}

#[tokio::test(start_paused = true)]
async fn reserved_flags_are_internal() {
    for flag in [2, 0x80, 0xff] {
        let words = format!("invalid compressed flag {flag:#04x} in a message prefix: use 0 or 1");
        let status = status_of([response(1), data(1, flagged(flag, b"")), trailers(1, "0")]).await;
        assert_status(&status, Code::Internal, &words);
    }
}

#[tokio::test(start_paused = true)]
async fn message_over_the_limit_is_refused_on_its_prefix_and_resets_the_stream() {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { (client.unary(ECHO, note("hi")).await, client) });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send([response(1), data(1, prefix(0, 6_291_456))]).await;
    let (outcome, _client) = soon("the answer", call).await.unwrap();
    let words = "message of 6291456 bytes is over the limit of 4194304";
    assert_status(&outcome.unwrap_err(), Code::ResourceExhausted, words);
    server.expect(reset(1, Http2Error::CANCEL)).await;
}

#[tokio::test(start_paused = true)]
async fn message_limit_is_configurable_and_inclusive() {
    let (client, mut server) = client_with(|options| options.limits.max_receive_message_size = 4, []).await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, [text("hi"), text("hi!")].concat())]).await;
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("hi")));
    let status = soon("the end", notes.recv()).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, "message of 5 bytes is over the limit of 4");
}

#[tokio::test(start_paused = true)]
async fn truncated_message_is_internal_unless_the_status_is_an_error() {
    let whole = text("hi");
    for length in 1..whole.len() {
        let words = match length {
            ..5 => format!("stream ended after {length} of the 5 bytes of a message prefix"),
            _ => format!("stream ended after {} of the 4 bytes of a message", length - 5),
        };
        let status = status_of([response(1), data(1, &whole[..length]), trailers(1, "0")]).await;
        assert_status(&status, Code::Internal, &words);
        let status = status_of([response(1), data(1, &whole[..length]), trailers(1, "5")]).await;
        assert_status(&status, Code::NotFound, "");
    }
}

#[tokio::test(start_paused = true)]
async fn zero_or_two_messages_in_a_unary_call_are_unimplemented() {
    let none = "the stream ended without a message: exactly one is required";
    let two = "a second message arrived: exactly one is required";
    assert_status(&status_of([response(1), trailers(1, "0")]).await, Code::Unimplemented, none);
    let only = response(1).field("grpc-status", "0").end_stream();
    assert_status(&status_of(only).await, Code::Unimplemented, none);
    let twice = [response(1), data(1, [text("a"), text("b")].concat()), trailers(1, "0")];
    assert_status(&status_of(twice).await, Code::Unimplemented, two);

    for (answer, words) in [
        ([response(1), trailers(1, "0"), settings_ack()], none),
        ([response(1), data(1, [text("a"), text("b")].concat()), trailers(1, "0")], two),
    ] {
        let (client, mut server) = client_and_raw_server().await;
        let (_out, call) = client.client_streaming(COLLECT).await.unwrap();
        server.expect_request(1).await;
        server.send(answer.into_iter().filter(|frame| *frame != settings_ack()).collect::<Vec<_>>()).await;
        assert_status(&soon("the answer", call).await.unwrap_err(), Code::Unimplemented, words);
    }
}

#[tokio::test(start_paused = true)]
async fn undecodable_message_is_internal() {
    let status = status_of([response(1), data(1, message([0x0a, 5, b'x'])), trailers(1, "0")]).await;
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("message of /test.Service/Echo can't be decoded: "), "{status}");

    let (client, mut server) = client_and_raw_server().await;
    let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, message([0x0a, 5, b'x']))]).await;
    let status = soon("the failure", notes.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("message of /test.Service/Chat can't be decoded: "), "{status}");
}

#[tokio::test(start_paused = true)]
async fn binary_metadata_that_is_not_base64_is_internal() {
    let words = "the value of k-bin is not base64";
    let head = response(1).field("k-bin", "?");
    let status = status_of([head, data(1, text("hello")), trailers(1, "0")]).await;
    assert_status(&status, Code::Internal, words);
    let end = headers(1, [("grpc-status", "0"), ("k-bin", "?")]).end_stream();
    assert_status(&status_of([response(1), data(1, text("hello")), end]).await, Code::Internal, words);
    // An error status is kept.
    let end = headers(1, [("grpc-status", "5"), ("k-bin", "?")]).end_stream();
    assert_status(&status_of([response(1), end]).await, Code::NotFound, "");
}

#[tokio::test(start_paused = true)]
async fn contradicting_status_details_are_internal_and_invalid_ones_ignored() {
    let end = |details: &str| {
        headers(1, [("grpc-status", "5"), ("grpc-message", "m"), ("grpc-status-details-bin", details)]).end_stream()
    };
    let status = status_of([response(1), end("CAY")]).await;
    assert_status(&status, Code::Internal, "grpc-status is 5, but grpc-status-details-bin has code 6");
    for broken in ["?", "CA", "////"] {
        let status = status_of([response(1), end(broken)]).await;
        assert_status(&status, Code::NotFound, "m");
        assert!(status.details().is_empty());
    }
}

/// The stream is reset, because more frames may follow.
#[tokio::test(start_paused = true)]
async fn metadata_over_the_limit_ends_the_call() {
    let status = status_of([response(1).field("k", "x".repeat(70_000)), trailers(1, "0")]).await;
    let words = "the initial metadata is larger than 65536 bytes, the max_metadata_size of this client";
    assert_status(&status, Code::ResourceExhausted, words);
}
