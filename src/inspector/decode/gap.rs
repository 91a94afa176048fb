//! Bytes that were not captured: a gap in a direction, or a connection that was captured from the middle.
//!
//! A gap is shown where the bytes are missing. State that depends on the missing bytes becomes unknown and is never
//! guessed: the HPACK table if the gap may contain header blocks, and the message boundaries of the open calls. If the
//! gap ends within the frame in which it began, the next frame's place is known; otherwise the inspector searches for
//! it.

use super::conversation::Conversation;
use super::half::Expects;
use crate::inspector::model::frame::{Direction, FrameKind};
use crate::inspector::model::schema::Schema;

impl Conversation {
    /// Returns a conversation whose beginning was not captured in either direction. The HPACK tables are unknown, and
    /// the inspector searches for the first frame.
    pub fn joined_late(schema: Schema) -> Self {
        let mut conversation = Self::new(schema);
        for direction in [Direction::ToServer, Direction::ToClient] {
            let half = conversation.half_mut(direction);
            half.expects = Expects::Lost { from: 0 };
            half.hpack.lose_track();
        }
        conversation
    }

    /// Reports that this many bytes of a direction are missing before the bytes that are pushed next.
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
        lost.faults.push(format!("{} not recorded", crate::inspector::model::text::count(count, "byte")));
        self.half_mut(direction).offset += count;
        self.keep(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::{Meaning, lines};

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
    fn gap_within_data_loses_only_its_message() {
        let mut conversation = conversation();
        let data = data(1, b"\x0a\x04long");
        conversation.push(Direction::ToServer, &data[..12]);
        conversation.lose(Direction::ToServer, 3);
        conversation.push(Direction::ToServer, &data[15..]);
        // HPACK's table is unchanged: the block refers to it.
        conversation.push(Direction::ToServer, &[0, 0, 3, 1, 4, 0, 0, 0, 3, 0x83, 0xbe, 0xbf]);
        let seen = shown(&mut conversation);
        assert!(seen.contains("3 bytes not recorded"), "{seen}");
        assert!(seen.contains("    te: yes\n    :path: /a.B/C\n"), "{seen}");
    }

    #[test]
    fn gap_over_a_frame_boundary_loses_the_table_and_resynchronises() {
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
    fn late_start_finds_frames_with_an_unknown_table() {
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
    fn bytes_that_cannot_begin_a_frame_are_shown_after_a_bounded_wait() {
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
