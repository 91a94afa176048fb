//! Bytes that were not seen: a gap in a direction, or a connection whose beginning nobody recorded.
//!
//! What is missing is marked where it is missing. What depended on it becomes unknown and is never guessed: the HPACK table
//! where header blocks may be among the lost bytes, and where the messages of the open calls begin. Where the frames go on is
//! known if the gap ends within the frame in which it began; otherwise it is looked for.
//!
//! ```text
//! header(9) payload header(9) …      two headers in a row that could be ones, or one whose frame ends with the bytes
//! ```

use super::annotation::{Annotation, Layer};
use super::conversation::Conversation;
use super::frame::{Direction, FrameKind};
use super::half::{Expects, Half};
use super::http2::{FrameHeader, HEADER_LEN, PREFACE};
use super::limits::Limits;
use super::schema::Schema;

/// What SETTINGS_MAX_FRAME_SIZE is before anyone changes it. Longer frames are not believed when frames are looked for.
const LONGEST: u32 = 1 << 14;

impl Conversation {
    /// A conversation whose beginning was not seen, in either direction. HPACK's tables are unknown, and where the first frame
    /// begins is found out.
    pub fn joined_late(schema: Schema) -> Self {
        let mut conversation = Self::with_limits(schema, Limits::default());
        for direction in [Direction::ToServer, Direction::ToClient] {
            let half = conversation.half_mut(direction);
            half.expects = Expects::Lost { from: 0 };
            half.hpack.lose_track();
        }
        conversation
    }

    /// Says that so many bytes of a direction passed unseen, before those that are pushed next.
    pub fn lose(&mut self, direction: Direction, count: u64) {
        if count == 0 {
            return;
        }
        let (expected, pending) = self.half_mut(direction).lose(count);
        if !pending.is_empty() {
            self.cut(direction, expected, &pending);
        }
        self.lose_messages(direction);
        let mut lost = self.frame(direction, &[], FrameKind::Lost { count });
        lost.faults.push(format!("{} not recorded", super::text::count(count, "byte")));
        self.half_mut(direction).offset += count;
        self.keep(lost);
    }

    /// Bytes of a direction whose place in a frame, or in anything, is not known.
    pub(super) fn out_of_place(&mut self, direction: Direction, bytes: &[u8], label: &'static str) {
        let mut frame = self.frame(direction, bytes, FrameKind::Fragment);
        frame.annotations = Annotation::new(0..bytes.len(), Layer::Opaque, label).into();
        self.keep(frame);
    }
}

impl FrameHeader {
    fn carries_header_block(&self) -> bool {
        use super::http2::FrameType;
        matches!(self.kind, FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION)
    }

    /// Whether nine bytes could begin a frame: the type is known, and length, flags and stream are such as it has.
    fn is_plausible(bytes: &[u8]) -> Option<FrameHeader> {
        use super::http2::FrameType;
        let header = Self::parse(bytes)?;
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
        let fits =
            length && header.length <= LONGEST && header.flags & !flags == 0 && connection == (header.stream == 0);
        (fits && !reserved).then_some(header)
    }
}

/// Where the search for frames has come to.
pub(super) enum Found {
    /// They go on here.
    Frames(usize),
    /// Not before here, and what comes next decides.
    NotBefore(usize),
}

impl Half {
    /// So many bytes are lost: gives back what was expected and what was pending, and expects what comes after them.
    pub(super) fn lose(&mut self, count: u64) -> (Expects, Vec<u8>) {
        let expected = self.expects;
        let pending = std::mem::take(&mut self.pending);
        let (header_block, missing) = match expected {
            Expects::Rest { missing, header_block } => (header_block, Some(u64::from(missing))),
            Expects::Frame | Expects::Settings => match FrameHeader::parse(&pending) {
                Some(header) => {
                    let whole = HEADER_LEN as u64 + u64::from(header.length);
                    (header.carries_header_block(), Some(whole.saturating_sub(pending.len() as u64)))
                }
                None => (true, None),
            },
            Expects::Preface | Expects::Lost { .. } | Expects::Nothing => (true, None),
        };
        let within = missing.filter(|missing| count <= *missing);
        self.expects = match within {
            Some(missing) if missing == count => Expects::Frame,
            Some(missing) => Expects::Rest { missing: (missing - count) as u32, header_block },
            None if expected == Expects::Nothing => Expects::Nothing,
            None => Expects::Lost { from: 0 },
        };
        if within.is_none() || header_block {
            self.block = None;
            self.hpack.lose_track();
        }
        (expected, pending)
    }

