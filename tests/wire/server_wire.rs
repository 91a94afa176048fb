//! Tests our server's answers, frame by frame, to a raw client with ordinary requests.

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::kinds;
use crate::common::server::TestServer;
use crate::common::service::{ECHO, Event, count, note};
use crate::common::{quiet, soon};

#[tokio::test(start_paused = true)]
async fn small_unary_answer_is_sent_in_one_write() {
    let server = TestServer::start();
    let (io, writes) = server.dial();
    let mut peer = RawPeer::client(io, []).await;
    writes.take();
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("hi"))).await;
    peer.expect(trailers(1, "0")).await;
    peer.expect_silence().await;
    let writes = writes.take();
    assert_eq!(writes.iter().map(kinds).collect::<Vec<_>>(), [[HEADERS, DATA, HEADERS]]);
}

#[tokio::test(start_paused = true)]
async fn answers_to_calls_that_arrive_together_share_a_write() {
    let server = TestServer::start();
    let (io, writes) = server.dial();
    let mut peer = RawPeer::client(io, []).await;
    writes.take();
    let call = |stream| [request(stream, "/test.Service/Echo"), data(stream, text("hi")).end_stream()];
    peer.send([call(1), call(3), call(5)].concat()).await;
    for stream in [1, 3, 5] {
        assert_eq!(peer.answer(stream).await.status(), ("0", ""));
    }
    assert_eq!(writes.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn small_streamed_messages_share_data_frames_and_one_write() {
    let server = TestServer::start();
    let (io, writes) = server.dial();
    let mut peer = RawPeer::client(io, []).await;
    writes.take();
    peer.send([request(1, "/test.Service/Count"), data(1, number(100)).end_stream()]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, (1..=100).map(number).collect::<Vec<_>>().concat())).await;
    peer.expect(trailers(1, "0")).await;
    let writes = writes.take();
    assert_eq!(writes.iter().map(kinds).collect::<Vec<_>>(), [[HEADERS, DATA, HEADERS]]);
}

#[tokio::test(start_paused = true)]
async fn messages_larger_than_a_batch_are_sent_in_frames_of_at_most_16_kib() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let long = "x".repeat(10_000);
    let flood = message(note_bytes(&long, 3));
    peer.send([request(1, "/test.Service/Flood"), data(1, flood).end_stream()]).await;
    peer.expect(response(1)).await;
    let mut body = Vec::new();
    while body.len() < 3 * text(&long).len() {
        match peer.next().await {
            Some(Frame::Data { stream: 1, payload, padding: None, end_stream: false }) => {
                assert!(payload.len() <= MAX_FRAME_SIZE);
                body.extend_from_slice(&payload);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(body, [text(&long), text(&long), text(&long)].concat());
    peer.expect(trailers(1, "0")).await;
}

/// Returns the payload of a note with a text and a number.
fn note_bytes(text: &str, number: u64) -> Vec<u8> {
    prost::Message::encode_to_vec(&crate::common::service::Note { number, ..note(text) })
}

#[tokio::test(start_paused = true)]
async fn error_without_messages_is_sent_as_trailers_only() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    // The expected answer: NOT_FOUND, a message beyond ASCII, google.rpc.Status { code: 5 } as details.
    let failure = crate::common::service::Note { number: 5, details: vec![0x08, 5], ..note("100% ☺") };
    let ask = request(1, "/test.Service/Fail").field("k", "v").field("k-bin", "AQI=");
    peer.send([ask, data(1, message(prost::Message::encode_to_vec(&failure))).end_stream()]).await;
    let fields = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "100%25 %E2%98%BA"),
        ("grpc-status-details-bin", "CAU"),
        ("k", "v"),
        ("k-bin", "AQI="),
    ];
    peer.expect(headers(1, fields).end_stream()).await;
    peer.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn error_after_messages_is_sent_in_the_trailers() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let ask = [request(1, "/test.Service/FailLate").field("k", "v"), data(1, message([0x10, 9])).end_stream()];
    peer.send(ask).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, number(1))).await;
    peer.expect(headers(1, [("grpc-status", "9"), ("k", "v")]).end_stream()).await;
}

