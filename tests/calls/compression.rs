//! Tests compression on the wire independently of the algorithm: which side may compress, and the flag of each message. The
//! algorithm here is a toy whose output a test can write by hand.

use std::sync::Arc;

use barewire::wire::encoding::Encoding;
use barewire::{
    CallOptions, Client, Code, Compressor, Compressors, DecompressError, Request, Response, Router, Server,
    ServerOptions, Status,
};
use bytes::{BufMut, Bytes, BytesMut};

use crate::common::frames::*;
use crate::common::peer::{RawPeer, value};
use crate::common::pipe::{PipeListener, connected, pipe};
use crate::common::server::{TestServer, client_with};
use crate::common::service::{CHAT, COUNT, ECHO, Note, note};
use crate::common::soon;

/// A toy algorithm named gzip: `z` and the reversed message; or `r`, a count, and a byte to repeat that often.
struct Toy;

impl Compressor for Toy {
    fn encoding(&self) -> Encoding {
        Encoding::Gzip
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> std::io::Result<()> {
        out.put_u8(b'z');
        out.extend(message.iter().rev());
        Ok(())
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        match message {
            [b'z', rest @ ..] if rest.len() <= limit => out.extend(rest.iter().rev()),
            [b'r', a, b, c, d, byte] => match u32::from_be_bytes([*a, *b, *c, *d]) as usize {
                count if count <= limit => out.put_bytes(*byte, count),
                _ => return Err(DecompressError::TooLarge),
            },
            [b'z', ..] => return Err(DecompressError::TooLarge),
            _ => return Err(DecompressError::Corrupt("neither z nor r".into())),
        }
        Ok(())
    }
}

pub fn toys() -> Compressors {
    Compressors::new([Arc::new(Toy) as Arc<dyn Compressor>])
}

/// Returns a compressed Length-Prefixed-Message.
fn packed(message: Bytes) -> Bytes {
    let mut payload = BytesMut::new();
    Toy.compress(&message[5..], &mut payload).unwrap();
    flagged(1, payload)
}

/// Returns a compressed message that decompresses to this many bytes.
fn bomb(count: u32) -> Bytes {
    flagged(1, [&b"r"[..], &count.to_be_bytes(), b"\0"].concat())
}

// The server.

/// Starts a server that compresses its answers with the toy, for clients that accept it.
fn compressing() -> TestServer {
    TestServer::with(|options| (options.compressors, options.encoding) = (toys(), Some(Encoding::Gzip)))
}

fn packed_request(stream: u32, path: &str) -> Frame {
    request(stream, path).field("grpc-encoding", "gzip")
}

#[tokio::test(start_paused = true)]
async fn server_compresses_only_for_clients_that_accept_the_encoding() {
    let server = compressing();
    let mut peer = server.connect().await;
    let ask = |stream| packed_request(stream, "/test.Service/Echo");
    let body = |stream| data(stream, packed(text("hi"))).end_stream();
    for (stream, list) in [(1, "gzip"), (3, "deflate, GZIP ,br"), (5, "identity,gzip")] {
        peer.send([ask(stream).field("grpc-accept-encoding", list), body(stream)]).await;
        peer.expect(response(stream).field("grpc-encoding", "gzip")).await;
        peer.expect(data(stream, packed(text("hi")))).await;
        peer.expect(trailers(stream, "0")).await;
    }
    for (stream, list) in [(7, "identity"), (9, "deflate,br"), (11, "")] {
        peer.send([ask(stream).field("grpc-accept-encoding", list), body(stream)]).await;
        peer.expect(response(stream)).await;
        peer.expect(data(stream, text("hi"))).await;
        peer.expect(trailers(stream, "0")).await;
    }
    // A client without grpc-accept-encoding gets an uncompressed answer, although its request was compressed.
    peer.send([ask(13), body(13)]).await;
    peer.expect(response(13)).await;
    peer.expect(data(13, text("hi"))).await;
}

#[tokio::test(start_paused = true)]
async fn compressed_and_uncompressed_messages_may_alternate() {
    let server = compressing();
    let mut peer = server.connect().await;
    let body = [packed(text("a")), text("b"), packed(text("c")), message([]), flagged(1, [])].concat();
    peer.send([packed_request(1, "/test.Service/Collect"), data(1, body).end_stream()]).await;
    let answer = peer.answer(1).await;
    let expected = Note { text: "3".into(), number: 5, ..Note::default() };
    assert_eq!(answer.body, message(prost::Message::encode_to_vec(&expected)));
    assert_eq!(answer.status(), ("0", ""));
}

#[tokio::test(start_paused = true)]
async fn each_message_of_a_stream_is_compressed_independently() {
    let server = compressing();
    let mut peer = server.connect().await;
    let ask = request(1, "/test.Service/Count").field("grpc-accept-encoding", "gzip");
    peer.send([ask, data(1, number(3)).end_stream()]).await;
    peer.expect(response(1).field("grpc-encoding", "gzip")).await;
    peer.expect(data(1, (1..=3).flat_map(|n| packed(number(n))).collect::<Vec<_>>())).await;
    peer.expect(trailers(1, "0")).await;
}

#[tokio::test(start_paused = true)]
async fn error_without_messages_has_no_grpc_encoding() {
    let server = compressing();
    let mut peer = server.connect().await;
    let ask = request(1, "/test.Service/Fail").field("grpc-accept-encoding", "gzip");
    peer.send([ask, data(1, number(5)).end_stream()]).await;
    peer.expect(response(1).field("grpc-status", "5").end_stream()).await;
}

#[tokio::test(start_paused = true)]
async fn unsupported_encoding_is_unimplemented_and_lists_supported_ones() {
    let server = compressing();
    let mut peer = server.connect().await;
    let ask = request(1, "/test.Service/Echo").field("grpc-encoding", "br");
    peer.send([ask, data(1, flagged(1, b"?")).end_stream()]).await;
    let answer = peer.answer(1).await;
    assert_eq!(answer.status(), ("12", "grpc-encoding \"br\" is not supported by this server"));
    assert_eq!(answer.header("grpc-accept-encoding"), Some("identity,gzip"));
    assert!(answer.is_trailers_only());
}

#[tokio::test(start_paused = true)]
async fn corrupt_or_oversized_compressed_message_is_refused() {
    let server = compressing();
    let mut peer = server.connect().await;
    for (stream, body, code, words) in [
        (1, flagged(1, b"?"), "13", "can't decompress the message with gzip: neither z nor r"),
        (3, bomb(4_194_305), "8", "decompressed message is over the limit of 4194304 bytes"),
        (5, bomb(u32::MAX), "8", "decompressed message is over the limit of 4194304 bytes"),
    ] {
        peer.send([packed_request(stream, "/test.Service/Echo"), data(stream, body).end_stream()]).await;
        let answer = peer.answer(stream).await;
        assert_eq!(answer.status(), (code, words));
    }
    // Exactly the limit: decompression succeeds, and decoding then fails.
    peer.send([packed_request(7, "/test.Service/Echo"), data(7, bomb(4_194_304)).end_stream()]).await;
    assert!(peer.answer(7).await.status().1.starts_with("message of /test.Service/Echo can't be decoded: "));
}

#[tokio::test(start_paused = true)]
async fn handler_and_size_limit_can_turn_compression_off_for_a_message() {
    struct Plain;
    impl Plain {
        async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
            let compress = request.text != "plain";
            Ok(Response::new(request.into_message()).compress(compress))
        }
    }
    let mut options = ServerOptions::default();
    (options.compressors, options.encoding, options.limits.min_compress_size) = (toys(), Some(Encoding::Gzip), 5);
    let (arrivals, incoming) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::new(Router::new(Plain).unary(ECHO, Plain::echo)).with_options(options);
    tokio::spawn(server.serve(PipeListener(incoming)));
    let (near, far) = pipe();
    arrivals.send(connected(near)).ok().unwrap();
    let mut peer = RawPeer::client(far, []).await;
    for (stream, words, sent) in
        [(1, "packed", packed(text("packed"))), (3, "plain", text("plain")), (5, "hi", text("hi"))]
    {
        let ask = request(stream, "/test.Service/Echo").field("grpc-accept-encoding", "gzip");
        peer.send([ask, data(stream, text(words)).end_stream()]).await;
        let answer = peer.answer(stream).await;
        assert_eq!((&answer.body[..], answer.status()), (&sent[..], ("0", "")), "{words}");
    }
}

