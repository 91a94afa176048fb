//! Encodes frames, header blocks and messages.

use crate::wire::http2::{FrameHeader, FrameType};

/// The largest payload that a peer accepts by default (RFC 9113, section 6.5.2).
pub const DEFAULT_MAX_FRAME_SIZE: usize = 16_384;

/// A frame to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The frame type.
    pub kind: FrameType,
    /// Its flags.
    pub flags: u8,
    /// The stream, 0 for the connection. The highest of its 32 bits is the reserved one.
    pub stream: u32,
    /// The bytes after the frame header, padding included.
    pub payload: Vec<u8>,
    /// The length in the frame header, of which 24 bits are written; `None` for the real length.
    pub length: Option<u32>,
}

impl RawFrame {
    /// Returns a frame with its real length.
    pub fn new(kind: FrameType, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into(), length: None }
    }

    /// Returns a DATA frame.
    pub fn data(stream: u32, payload: impl Into<Vec<u8>>, end_stream: bool) -> Self {
        Self::new(FrameType::DATA, end_stream_flag(end_stream), stream, payload)
    }

    /// Returns HEADERS with this block, followed by CONTINUATION frames if the block exceeds `most` bytes.
    pub fn headers(stream: u32, block: &[u8], end_stream: bool, most: usize) -> Vec<Self> {
        let mut pieces = block.chunks(most.max(1));
        let first = pieces.next().unwrap_or_default();
        let mut frames = vec![Self::new(FrameType::HEADERS, end_stream_flag(end_stream), stream, first)];
        frames.extend(pieces.map(|piece| Self::new(FrameType::CONTINUATION, 0, stream, piece)));
        if let Some(last) = frames.last_mut() {
            last.flags |= FrameHeader::END_HEADERS;
        }
        frames
    }

    /// Returns an RST_STREAM frame.
    pub fn reset(stream: u32, error: u32) -> Self {
        Self::new(FrameType::RST_STREAM, 0, stream, error.to_be_bytes())
    }

    /// Returns a SETTINGS frame with these identifiers and values.
    pub fn settings(values: &[(u16, u32)]) -> Self {
        let pairs = values.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()));
        Self::new(FrameType::SETTINGS, 0, 0, pairs.collect::<Vec<u8>>())
    }

    /// Returns a SETTINGS ACK, or a PING ACK with this payload.
    pub fn acknowledgement(kind: FrameType, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(kind, FrameHeader::ACK, 0, payload)
    }

    /// Returns a GOAWAY frame.
    pub fn goaway(last_stream: u32, error: u32, debug: &[u8]) -> Self {
        let payload = [&last_stream.to_be_bytes(), &error.to_be_bytes(), debug].concat();
        Self::new(FrameType::GOAWAY, 0, 0, payload)
    }

    /// Returns a WINDOW_UPDATE frame.
    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(FrameType::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    /// Appends the frame's bytes.
    pub fn write(&self, wire: &mut Vec<u8>) {
        let length = self.length.unwrap_or(self.payload.len() as u32);
        let header = FrameHeader { length, kind: self.kind, flags: self.flags, stream: self.stream };
        wire.extend_from_slice(&header.encode());
        wire.extend_from_slice(&self.payload);
    }
}

fn end_stream_flag(end_stream: bool) -> u8 {
    if end_stream { FrameHeader::END_STREAM } else { 0 }
}

/// Encodes header fields as a block of literals without indexing and without Huffman code, with full names. It can
/// express anything (upper case, empty names, any octets), and does not change the dynamic table.
pub fn header_block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// Encodes an integer with a prefix of seven bits (RFC 7541, section 5.1), below an H bit of 0.
fn length(block: &mut Vec<u8>, length: usize) {
    match length.checked_sub(127) {
        None => block.push(length as u8),
        Some(rest) => {
            block.push(127);
            varint(block, rest as u64);
        }
    }
}

/// Encodes seven bits per byte, the lowest first; HPACK and protobuf share this encoding.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Returns a Length-Prefixed-Message with any first byte; 0 is uncompressed, 1 compressed.
pub fn message(flag: u8, payload: &[u8]) -> Vec<u8> {
    [&[flag], &(payload.len() as u32).to_be_bytes()[..], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::{Conversation, Decoder, Direction, Limits, Schema};
    use crate::wire::http2::PREFACE;

    #[test]
    fn written_frames_are_read_back() {
        let (long, octets) = ("x".repeat(40_000), [0, 255, 10, 13]);
        let fields: [(&str, &[u8]); 5] =
            [(":path", b"/a.B/C"), ("UPPER", b""), ("", b"no name"), ("long", long.as_bytes()), ("any", &octets)];
        let block = header_block(fields);
        let decoded = Decoder::new(Limits::default()).decode(&block);
        assert_eq!(decoded.error, None);
        let read: Vec<(&[u8], &[u8])> = decoded
            .fields
            .iter()
            .map(|field| (field.name.as_deref().unwrap(), field.value.as_deref().unwrap()))
            .collect();
        assert_eq!(read, fields.map(|(name, value)| (name.as_bytes(), value)));

        let mut wire = PREFACE.to_vec();
        let frames = RawFrame::headers(1, &block, true, DEFAULT_MAX_FRAME_SIZE);
        assert_eq!(frames.len(), 3);
        frames.iter().for_each(|frame| frame.write(&mut wire));
        RawFrame::data(1, message(7, b"abc"), true).write(&mut wire);
        let mut conversation = Conversation::new(Schema::new());
        conversation.push(Direction::ToServer, &wire);
        conversation.finish();
        conversation.check().unwrap();
        let kinds: Vec<u8> =
            conversation.frames().filter_map(|frame| frame.header()).map(|header| header.kind.0).collect();
        assert_eq!(kinds, [1, 9, 9, 0]);
        assert_eq!(conversation.frames().nth(3).unwrap().headers.len(), 5);
    }

    #[test]
    fn wrong_lengths_and_reserved_bits_can_be_written() {
        let mut wire = Vec::new();
        let frame = RawFrame { length: Some(0x1_02_03_04), ..RawFrame::new(FrameType(0xfe), 0xff, 0x8000_0001, "x") };
        frame.write(&mut wire);
        assert_eq!(wire, [2, 3, 4, 0xfe, 0xff, 0x80, 0, 0, 1, b'x']);
        wire.clear();
        RawFrame::settings(&[(4, 0x7fff_ffff)]).write(&mut wire);
        RawFrame::goaway(3, 11, b"hm").write(&mut wire);
        assert_eq!(wire[..15], [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 255, 255, 255]);
        assert_eq!(wire[15..], [0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 11, b'h', b'm']);
    }
}
