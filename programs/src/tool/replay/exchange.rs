//! A connection of raw frames: sends what it is given, within the peer's windows, and records all bytes.
//!
//! Does only what keeps a well-behaved server talking: sends the preface, acknowledges SETTINGS and PING, and opens the windows
//! wide. Everything else is up to the caller, valid or not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::tool::together::{Either, either};
use barewire::inspector::capture::{Chunk, Connection};
use barewire::inspector::write::{DEFAULT_MAX_FRAME_SIZE, RawFrame};
use barewire::inspector::{Conversation, Direction, Frame, FrameHeader, FrameType, Schema};
use barewire::wire::http2::PREFACE;

/// RFC 9113 section 6.5.2.
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const DEFAULT_WINDOW: i64 = 65_535;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The stream of the call.
pub(super) const STREAM: u32 = 1;

/// The memory that a frame, and a message, take at most in addition to their bytes until the answer is compared.
const COST: usize = 64;

/// A byte stream to the server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExchangeLimits {
    /// Time for which the peer may neither send nor read.
    pub(super) patience: Duration,
    /// Bytes to receive; small frames count for more.
    pub(super) bytes: usize,
}

/// An open connection, and the bytes that passed on it.
pub(super) struct Exchange {
    socket: Box<dyn Stream>,
    began: Instant,
    record: Connection,
    conversation: Conversation,
    /// Bytes that may be sent on the connection, and on the stream.
    windows: [i64; 2],
    initial_window: i64,
    max_frame_size: usize,
    /// Acknowledgements to send.
    owed: Vec<u8>,
    /// Number of messages received.
    pub(super) messages: usize,
    /// True if the peer has ended the stream or the connection.
    pub(super) is_over: bool,
    /// True if frames are acknowledged automatically, which a script does not want.
    acknowledges: bool,
    limits: ExchangeLimits,
    received: usize,
    /// The reason why the connection ended early: a limit, or an error of reading.
    pub(super) trouble: Option<io::Error>,
}

impl Exchange {
    /// Creates the record of a new connection.
    pub(super) fn new(
        socket: Box<dyn Stream>,
        client: SocketAddr,
        server: SocketAddr,
        schema: Schema,
        limits: ExchangeLimits,
    ) -> Exchange {
        Exchange {
            socket,
            began: Instant::now(),
            record: Connection::new(client, server),
            conversation: Conversation::new(schema),
            windows: [DEFAULT_WINDOW; 2],
            initial_window: DEFAULT_WINDOW,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            owed: Vec::new(),
            messages: 0,
            is_over: false,
            acknowledges: false,
            limits,
            received: 0,
            trouble: None,
        }
    }

    /// Sends the preface and SETTINGS of a client, with windows that never run out.
    pub(super) async fn begin(&mut self) -> io::Result<()> {
        self.acknowledges = true;
        let mut wire = PREFACE.to_vec();
        RawFrame::settings(&[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]).write(&mut wire);
        RawFrame::window_update(0, LARGEST_WINDOW - DEFAULT_WINDOW as u32).write(&mut wire);
        self.send(&wire).await
    }

