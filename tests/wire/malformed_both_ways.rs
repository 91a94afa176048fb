//! Tests odd but legal input and illegal input, from a client to our server and from a server to our client: padding, priorities,
//! frames of a byte, thousands of messages, repeated and forbidden fields, false lengths, conversations that break off at any
//! byte.
//!
//! RFC 9113 sections 6.1, 6.2, 8.1.1, 8.2.1, 8.3; PROTOCOL-HTTP2.md.

use barewire::{Client, Code, Status};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::PipeConnector;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{COLLECT, COUNT, ECHO, Event, Note, READ, count, note};
use crate::common::{hpack, quiet, soon};

/// The PRIORITY flag of HEADERS.
const PRIORITISED: u8 = 0x20;

/// Splits a header block into five frames, with padding and a priority. h2 treats more CONTINUATIONs as an attack.
fn in_pieces(head: &Frame, flags: u8) -> Vec<Frame> {
    let Frame::Headers { stream, fields, .. } = head else { panic!("not a header block: {head:?}") };
    let block = hpack::encode(fields);
    // Nine bytes of padding, a dependency on stream 0, a weight.
    let begin = [&[9, 0, 0, 0, 0, 7][..], &[0; 9]].concat();
    let mut frames = vec![raw(HEADERS, flags | PADDED | PRIORITISED, *stream, &begin)];
    frames.extend(block.chunks(block.len().div_ceil(4)).map(|piece| raw(CONTINUATION, 0, *stream, piece)));
    let last = frames.pop().map(|last| match last {
        Frame::Raw { kind, stream, payload, .. } => Frame::Raw { kind, flags: END_HEADERS, stream, payload },
        other => other,
    });
    frames.extend(last);
    frames
}

/// Splits a message into padded frames of one byte, with empty frames between them.
fn in_crumbs(stream: u32, message: &[u8]) -> Vec<Frame> {
    message.iter().flat_map(|byte| [data(stream, []), data(stream, [*byte]).padded(*byte), data(stream, [])]).collect()
}

#[tokio::test(start_paused = true)]
async fn request_in_padded_one_byte_frames_is_served() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    client.send(in_pieces(&request(1, ECHO.path()), 0)).await;
    client.send(in_crumbs(1, &text("hello"))).await;
    client.send(half_close(1)).await;
    let answer = client.answer(1).await;
    assert_eq!((&answer.body[..], answer.status()), (&text("hello")[..], ("0", "")));
}

#[tokio::test(start_paused = true)]
async fn answer_in_padded_one_byte_frames_is_read() {
    let crumbs = [in_pieces(&response(1), 0), in_crumbs(1, &text("hello")), in_pieces(&trailers(1, "0"), END_STREAM)];
    assert_eq!(answered(crumbs.concat()).await.unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn thousands_of_messages_may_share_a_frame() {
    let many: Vec<u8> = (0..2000).flat_map(|_| number(1)).collect();
    assert!(many.len() <= MAX_FRAME_SIZE);
    let server = TestServer::start();
    let mut raw_client = server.connect().await;
    raw_client.send([request(1, COLLECT.path()), data(1, &many).end_stream()]).await;
    assert_eq!(raw_client.answer(1).await.body, message([0x0a, 1, b'0', 0x10, 0xd0, 0x0f]));

    let (client, mut server) = client_and_raw_server().await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send([response(1), data(1, &many), trailers(1, "0")]).await;
    for _ in 0..2000 {
        assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(1)));
    }
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}

/// Returns the result of a unary call whose answer is these frames.
async fn answered(frames: Vec<Frame>) -> Result<Note, Status> {
    let (client, mut server) = client_and_raw_server().await;
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    server.expect_request(1).await;
    server.expect(data(1, text("hi")).end_stream()).await;
    server.send(frames).await;
    soon("the answer", call).await.unwrap().map(barewire::Response::into_message)
}

