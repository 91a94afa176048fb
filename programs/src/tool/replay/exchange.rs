//! A connection of raw frames: sends what it is told, keeps to the peer's windows, and records all that passes.
//!
//! Only what keeps a well-behaved server talking is done here: preface, SETTINGS and PING are acknowledged, windows are opened
//! wide. Everything else is the caller's, right or wrong.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

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

/// An open connection, and what has passed on it.
pub(super) struct Exchange {
    socket: TcpStream,
    began: Instant,
    record: Connection,
    conversation: Conversation,
    /// What may be sent on the connection, and on the stream.
    windows: [i64; 2],
    initial_window: i64,
    max_frame_size: usize,
    /// Acknowledgements that are still to be sent.
    owed: Vec<u8>,
    /// How many messages have come.
    pub(super) messages: usize,
    /// Whether the peer is done: with the stream, or with the connection.
    pub(super) is_over: bool,
    /// Whether it speaks of its own accord: a script acknowledges nothing.
    polite: bool,
}

impl Exchange {
    /// A connection on which nothing was said.
    pub(super) fn new(socket: TcpStream, server: SocketAddr, schema: Schema) -> io::Result<Exchange> {
        let client = socket.local_addr()?;
        Ok(Exchange {
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
            polite: false,
        })
    }

    /// Begins as a client does, with windows that never close.
    pub(super) async fn greet(&mut self) -> io::Result<()> {
        self.polite = true;
        let mut wire = PREFACE.to_vec();
        RawFrame::settings(&[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]).write(&mut wire);
        RawFrame::window_update(0, LARGEST_WINDOW - DEFAULT_WINDOW as u32).write(&mut wire);
        self.send(&wire).await
    }

    /// Sends bytes as they are.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() && !self.is_over {
            // A peer that does not read while it writes must not stop this side from reading.
            let mut buffer = vec![0; 64 << 10];
            let (mut from, mut to) = self.socket.split();
            let outcome = either(to.write(&bytes[written..]), from.read(&mut buffer)).await;
            match outcome {
                Either::First(count) => {
                    let count = count?;
                    self.note(Direction::ToServer, &bytes[written..written + count]);
                    written += count;
                }
                // What is owed for it must not stand in the middle of a frame.
                Either::Second(count) => self.received(&buffer, count),
            }
        }
        self.pay().await
    }

    /// Sends DATA as the windows open, in frames that the peer takes. Waits until `deadline` at most for room.
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
            } else if !self.hear(deadline).await? {
                return Ok(false);
            }
            if self.is_over {
                return Ok(false);
            }
        }
    }

    /// Reads once, and acknowledges what is to be; `false` when nothing came until `deadline` or nothing more will.
    pub(super) async fn hear(&mut self, deadline: Instant) -> io::Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let mut buffer = vec![0; 64 << 10];
        let Ok(count) = timeout_at(deadline, self.socket.read(&mut buffer)).await else { return Ok(false) };
        self.received(&buffer, count);
        self.pay().await?;
        Ok(true)
    }

    /// Everything that passed.
    pub(super) fn into_record(self) -> Connection {
        self.record
    }

    async fn pay(&mut self) -> io::Result<()> {
        let owed = std::mem::take(&mut self.owed);
        if !owed.is_empty() && !self.is_over {
            self.socket.write_all(&owed).await?;
            self.note(Direction::ToServer, &owed);
        }
        Ok(())
    }

    /// Takes in what was read.
    fn received(&mut self, buffer: &[u8], count: io::Result<usize>) {
        // A reset has its say as well: what came before it is there.
        let bytes = &buffer[..count.unwrap_or(0)];
        if bytes.is_empty() {
            self.is_over = true;
            return;
        }
        self.note(Direction::ToClient, bytes);
        let mut wire = Vec::new();
        for frame in self.conversation.take_frames() {
            if frame.direction == Direction::ToClient {
                self.heed(&frame, &mut wire);
            }
        }
        if self.polite {
            self.owed.append(&mut wire);
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
            FrameType::RST_STREAM if header.stream == STREAM => self.is_over |= self.polite,
            FrameType::DATA | FrameType::HEADERS if header.stream == STREAM => {
                self.is_over |= self.polite && header.ends_stream();
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
        let time = self.began.elapsed();
        self.conversation.set_time(time);
        self.conversation.push(direction, bytes);
        self.record.chunks.push(Chunk { time, direction, lost: 0, bytes: bytes.to_vec() });
    }
}

/// A point in time that far ahead, or as far as there is time.
pub(super) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_secs(1 << 30))
}
