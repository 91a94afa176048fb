//! Follows the frames of HTTP/2 in a byte stream by their headers alone (RFC 9113 section 4.1): where each frame begins, and how
//! many bytes remain until the next one. It neither copies payloads nor validates frames, which h2 does.

use crate::protocol::http2::{FRAME_HEADER, FrameHeader, PREFACE};

/// A part of a frame in the byte stream.
pub(super) enum FramePart<'a> {
    /// The complete header.
    Header(FrameHeader),
    /// The next piece of the payload.
    Payload(&'a [u8]),
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    /// Bytes left of the preface.
    preface: usize,
    /// The incomplete header of a frame, and the number of its bytes that have arrived.
    header: [u8; FRAME_HEADER],
    have: usize,
    /// Bytes left of the payload of the current frame.
    payload: usize,
    /// True if a header block has begun and not ended.
    block: bool,
}

impl Frames {
    /// Creates a direction that begins with a preface of `length` bytes.
    pub(super) fn after_preface(length: usize) -> Frames {
        Frames { preface: length, header: [0; FRAME_HEADER], have: 0, payload: 0, block: false }
    }

    /// Creates a direction that begins with these bytes, and finds out whether it is the client's. Only a client's begins like
    /// the preface: a frame header that began so would announce five million bytes.
    pub(super) fn beginning_with(bytes: &[u8]) -> Frames {
        Frames::after_preface(if bytes.first() == PREFACE.first() { PREFACE.len() } else { 0 })
    }

    /// Tells whether the next byte begins a frame other than one that continues a header block.
    pub(super) fn is_at_border(&self) -> bool {
        self.have == 0 && self.payload == 0 && !self.block && self.preface == 0
    }

    /// Returns the number of bytes up to the end of the current payload or header.
    pub(super) fn to_next(&self) -> usize {
        match self.preface + self.payload {
            0 => FRAME_HEADER - self.have,
            left => left,
        }
    }

    /// Advances by `bytes` and calls `visit` with each complete frame header. Returns true if the end of a frame or header block
    /// was reached or passed.
    #[inline]
    pub(super) fn headers(&mut self, bytes: &[u8], mut visit: impl FnMut(FrameHeader)) -> bool {
        self.advance(bytes, |part| {
            if let FramePart::Header(header) = part {
                visit(header);
            }
        })
    }

    /// Advances by `bytes` and calls `visit` with each complete frame header and each piece of a payload. Returns true if the end
    /// of a frame or header block was reached or passed.
    #[inline]
    pub(super) fn advance<'a>(&mut self, mut bytes: &'a [u8], mut visit: impl FnMut(FramePart<'a>)) -> bool {
        let mut passed = false;
        let begun = (self.preface + self.payload).min(bytes.len());
        if begun > 0 {
            let preface = self.preface.min(begun);
            self.preface -= preface;
            self.payload -= begun - preface;
            visit(FramePart::Payload(&bytes[preface..begun]));
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
            visit(FramePart::Header(header));
            let length = header.length as usize;
            let (here, rest) = bytes.split_at(length.min(bytes.len()));
            visit(FramePart::Payload(here));
            self.payload = length - here.len();
            bytes = rest;
            passed |= self.payload == 0 && !self.block;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http2::FrameType;

    fn frame(kind: FrameType, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader { length: payload.len() as u32, kind, flags, stream };
        [&header.encode(), payload].concat()
    }

    /// The header and the payload of a frame.
    type Whole = (FrameHeader, Vec<u8>);

    fn conversation() -> (Vec<u8>, Vec<Whole>, Vec<usize>) {
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
        let parts = |frame: &Vec<u8>| (FrameHeader::parse(frame).unwrap(), frame[FRAME_HEADER..].to_vec());
        (wire, frames.iter().map(parts).collect(), borders)
    }

    #[test]
    fn frame_headers_and_payloads_are_found_for_every_chunk_size() {
        let (wire, sent, borders) = conversation();
        for size in 1..=wire.len() {
            let mut frames = Frames::beginning_with(&wire[..1]);
            let (mut seen, mut at, mut behind) = (Vec::<Whole>::new(), 0, 24);
            for piece in wire.chunks(size) {
                let passed = frames.advance(piece, |part| match part {
                    FramePart::Header(header) => seen.push((header, Vec::new())),
                    FramePart::Payload(piece) => {
                        seen.last_mut().into_iter().for_each(|(_, all)| all.extend_from_slice(piece))
                    }
                });
                at += piece.len();
                let last = borders.iter().rev().find(|border| **border <= at).copied().unwrap_or(24);
                assert_eq!(passed, last > behind, "at {at} in pieces of {size}");
                behind = behind.max(last);
                assert_eq!(frames.is_at_border(), borders.contains(&at), "at {at} in pieces of {size}");
            }
            assert_eq!(seen, sent, "in pieces of {size}");
        }
    }
}