#[tokio::test(start_paused = true)]
async fn padding_longer_than_its_frame_ends_the_connection() {
    let too_long =
        [raw(DATA, PADDED, 1, &[2, 0]), raw(DATA, PADDED, 1, &[]), raw(HEADERS, PADDED | END_HEADERS, 1, &[9, 0])];
    for wrong in too_long {
        let server = TestServer::start();
        let mut client = server.connect().await;
        client.send(request(1, READ.path())).await;
        client.send(wrong.clone()).await;
        assert_eq!(client.expect_end().await.len(), 1, "{wrong:?}");
        let status = answered(vec![response(1), wrong.clone()]).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{wrong:?}: {status}");
    }
}

/// RFC 9113 section 8.1.1: a message whose content-length differs from the length of its DATA is malformed.
#[tokio::test(start_paused = true)]
async fn wrong_content_length_in_an_answer_is_internal() {
    for length in ["3", "300", "-1", "twelve", ""] {
        let lie = response(1).field("content-length", length);
        let status = answered(vec![lie, data(1, text("hello")), trailers(1, "0")]).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{length:?}: {status}");
    }
    let truth = text("hello").len().to_string();
    let truthful = response(1).field("content-length", truth);
    assert_eq!(answered(vec![truthful, data(1, text("hello")), trailers(1, "0")]).await.unwrap(), note("hello"));
}

#[tokio::test(start_paused = true)]
async fn answer_nested_a_thousand_levels_is_internal() {
    let deep = [vec![0x1b; 1000], vec![0x1c; 1000]].concat();
    let status = answered(vec![response(1), data(1, message(deep)), trailers(1, "0")]).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
}

/// Repeats fields that a client may send only once: the invalid value is found in either place.
#[tokio::test(start_paused = true)]
async fn repeated_field_is_refused_if_either_value_is_invalid() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    let twice = [
        ("grpc-timeout", ["1S", "1 S"], "13"),
        ("grpc-encoding", ["identity", "lzma"], "12"),
        ("k-bin", ["AQI", "?"], "13"),
    ];
    let mut stream = 1;
    for (name, values, code) in twice {
        for [first, second] in [values, [values[1], values[0]]] {
            let head = request(stream, ECHO.path()).field(name, first).field(name, second);
            client.send([head, data(stream, text("hi")).end_stream()]).await;
            assert_eq!(client.answer(stream).await.status().0, code, "{name}: {first}, {second}");
            stream += 2;
        }
    }
}

/// Sends forbidden fields: h2 resets the stream, or ends the connection if it can't decode the block.
#[tokio::test(start_paused = true)]
async fn request_with_fields_forbidden_by_http2_is_refused() {
    let mut server = TestServer::start();
    let mut other = server.connect().await;
    for (name, value) in [
        (":path", &b"/test.Service/Read"[..]),
        (":method", b"POST"),
        (":status", b"200"),
        (":unknown", b"x"),
        ("", b"x"),
        ("a b", b"x"),
        ("k\0", b"x"),
        ("k", b"a\0b"),
        ("k", b"a\r\nb: c"),
        ("transfer-encoding", b"chunked"),
        ("upgrade", b"h2c"),
        ("proxy-connection", b"close"),
    ] {
        let mut client = server.connect().await;
        client.send([request(1, READ.path()).field(name, value), half_close(1)]).await;
        match client.next().await {
            Some(Frame::ResetStream { error: Http2Error::PROTOCOL_ERROR, .. }) => {}
            Some(Frame::GoAway { error, .. }) => assert_eq!(error, Http2Error::PROTOCOL_ERROR, "{name:?}"),
            frame => panic!("{name:?}: {frame:?}"),
        }
    }
    for authority in ["a b", "http://test", "test/path", "te\u{7f}st"] {
        let mut client = server.connect().await;
        client.send([request(1, READ.path()).set(":authority", authority), half_close(1)]).await;
        assert_eq!(client.answer(1).await.reset(), Some(Http2Error::PROTOCOL_ERROR), "{authority:?}");
    }
    other.send([request(1, ECHO.path()), data(1, text("hi")).end_stream()]).await;
    assert_eq!(other.answer(1).await.status(), ("0", ""));
    assert_eq!(server.probe.rest().await, []);
}

