//! Follows the frames of HTTP/2 as they pass, by their headers alone (RFC 9113 section 4.1): where each begins, and how far the
//! stream of bytes is from the next border. It copies no payload and judges nothing, which h2 does.

use crate::protocol::http2::{FRAME_HEADER, FrameHeader, PREFACE};

/// A part of a frame that has passed.
pub(super) enum Passed<'a> {
    /// Its header.
    Header(FrameHeader),
    /// Some more of its payload.
    Payload(&'a [u8]),
}

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

    /// A direction of unknown end that begins with these bytes. Only a client's begins as the preface does: a frame header that
    /// began so would announce five million bytes.
    pub(super) fn beginning_with(bytes: &[u8]) -> Frames {
        Frames::after_preface(if bytes.first() == PREFACE.first() { PREFACE.len() } else { 0 })
    }

    /// Whether the next byte begins a frame, and not one that continues a header block.
    pub(super) fn is_at_border(&self) -> bool {
        self.have == 0 && self.payload == 0 && !self.block && self.preface == 0
    }

    /// Goes on by these bytes; each frame header that is complete is shown. Tells whether a border was passed or reached.
    #[inline]
    pub(super) fn headers(&mut self, bytes: &[u8], mut seen: impl FnMut(FrameHeader)) -> bool {
        self.advance(bytes, |passed| {
            if let Passed::Header(header) = passed {
                seen(header);
            }
        })
    }

    /// Goes on by these bytes; each frame header that is complete is shown, and each piece of a payload. Tells whether a border
    /// was passed or reached.
    #[inline]
    pub(super) fn advance<'a>(&mut self, mut bytes: &'a [u8], mut seen: impl FnMut(Passed<'a>)) -> bool {
        let mut passed = false;
        let begun = (self.preface + self.payload).min(bytes.len());
        if begun > 0 {
            let preface = self.preface.min(begun);
            self.preface -= preface;
            self.payload -= begun - preface;
            seen(Passed::Payload(&bytes[preface..begun]));
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
            seen(Passed::Header(header));
            let length = header.length as usize;
            let (here, rest) = bytes.split_at(length.min(bytes.len()));
            seen(Passed::Payload(here));
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

    /// A frame: its header and its payload.
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
    fn headers_payloads_and_borders_are_seen_in_pieces_of_any_size() {
        let (wire, sent, borders) = conversation();
        for size in 1..=wire.len() {
            let mut frames = Frames::beginning_with(&wire[..1]);
            let (mut seen, mut at, mut behind) = (Vec::<Whole>::new(), 0, 24);
            for piece in wire.chunks(size) {
                let passed = frames.advance(piece, |passed| match passed {
                    Passed::Header(header) => seen.push((header, Vec::new())),
                    Passed::Payload(piece) => {
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
