//! Tests the choice of an encoding: by the server for all calls, by a handler or a caller for one call or message; and every
//! encoding on the wire.

use barewire::wire::encoding::Encoding;
use barewire::{
    CallOptions, Client, ClientOptions, Code, Outbound, Request, Response, Router, Server, ServerOptions, Status,
    compression,
};
use bytes::{Bytes, BytesMut};
use tokio::io::DuplexStream;

use crate::common::frames::*;
use crate::common::peer::{RawPeer, value};
use crate::common::pipe::{PipeConnector, PipeListener, connected, pipe};
use crate::common::server::{TestServer, client_with};
use crate::common::service::{CHAT, COUNT, ECHO, Note, note};
use crate::common::soon;

const ALL: [Encoding; 5] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy];
const LIST: &str = "identity,gzip,deflate,snappy,zstd,br";

/// Returns a compressed Length-Prefixed-Message.
fn packed(encoding: Encoding, message: Bytes) -> Bytes {
    let mut payload = BytesMut::new();
    compression::all().get(encoding).unwrap().compress(&message[5..], &mut payload).unwrap();
    flagged(1, payload)
}

/// A service that compresses as the request asks: the encoding, and for each message whether to compress it.
struct ChoosingService;

/// Returns the encoding that the text of a note names, or nothing.
fn chosen(request: &Note) -> Option<Encoding> {
    Encoding::from_name(request.text.as_bytes())
}

impl ChoosingService {
    async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        let encoding = chosen(&request);
        let response = Response::new(request.into_message());
        Ok(encoding.map_or(Response::new(note("none")), |encoding| response.with_encoding(encoding)))
    }

    async fn count(&self, request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        if let Some(encoding) = chosen(&request) {
            out.set_encoding(encoding);
        }
        for (text, compress) in [("a", true), ("b", false), ("c", true)] {
            out.compress(compress);
            out.send(note(text)).await?;
        }
        Ok(())
    }
}

/// Connects to that service, whose default encoding is gzip.
fn choosing() -> DuplexStream {
    let mut options = ServerOptions::default();
    (options.compressors, options.encoding) = (compression::all(), Some(Encoding::Gzip));
    let (arrivals, incoming) = tokio::sync::mpsc::unbounded_channel();
    let router =
        Router::new(ChoosingService).unary(ECHO, ChoosingService::echo).server_streaming(COUNT, ChoosingService::count);
    tokio::spawn(Server::new(router).with_options(options).serve(PipeListener(incoming)));
    let (near, far) = pipe();
    arrivals.send(connected(near)).ok().unwrap();
    far
}

