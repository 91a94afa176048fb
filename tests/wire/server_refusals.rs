//! Tests our server's answer to each kind of invalid request: the code, the message, and HTTP or gRPC.

use crate::common::frames::*;
use crate::common::peer::{Answer, RawPeer};
use crate::common::server::TestServer;
use crate::common::service::Event;

/// Returns the answer to a request on a new connection. Asserts that the connection still works.
async fn ask(frames: impl Into<Vec<Frame>>) -> Answer {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(frames).await;
    let answer = peer.answer(1).await;
    // The connection still works.
    peer.send([request(3, "/test.Service/Echo"), data(3, text("still here")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status(), ("0", ""));
    answer
}

/// Returns a call of the unary method with this body.
fn echo(body: impl AsRef<[u8]>) -> [Frame; 2] {
    [request(1, "/test.Service/Echo"), data(1, body).end_stream()]
}

/// Returns a call of the unary method with an additional header.
fn echo_with(name: &str, value: impl AsRef<[u8]>) -> [Frame; 2] {
    let [head, body] = echo(text("hi"));
    [head.field(name, value), body]
}

/// Asserts that a gRPC request was refused with exactly this Trailers-Only answer.
#[track_caller]
fn assert_refused(answer: &Answer, code: &str, message: &str) {
    let expected = headers(
        1,
        [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", code), ("grpc-message", message)],
    );
    let Frame::Headers { fields, .. } = expected else { unreachable!() };
    assert_eq!(answer.head, fields);
    assert!(answer.is_trailers_only());
}

#[tokio::test(start_paused = true)]
async fn malformed_timeout_is_internal() {
    for value in ["10", "S", "123456789S", "-1S", "+1S", "1 S", "1.5S", "1s", ""] {
        let message = format!("invalid grpc-timeout {value:?}: use 1 to 8 digits and one of H M S m u n");
        assert_refused(&ask(echo_with("grpc-timeout", value)).await, "13", &message);
    }
}

#[tokio::test(start_paused = true)]
async fn request_without_post_is_answered_with_405() {
    for method in ["GET", "PUT", "OPTIONS", "SOMETHING"] {
        let [head, body] = echo(text("hi"));
        let answer = ask([head.set(":method", method), body]).await;
        let words = format!("invalid method {method}: a gRPC request must be a POST");
        assert_eq!(answer.header(":status"), Some("405"));
        assert_eq!(answer.header("allow"), Some("POST"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("grpc-status"), None, "no status without END_STREAM");
        assert_eq!(answer.body, format!("{words}\n").as_bytes());
        assert_eq!(answer.status(), ("13", &*words));
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_without_a_body() {
    let answer = ask(request(1, "/test.Service/Echo").set(":method", "HEAD").end_stream()).await;
    assert_eq!(answer.header(":status"), Some("405"));
    assert!(answer.is_trailers_only());
}

#[tokio::test(start_paused = true)]
async fn other_content_type_is_answered_with_415() {
    for value in
        ["application/json", "text/html", "application/grpcfoo", "application/grpc-web", "application/grpc+json"]
    {
        let [head, body] = echo(text("hi"));
        let answer = ask([head.set("content-type", value), body]).await;
        let words = format!("invalid content-type {value:?}: use application/grpc or application/grpc+proto");
        assert_eq!(answer.header(":status"), Some("415"));
        assert_eq!(answer.body, format!("{words}\n").as_bytes());
        assert_eq!(answer.status(), ("13", &*words));
    }
    let [head, body] = echo(text("hi"));
    let answer = ask([head.without("content-type"), body]).await;
    assert_eq!(answer.header(":status"), Some("415"));
    assert_eq!(answer.body, b"content-type is missing: use application/grpc\n");
}

#[tokio::test(start_paused = true)]
async fn content_type_with_suffix_or_parameters_is_served() {
    for value in ["application/grpc+proto", "application/grpc;charset=utf-8", "Application/GRPC"] {
        let [head, body] = echo(text("hi"));
        assert_eq!(ask([head.set("content-type", value), body]).await.status(), ("0", ""), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_waits_for_the_request_at_most_five_seconds() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Echo").set("content-type", "text/html")).await;
    peer.expect_silence().await;
    let before = tokio::time::Instant::now();
    assert_eq!(peer.answer(1).await.header(":status"), Some("415"));
    assert_eq!(before.elapsed().as_secs(), 4, "five seconds, one of which has passed in `expect_silence`");
}

#[tokio::test(start_paused = true)]
async fn request_without_authority_or_host_is_answered_with_400() {
    let to_nobody = request(1, "/test.Service/Echo").without(":authority");
    let body = || data(1, text("hi")).end_stream();
    let answer = ask([to_nobody.clone(), body()]).await;
    assert_eq!(answer.header(":status"), Some("400"));
    assert_eq!(answer.status(), ("13", "the request has neither :authority nor host"));

    assert_eq!(ask([to_nobody.clone().field("host", "a"), body()]).await.status(), ("0", ""));
    assert_eq!(ask(echo_with("host", "a")).await.status(), ("0", ""));

    let answer = ask([to_nobody.field("host", "a").field("host", "b"), body()]).await;
    assert_eq!(answer.header(":status"), Some("400"));
    assert_eq!(answer.status(), ("13", "the request has more than one host header"));
}

#[tokio::test(start_paused = true)]
async fn unknown_service_and_unknown_method_get_different_messages() {
    for (path, words) in [
        ("/test.Service/Missing", "unknown method Missing of service test.Service"),
        ("/test.Service/echo", "unknown method echo of service test.Service"),
        ("/test.Service/Echo?x=y", "unknown method Echo?x=y of service test.Service"),
        ("/test.Service/", "unknown method  of service test.Service"),
        ("/test.Other/Echo", "unknown service test.Other"),
        ("/Test.Service/Echo", "unknown service Test.Service"),
        ("/prefix/test.Service/Echo", "unknown service prefix/test.Service"),
        ("/Echo", "invalid path \"/Echo\": use /package.Service/Method"),
        ("/", "invalid path \"/\": use /package.Service/Method"),
    ] {
        let answer = ask([request(1, path), data(1, text("hi")).end_stream()]).await;
        assert_refused(&answer, "12", words);
    }
}

/// h2 and the http crate refuse these before the server sees them.
#[tokio::test(start_paused = true)]
async fn request_forbidden_by_http2_is_reset() {
    let [head, _] = echo("");
    for (wrong, what) in [
        (head.clone().set(":path", "test.Service/Echo"), "a path without its slash"),
        (head.clone().field("connection", "keep-alive"), "a connection-specific header"),
        (head.clone().set("te", "gzip"), "te other than trailers"),
        (head.clone().without(":path"), "no path"),
        (head.clone().without(":scheme").field(":scheme", "http"), "a pseudo-header after the others"),
    ] {
        assert_eq!(ask(wrong.end_stream()).await.reset(), Some(Http2Error::PROTOCOL_ERROR), "{what}");
    }
}

/// h2 treats an invalid name as an invalid header block.
#[tokio::test(start_paused = true)]
async fn header_name_in_upper_case_ends_the_connection() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Echo").field("Upper", "case").end_stream()).await;
    assert_eq!(peer.expect_end().await, [Http2Error::PROTOCOL_ERROR]);
}

#[tokio::test(start_paused = true)]
async fn te_may_be_absent() {
    let [head, body] = echo(text("hi"));
    assert_eq!(ask([head.without("te"), body]).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn encoding_without_compressor_is_unimplemented_and_lists_accepted_ones() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(echo_with("grpc-encoding", "lzma")).await;
    let refusal = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "12"),
        ("grpc-message", "grpc-encoding \"lzma\" is not supported by this server"),
        ("grpc-accept-encoding", "identity"),
    ];
    peer.expect(headers(1, refusal).end_stream()).await;
}

#[tokio::test(start_paused = true)]
async fn compressed_message_without_an_encoding_is_internal() {
    let words = "message is flagged as compressed, but grpc-encoding is missing or identity";
    assert_refused(&ask(echo(flagged(1, b"?"))).await, "13", words);
    let [head, _] = echo("");
    let answer = ask([head.field("grpc-encoding", "identity"), data(1, flagged(1, b"?")).end_stream()]).await;
    assert_refused(&answer, "13", words);
}

#[tokio::test(start_paused = true)]
async fn reserved_flags_are_internal() {
    for flag in [2, 3, 0x80, 0x81, 0xff] {
        let words = format!("invalid compressed flag {flag:#04x} in a message prefix: use 0 or 1");
        assert_refused(&ask(echo(flagged(flag, b""))).await, "13", &words);
    }
}

#[tokio::test(start_paused = true)]
async fn message_over_the_limit_is_refused_on_its_prefix() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    // Only the prefix arrives, which is enough.
    peer.send([request(1, "/test.Service/Echo"), data(1, prefix(0, 6_291_456))]).await;
    let answer = peer.answer(1).await;
    assert_refused(&answer, "8", "message of 6291456 bytes is over the limit of 4194304");
    peer.expect(reset(1, Http2Error::NO_ERROR)).await;
}

#[tokio::test(start_paused = true)]
async fn message_limit_is_configurable_and_inclusive() {
    let server = TestServer::with(|options| options.limits.max_receive_message_size = 4);
    let mut peer = server.connect().await;
    peer.send(echo(text("hi"))).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
    peer.send([request(3, "/test.Service/Collect"), data(3, text("hi")), data(3, text("hi!")).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status(), ("8", "message of 5 bytes is over the limit of 4"));
}

#[tokio::test(start_paused = true)]
async fn truncated_messages_are_internal() {
    let whole = text("hi");
    for path in ["/test.Service/Echo", "/test.Service/Collect"] {
        for length in 1..whole.len() {
            let words = match length {
                ..5 => format!("stream ended after {length} of the 5 bytes of a message prefix"),
                _ => format!("stream ended after {} of the 4 bytes of a message", length - 5),
            };
            let answer = ask([request(1, path), data(1, &whole[..length]).end_stream()]).await;
            assert_refused(&answer, "13", &words);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn zero_or_two_messages_in_a_unary_call_are_unimplemented() {
    let none = "the stream ended without a message: exactly one is required";
    for path in ["/test.Service/Echo", "/test.Service/Count"] {
        assert_refused(&ask(request(1, path).end_stream()).await, "12", none);
        assert_refused(&ask([request(1, path), half_close(1)]).await, "12", none);
        let two = [request(1, path), data(1, [text("a"), text("b")].concat()).end_stream()];
        assert_refused(&ask(two).await, "12", "a second message arrived: exactly one is required");
    }
}

#[tokio::test(start_paused = true)]
async fn second_message_is_refused_before_the_half_close() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Echo"), data(1, text("a"))]).await;
    peer.expect_silence().await;
    peer.send(data(1, text("b"))).await;
    assert_refused(&peer.answer(1).await, "12", "a second message arrived: exactly one is required");
    peer.expect(reset(1, Http2Error::NO_ERROR)).await;
}

#[tokio::test(start_paused = true)]
async fn undecodable_message_is_internal() {
    for path in ["/test.Service/Echo", "/test.Service/Count", "/test.Service/Collect", "/test.Service/Chat"] {
        // Field 1 declares five bytes and has one.
        let answer = ask([request(1, path), data(1, message([0x0a, 5, b'x'])).end_stream()]).await;
        let (code, words) = answer.status();
        assert_eq!(code, "13");
        assert!(words.starts_with(&format!("message of {path} can't be decoded: ")), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn binary_metadata_that_is_not_base64_is_internal() {
    for value in ["?", "A", "AQI=,?", "-_8"] {
        let answer = ask(echo_with("k-bin", value)).await;
        assert_refused(&answer, "13", "the value of k-bin is not base64");
    }
}

/// Up to three times the limit the server answers with a gRPC status, beyond it h2 with 431.
#[tokio::test(start_paused = true)]
async fn request_metadata_over_the_limit_is_resource_exhausted_or_431() {
    let long = "x".repeat(70_000);
    let words = "the metadata of the request is larger than 65536 bytes, the max_metadata_size of this server";
    assert_refused(&ask(echo_with("k", &long)).await, "8", words);
    let answer = ask(echo_with("k", "x".repeat(210_000))).await;
    assert_eq!(answer.header(":status"), Some("431"));
    let just = "x".repeat(60_000);
    assert_eq!(ask(echo_with("k", &just)).await.status(), ("0", ""));
}

/// h2 ends the connection over a field that is longer than it is willing to buffer.
#[tokio::test(start_paused = true)]
async fn field_far_over_the_limit_ends_the_connection() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Echo").field("k", "x".repeat(500_000)).end_stream()).await;
    assert_eq!(peer.expect_end().await, [Http2Error::ENHANCE_YOUR_CALM]);
}

#[tokio::test(start_paused = true)]
async fn invalid_call_never_reaches_its_handler() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Wait").field("grpc-timeout", "x").end_stream()).await;
    peer.send(request(3, "/test.Service/Wait").end_stream()).await;
    peer.send([request(5, "/test.Service/Wait"), data(5, message([0x0a, 5])).end_stream()]).await;
    for stream in [1, 3, 5] {
        assert_ne!(peer.answer(stream).await.status().0, "0");
    }
    peer.send([request(7, "/test.Service/Wait"), data(7, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    assert_eq!(server.probe.last().await, None);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_http2_end_only_their_connection() {
    let server = TestServer::start();
    let mut other = server.connect().await;
    for bytes in [&b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", &[0xff; 64]] {
        let mut peer = RawPeer::silent(server.dial().0);
        peer.write(bytes).await;
        // The unread bytes do not matter; the end does.
        peer.shut_down().await;
        while peer.next_any().await.is_some() {}
    }
    other.send(echo(text("hi"))).await;
    assert_eq!(other.answer(1).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn data_on_an_unopened_stream_gets_goaway() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    // DATA on a stream that was never opened.
    peer.send(data(1, b"x")).await;
    assert_eq!(peer.expect_end().await, [Http2Error::PROTOCOL_ERROR]);
}