// The client.

async fn client_of_toys() -> (Client, RawPeer) {
    client_with(|options| options.compressors = toys(), []).await
}

#[tokio::test(start_paused = true)]
async fn client_lists_its_encodings_and_compresses_on_request() {
    let (client, mut server) = client_of_toys().await;
    let ask = |client: Client| tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let call = ask(client.clone());
    let fields = server.expect_request(1).await;
    assert_eq!(value(&fields, "grpc-encoding"), None);
    assert_eq!(value(&fields, "grpc-accept-encoding"), Some("identity,gzip"));
    server.expect(data(1, text("hi")).end_stream()).await;
    // The answer is compressed although the request was not.
    server.send([response(1).field("grpc-encoding", "gzip"), data(1, packed(text("hello"))), trailers(1, "0")]).await;
    let answer = soon("the answer", call).await.unwrap().unwrap();
    assert_eq!((&*answer, answer.was_compressed()), (&note("hello"), true));

    let call = ask(client.with(CallOptions::new().encoding(Encoding::Gzip)));
    assert_eq!(value(&server.expect_request(3).await, "grpc-encoding"), Some("gzip"));
    server.expect(data(3, packed(text("hi"))).end_stream()).await;
    // The request is compressed and the answer is not.
    server.send([response(3), data(3, text("hello")), trailers(3, "0")]).await;
    let answer = soon("the answer", call).await.unwrap().unwrap();
    assert_eq!((&*answer, answer.was_compressed()), (&note("hello"), false));

    let _call = ask(client.with(CallOptions::new().encoding(Encoding::Gzip).compress(false)));
    assert_eq!(value(&server.expect_request(5).await, "grpc-encoding"), Some("gzip"));
    server.expect(data(5, text("hi")).end_stream()).await;
}

