//! Adds debug data to the GOAWAYs that h2 writes: h2 can't send any itself.
//!
//! RFC 9113 section 6.8 (GOAWAY); gRFC A9 prescribes the debug data.

use super::frames::Frames;
use crate::protocol::http2::{FRAME_HEADER, FrameHeader, FrameType};

/// The debug data of a GOAWAY on a connection that has reached its age (gRFC A9).
pub(crate) const MAX_AGE: &str = "max_age";
/// The debug data of a GOAWAY on a connection that had no calls for long (gRFC A9).
pub(crate) const MAX_IDLE: &str = "max_idle";

/// The reason for a GOAWAY, and the position in the frames that h2 writes.
pub(super) struct GoawayReason {
    frames: Frames,
    reason: &'static str,
}

impl GoawayReason {
    /// Begins at a position in the frames that are sent.
    pub(super) fn new(frames: Frames, reason: &'static str) -> GoawayReason {
        GoawayReason { frames, reason }
    }

    /// Appends the bytes of h2 to `out`, up to `room` of them, with the reason in each GOAWAY. Returns the number of bytes
    /// taken. A GOAWAY that has begun is taken whole, even beyond `room`.
    pub(super) fn write(&mut self, bytes: &[u8], room: usize, out: &mut Vec<u8>) -> usize {
        let (mut at, mut end) = (0, bytes.len().min(room));
        while at < end {
            let left = &bytes[at..];
            let length = if self.frames.is_at_border() { goaway_length(left) } else { None };
            let taken = match length {
                Some(length) => {
                    end = end.max(at + length);
                    let header = FrameHeader::parse(left)
                        .map(|header| FrameHeader { length: header.length + self.reason.len() as u32, ..header });
                    out.extend(header.map(FrameHeader::encode).into_iter().flatten());
                    out.extend_from_slice(&left[FRAME_HEADER..length]);
                    out.extend_from_slice(self.reason.as_bytes());
                    length
                }
                None => {
                    let taken = self.frames.to_next().min(end - at);
                    out.extend_from_slice(&left[..taken]);
                    taken
                }
            };
            self.frames.headers(&left[..taken], |_| {});
            at += taken;
        }
        end
    }
}

/// Returns the length of the GOAWAY with which `bytes` begin, header included; `None` if they begin with something else.
fn goaway_length(bytes: &[u8]) -> Option<usize> {
    let header = FrameHeader::parse(bytes).filter(|header| header.kind == FrameType::GOAWAY)?;
    Some(FRAME_HEADER + header.length as usize).filter(|length| *length <= bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: FrameType, stream: u32, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader { length: payload.len() as u32, kind, flags: 4, stream };
        [&header.encode(), payload].concat()
    }

    #[test]
    fn each_goaway_gets_the_reason_in_every_room() {
        let wire = |debug: &[u8]| {
            let goaway = frame(FrameType::GOAWAY, 0, &[&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], debug].concat());
            // The payload of DATA looks like a GOAWAY.
            let data = frame(FrameType::DATA, 1, &frame(FrameType::GOAWAY, 0, &[0; 8]));
            let headers = frame(FrameType::HEADERS, 1, b"abc");
            [data.clone(), goaway.clone(), headers, goaway, data].concat()
        };
        let (sent, expected) = (wire(b""), wire(b"max_age"));
        for begun in [0, 5, 9, 20] {
            for room in 1..sent.len() {
                let mut frames = Frames::after_preface(0);
                frames.headers(&sent[..begun], |_| {});
                let mut reason = GoawayReason::new(frames, MAX_AGE);
                let (mut at, mut out) = (begun, sent[..begun].to_vec());
                while at < sent.len() {
                    let taken = reason.write(&sent[at..], room, &mut out);
                    assert!(taken > 0 && taken <= room + FRAME_HEADER + 8, "{taken}");
                    at += taken;
                }
                assert!(out == expected, "{begun}, room {room}");
            }
        }
    }
}