    /// Looks for frames in `bytes`, from `from` on; what stands before that was looked at.
    pub(super) fn look_for_frames(bytes: &[u8], from: usize) -> Found {
        if from == 0 && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) {
            return Found::NotBefore(0);
        }
        for at in from..bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.starts_with(PREFACE) {
                return Found::Frames(at);
            }
            if rest.len() < HEADER_LEN {
                return Found::NotBefore(at);
            }
            let Some(header) = FrameHeader::is_plausible(rest) else { continue };
            let end = HEADER_LEN + header.length as usize;
            match rest.get(end..) {
                Some([]) => return Found::Frames(at),
                Some(next) if next.len() >= HEADER_LEN => {
                    if FrameHeader::is_plausible(next).is_some() {
                        return Found::Frames(at);
                    }
                }
                _ => return Found::NotBefore(at),
            }
        }
        Found::NotBefore(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Meaning, lines};
    use super::*;

    const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";

    /// `:method: POST`, `:path: /a.B/C` (added), `te: yes` (added).
    fn headers(stream: u8) -> Vec<u8> {
        let block = [&[0x83, 0x44, 6][..], b"/a.B/C", &[0x40, 2], b"te", &[3], b"yes"].concat();
        [&[0, 0, block.len() as u8, 1, 4, 0, 0, 0, stream][..], &block].concat()
    }

    fn data(stream: u8, message: &[u8]) -> Vec<u8> {
        let length = message.len() as u8;
        [&[0, 0, length + 5, 0, 0, 0, 0, 0, stream, 0, 0, 0, 0, length][..], message].concat()
    }

    fn conversation() -> Conversation {
        let mut conversation = Conversation::new(Schema::new());
        conversation.push(Direction::ToServer, PREFACE_AND_SETTINGS);
        conversation.push(Direction::ToServer, &headers(1));
        conversation
    }

    fn shown(conversation: &mut Conversation) -> String {
        conversation.finish();
        conversation.check().unwrap();
        conversation.frames().map(lines).collect()
    }

    #[test]
    fn a_gap_within_a_frame_of_data_costs_that_message_and_no_more() {
        let mut conversation = conversation();
        let data = data(1, b"\x0a\x04long");
        conversation.push(Direction::ToServer, &data[..12]);
        conversation.lose(Direction::ToServer, 3);
        conversation.push(Direction::ToServer, &data[15..]);
        // HPACK's table is as it was: the block refers to it.
        conversation.push(Direction::ToServer, &[0, 0, 3, 1, 4, 0, 0, 0, 3, 0x83, 0xbe, 0xbf]);
        let seen = shown(&mut conversation);
        assert!(seen.contains("3 bytes not recorded"), "{seen}");
        assert!(seen.contains("    te: yes\n    :path: /a.B/C\n"), "{seen}");
    }

    #[test]
    fn a_gap_over_a_border_loses_the_table_and_finds_the_frames_again() {
        let mut conversation = conversation();
        conversation.push(Direction::ToServer, &data(1, b"\x08\x01")[..10]);
        conversation.lose(Direction::ToServer, 100);
        let rest = [b"rest of something", PING, &[0, 0, 2, 1, 4, 0, 0, 0, 3, 0x83, 0xbe], PING].concat();
        for byte in rest.chunks(1) {
            conversation.push(Direction::ToServer, byte);
        }
        conversation.push(Direction::ToServer, &data(1, b"\x08\x01"));
        let seen = shown(&mut conversation);
        assert!(seen.contains("100 bytes not recorded"), "{seen}");
        assert_eq!(seen.matches("PING").count(), 2, "{seen}");
        assert!(seen.contains("    unknown: unknown\n"), "{seen}");
        let last = conversation.frames().last().unwrap();
        assert_eq!((&last.meaning, last.messages.len()), (&Meaning::Data, 0), "{seen}");
    }

    #[test]
    fn joining_late_finds_frames_and_knows_no_table() {
        let mut conversation = Conversation::joined_late(Schema::new());
        let bytes = [&b"\x01\x02\x03"[..], PING, PING, &[0, 0, 2, 1, 4, 0, 0, 0, 3, 0x83, 0xbe]].concat();
        conversation.push(Direction::ToServer, &bytes);
        conversation.push(Direction::ToClient, PING);
        let seen = shown(&mut conversation);
        assert_eq!(seen.matches("PING").count(), 3, "{seen}");
        assert!(seen.contains("    :method: POST\n    unknown: unknown\n"), "{seen}");

        let mut from_the_start = Conversation::joined_late(Schema::new());
        PREFACE_AND_SETTINGS.chunks(1).for_each(|byte| from_the_start.push(Direction::ToServer, byte));
        assert_eq!(from_the_start.frames().len(), 2);
    }

    #[test]
    fn what_is_no_frame_is_shown_as_bytes_and_held_only_for_a_while() {
        let mut conversation = Conversation::joined_late(Schema::new());
        for _ in 0..64 {
            conversation.push(Direction::ToClient, &[0xff; 4096]);
        }
        assert!(conversation.frames().len() > 1, "bytes that can't begin a frame are given out");
        conversation.finish();
        conversation.check().unwrap();
        assert_eq!(conversation.frames().map(|frame| frame.bytes.len()).sum::<usize>(), 64 * 4096);
    }
}
