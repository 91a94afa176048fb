//! The last frames of a connection as text, recorded by a [`Tap`](crate::transport::tap::Tap), for the status of a call that
//! fails.
//!
//! Frames are followed by their headers (RFC 9113 section 4.1). The beginnings of the payloads of RST_STREAM and GOAWAY
//! (sections 6.4 and 6.8) are stored too, because they give the reason.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frames::{FramePart, Frames};
use super::{Transfer, Witness};
use crate::protocol::http2::{FrameHeader, FrameType, Http2Error};

/// Number of frames remembered, both directions together.
const FRAMES: usize = 8;

/// Largest part of a payload that is stored, in bytes: an error code and the text that explains it.
const PAYLOAD: usize = 264;

/// Remembers the last frames of one connection. Clones share the same memory.
#[derive(Clone)]
pub(crate) struct LastFrames(Arc<Mutex<Memory>>);

struct Memory {
    frames: VecDeque<LastFrame>,
    sent: Follower,
    received: Follower,
}

/// One direction: the position in its frames, and the frame whose payload is incomplete.
#[derive(Default)]
struct Follower {
    /// `None` before the first byte.
    frames: Option<Frames>,
    begun: Option<LastFrame>,
}

/// A frame whose header is complete.
struct LastFrame {
    sent: bool,
    header: FrameHeader,
    /// The beginning of the payload, if that gives a reason.
    payload: Vec<u8>,
}

impl LastFrames {
    pub(crate) fn new() -> LastFrames {
        let memory = Memory { frames: VecDeque::new(), sent: Follower::default(), received: Follower::default() };
        LastFrames(Arc::new(Mutex::new(memory)))
    }

    /// Processes bytes that were sent or received.
    pub(crate) fn passed(&self, transfer: Transfer, bytes: &[u8]) {
        let Memory { frames, sent, received } = &mut *self.lock();
        let is_sent = transfer == Transfer::Sent;
        let follower = if is_sent { sent } else { received };
        follower.follow(bytes, is_sent, |frame| {
            if frames.len() == FRAMES {
                frames.pop_front();
            }
            frames.push_back(frame);
        });
    }

    /// Locks the memory, even after a panic elsewhere: a panic can't leave a frame half stored.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for LastFrames {
    fn last_frames(&self) -> Vec<String> {
        self.lock().frames.iter().map(LastFrame::to_string).collect()
    }
}

impl Follower {
    /// Advances by `bytes` and calls `store` with each frame as soon as the part of it that is stored is complete.
    fn follow(&mut self, bytes: &[u8], sent: bool, mut store: impl FnMut(LastFrame)) {
        if bytes.is_empty() {
            return;
        }
        let Follower { frames, begun } = self;
        frames.get_or_insert_with(|| Frames::beginning_with(bytes)).advance(bytes, |part| {
            let (mut frame, more) = match part {
                FramePart::Header(header) => (LastFrame { sent, header, payload: Vec::new() }, &[][..]),
                FramePart::Payload(piece) => match begun.take() {
                    Some(frame) => (frame, piece),
                    None => return,
                },
            };
            let missing = frame.payload_length() - frame.payload.len();
            frame.payload.extend_from_slice(&more[..missing.min(more.len())]);
            match frame.payload.len() == frame.payload_length() {
                true => store(frame),
                false => *begun = Some(frame),
            }
        });
    }
}

impl LastFrame {
    /// Returns the length of the part of the payload that is stored, in bytes.
    fn payload_length(&self) -> usize {
        match self.header.kind {
            FrameType::RST_STREAM | FrameType::GOAWAY => PAYLOAD.min(self.header.length as usize),
            _ => 0,
        }
    }
}

/// Writes the frame with `▶` if it was sent and `◀` if it was received: `◀ GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`,
/// `▶ DATA on 1, 22 B, END_STREAM`.
impl fmt::Display for LastFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LastFrame { sent, header, payload } = self;
        let FrameHeader { length, kind, stream, .. } = *header;
        f.write_str(if *sent { "▶ " } else { "◀ " })?;
        write!(f, "{kind}")?;
        if stream > 0 {
            write!(f, " on {stream}")?;
        }
        match (kind, payload.as_slice()) {
            (FrameType::RST_STREAM, [_, _, _, _]) => write!(f, " {}", Http2Error(number(payload))),
            (FrameType::GOAWAY, [_, _, _, _, error @ ..]) if error.len() >= 4 => {
                let (error, debug) = error.split_at(4);
                write!(f, " {}", Http2Error(number(error)))?;
                if debug.is_empty() { Ok(()) } else { write!(f, " \"{}\"", debug.escape_ascii()) }
            }
            _ if header.ends_stream() => write!(f, ", {length} B, END_STREAM"),
            (FrameType::SETTINGS | FrameType::PING, _) if header.has(FrameHeader::ACK) => f.write_str(" ACK"),
            (FrameType::DATA | FrameType::HEADERS, _) => write!(f, ", {length} B"),
            _ => Ok(()),
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http2::PREFACE;

    fn frame(kind: FrameType, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader { length: payload.len() as u32, kind, flags, stream };
        [&header.encode(), payload].concat()
    }

    #[test]
    fn last_frames_are_kept_for_every_chunk_size() {
        let goaway = [&[0, 0, 0, 1, 0, 0, 0, 11][..], b"too_many_pings"].concat();
        let sent = [
            PREFACE.to_vec(),
            frame(FrameType::SETTINGS, 0, 0, &[0; 6]),
            frame(FrameType::HEADERS, 4, 1, b"abc"),
            frame(FrameType::DATA, 1, 1, &[7; 300]),
        ];
        let received = [
            frame(FrameType::SETTINGS, FrameHeader::ACK, 0, &[]),
            frame(FrameType(0xfa), 0, 0, b"?"),
            frame(FrameType::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            frame(FrameType::GOAWAY, 0, 0, &goaway),
            frame(FrameType::GOAWAY, 0, 0, &[[0; 8].as_slice(), &[b'x'; 1000]].concat()),
            frame(FrameType::PING, FrameHeader::ACK, 0, b"8 octets"),
        ];
        let (sent, received) = (sent.concat(), received.concat());
        for size in [1, 2, 8, 9, 10, 100, 10_000] {
            let last = LastFrames::new();
            sent.chunks(size).for_each(|piece| last.passed(Transfer::Sent, piece));
            received.chunks(size).for_each(|piece| last.passed(Transfer::Received, piece));
            let expected = [
                "▶ HEADERS on 1, 3 B",
                "▶ DATA on 1, 300 B, END_STREAM",
                "◀ SETTINGS ACK",
                "◀ type 0xfa",
                "◀ RST_STREAM on 1 CANCEL",
                "◀ GOAWAY ENHANCE_YOUR_CALM \"too_many_pings\"",
                &format!("◀ GOAWAY NO_ERROR \"{}\"", "x".repeat(256)),
                "◀ PING ACK",
            ];
            assert_eq!(last.last_frames(), expected, "in pieces of {size}");
        }
    }
}