#[tokio::test(start_paused = true)]
async fn handler_chooses_among_the_encodings_the_client_accepts() {
    let mut peer = RawPeer::client(choosing(), []).await;
    let mut streams = (1..).step_by(2);
    for (list, asked, sent) in [
        (LIST, "zstd", Encoding::Zstd),
        (LIST, "snappy", Encoding::Snappy),
        (LIST, "identity", Encoding::Identity),
        // If the client does not accept an encoding, the server's own choice applies, if the client accepts that.
        ("gzip", "zstd", Encoding::Gzip),
        ("br", "zstd", Encoding::Identity),
    ] {
        for path in ["/test.Service/Echo", "/test.Service/Count"] {
            let stream = streams.next().unwrap();
            let ask = request(stream, path).field("grpc-accept-encoding", list);
            peer.send([ask, data(stream, text(asked)).end_stream()]).await;
            let answer = peer.answer(stream).await;
            let name = (sent != Encoding::Identity).then(|| sent.name());
            assert_eq!(answer.header("grpc-encoding"), name, "{path} {asked}");
            let may = |message: Bytes| if name.is_some() { packed(sent, message) } else { message };
            let body = match path {
                "/test.Service/Echo" => may(text(asked)),
                _ => [may(text("a")), text("b"), may(text("c"))].concat().into(),
            };
            assert_eq!((&answer.body[..], answer.status()), (&body[..], ("0", "")), "{path} {asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_encoding_matches_its_header_on_the_wire() {
    let (client, mut server) = client_with(|options| options.compressors = compression::all(), []).await;
    for (encoding, stream) in ALL.into_iter().zip((1..).step_by(2)) {
        let other = client.with(CallOptions::new().encoding(encoding));
        let call = tokio::spawn(async move { other.unary(ECHO, note("hi")).await });
        let fields = server.expect_request(stream).await;
        assert_eq!(value(&fields, "grpc-encoding"), Some(encoding.name()));
        assert_eq!(value(&fields, "grpc-accept-encoding"), Some(LIST));
        server.expect(data(stream, packed(encoding, text("hi"))).end_stream()).await;
        let head = response(stream).field("grpc-encoding", encoding.name());
        server.send([head, data(stream, packed(encoding, text("hello"))), trailers(stream, "0")]).await;
        let answer = soon("the answer", call).await.unwrap().unwrap();
        assert_eq!((&*answer, answer.was_compressed()), (&note("hello"), true));
    }
}

#[tokio::test(start_paused = true)]
async fn every_encoding_works_between_our_client_and_server() {
    for encoding in ALL {
        let server =
            TestServer::with(|options| (options.compressors, options.encoding) = (compression::all(), Some(encoding)));
        let (near, far) = pipe();
        server.arrivals.send(connected(near)).ok().unwrap();
        let mut options = ClientOptions::default();
        options.compressors = compression::all();
        let client = soon("the connection", Client::connect_with(PipeConnector::new(far), options)).await.unwrap();
        let client = client.with(CallOptions::new().encoding(encoding));
        let long = note("route ".repeat(50_000));
        let answer = soon("the answer", client.unary(ECHO, &long)).await.unwrap();
        assert_eq!((*answer == long, answer.was_compressed()), (true, true), "{encoding}");
        let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
        for text in ["a", "", "c"] {
            out.send(note(text)).await.unwrap();
            assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note(text)), "{encoding}");
            assert!(notes.was_compressed(), "{encoding}");
        }
        out.finish().await.unwrap();
        assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_encoding_lists_supported_ones() {
    let server = TestServer::with(|options| options.compressors = compression::all());
    let mut peer = server.connect().await;
    // compression.md: refused even if no message is flagged as compressed.
    let ask = request(1, "/test.Service/Echo").field("grpc-encoding", "lzma");
    peer.send([ask, data(1, text("hi")).end_stream()]).await;
    let answer = peer.answer(1).await;
    assert_eq!(answer.status(), ("12", "grpc-encoding \"lzma\" is not supported by this server"));
    assert_eq!(answer.header("grpc-accept-encoding"), Some(LIST));
}

#[tokio::test(start_paused = true)]
async fn client_encoding_unknown_to_the_server_is_unimplemented() {
    let server = TestServer::start();
    let (near, far) = pipe();
    server.arrivals.send(connected(near)).ok().unwrap();
    let mut options = ClientOptions::default();
    options.compressors = compression::all();
    let client = soon("the connection", Client::connect_with(PipeConnector::new(far), options)).await.unwrap();
    let packing = client.with(CallOptions::new().encoding(Encoding::Gzip));
    let status = soon("the answer", packing.unary(ECHO, note("hi"))).await.unwrap_err();
    let words = "grpc-encoding \"gzip\" is not supported by this server";
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, words));
    assert_eq!(*soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"), "without it");
}

#[tokio::test(start_paused = true)]
async fn client_sends_small_messages_uncompressed() {
    let change = |options: &mut ClientOptions| {
        (options.compressors, options.limits.min_compress_size) = (compression::all(), 5);
    };
    let (client, mut server) = client_with(change, []).await;
    let client = client.with(CallOptions::new().encoding(Encoding::Gzip));
    // Two bytes of protobuf come before each text.
    for (words, is_packed, stream) in [("hi", false, 1), ("hi!", true, 3), ("", false, 5)] {
        let sent = match words {
            "" => message([]),
            words if is_packed => packed(Encoding::Gzip, text(words)),
            words => text(words),
        };
        let other = client.clone();
        let _call = tokio::spawn(async move { other.unary(ECHO, note(words)).await });
        assert_eq!(value(&server.expect_request(stream).await, "grpc-encoding"), Some("gzip"));
        server.expect(data(stream, sent).end_stream()).await;
    }
    let (mut out, _notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(7).await;
    out.send(note("hi")).await.unwrap();
    out.send(note("hi!")).await.unwrap();
    server.expect(data(7, [text("hi"), packed(Encoding::Gzip, text("hi!"))].concat())).await;
}

/// Only the lowest bit means compression, even if the stream has a `grpc-encoding`.
#[tokio::test(start_paused = true)]
async fn reserved_flags_are_internal_with_an_encoding() {
    for flag in [2, 3, 0x80, 0x81, 0xff] {
        let words = format!("invalid compressed flag {flag:#04x} in a message prefix: use 0 or 1");
        let body = flagged(flag, &packed(Encoding::Gzip, text("hi"))[5..]);
        let server = TestServer::with(|options| options.compressors = compression::all());
        let mut peer = server.connect().await;
        let ask = request(1, "/test.Service/Echo").field("grpc-encoding", "gzip");
        peer.send([ask, data(1, body.clone()).end_stream()]).await;
        assert_eq!(peer.answer(1).await.status(), ("13", &*words));

        let (client, mut server) = client_with(|options| options.compressors = compression::all(), []).await;
        let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
        server.expect_request(1).await;
        let head = response(1).field("grpc-encoding", "gzip");
        server.send([head, data(1, body), trailers(1, "0")]).await;
        let status = soon("the answer", call).await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, &*words));
    }
}
