//! The frames of HTTP/2 as they go by, by their headers alone (RFC 9113 section 4.1): how far the stream of bytes is from the
//! next border. Nothing is copied and nothing is judged; that is h2's.

use crate::protocol::http2::{FRAME_HEADER, FrameHeader};

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// What is left of the preface.
    preface: usize,
    /// The header of a frame of which so many bytes have come.
    header: [u8; FRAME_HEADER],
    have: usize,
    /// What is left of a frame's payload.
    payload: usize,
    /// Whether a header block has begun and not ended.
    block: bool,
}

impl Frames {
    /// A direction that begins with so many bytes of preface.
    pub(super) fn after_preface(length: usize) -> Frames {
        Frames { preface: length, header: [0; FRAME_HEADER], have: 0, payload: 0, block: false }
    }

    /// Whether the next byte begins a frame, and not one that continues a header block.
    pub(super) fn is_at_border(&self) -> bool {
        self.have == 0 && self.payload == 0 && !self.block && self.preface == 0
    }

    /// Goes on by these bytes; each frame header that is complete is shown. Tells whether a border was passed or reached.
    #[inline]
    pub(super) fn advance(&mut self, mut bytes: &[u8], mut seen: impl FnMut(FrameHeader)) -> bool {
        let mut passed = false;
        let begun = (self.preface + self.payload).min(bytes.len());
        if begun > 0 {
            let preface = self.preface.min(begun);
            self.preface -= preface;
            self.payload -= begun - preface;
            bytes = &bytes[begun..];
            passed = self.preface + self.payload == 0 && preface == 0 && !self.block;
        }
        while !bytes.is_empty() {
            let header = match bytes.split_first_chunk::<FRAME_HEADER>() {
                Some((header, rest)) if self.have == 0 => {
                    bytes = rest;
                    *header
                }
                _ => {
                    let taken = (FRAME_HEADER - self.have).min(bytes.len());
                    self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
                    self.have += taken;
                    bytes = &bytes[taken..];
                    if self.have < FRAME_HEADER {
                        break;
                    }
                    self.have = 0;
                    self.header
                }
            };
            let header = FrameHeader::of(&header);
            if header.carries_header_block() {
                self.block = !header.has(FrameHeader::END_HEADERS);
            }
            seen(header);
            let length = header.length as usize;
            let here = length.min(bytes.len());
            self.payload = length - here;
            bytes = &bytes[here..];
            passed |= self.payload == 0 && !self.block;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http2::{FrameType, PREFACE};

    fn frame(kind: FrameType, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind.0, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn conversation() -> (Vec<u8>, Vec<FrameHeader>, Vec<usize>) {
        let frames = [
            frame(FrameType::SETTINGS, 0, 0, &[0; 6]),
            frame(FrameType::SETTINGS, FrameHeader::ACK, 0, &[]),
            frame(FrameType::HEADERS, 0, 1, b"abc"),
            frame(FrameType::CONTINUATION, 0, 1, b""),
            frame(FrameType::CONTINUATION, FrameHeader::END_HEADERS, 1, b"de"),
            frame(FrameType::DATA, 1, 1, &[7; 300]),
            frame(FrameType::PING, 0, 0, b"8 octets"),
        ];
        let mut wire = PREFACE.to_vec();
        let mut borders = vec![24];
        for (at, frame) in frames.iter().enumerate() {
            wire.extend_from_slice(frame);
            if at != 2 && at != 3 {
                borders.push(wire.len());
            }
        }
        let header = |frame: &Vec<u8>| FrameHeader::parse(frame).unwrap();
        (wire, frames.iter().map(header).collect(), borders)
    }

    #[test]
    fn headers_and_borders_are_seen_in_pieces_of_any_size() {
        let (wire, headers, borders) = conversation();
        for size in 1..=wire.len() {
            let mut frames = Frames::after_preface(24);
            let (mut seen, mut at, mut behind) = (Vec::new(), 0, 24);
            for piece in wire.chunks(size) {
                let passed = frames.advance(piece, |header| seen.push(header));
                at += piece.len();
                let last = borders.iter().rev().find(|border| **border <= at).copied().unwrap_or(24);
                assert_eq!(passed, last > behind, "at {at} in pieces of {size}");
                behind = behind.max(last);
                assert_eq!(frames.is_at_border(), borders.contains(&at), "at {at} in pieces of {size}");
            }
            assert_eq!(seen, headers, "in pieces of {size}");
        }
    }
}
