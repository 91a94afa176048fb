//! Searches for the next frame where the frame boundaries are unknown.
//!
//! ```text
//! header(9) payload header(9) …      two plausible headers in a row, or one whose frame ends at the last byte
//! ```

use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, PREFACE};

/// The default SETTINGS_MAX_FRAME_SIZE. The search rejects longer frames.
pub(crate) const LONGEST: u32 = 1 << 14;

/// The result of the search.
pub(crate) enum Found {
    /// Frames continue at this offset.
    Frames(usize),
    /// No frame begins before this offset; more bytes are needed to decide.
    NotBefore(usize),
}

/// Searches for frames in `bytes`, starting at `from`; earlier bytes were searched before.
pub(super) fn look_for_frames(bytes: &[u8], from: usize) -> Found {
    if from == 0 && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) {
        return Found::NotBefore(0);
    }
    for at in from..bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.starts_with(PREFACE) {
            return Found::Frames(at);
        }
        if rest.len() < FRAME_HEADER {
            return Found::NotBefore(at);
        }
        let Some(header) = plausible(rest) else { continue };
        let end = FRAME_HEADER + header.length as usize;
        match rest.get(end..) {
            Some([]) => return Found::Frames(at),
            Some(next) if next.len() >= FRAME_HEADER => {
                if plausible(next).is_some() {
                    return Found::Frames(at);
                }
            }
            _ => return Found::NotBefore(at),
        }
    }
    Found::NotBefore(bytes.len())
}

/// Parses nine bytes as a frame header; returns it if the type is known, and length, flags and stream are valid for it.
fn plausible(bytes: &[u8]) -> Option<FrameHeader> {
    let header = FrameHeader::parse(bytes)?;
    let reserved = bytes.get(5).is_some_and(|byte| byte & 0x80 != 0);
    let (flags, length, connection) = match header.kind {
        FrameType::DATA => (0x9, true, false),
        FrameType::HEADERS => (0x2d, header.length > 0, false),
        FrameType::PRIORITY => (0, header.length == 5, false),
        FrameType::RST_STREAM => (0, header.length == 4, false),
        FrameType::SETTINGS => (0x1, header.length % 6 == 0, true),
        FrameType::PUSH_PROMISE => (0xc, header.length > 4, false),
        FrameType::PING => (0x1, header.length == 8, true),
        FrameType::GOAWAY => (0, header.length >= 8, true),
        FrameType::WINDOW_UPDATE => (0, header.length == 4, header.stream == 0),
        FrameType::CONTINUATION => (0x4, true, false),
        _ => return None,
    };
    let fits = length && header.length <= LONGEST && header.flags & !flags == 0 && connection == (header.stream == 0);
    (fits && !reserved).then_some(header)
}
