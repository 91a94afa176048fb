//! Decodes the same header blocks twice: h2 encodes and decodes them, and the inspector decodes the bytes in between.
//!
//! `tests/wire/hpack_differential.rs` and the fuzz target of that name call it with any input. It is here and not in
//! `src/properties/`, because it uses h2.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use barewire::inspector::{Conversation, Direction, Frame, FrameHeader, FrameType, HeaderField, Schema};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Names from the static table and others, without those of a connection.
const NAMES: [&str; 16] = [
    "content-type",
    "user-agent",
    "authorization",
    "cookie",
    "set-cookie",
    "accept-encoding",
    "cache-control",
    "location",
    "vary",
    "www-authenticate",
    "grpc-timeout",
    "grpc-message",
    "key-bin",
    "x",
    "a-name-that-is-rather-long-and-stands-in-no-table-at-all",
    "traceparent",
];

/// Sizes of the dynamic table that a side may ask for.
const TABLES: [u32; 6] = [4_096, 0, 64, 200, 16_384, 65_536];

const CALLS: usize = 8;
const FIELDS: usize = 24;

/// Reads the input as calls, each with its request's headers, its answer's, and its trailers.
struct Script {
    client_table: u32,
    server_table: u32,
    calls: Vec<[HeaderMap; 3]>,
}

/// Two bytes choose the tables; then each field is a byte for its name, one for the length of its value or, from 0xF0 on,
/// for the end of the block, and the value.
pub fn hpack_differential(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without I/O can be built");
    runtime.block_on(hold(Script::read(data)));
}

impl Script {
    fn read(data: &[u8]) -> Script {
        let mut bytes = data.iter().copied();
        let mut table = || TABLES[usize::from(bytes.next().unwrap_or(0)) % TABLES.len()];
        let (client_table, server_table) = (table(), table());
        let mut calls = Vec::new();
        while bytes.len() > 0 && calls.len() < CALLS {
            calls.push([block(&mut bytes), block(&mut bytes), block(&mut bytes)]);
        }
        Script { client_table, server_table, calls }
    }
}

fn block(bytes: &mut impl Iterator<Item = u8>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    while headers.len() < FIELDS {
        let (Some(name), Some(length)) = (bytes.next(), bytes.next()) else { break };
        if length >= 0xF0 {
            break;
        }
        let value: Vec<u8> = bytes.by_ref().take(usize::from(length)).collect();
        let name = match name {
            0x80.. => HeaderName::from_bytes(format!("x-{}", name - 0x80).as_bytes()),
            _ => HeaderName::from_bytes(NAMES[usize::from(name) % NAMES.len()].as_bytes()),
        };
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_bytes(&value)) {
            value.set_sensitive(length % 7 == 3);
            headers.append(name, value);
        }
    }
    headers
}

/// Makes the calls, and compares the headers that h2 decodes on both sides with those that the inspector decodes.
async fn hold(script: Script) {
    let recorded = Record::default();
    let (near, far) = tokio::io::duplex(1 << 20);
    let server = tokio::spawn(serve(far, script.server_table, script.calls.clone()));
    let wire = TapPipe { pipe: near, recorded: recorded.clone() };
    let mut builder = h2::client::Builder::new();
    builder.header_table_size(script.client_table);
    let (mut client, connection) = builder.handshake(wire).await.expect("both sides are h2");
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    for [request, ..] in &script.calls {
        answers.push(call(&mut client, request).await);
    }
    drop(client);
    connection.await.expect("it does not panic").expect("the connection ends in peace");
    let requests = server.await.expect("it does not panic");

    let frames = decode(&recorded);
    let ends_block = |frame: &&Frame| {
        frame.header().is_some_and(|header| {
            matches!(header.kind, FrameType::HEADERS | FrameType::CONTINUATION) && header.has(FrameHeader::END_HEADERS)
        })
    };
    let blocks = |direction| {
        let whole = frames.iter().filter(ends_block).filter(move |frame| frame.direction == direction);
        whole.map(|frame| plain(&frame.headers)).collect::<Vec<_>>()
    };
    let sent = script.calls.iter();
    let expected: Vec<_> = sent.clone().map(|[request, ..]| of_map(request)).collect();
    assert_eq!(
        requests.iter().map(decoded_by_h2).collect::<Vec<_>>(),
        without_marks(&expected),
        "decoded by h2's server"
    );
    assert_eq!(blocks(Direction::ToServer), expected, "decoded by the inspector, from the client");
    let expected: Vec<_> = sent.flat_map(|[_, answer, trailers]| [of_map(answer), of_map(trailers)]).collect();
    let answers: Vec<_> = answers.iter().flatten().map(decoded_by_h2).collect();
    assert_eq!(answers, without_marks(&expected), "decoded by h2's client");
    assert_eq!(blocks(Direction::ToClient), expected, "decoded by the inspector, from the server");
}