    /// Sends bytes unchanged.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut written, mut flushed) = (0, false);
        while !flushed && !self.is_over {
            // Reads meanwhile, because the peer may not read before it can write.
            let mut buffer = vec![0; 64 << 10];
            let rest = &bytes[written..];
            let outcome = {
                let (mut from, mut to) = tokio::io::split(&mut self.socket);
                let send = async {
                    match rest {
                        [] => to.flush().await.map(|()| 0),
                        rest => to.write(rest).await,
                    }
                };
                timeout(self.limits.patience, either(send, from.read(&mut buffer))).await
            };
            match outcome.map_err(|_| self.unread())? {
                Either::First(count) => {
                    let count = count?;
                    self.note(Direction::ToServer, &rest[..count]);
                    (written, flushed) = (written + count, rest.is_empty());
                }
                // Acknowledgements must not go into the middle of a frame, so they are sent later.
                Either::Second(count) => self.received(&buffer, count),
            }
        }
        self.pay().await
    }

    /// Sends DATA as the windows allow, in frames that the peer accepts. Waits for window until `deadline` at most.
    pub(super) async fn send_data(&mut self, mut data: &[u8], end_stream: bool, deadline: Instant) -> io::Result<bool> {
        loop {
            let room = self.windows.iter().copied().min().unwrap_or(0).max(0) as usize;
            let piece = data.len().min(room).min(self.max_frame_size);
            if piece > 0 || data.is_empty() {
                let (now, later) = data.split_at(piece);
                let mut wire = Vec::new();
                RawFrame::data(STREAM, now, end_stream && later.is_empty()).write(&mut wire);
                self.windows.iter_mut().for_each(|window| *window -= piece as i64);
                self.send(&wire).await?;
                data = later;
                if data.is_empty() {
                    return Ok(true);
                }
            } else if !self.receive(deadline).await? {
                return Ok(false);
            }
            if self.is_over {
                return Ok(false);
            }
        }
    }

    /// Reads once, and sends acknowledgements. Returns `false` at `deadline`, or if the peer has ended the call.
    pub(super) async fn receive(&mut self, deadline: Instant) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let mut buffer = vec![0; 64 << 10];
        let Ok(count) = timeout_at(deadline, self.socket.read(&mut buffer)).await else { return Ok(false) };
        self.received(&buffer, count);
        self.pay().await?;
        Ok(true)
    }

    /// Returns all bytes that passed.
    pub(super) fn into_record(self) -> Connection {
        self.record
    }

    async fn pay(&mut self) -> io::Result<()> {
        let owed = std::mem::take(&mut self.owed);
        if !owed.is_empty() && !self.is_over {
            let send = async {
                self.socket.write_all(&owed).await?;
                self.socket.flush().await
            };
            timeout(self.limits.patience, send).await.map_err(|_| self.unread())??;
            self.note(Direction::ToServer, &owed);
        }
        Ok(())
    }

    fn unread(&self) -> io::Error {
        let why = format!("the server has not read for {:?}; set another time with --patience", self.limits.patience);
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// Processes received bytes.
    fn received(&mut self, buffer: &[u8], count: io::Result<usize>) {
        // Bytes before a reset are kept.
        let count = count.unwrap_or_else(|error| {
            // A TLS alert. The end of a connection is not an error here.
            self.trouble = Some(error).filter(|error| error.kind() == io::ErrorKind::InvalidData);
            0
        });
        let bytes = &buffer[..count];
        if bytes.is_empty() {
            self.is_over = true;
            return;
        }
        self.note(Direction::ToClient, bytes);
        self.received += bytes.len() + COST;
        let mut wire = Vec::new();
        for frame in self.conversation.take_frames() {
            self.received += COST * (1 + 2 * frame.messages.len());
            if frame.direction == Direction::ToClient {
                self.heed(&frame, &mut wire);
            }
        }
        if self.acknowledges {
            self.owed.append(&mut wire);
        }
        if self.received > self.limits.bytes {
            let why = format!("the answer exceeds {} bytes; set another limit with --max-bytes", self.limits.bytes);
            (self.trouble, self.is_over) = (Some(io::Error::other(why)), true);
        }
    }

    fn heed(&mut self, frame: &Frame, wire: &mut Vec<u8>) {
        self.messages += frame.messages.len();
        let Some(header) = frame.header() else { return };
        let payload = frame.bytes.get(9..).unwrap_or_default();
        let first = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let acknowledged = header.has(FrameHeader::ACK);
        match header.kind {
            FrameType::SETTINGS if !acknowledged => {
                self.settings(payload);
                RawFrame::acknowledgement(FrameType::SETTINGS, []).write(wire);
            }
            FrameType::PING if !acknowledged => RawFrame::acknowledgement(FrameType::PING, payload).write(wire),
            FrameType::WINDOW_UPDATE => {
                let window = usize::from(header.stream > 0);
                self.windows[window] += i64::from(first & LARGEST_WINDOW);
            }
            FrameType::RST_STREAM if header.stream == STREAM => self.is_over |= self.acknowledges,
            FrameType::DATA | FrameType::HEADERS if header.stream == STREAM => {
                self.is_over |= self.acknowledges && header.ends_stream();
            }
            _ => {}
        }
    }

    fn settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            let [a, b, value @ ..] = setting else { continue };
            let value = value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            match u16::from_be_bytes([*a, *b]) {
                INITIAL_WINDOW_SIZE => {
                    self.windows[1] += i64::from(value) - self.initial_window;
                    self.initial_window = value.into();
                }
                MAX_FRAME_SIZE => self.max_frame_size = value.max(1) as usize,
                _ => {}
            }
        }
    }

    fn note(&mut self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let time = self.began.elapsed();
        self.conversation.set_time(time);
        self.conversation.push(direction, bytes);
        self.record.chunks.push(Chunk { time, direction, lost: 0, bytes: bytes.to_vec() });
    }
}

/// Returns the time after `wait`, or the latest possible one.
pub(super) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_secs(1 << 30))
}