#[tokio::test(start_paused = true)]
async fn http_status_is_200_for_every_code() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    for code in 1..=17 {
        let stream = code * 2 - 1;
        let ask = data(stream, number(code.into())).end_stream();
        peer.send([request(stream, "/test.Service/Fail"), ask]).await;
        let code = code.to_string();
        let fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", &code)];
        peer.expect(headers(stream, fields).end_stream()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn echoed_metadata_is_sent_as_initial_and_trailing_metadata() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let ask = request(1, "/test.Service/Echo")
        .field("k", "1")
        .field("trailing", "a")
        .field("k", "2")
        .field("spaced", "in the middle")
        .field("trailing", "b");
    peer.send([ask, data(1, text("hi")).end_stream()]).await;
    let answer = peer.answer(1).await;
    let values = |name: &str, fields: &[Field]| -> Vec<Vec<u8>> {
        fields.iter().filter(|field| field.name == name).map(|field| field.value.clone()).collect()
    };
    assert_eq!(values("k", &answer.head), [b"1", b"2"], "equal keys keep their order");
    assert_eq!(answer.header("spaced"), Some("in the middle"));
    assert_eq!(values("trailing", &answer.trailers), [b"a", b"b"]);
    assert_eq!(values("k", &answer.trailers), [[0u8; 0]; 0]);
}

#[tokio::test(start_paused = true)]
async fn binary_metadata_is_decoded_padded_or_not_joined_or_separate() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let all: Vec<u8> = (0..=255).collect();
    let unpadded = barewire::wire::binary::encode(&all);
    let padded = format!("{unpadded}==");
    let ask = request(1, "/test.Service/Echo")
        .field("trailing-bin", &padded)
        .field("trailing-bin", format!("AQI=,AwQ, ,{unpadded}"));
    peer.send([ask, data(1, text("hi")).end_stream()]).await;
    let answer = peer.answer(1).await;
    let values: Vec<_> = answer.trailers.iter().filter(|field| field.name == "trailing-bin").collect();
    let values: Vec<_> = values.iter().map(|field| std::str::from_utf8(&field.value).unwrap()).collect();
    assert_eq!(values, [&unpadded, "AQI", "AwQ", "", &unpadded], "decoded one by one, sent without padding");
    assert_eq!(answer.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn octets_beyond_ascii_are_accepted_and_echoed() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let octets: Vec<u8> = (0x20..=0x7e).chain(0x80..=0xff).chain([b'\t', b'.']).collect();
    let ask = request(1, "/test.Service/Echo").field("octets", &octets);
    peer.send([ask, data(1, text("hi")).end_stream()]).await;
    let answer = peer.answer(1).await;
    let echoed = answer.head.iter().find(|field| field.name == "octets").expect("the field is delivered");
    assert_eq!(echoed.value.trim_ascii(), octets.trim_ascii(), "spaces around a value may be removed");
    assert_eq!(answer.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn protocol_headers_are_not_delivered_and_unknown_ones_ignored() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let ask = request(1, "/test.Service/Echo")
        .field("grpc-accept-encoding", "gzip , identity,zstd")
        .field("grpc-accept-encoding", "br")
        .field("grpc-encoding", "identity")
        .field("grpc-timeout", "1H")
        .field("grpc-from-the-future", "x")
        .field("grpc-previous-rpc-attempts", "2")
        .field("user-agent", "someone/1");
    peer.send([ask, data(1, text("hi")).end_stream()]).await;
    let echoed = response(1).field("grpc-previous-rpc-attempts", "2").field("user-agent", "someone/1");
    peer.expect(echoed).await;
    peer.expect(data(1, text("hi"))).await;
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn headers_wait_for_the_first_message() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send(request(1, "/test.Service/Chat")).await;
    peer.expect_silence().await;
    peer.send(data(1, text("hi"))).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, text("hi"))).await;
    peer.expect_silence().await;
    peer.send(half_close(1)).await;
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn handler_can_send_headers_before_the_first_message() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Paced"), data(1, number(1)).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    peer.expect(response(1)).await;
    peer.expect_silence().await;
    server.probe.go(1);
    peer.expect(data(1, number(1))).await;
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn boundaries_of_data_frames_do_not_matter() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    // One byte in each frame.
    peer.send(request(1, "/test.Service/Echo")).await;
    for byte in text("hi") {
        peer.send(data(1, vec![byte])).await;
    }
    peer.send(half_close(1)).await;
    let answer = peer.answer(1).await;
    assert_eq!((&answer.body[..], answer.status()), (&text("hi")[..], ("0", "")));
    // A hundred messages in a frame, and one split between two frames.
    let note = text("ab");
    peer.send([request(3, "/test.Service/Collect"), data(3, note.repeat(100)), data(3, &note[..4])]).await;
    peer.send(data(3, &note[4..]).end_stream()).await;
    let answer = peer.answer(3).await;
    assert_eq!((&answer.body[..], answer.status()), (&message(note_bytes("202", 101))[..], ("0", "")));
}

