//! Limits what a peer can make a recording cost: memory for incomplete frames and messages, and bytes of output.
//!
//! All connections of a view or a file share one budget, so that many connections cost no more than one.

use std::time::Duration;

use barewire::inspector::{Conversation, Direction, Frame, JsonLines, Limits};

/// Bytes of incomplete frames, header blocks and messages that all connections may hold.
const HELD: usize = 64 << 20;

/// Bytes that a connection may hold in any case, so that others can't take its place.
const SHARE: usize = 256 << 10;

/// The memory that the connections of one view or file may use.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    held: usize,
    /// Bytes that decompressed messages may still have.
    restorable: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { held: 0, restorable: Limits::default().restored }
    }
}

impl Budget {
    /// Returns true if a connection that holds `own` bytes may hold `more`.
    pub fn admits(&self, own: usize, more: usize) -> bool {
        self.held.saturating_add(more) <= HELD || own.saturating_add(more) <= SHARE
    }

    /// Records that a connection holds `now` bytes instead of `before`.
    pub fn changed(&mut self, before: usize, now: usize) {
        self.held = self.held.saturating_sub(before).saturating_add(now);
    }

    /// Pushes bytes into a conversation, after reporting `lost` bytes that are missing before them. Bytes over the budget
    /// are reported as missing too.
    pub fn push(
        &mut self,
        conversation: &mut Conversation,
        time: Duration,
        direction: Direction,
        lost: u64,
        bytes: &[u8],
    ) {
        let before = conversation.held();
        conversation.set_time(time);
        conversation.set_restorable(self.restorable);
        conversation.lose(direction, lost);
        match self.admits(before, bytes.len()) {
            true => conversation.push(direction, bytes),
            false => conversation.lose(direction, bytes.len() as u64),
        }
        self.restorable = conversation.restorable();
        self.changed(before, conversation.held());
    }

    /// Applies what happened to a copy of this budget, which was `before` and is `after`.
    pub fn merge(&mut self, before: &Budget, after: &Budget) {
        self.changed(before.held, after.held);
        self.restorable = self.restorable.saturating_sub(before.restorable).saturating_add(after.restorable);
    }

    /// Ends a conversation, which then holds nothing.
    pub fn finish(&mut self, conversation: &mut Conversation) {
        self.changed(conversation.held(), 0);
        conversation.finish();
    }
}

/// Bytes of JSON lines that are always allowed.
const FREE: u64 = 4 << 20;

/// Bytes of JSON lines for each recorded byte. Small frames take up to 150, as headers that are all in HPACK's tables.
const PER_BYTE: u64 = 256;

const WHY: &str = "it would take more than 256 times the bytes that were recorded";

/// The size that JSON lines may have in proportion to the recorded bytes. A peer can let a few bytes stand for many, by
/// HPACK's tables and by compression.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: FREE }
    }
}

impl Allowance {
    /// Returns the line of a frame, in brief if the allowance is used up.
    pub fn line(&mut self, json: &JsonLines, connection: u64, frame: &Frame) -> String {
        let line = json.frame(connection, frame);
        if self.admits(frame, &line) { line } else { brief(json, connection, frame) }
    }

    /// Returns true if a frame may have this line, which then counts.
    pub fn admits(&mut self, frame: &Frame, line: &str) -> bool {
        self.left = self.left.saturating_add((frame.bytes.len() as u64).saturating_mul(PER_BYTE));
        self.admits_beside(line)
    }

    /// Returns true if a line beside the frames may be written, which then counts.
    pub fn admits_beside(&mut self, line: &str) -> bool {
        let left = self.left.checked_sub(line.len() as u64);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// Returns the line of a frame for which the allowance has no room.
pub fn brief(json: &JsonLines, connection: u64, frame: &Frame) -> String {
    json.brief(connection, frame, WHY)
}

/// Returns the text that ends an output of limited size.
pub fn ends_here(largest: u64) -> String {
    format!("the recording ends here: it has reached its size limit of {largest} bytes (--max-bytes)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire::inspector::{Redaction, Schema};

    /// Many connections that never complete a frame hold no more than the budget.
    #[test]
    fn connections_share_what_they_may_hold() {
        let mut budget = Budget::default();
        let frame =
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01"[..], &vec![0; 8 << 20]]
                .concat();
        let mut all = vec![Conversation::new(Schema::new()); 12];
        for conversation in &mut all {
            budget.push(conversation, Duration::ZERO, Direction::ToServer, 0, &frame);
        }
        let held: usize = all.iter().map(Conversation::held).sum();
        assert!(held <= HELD && held > HELD / 2, "{held}");
        let last = all.last_mut().unwrap();
        let lost: u64 = last
            .take_frames()
            .iter()
            .map(|frame| match frame.kind {
                barewire::inspector::FrameKind::Lost { count } => count,
                _ => 0,
            })
            .sum();
        assert_eq!(lost, frame.len() as u64, "bytes over the budget are reported as missing");
        all.iter_mut().for_each(|conversation| budget.finish(conversation));
        assert_eq!(budget.held, 0);
    }

    /// A header that refers again and again to a long entry of HPACK's table is shown in full only for a while.
    #[test]
    fn few_bytes_do_not_become_many_lines() {
        let mut conversation = Conversation::new(Schema::new());
        conversation.push(Direction::ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let mut entry = vec![0x83, 0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
        entry.extend([b'x'; 4000]);
        let (mut sent, mut stream) = (0, 1_u32);
        let mut send = |conversation: &mut Conversation, block: &[u8]| {
            let length = (block.len() as u32).to_be_bytes();
            let bytes = [&length[1..], &[1, 4], &stream.to_be_bytes(), block].concat();
            conversation.push(Direction::ToServer, &bytes);
            (sent, stream) = (sent + bytes.len() as u64, stream + 2);
            sent
        };
        send(&mut conversation, &entry);
        let (json, mut allowance) = (JsonLines::new(Redaction::default()), Allowance::default());
        let (mut written, mut last) = (0, String::new());
        for _ in 0..1_000 {
            let sent = send(&mut conversation, &[0xbe; 15]);
            for frame in conversation.take_frames() {
                last = allowance.line(&json, 1, &frame);
                written += last.len() as u64;
            }
            assert!(written <= FREE + sent * (PER_BYTE + 64), "{written} for {sent}");
        }
        assert!(last.contains("not shown in full: it would take"), "{last}");
        assert!(last.contains("\"bytes\":\"00000f"), "{last}");
    }
}
