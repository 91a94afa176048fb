//! Header blocks in the byte stream, for the facts about them that h2 hides from the calls.
//!
//! h2 truncates a list of fields that is over its limit. It does not report truncated trailers; for any other list it resets the
//! stream or ends the connection with an error that blames the peer. So h2 gets a larger limit than the one announced to the
//! peer ([`h2_limit`], [`announce`]), and the calls measure the fields that h2 delivers. A list that h2 truncated is noticed too,
//! because one of these is true:
//!
//! * The delivered fields are over the limit.
//! * A field was left out that is longer than the limit by itself. It can't come from HPACK's table of 4 KiB, so it is on the
//!   wire, where a Huffman code takes at least five bits for each octet. h2's limit is three times ours or 72 KiB, whichever is
//!   more, so the header block has more octets than our limit, and [`HeaderBlocks::is_long`] is true.
//!
//! RFC 9113 section 6.5.2 (SETTINGS_MAX_HEADER_LIST_SIZE is advice), section 10.5.1 (limits on the size of field blocks).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::{CLIENT_METADATA_FACTOR, LONG_BLOCKS, SERVER_METADATA_FACTOR};
use crate::protocol::http2::{FRAME_HEADER, FrameHeader, FrameType, Setting};

/// Smallest base of h2's limit, in bytes; the proof above needs it.
const LEAST: u32 = 24 << 10;

/// The length of a setting (RFC 9113 section 6.5.1).
const SETTING: usize = 6;

/// Returns the limit for h2 when `max_metadata_size` is announced to the peer.
pub(crate) fn h2_limit(max_metadata_size: u32, is_server: bool) -> u32 {
    let factor = if is_server { SERVER_METADATA_FACTOR } else { CLIENT_METADATA_FACTOR };
    max_metadata_size.max(LEAST).saturating_mul(factor)
}

/// Sets SETTINGS_MAX_HEADER_LIST_SIZE to `limit` if `bytes` begin with SETTINGS; returns true if they do.
pub(super) fn announce(bytes: &mut [u8], limit: u32) -> bool {
    let Some((header, payload)) = bytes.split_first_chunk_mut::<FRAME_HEADER>() else { return false };
    let header = FrameHeader::of(header);
    if header.kind != FrameType::SETTINGS {
        return false;
    }
    let Some(payload) = payload.get_mut(..header.length as usize) else { return false };
    for setting in payload.chunks_exact_mut(SETTING) {
        if setting.starts_with(&Setting::MAX_HEADER_LIST_SIZE.0.to_be_bytes()) {
            setting[2..].copy_from_slice(&limit.to_be_bytes());
        }
    }
    true
}

/// The facts about header blocks that the calls of a connection share.
#[derive(Debug)]
pub(crate) struct HeaderBlocks {
    max_metadata_size: u32,
    /// Streams with a header block of more octets than the limit, newest last.
    long: Mutex<VecDeque<u32>>,
    has_long: AtomicBool,
    has_informational: AtomicBool,
}

impl HeaderBlocks {
    pub(crate) fn new(max_metadata_size: u32) -> HeaderBlocks {
        HeaderBlocks {
            max_metadata_size,
            long: Mutex::default(),
            has_long: AtomicBool::new(false),
            has_informational: AtomicBool::new(false),
        }
    }

    /// Returns the limit announced to the peer, in bytes as RFC 9113 section 6.5.2 counts them.
    pub(crate) fn max_metadata_size(&self) -> u32 {
        self.max_metadata_size
    }

    /// Tells whether a header block of this stream had more octets than the limit allows the list.
    pub(crate) fn is_long(&self, stream: impl FnOnce() -> u32) -> bool {
        // The connection task writes it before h2 gets the bytes that wake the call.
        if !self.has_long.load(Ordering::Relaxed) {
            return false;
        }
        let stream = stream();
        self.long.lock().unwrap_or_else(PoisonError::into_inner).contains(&stream)
    }

    /// Tells whether an informational response (1xx) has arrived on this connection.
    pub(crate) fn has_informational(&self) -> bool {
        self.has_informational.load(Ordering::Relaxed)
    }

    #[cold]
    fn note_long(&self, stream: u32) {
        let mut long = self.long.lock().unwrap_or_else(PoisonError::into_inner);
        if long.len() == LONG_BLOCKS {
            long.pop_front();
        }
        long.push_back(stream);
        self.has_long.store(true, Ordering::Relaxed);
    }
}