#[tokio::test(start_paused = true)]
async fn end_stream_is_accepted_on_data_empty_data_or_headers() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let collect = |stream| request(stream, "/test.Service/Collect");
    peer.send([collect(1), data(1, text("a")).end_stream()]).await;
    peer.send([collect(3), data(3, text("a")), half_close(3)]).await;
    peer.send(collect(5).end_stream()).await;
    for (stream, messages) in [(1, 1), (3, 1), (5, 0)] {
        let answer = peer.answer(stream).await;
        let length = messages.to_string();
        assert_eq!((&answer.body[..], answer.status()), (&message(note_bytes(&length, messages))[..], ("0", "")));
    }
}

#[tokio::test(start_paused = true)]
async fn request_may_end_in_trailers() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    let last = headers(1, [("k", "v")]).end_stream();
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")), last]).await;
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn empty_message_is_received_and_sent() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Echo"), data(1, message([])).end_stream()]).await;
    peer.expect(response(1)).await;
    peer.expect(data(1, message([]))).await;
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn ping_is_answered_at_once_while_a_call_waits() {
    let mut server = TestServer::start();
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Wait"), data(1, text("hi")).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    peer.ping().await;
    server.probe.go(1);
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn settings_announce_the_configured_limits() {
    let server = TestServer::with(|options| {
        options.limits.max_metadata_size = 12_345;
        options.max_concurrent_streams = 77;
        options.limits.stream_window = 99_999;
    });
    let peer = server.connect().await;
    for expected in [(MAX_HEADER_LIST_SIZE, 12_345), (MAX_CONCURRENT_STREAMS, 77), (INITIAL_WINDOW_SIZE, 99_999)] {
        assert!(peer.settings.contains(&expected), "{expected:?} in {:?}", peer.settings);
    }
}

#[tokio::test(start_paused = true)]
async fn stream_over_the_limit_is_refused_and_others_continue() {
    let mut server = TestServer::with(|options| options.max_concurrent_streams = 1);
    let mut peer = server.connect().await;
    let wait = |stream| [request(stream, "/test.Service/Wait"), data(stream, text("hi")).end_stream()];
    peer.send(wait(1)).await;
    server.probe.expect(Event::Began).await;
    peer.send(wait(3)).await;
    peer.expect(reset(3, Http2Error::REFUSED_STREAM)).await;
    server.probe.go(1);
    assert_eq!(peer.answer(1).await.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn message_over_the_send_limit_is_not_sent() {
    let server = TestServer::with(|options| options.limits.max_send_message_size = 3);
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
    let answer = peer.answer(1).await;
    assert_eq!(answer.status(), ("8", "message of 4 bytes is over the limit of 3"));
    assert!(answer.is_trailers_only());
}

#[tokio::test(start_paused = true)]
async fn our_client_gets_the_same_answer_as_a_raw_one() {
    let server = TestServer::start();
    let client = server.client().await;
    let answer = soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap();
    assert_eq!(*answer, note("hi"));
    quiet().await;
    let mut notes = client.server_streaming(crate::common::service::COUNT, count(3)).await.unwrap();
    for number in 1..=3 {
        assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(count(number)));
    }
    assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
}