#[tokio::test(start_paused = true)]
async fn answer_with_fields_forbidden_by_http2_fails() {
    for (name, value) in [
        (":status", &b"200"[..]),
        (":path", b"/"),
        (":unknown", b"x"),
        ("", b"x"),
        ("Upper", b"x"),
        ("k", b"a\0b"),
        ("k", b"a\r\nb: c"),
        ("transfer-encoding", b"chunked"),
        ("connection", b"close"),
    ] {
        for wrong in [
            vec![response(1).field(name, value), data(1, text("hello")), trailers(1, "0")],
            vec![response(1), data(1, text("hello")), trailers(1, "0").field(name, value)],
        ] {
            let status = answered(wrong).await.expect_err(name);
            assert!(matches!(status.code(), Code::Internal | Code::Unavailable), "{name:?}: {status}");
        }
    }
}

/// The first of several statuses counts; a later OK does not turn an error into a success.
#[tokio::test(start_paused = true)]
async fn first_of_two_grpc_statuses_counts() {
    for (first, second, code) in [("5", "0", Code::NotFound), ("x", "0", Code::Unknown)] {
        let twice = trailers(1, first).field("grpc-status", second);
        let status = answered(vec![response(1), data(1, text("hello")), twice]).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    }
}

/// Disconnects or half-closes the socket after each byte: no handler and no task is left.
#[tokio::test(start_paused = true)]
async fn request_cut_at_any_byte_leaks_nothing() {
    let mut server = TestServer::start();
    let healthy = server.client().await;
    quiet().await;
    let before = Handle::current().metrics().num_alive_tasks();
    let request_bytes = [
        PREFACE,
        &wire([settings([]), settings_ack(), request(1, READ.path()), data(1, text("hello")), half_close(1)]),
    ]
    .concat();
    for length in 0..request_bytes.len() {
        for half_closes in [false, true] {
            let (mut io, _) = server.dial();
            io.write_all(&request_bytes[..length]).await.unwrap();
            if length % 2 == 0 {
                quiet().await;
            }
            if half_closes {
                io.shutdown().await.unwrap();
                let mut rest = Vec::new();
                soon("the end", tokio::io::AsyncReadExt::read_to_end(&mut io, &mut rest)).await.unwrap();
            }
            drop(io);
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            let after = Handle::current().metrics().num_alive_tasks();
            assert_eq!(after, before, "behind {length} of {} bytes", request_bytes.len());
        }
    }
    let began = server.probe.rest().await;
    let count = |event: Event| began.iter().filter(|came| **came == event).count();
    assert!(count(Event::Began) > 0);
    assert_eq!(count(Event::Began), count(Event::Dropped));
    assert_eq!(soon("an answer", healthy.unary(ECHO, note("hi"))).await.unwrap().text, "hi");
}

/// Disconnects the server after each byte: the call neither succeeds nor hangs.
#[tokio::test(start_paused = true)]
async fn answer_cut_at_any_byte_is_unavailable() {
    let answer = wire([response(1), data(1, text("hello")), trailers(1, "0")]);
    for length in 0..=answer.len() {
        for half_closes in [false, true] {
            let (near, far) = tokio::io::duplex(64 << 10);
            let connecting = Client::connect(PipeConnector::new(near));
            let (client, mut server) = tokio::join!(connecting, RawPeer::server(far, []));
            let client = client.unwrap();
            let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
            server.expect_request(1).await;
            server.write(&answer[..length]).await;
            if half_closes {
                server.shut_down().await;
            } else {
                drop(server);
            }
            let outcome = soon("the end", call).await.unwrap();
            match length == answer.len() {
                true => assert_eq!(outcome.unwrap().text, "hello"),
                false => assert_eq!(outcome.unwrap_err().code(), Code::Unavailable, "behind {length} bytes"),
            }
        }
    }
}