#[tokio::test(start_paused = true)]
async fn encoding_without_compressor_fails_before_sending() {
    let (client, mut server) = client_of_toys().await;
    let client = client.with(CallOptions::new().encoding(Encoding::Zstd));
    let status = soon("the outcome", client.unary(ECHO, note("hi"))).await.unwrap_err();
    let message = "this client has no compressor for zstd: add one to ClientOptions::compressors";
    assert_eq!((status.code(), status.message()), (Code::Internal, message));
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn single_messages_of_a_stream_can_be_sent_uncompressed() {
    let (client, mut server) = client_of_toys().await;
    let client = client.with(CallOptions::new().encoding(Encoding::Gzip));
    let (mut out, _notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    out.send(note("a")).await.unwrap();
    out.compress(false);
    out.send(note("b")).await.unwrap();
    out.compress(true);
    out.send(note("c")).await.unwrap();
    server.expect(data(1, [packed(text("a")), text("b"), packed(text("c"))].concat())).await;
}

/// Returns the status of a server streaming call whose answer is these headers and this body.
async fn status_of(head: Frame, body: Bytes) -> Status {
    let (client, mut server) = client_of_toys().await;
    let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
    server.expect_request(1).await;
    server.send([head, data(1, body), trailers(1, "0")]).await;
    soon("the end", notes.recv()).await.expect_err("an invalid answer")
}

#[tokio::test(start_paused = true)]
async fn wrongly_compressed_answers_are_errors() {
    let gzip = response(1).field("grpc-encoding", "gzip");
    for (head, body, code, words) in [
        (
            response(1).field("grpc-encoding", "br"),
            flagged(1, b"?"),
            Code::Internal,
            "the server answered with grpc-encoding \"br\", which this client did not list in grpc-accept-encoding",
        ),
        (
            response(1),
            packed(text("hi")),
            Code::Internal,
            "message is flagged as compressed, but grpc-encoding is missing or identity",
        ),
        (gzip.clone(), flagged(1, b"?"), Code::Internal, "can't decompress the message with gzip: neither z nor r"),
        (gzip, bomb(u32::MAX), Code::ResourceExhausted, "decompressed message is over the limit of 4194304 bytes"),
    ] {
        let status = status_of(head, body).await;
        assert_eq!((status.code(), status.message()), (code, words));
    }
}

#[tokio::test(start_paused = true)]
async fn our_client_and_server_compress_both_ways() {
    let server = compressing();
    let (near, far) = pipe();
    server.arrivals.send(connected(near)).ok().unwrap();
    let mut options = barewire::ClientOptions::default();
    options.compressors = toys();
    let connector = crate::common::pipe::PipeConnector::new(far);
    let client = soon("the connection", Client::connect_with(connector, options)).await.unwrap();
    let client = client.with(CallOptions::new().encoding(Encoding::Gzip));
    let answer = soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap();
    assert_eq!((&*answer, answer.was_compressed()), (&note("hi"), true));
}
