//! The far end of a connection, played by a test: the frames it sends and expects.
//!
//! ```text
//! peer.send([request(1, "/test.Service/Echo"), data(1, text("hi")).end_stream()]).await;
//! peer.expect(response(1)).await;
//! peer.expect(data(1, text("hi"))).await;
//! peer.expect(trailers(1, "0")).await;
//! ```
//!
//! A peer acknowledges SETTINGS and PING and adds up WINDOW_UPDATE by itself. It returns the window of received data only if a
//! test asks for it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::frames::*;
use super::soon;

/// A raw client to our server, or a raw server to our client.
pub struct RawPeer {
    io: DuplexStream,
    reader: Reader,
    /// Frames of other streams, received while one stream was read to its end.
    aside: VecDeque<Frame>,
    returned: HashMap<u32, u64>,
    /// The settings in the other side's SETTINGS.
    pub settings: Vec<(u16, u32)>,
}

impl RawPeer {
    /// Plays a client: preface, and SETTINGS both ways.
    pub async fn client<const N: usize>(io: DuplexStream, own: [(u16, u32); N]) -> RawPeer {
        let mut peer = RawPeer::silent(io);
        peer.write(PREFACE).await;
        peer.greet(settings(own)).await;
        peer
    }

    /// Plays a server: preface and SETTINGS both ways.
    pub async fn server<const N: usize>(io: DuplexStream, own: [(u16, u32); N]) -> RawPeer {
        let mut peer = RawPeer::silent(io);
        let mut preface = [0; PREFACE.len()];
        soon("the preface", peer.io.read_exact(&mut preface)).await.expect("a client");
        assert_eq!(preface, PREFACE);
        peer.greet(settings(own)).await;
        peer
    }

    /// Creates a peer that has connected and sent nothing yet.
    pub fn silent(io: DuplexStream) -> RawPeer {
        let (reader, aside, returned) = (Reader::default(), VecDeque::new(), HashMap::new());
        RawPeer { io, reader, aside, returned, settings: Vec::new() }
    }

    async fn greet(&mut self, own: Frame) {
        self.send(own).await;
        match self.next_any().await {
            Some(Frame::Settings { ack: false, values }) => self.settings = values,
            other => panic!("SETTINGS come first, not {other:?}"),
        }
        self.send(settings_ack()).await;
        while self.next_any().await.expect("a connection") != settings_ack() {}
    }

    /// Sends frames in one write.
    #[track_caller]
    pub fn send(&mut self, frames: impl Into<Vec<Frame>>) -> impl Future<Output = ()> {
        let mut wire = BytesMut::new();
        frames.into().iter().for_each(|frame| frame.encode(&mut wire));
        let written = soon("room in the pipe", async move { self.io.write_all(&wire).await });
        async { written.await.expect("the connection is open") }
    }

