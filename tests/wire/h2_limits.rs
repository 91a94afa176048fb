//! Tests the current limits of the h2 and http crates. docs/h2-limits.md has a row for each test, and names it.
//!
//! Each test asserts behaviour that *differs* from the specification. If one fails after an update of h2 or http, the limit is
//! fixed: remove the row from the page, and move the test to another file as one of the correct behaviour.

use barewire::{Code, Status};

use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server, client_with};
use crate::common::service::{ECHO, WAIT, note};
use crate::common::soon;

const ECHO_PATH: &str = "/test.Service/Echo";

/// Returns the result of a unary call that is answered with these frames.
async fn outcome(frames: impl Into<Vec<Frame>>) -> Result<String, Status> {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send(frames).await;
    soon("the answer", call).await.unwrap().map(|note| note.text.clone())
}

/// Returns the reset that a request with these headers gets, after a check that the connection still works.
async fn reset_of(head: Frame) -> Option<Http2Error> {
    let server = TestServer::with(|options| options.limits.max_metadata_size = 1 << 20);
    let mut peer = server.connect().await;
    peer.send([head, data(1, text("hi")).end_stream()]).await;
    let reset = peer.answer(1).await.reset();
    peer.ping().await;
    reset
}

/// Returns the errors with which a server ends the connection over this frame, while a call is open on stream 1.
async fn end_over(frame: Frame) -> Vec<Http2Error> {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, WAIT.path())).await;
    peer.send(frame).await;
    let mut errors = Vec::new();
    loop {
        match peer.next().await {
            Some(Frame::GoAway { error, .. }) => errors.push(error),
            Some(_) => {}
            None => return errors,
        }
    }
}

// Requests.

/// RFC 3986 section 3.2.2 allows it in a registered name; grpcio sends it over Unix sockets.
#[tokio::test(start_paused = true)]
async fn percent_encoded_authority_is_reset() {
    for authority in ["%2Ftmp%2Fa.sock", "a%20b"] {
        let reset = reset_of(request(1, ECHO_PATH).set(":authority", authority)).await;
        assert_eq!(reset, Some(Http2Error::PROTOCOL_ERROR), "{authority}");
    }
}

/// RFC 9113 section 8.3.1 forbids it.
#[tokio::test(start_paused = true)]
async fn authority_with_userinfo_is_accepted() {
    assert_eq!(reset_of(request(1, ECHO_PATH).set(":authority", "user:password@host")).await, None);
}

#[tokio::test(start_paused = true)]
async fn path_of_64_kib_is_reset() {
    let path = format!("/test.Service/{}", "x".repeat(70_000));
    assert_eq!(reset_of(request(1, &path)).await, Some(Http2Error::PROTOCOL_ERROR));
}

/// RFC 9113 section 8.2.1 forbids it.
#[tokio::test(start_paused = true)]
async fn whitespace_around_a_value_is_accepted() {
    assert_eq!(reset_of(request(1, ECHO_PATH).field("k", " v ")).await, None);
}

/// RFC 9113 section 8.1.1 requires a stream error for a malformed request.
#[tokio::test(start_paused = true)]
async fn request_with_a_malformed_field_ends_the_connection() {
    for (name, value) in [("Upper", "case"), ("k", "a\0b"), ("a b", "v"), ("k", "a\nb"), ("", "v")] {
        let server = TestServer::start();
        let mut peer = server.connect().await;
        peer.send(request(1, ECHO_PATH).field(name, value).end_stream()).await;
        assert_eq!(peer.expect_end().await, [Http2Error::PROTOCOL_ERROR], "{name:?}: {value:?}");
    }
}

/// The same for an answer: every call of the connection ends.
#[tokio::test(start_paused = true)]
async fn answer_with_a_malformed_field_ends_the_connection() {
    let status = outcome(response(1).field("k", "a\0b")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "the connection ended with GOAWAY PROTOCOL_ERROR")
    );
}

/// The http crate's header map can't hold more.
#[tokio::test(start_paused = true)]
async fn request_with_24_577_header_names_is_answered_with_431() {
    let server = TestServer::with(|options| options.limits.max_metadata_size = 4 << 20);
    let mut peer = server.connect().await;
    let head = (0..24_577).fold(request(1, ECHO_PATH), |head, n| head.field(&format!("{n:x}"), ""));
    peer.send(head.end_stream()).await;
    assert_eq!(peer.answer(1).await.header(":status"), Some("431"));
}

// Answers and trailers.

