//! The official cases for misbehaving servers, with a server of raw frames: grpc-go's client for them, and ours.
//!
//! From negative-http2-interop-test-descriptions.md. One server implements all cases. It also checks what it sees of a client,
//! which no client can check.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use barewire_programs::interop::messages::{Payload, SimpleRequest, SimpleResponse};
use bytes::{Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::common::frames::{self, *};
use super::peers::Interop;
use super::programs::{outcome, words};

const PATIENCE: Duration = Duration::from_secs(60);

/// An error code that RFC 9113 does not name.
const UNNAMED: Http2Error = Http2Error(0x20);

#[tokio::test]
async fn goaway() {
    for client in clients("goaway") {
        let seen = pass(&client, "goaway", Http2Error::NO_ERROR).await;
        assert_eq!(seen.calls, [1, 1], "each call has a connection of its own: {}", client.display());
    }
}

#[tokio::test]
async fn rst_after_header() {
    for client in clients("rst_after_header") {
        let seen = pass(&client, "rst_after_header", Http2Error::NO_ERROR).await;
        assert_eq!(seen.calls, [1], "{}", client.display());
    }
}

#[tokio::test]
async fn rst_during_data() {
    let seen = pass(&Interop::ours().http2, "rst_during_data", Http2Error::NO_ERROR).await;
    assert_eq!(seen.calls, [1]);
}

/// grpc-go's client expects UNKNOWN here, and INTERNAL in the two other cases. grpc-go and the table in PROTOCOL-HTTP2.md turn
/// NO_ERROR into INTERNAL in all three. With a code without a name, grpc-go's client passes.
#[tokio::test]
async fn rst_during_data_with_grpc_go() {
    let Some(go) = Interop::of_go("misbehaving servers with grpc-go: rst_during_data") else { return };
    let seen = pass(&go.http2, "rst_during_data", UNNAMED).await;
    assert_eq!(seen.calls, [1]);
    let (outcome, _) = go_through(&go.http2, "rst_during_data", Http2Error::NO_ERROR).await;
    let failure = outcome.expect_err("with NO_ERROR, as described, the case does not pass");
    assert!(failure.contains("UnaryCall() = _, Internal, want _, Unknown"), "{failure}");
}

#[tokio::test]
async fn rst_after_data() {
    for client in clients("rst_after_data") {
        let seen = pass(&client, "rst_after_data", Http2Error::NO_ERROR).await;
        assert_eq!(seen.calls, [1], "{}", client.display());
    }
}

#[tokio::test]
async fn ping() {
    for client in clients("ping") {
        let seen = pass(&client, "ping", Http2Error::NO_ERROR).await;
        assert_eq!((seen.pings, seen.acknowledged), (4, 4), "{}", client.display());
    }
}

#[tokio::test]
async fn max_streams() {
    for client in clients("max_streams") {
        let seen = pass(&client, "max_streams", Http2Error::NO_ERROR).await;
        assert_eq!((seen.calls, seen.most_open), (vec![16], 1), "{}", client.display());
    }
}

/// Every five bytes of the response have 255 of padding, which the client has to count and release as window.
#[tokio::test]
async fn data_frame_padding() {
    let seen = pass(&Interop::ours().http2, "data_frame_padding", Http2Error::NO_ERROR).await;
    assert_eq!(seen.calls, [1]);
}

/// Our client, and grpc-go's if Go is installed.
fn clients(case: &str) -> Vec<std::path::PathBuf> {
    let go = Interop::of_go(&format!("misbehaving servers with grpc-go: {case}"));
    go.into_iter().chain([Interop::ours()]).map(|programs| programs.http2).collect()
}

/// Runs a client, which must pass. Returns what the server saw, for the caller to check.
async fn pass(client: &Path, case: &'static str, error: Http2Error) -> Observations {
    let (outcome, seen) = go_through(client, case, error).await;
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    seen
}

async fn go_through(client: &Path, case: &'static str, error: Http2Error) -> (Result<String, String>, Observations) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let seen = Arc::<Mutex<Observations>>::default();
    let server = ServerGuard(tokio::spawn(serve(listener, case, error, seen.clone())));
    let flags = words(["-server_host", "127.0.0.1", "-server_port", &port, "-test_case", case]);
    let outcome = outcome(client, &flags, PATIENCE).await;
    drop(server);
    let seen = std::mem::take(&mut *seen.lock().expect("the server has not panicked"));
    (outcome, seen)
}

/// A server that stops when the test ends.
struct ServerGuard(JoinHandle<()>);

impl Drop for ServerGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The server's observations of a client.
#[derive(Default)]
struct Observations {
    /// Number of calls on each connection.
    calls: Vec<usize>,
    /// Maximum number of concurrent streams.
    most_open: usize,
    pings: usize,
    acknowledged: usize,
}

async fn serve(listener: TcpListener, case: &'static str, error: Http2Error, seen: Arc<Mutex<Observations>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((io, _)) = listener.accept().await {
        connections.spawn(Connection::new(io, case, error, seen.clone()).serve());
    }
}