    /// Sends any bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        soon("room in the pipe", self.io.write_all(bytes)).await.expect("the connection is open");
    }

    /// Returns the next frame other than SETTINGS, PING and WINDOW_UPDATE; `None` at the end of the connection.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<Frame>> {
        soon("a frame", async {
            match self.aside.pop_front() {
                Some(frame) => Some(frame),
                None => self.fresh().await,
            }
        })
    }

    /// Returns the next frame of any type.
    #[track_caller]
    pub fn next_any(&mut self) -> impl Future<Output = Option<Frame>> {
        soon("a frame", self.read())
    }

    /// Asserts that the next frame of [`Self::next`] is this one.
    #[track_caller]
    pub fn expect(&mut self, expected: Frame) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let next = self.next();
        async move {
            let came = next.await;
            assert!(came.as_ref() == Some(&expected), "at {place}\n     came {came:?}\n expected {expected:?}");
        }
    }

    /// Asserts that the next frame opens this stream. Returns its fields.
    #[track_caller]
    pub fn expect_request(&mut self, expected: u32) -> impl Future<Output = Vec<Field>> {
        let place = std::panic::Location::caller();
        let next = self.next();
        async move {
            match next.await {
                Some(Frame::Headers { stream, fields, .. }) if stream == expected => fields,
                other => panic!("at {place}: {other:?} instead of the request on {expected}"),
            }
        }
    }

    /// Asserts that only SETTINGS, PING and WINDOW_UPDATE arrive until all tasks are idle.
    #[track_caller]
    pub fn expect_silence(&mut self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            // The paused clock advances only when all tasks are idle.
            if let Ok(frame) = tokio::time::timeout(Duration::from_nanos(1), self.fresh()).await {
                panic!("at {place}: {frame:?} came");
            }
        }
    }

    /// Asserts that the connection ends. Returns the errors of the GOAWAYs before its end.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = Vec<Http2Error>> {
        let place = std::panic::Location::caller();
        async move {
            let mut errors = Vec::new();
            loop {
                match self.next().await {
                    Some(Frame::GoAway { error, .. }) => errors.push(error),
                    Some(frame) => panic!("at {place}: {frame:?} came"),
                    None => return errors,
                }
            }
        }
    }

    /// Reads a stream to its end; stores frames of other streams.
    #[track_caller]
    pub fn answer(&mut self, stream: u32) -> impl Future<Output = Answer> {
        soon("the end of the stream", async move {
            let mut answer = Answer::default();
            let mut others = VecDeque::new();
            while answer.end.is_none() {
                let frame = match self.aside.pop_front() {
                    Some(frame) => frame,
                    None => self.fresh().await.expect("the connection is open"),
                };
                if frame.stream() == stream { answer.add(frame) } else { others.push_back(frame) }
            }
            others.append(&mut self.aside);
            self.aside = others;
            answer
        })
    }

    /// Sends a PING, and asserts that its ACK is the next frame other than WINDOW_UPDATE.
    #[track_caller]
    pub fn ping(&mut self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            self.send(ping(*b"8 octets")).await;
            loop {
                match self.next_any().await {
                    Some(Frame::WindowUpdate { stream, increment }) => self.add_returned(stream, increment),
                    Some(Frame::Ping { ack: true, payload }) => return assert_eq!(payload, *b"8 octets"),
                    other => panic!("at {place}: {other:?} came"),
                }
            }
        }
    }

    /// Returns the window that the other side has returned so far for a stream, or for the connection (0).
    pub async fn window_returned(&mut self, stream: u32) -> u64 {
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_nanos(1), self.fresh()).await {
            self.aside.push_back(frame);
        }
        self.returned.get(&stream).copied().unwrap_or(0)
    }

    /// Closes the sending side.
    pub async fn shut_down(&mut self) {
        soon("the shutdown", self.io.shutdown()).await.expect("the connection is open");
    }

    async fn fresh(&mut self) -> Option<Frame> {
        loop {
            match self.read().await? {
                Frame::Settings { ack: false, values } => {
                    self.settings = values;
                    self.send(settings_ack()).await;
                }
                Frame::Ping { ack: false, payload } => self.send(Frame::Ping { ack: true, payload }).await,
                Frame::WindowUpdate { stream, increment } => self.add_returned(stream, increment),
                Frame::Settings { ack: true, .. } | Frame::Ping { ack: true, .. } => {}
                frame => return Some(frame),
            }
        }
    }

    fn add_returned(&mut self, stream: u32, increment: u32) {
        *self.returned.entry(stream).or_default() += u64::from(increment);
    }

    /// Cancel-safe: bytes read so far stay in the reader.
    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.reader.next() {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.reader.wire).await.expect("a pipe") == 0 {
                assert!(self.reader.wire.is_empty(), "the connection ended inside a frame");
                return None;
            }
        }
    }
}

/// A stream that was read to its end.
#[derive(Debug, Default)]
pub struct Answer {
    pub head: Vec<Field>,
    /// The payloads of all DATA frames, concatenated.
    pub body: Vec<u8>,
    /// The trailers; empty if the first HEADERS ended the stream.
    pub trailers: Vec<Field>,
    end: Option<Result<(), Http2Error>>,
}

impl Answer {
    fn add(&mut self, frame: Frame) {
        match frame {
            Frame::Headers { fields, end_stream, .. } => {
                if self.head.is_empty() {
                    self.head = fields
                } else {
                    self.trailers = fields
                }
                self.end = end_stream.then_some(Ok(()));
            }
            Frame::Data { payload, end_stream, .. } => {
                self.body.extend_from_slice(&payload);
                self.end = end_stream.then_some(Ok(()));
            }
            Frame::ResetStream { error, .. } => self.end = Some(Err(error)),
            frame => panic!("{frame:?} in an answer"),
        }
    }

    /// Returns the error of the RST_STREAM that ended the stream.
    pub fn reset(&self) -> Option<Http2Error> {
        self.end.and_then(Result::err)
    }

    /// Returns the first value of a field in the first HEADERS.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.head, name)
    }

    /// Returns the first value of a field in the header block that ended the stream.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        value(if self.trailers.is_empty() { &self.head } else { &self.trailers }, name)
    }

    /// Returns `grpc-status` and `grpc-message` as they are on the wire.
    pub fn status(&self) -> (&str, &str) {
        (self.trailer("grpc-status").expect("a status"), self.trailer("grpc-message").unwrap_or(""))
    }

    /// Returns true if the answer was Trailers-Only.
    pub fn is_trailers_only(&self) -> bool {
        self.trailers.is_empty() && self.body.is_empty() && self.reset().is_none()
    }
}

/// Returns the first value of a field.
pub fn value<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.name == name)?;
    Some(std::str::from_utf8(&field.value).expect("text"))
}