/// Follows the incoming header blocks.
pub(super) struct BlockWatch {
    blocks: Arc<HeaderBlocks>,
    is_server: bool,
    /// Octets so far of the current block.
    length: usize,
    /// Octets of the blocks that arrived in this turn of the connection.
    in_turn: usize,
    /// On a client: the stream of the last HEADERS without END_STREAM, the number of such HEADERS, and the number of requests
    /// sent. A response has one of them; any further one is informational.
    last_head: u32,
    heads: u64,
    requests: u64,
}

impl BlockWatch {
    pub(super) fn new(max_metadata_size: u32, is_server: bool) -> BlockWatch {
        let blocks = Arc::new(HeaderBlocks::new(max_metadata_size));
        BlockWatch { blocks, is_server, length: 0, in_turn: 0, last_head: 0, heads: 0, requests: 0 }
    }

    pub(super) fn blocks(&self) -> &Arc<HeaderBlocks> {
        &self.blocks
    }

    /// Processes a frame that arrived.
    #[inline]
    pub(super) fn received(&mut self, header: FrameHeader) {
        let before = match header.kind {
            FrameType::HEADERS => 0,
            FrameType::CONTINUATION => self.length,
            _ => return,
        };
        let length = header.length as usize;
        self.length = before + length;
        self.in_turn += length;
        let limit = self.blocks.max_metadata_size as usize;
        if self.length > limit && before <= limit {
            self.blocks.note_long(header.stream);
        }
        if !self.is_server && header.kind == FrameType::HEADERS && !header.has(FrameHeader::END_STREAM) {
            self.heads += 1;
            if self.last_head == header.stream || self.heads > self.requests {
                self.blocks.has_informational.store(true, Ordering::Relaxed);
            }
            self.last_head = header.stream;
        }
    }

    /// Counts HEADERS that will be sent to the peer.
    pub(super) fn sent(&mut self) {
        self.requests += 1;
    }

    /// Returns the octets of the header blocks that arrived in this turn.
    pub(super) fn in_turn(&self) -> usize {
        self.in_turn
    }

    pub(super) fn end_turn(&mut self) {
        self.in_turn = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http2::PREFACE;

    #[test]
    fn only_the_header_list_limit_is_replaced() {
        let wire = |limit: u32| {
            let setting = |name: u16, value: u32| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
            [
                &[0, 0, 18, FrameType::SETTINGS.0, 0, 0, 0, 0, 0][..],
                &setting(3, 6),
                &setting(6, limit),
                &setting(4, 7),
                b"next",
            ]
            .concat()
        };
        let mut bytes = wire(196_608);
        assert!(announce(&mut bytes, 65_536));
        assert_eq!(bytes, wire(65_536));
        assert!(!announce(&mut PREFACE.to_vec(), 65_536));
        assert!(!announce(&mut wire(1)[..20], 65_536));
    }

    fn frame(kind: FrameType, flags: u8, stream: u32, length: u32) -> FrameHeader {
        FrameHeader { kind, flags, stream, length }
    }

    #[test]
    fn long_header_blocks_are_remembered_and_the_oldest_dropped() {
        let mut watch = BlockWatch::new(100, true);
        let blocks = watch.blocks().clone();
        watch.received(frame(FrameType::HEADERS, 0, 1, 100));
        assert!(!blocks.is_long(|| 1));
        watch.received(frame(FrameType::CONTINUATION, 0, 1, 1));
        watch.received(frame(FrameType::CONTINUATION, 0, 1, 100));
        assert!(blocks.is_long(|| 1));
        assert_eq!(watch.in_turn(), 201);
        for stream in 2..2 + LONG_BLOCKS as u32 {
            watch.received(frame(FrameType::HEADERS, FrameHeader::END_STREAM, stream, 101));
            assert!(blocks.is_long(|| stream));
        }
        assert!(!blocks.is_long(|| 1));
        assert_eq!(blocks.long.lock().unwrap().len(), LONG_BLOCKS);
    }

    #[test]
    fn informational_responses_are_distinguished_from_response_headers() {
        let mut watch = BlockWatch::new(100, false);
        let blocks = watch.blocks().clone();
        for stream in [1, 3, 5] {
            watch.sent();
            watch.received(frame(FrameType::HEADERS, 0, stream, 10));
            watch.received(frame(FrameType::HEADERS, FrameHeader::END_STREAM, stream, 10));
        }
        assert!(!blocks.has_informational());
        watch.received(frame(FrameType::HEADERS, 0, 1, 10));
        assert!(blocks.has_informational(), "one head more than requests");
        let mut watch = BlockWatch::new(100, false);
        watch.sent();
        watch.sent();
        watch.received(frame(FrameType::HEADERS, 0, 1, 10));
        watch.received(frame(FrameType::HEADERS, 0, 1, 10));
        assert!(watch.blocks().has_informational(), "two on one stream");
    }
}