/// A connection, which answers one call at a time.
struct Connection {
    io: TcpStream,
    case: &'static str,
    /// The error code of RST_STREAM.
    error: Http2Error,
    seen: Arc<Mutex<Observations>>,
    /// The index of the connection in [`Observations::calls`].
    number: usize,
    reader: Reader,
    /// Bytes to write.
    out: BytesMut,
    /// The windows of the connection, and of a new stream.
    window: i64,
    stream_window: i64,
    streams: HashMap<u32, Stream>,
    /// Streams with a complete request.
    ready: VecDeque<u32>,
}

struct Stream {
    request: BytesMut,
    window: i64,
}

/// The client has ended the connection.
struct Disconnect;

impl Connection {
    fn new(io: TcpStream, case: &'static str, error: Http2Error, seen: Arc<Mutex<Observations>>) -> Connection {
        let mut calls = seen.lock().expect("the lock is not poisoned");
        calls.calls.push(0);
        let number = calls.calls.len() - 1;
        drop(calls);
        let (reader, out, streams, ready) = Default::default();
        let (window, stream_window) = (65_535, 65_535);
        Connection { io, case, error, seen, number, reader, out, window, stream_window, streams, ready }
    }

    async fn serve(mut self) {
        let _: Result<(), Disconnect> = self.converse().await;
    }

    async fn converse(&mut self) -> Result<(), Disconnect> {
        let mut preface = [0; PREFACE.len()];
        self.io.read_exact(&mut preface).await.map_err(|_| Disconnect)?;
        assert_eq!(preface, PREFACE);
        self.put(settings([]));
        if self.case == "max_streams" {
            self.put(settings([(MAX_CONCURRENT_STREAMS, 1)]));
        }
        loop {
            match self.ready.pop_front() {
                Some(stream) => self.answer(stream).await?,
                None => self.next().await?,
            }
        }
    }