async fn serve(pipe: DuplexStream, table: u32, calls: Vec<[HeaderMap; 3]>) -> Vec<HeaderMap> {
    let mut builder = h2::server::Builder::new();
    builder.header_table_size(table);
    let mut connection = builder.handshake::<_, Bytes>(pipe).await.expect("both sides are h2");
    let (mut requests, mut calls) = (Vec::new(), calls.into_iter());
    while let Some(accepted) = connection.accept().await {
        let (Ok((request, mut respond)), Some([_, answer, trailers])) = (accepted, calls.next()) else { break };
        requests.push(request.headers().clone());
        let mut response = Response::new(());
        *response.headers_mut() = answer;
        let mut body = respond.send_response(response, false).expect("the stream is open");
        body.send_trailers(trailers).expect("the stream is open");
    }
    requests
}

/// The headers of the answer, and its trailers.
async fn call(client: &mut h2::client::SendRequest<Bytes>, headers: &HeaderMap) -> [HeaderMap; 2] {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = "http://localhost/a.B/C".parse().expect("it is a URI");
    *request.headers_mut() = headers.clone();
    std::future::poll_fn(|cx| client.poll_ready(cx)).await.expect("the connection is open");
    let (answer, _) = client.send_request(request, true).expect("the connection is open");
    let (head, mut body) = answer.await.expect("it is answered").into_parts();
    let trailers = body.trailers().await.expect("it ends in trailers").unwrap_or_default();
    [head.headers, trailers]
}

/// Sorts fields by name, because a map has no order; values of one name keep their order.
type Plain = Vec<(Vec<u8>, Vec<u8>, bool)>;

fn of_map(headers: &HeaderMap) -> Plain {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec(), value.is_sensitive())
    };
    let mut plain: Plain = headers.iter().map(field).collect();
    plain.sort_by(|a, b| a.0.cmp(&b.0));
    plain
}

/// Returns the headers that h2 has decoded. It ignores the mark of a header that must never be indexed.
fn decoded_by_h2(headers: &HeaderMap) -> Plain {
    without_marks(&[of_map(headers)]).remove(0)
}

fn without_marks(blocks: &[Plain]) -> Vec<Plain> {
    let unmarked = |block: &Plain| block.iter().map(|(name, value, _)| (name.clone(), value.clone(), false)).collect();
    blocks.iter().map(unmarked).collect()
}

/// Returns the headers that the inspector has decoded, without pseudo-headers.
fn plain(headers: &[HeaderField]) -> Plain {
    let field = |field: &HeaderField| {
        let name = field.name.as_ref().expect("everything was seen").to_vec();
        let value = field.value.as_ref().expect("everything was seen").to_vec();
        (name, value, field.never_indexed)
    };
    let mut plain: Plain = headers.iter().map(field).filter(|(name, ..)| !name.starts_with(b":")).collect();
    plain.sort_by(|a, b| a.0.cmp(&b.0));
    plain
}

fn decode(recorded: &Record) -> Vec<Frame> {
    let mut conversation = Conversation::new(Schema::new());
    for (direction, bytes) in recorded.lock().expect("the lock is not poisoned").iter() {
        conversation.push(*direction, bytes);
    }
    conversation.finish();
    assert_eq!(conversation.check(), Ok(()));
    let frames = conversation.take_frames();
    let faults = frames.iter().flat_map(|frame| &frame.faults).collect::<Vec<_>>();
    assert!(faults.is_empty(), "h2 makes no mistakes: {faults:?}");
    frames
}

type Record = Arc<Mutex<Vec<(Direction, Vec<u8>)>>>;

/// The client's end of the pipe, which records the bytes of both directions.
struct TapPipe {
    pipe: DuplexStream,
    recorded: Record,
}

impl TapPipe {
    fn keep(&self, direction: Direction, bytes: &[u8]) {
        self.recorded.lock().expect("the lock is not poisoned").push((direction, bytes.to_vec()));
    }
}

impl AsyncRead for TapPipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.pipe).poll_read(cx, buffer);
        self.keep(Direction::ToClient, &buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for TapPipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.pipe).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            self.keep(Direction::ToServer, &bytes[..count]);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