/// RFC 9113 section 8.1: pseudo-header fields in trailers make the message malformed.
#[tokio::test(start_paused = true)]
async fn pseudo_header_fields_in_trailers_are_accepted() {
    let end = headers(1, [(":status", "200"), ("grpc-status", "0")]).end_stream();
    assert_eq!(outcome([response(1), data(1, text("hello")), end]).await.unwrap(), "hello");
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let end = headers(1, [(":path", "/elsewhere"), ("k", "v")]).end_stream();
    peer.send([request(1, ECHO_PATH), data(1, text("hi")), end]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

/// A list over h2's limit that is short on the wire is reported as an error of the server.
#[tokio::test(start_paused = true)]
async fn indexed_fields_over_eight_times_the_limit_are_a_protocol_error() {
    let literal = [&[0x88, 0x40, 1, b'k', 0x7f, 0xd1, 0x0e][..], &[b'x'; 2000]].concat();
    let status = outcome(raw(HEADERS, END_HEADERS, 1, &[&literal[..], &[0xbe; 300]].concat())).await.unwrap_err();
    let words = "the stream was reset with PROTOCOL_ERROR because the server violated HTTP/2";
    assert_eq!((status.code(), status.message()), (Code::Internal, words));
}

// The connection.

/// RFC 9113 section 6.5.2 requires FLOW_CONTROL_ERROR.
#[tokio::test(start_paused = true)]
async fn initial_window_over_2_31_is_a_protocol_error() {
    assert_eq!(end_over(settings([(INITIAL_WINDOW_SIZE, 1 << 31)])).await, [Http2Error::PROTOCOL_ERROR]);
}

/// RFC 9113 sections 6.4, 6.5, 6.7 and 6.9 require FRAME_SIZE_ERROR.
#[tokio::test(start_paused = true)]
async fn frame_of_the_wrong_length_is_a_protocol_error() {
    for (kind, stream, length) in [(PING, 0, 7), (SETTINGS, 0, 5), (WINDOW_UPDATE, 1, 3), (RST_STREAM, 1, 3)] {
        let errors = end_over(raw(kind, 0, stream, &vec![0; length])).await;
        assert_eq!(errors, [Http2Error::PROTOCOL_ERROR], "{kind}");
    }
}

/// RFC 9113 requires stream errors: FRAME_SIZE_ERROR for the first (section 6.3), PROTOCOL_ERROR for the second (section 6.9).
#[tokio::test(start_paused = true)]
async fn stream_errors_end_the_connection() {
    for frame in [raw(PRIORITY, 0, 1, &[0; 4]), window_update(1, 0)] {
        assert_eq!(end_over(frame.clone()).await, [Http2Error::PROTOCOL_ERROR], "{frame:?}");
    }
}

/// RFC 9113 section 4.3 requires COMPRESSION_ERROR.
#[tokio::test(start_paused = true)]
async fn invalid_hpack_is_a_protocol_error() {
    assert_eq!(end_over(raw(HEADERS, END_HEADERS, 3, &[0x80])).await, [Http2Error::PROTOCOL_ERROR]);
}

/// RFC 9113 section 6.9.1 requires a stream error, FLOW_CONTROL_ERROR. With h2 the call goes on.
#[tokio::test(start_paused = true)]
async fn window_overflow_after_the_request_was_sent_is_ignored() {
    let answer = [window_update(1, 0x7FFF_FFFF), response(1), data(1, text("hello")), trailers(1, "0")];
    assert_eq!(outcome(answer).await.unwrap(), "hello");
}

/// RFC 7541 section 4.2: the encoder must signal the smallest of several sizes, before the last.
#[tokio::test(start_paused = true)]
async fn smaller_of_two_table_sizes_in_one_settings_is_ignored() {
    const HEADER_TABLE_SIZE: u16 = 0x1;
    let server = TestServer::start();
    let (io, writes) = server.dial();
    let sizes = [(HEADER_TABLE_SIZE, 0), (HEADER_TABLE_SIZE, 4096)];
    let mut peer = crate::common::peer::RawPeer::client(io, sizes).await;
    peer.send([request(1, ECHO_PATH), data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
    let wire = writes.take().concat();
    let mut rest = &wire[..];
    let first = loop {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        if rest[3] == HEADERS {
            break rest[FRAME_HEADER];
        }
        rest = &rest[FRAME_HEADER + length..];
    };
    assert_ne!(first & 0xe0, 0x20, "a dynamic table size update");
}

/// RFC 9113 section 6.5.2: a client must treat it as a connection error.
#[tokio::test(start_paused = true)]
async fn settings_with_enable_push_from_a_server_are_accepted() {
    const ENABLE_PUSH: u16 = 0x2;
    let (client, mut server) = client_with(|_| {}, [(ENABLE_PUSH, 1)]).await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.next().await;
    server.send([response(1), data(1, text("hello")), trailers(1, "0")]).await;
    assert_eq!(soon("the answer", call).await.unwrap().unwrap().text, "hello");
}