    /// Answers as the case demands.
    async fn answer(&mut self, stream: u32) -> Result<(), Disconnect> {
        let request = &self.streams.get(&stream).expect("its request came").request;
        let request = SimpleRequest::decode(request.get(5..).unwrap_or_default()).expect("a request");
        let body = vec![0; request.response_size as usize];
        let answer =
            SimpleResponse { payload: Some(Payload { r#type: 0, body: body.into() }), ..SimpleResponse::default() };
        let mut answer = message(answer.encode_to_vec());
        self.ping();
        self.put(response(stream));
        self.ping();
        if self.case == "rst_after_header" {
            return self.end(stream, reset(stream, self.error));
        }
        if self.case == "rst_during_data" {
            answer.truncate(answer.len() / 2);
        }
        self.ping();
        self.send(stream, answer).await?;
        self.ping();
        if self.case.starts_with("rst") {
            return self.end(stream, reset(stream, self.error));
        }
        // Waits for the acknowledgements first, because a client may leave as soon as it has its response.
        while self.seen(|seen| seen.acknowledged < seen.pings) {
            self.next().await?;
        }
        self.end(stream, trailers(stream, "0"))?;
        if self.case == "goaway" {
            self.put(frames::goaway(stream, Http2Error::NO_ERROR));
        }
        Ok(())
    }

    /// Sends DATA as the windows allow; padding counts (RFC 9113 section 6.9.1).
    async fn send(&mut self, stream: u32, body: Bytes) -> Result<(), Disconnect> {
        let (size, padding) = if self.case == "data_frame_padding" { (5, Some(255)) } else { (MAX_FRAME_SIZE, None) };
        for piece in body.chunks(size) {
            let length = (piece.len() + padding.map_or(0, |padding| 1 + usize::from(padding))) as i64;
            while self.window.min(self.stream(stream)?.window) < length {
                self.next().await?;
            }
            self.window -= length;
            self.stream(stream)?.window -= length;
            let frame = data(stream, piece);
            self.put(padding.map_or(frame.clone(), |padding| frame.padded(padding)));
        }
        Ok(())
    }

    /// Sends the last frame of a stream, which closes the stream for the client.
    fn end(&mut self, stream: u32, last: Frame) -> Result<(), Disconnect> {
        self.streams.remove(&stream);
        self.put(last);
        Ok(())
    }

    fn ping(&mut self) {
        if self.case == "ping" {
            self.put(frames::ping([0; 8]));
            self.seen(|seen| seen.pings += 1);
        }
    }

    /// Writes pending bytes, and reads the next frame.
    async fn next(&mut self) -> Result<(), Disconnect> {
        self.io.write_all(&self.out.split()).await.map_err(|_| Disconnect)?;
        let frame = loop {
            match self.reader.next() {
                Some(frame) => break frame,
                None => match self.io.read_buf(&mut self.reader.wire).await {
                    Ok(0) | Err(_) => return Err(Disconnect),
                    Ok(_) => {}
                },
            }
        };
        self.take(frame);
        Ok(())
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Settings { ack: false, values } => {
                for (_, value) in values.iter().filter(|(name, _)| *name == INITIAL_WINDOW_SIZE) {
                    let more = i64::from(*value) - self.stream_window;
                    self.stream_window += more;
                    self.streams.values_mut().for_each(|stream| stream.window += more);
                }
                self.put(settings_ack());
            }
            Frame::Ping { ack: false, payload } => self.put(Frame::Ping { ack: true, payload }),
            Frame::Ping { ack: true, .. } => self.seen(|seen| seen.acknowledged += 1),
            Frame::WindowUpdate { stream: 0, increment } => self.window += i64::from(increment),
            Frame::WindowUpdate { stream, increment } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.window += i64::from(increment);
                }
            }
            Frame::Headers { stream, .. } => {
                let window = self.stream_window;
                self.streams.insert(stream, Stream { request: BytesMut::new(), window });
                let (open, number) = (self.streams.len(), self.number);
                self.seen(|seen| {
                    seen.calls[number] += 1;
                    seen.most_open = seen.most_open.max(open);
                });
            }
            Frame::Data { stream, payload, end_stream, .. } => self.take_data(stream, &payload, end_stream),
            Frame::ResetStream { stream, .. } => drop(self.streams.remove(&stream)),
            _ => {}
        }
    }

    fn take_data(&mut self, stream: u32, payload: &[u8], end_stream: bool) {
        let Some(open) = self.streams.get_mut(&stream) else { return };
        open.request.extend_from_slice(payload);
        if !payload.is_empty() {
            self.put(window_update(0, payload.len() as u32));
            self.put(window_update(stream, payload.len() as u32));
        }
        if end_stream {
            self.ready.push_back(stream);
        }
    }

    fn stream(&mut self, stream: u32) -> Result<&mut Stream, Disconnect> {
        self.streams.get_mut(&stream).ok_or(Disconnect)
    }

    fn put(&mut self, frame: Frame) {
        frame.encode(&mut self.out);
    }

    fn seen<T>(&self, note: impl FnOnce(&mut Observations) -> T) -> T {
        note(&mut self.seen.lock().expect("the lock is not poisoned"))
    }
}
