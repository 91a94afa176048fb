//! The state of one side of a connection: its settings, its unanswered frames, and what it is known to have read.

use std::collections::VecDeque;
use std::time::Duration;

use super::stream::Mark;
use crate::wire::http2::Setting;

/// The state that one side has announced.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    /// The number of its HTTP/2 frames.
    pub(super) frames: u64,
    /// The largest SETTINGS_MAX_FRAME_SIZE that it has announced.
    pub(super) max_frame: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS: the largest since the last acknowledgement.
    pub(super) max_streams: Option<u32>,
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub(super) max_headers: Option<u32>,
    /// SETTINGS_ENABLE_PUSH.
    pub(super) push: bool,
    /// GRPC_ALLOW_TRUE_BINARY_METADATA.
    pub(super) true_binary: bool,
    /// Its SETTINGS that are not yet acknowledged.
    pub(super) settings: VecDeque<Mark>,
    /// Its PINGs that are not yet answered.
    pub(super) pings: VecDeque<([u8; 8], Mark)>,
    /// True if some of these were forgotten, after a long time or because there were too many.
    pub(super) forgotten: bool,
    /// The last frame of the peer that this side is known to have read.
    pub(super) read: u64,
    /// True if it has sent bytes that are not HTTP/2.
    pub(super) foreign: bool,
    /// The time of its last PING. The counter holds the PINGs that came too soon since the last other activity.
    pub(super) last_ping: Option<Duration>,
    pub(super) strikes: u32,
    /// Its last PING, if too many came too soon.
    pub(super) too_soon: Option<TooSoon>,
    /// The last stream of its GOAWAY, and the frame of the GOAWAY.
    pub(super) goaway: Option<(u32, Mark)>,
    /// The stream of a header block that is not complete; true if it is that of a PUSH_PROMISE.
    pub(super) block: Option<(u32, bool)>,
}

/// A PING after too many others.
#[derive(Clone, Debug)]
pub(super) struct TooSoon {
    pub(super) data: [u8; 8],
    pub(super) mark: Mark,
    /// The PINGs that came too soon, with this one.
    pub(super) pings: u32,
}

impl Speaker {
    /// Takes the settings that this side announces.
    pub(super) fn announce(&mut self, settings: impl Iterator<Item = (Setting, u32)>) {
        for (id, value) in settings {
            match id {
                Setting::ENABLE_PUSH => self.push = value == 1,
                Setting::MAX_CONCURRENT_STREAMS => self.max_streams = Some(value),
                Setting::MAX_FRAME_SIZE => self.max_frame = self.max_frame.max(value),
                Setting::MAX_HEADER_LIST_SIZE => self.max_headers = Some(value),
                Setting::GRPC_ALLOW_TRUE_BINARY_METADATA => self.true_binary = value == 1,
                _ => {}
            }
        }
    }

    /// Returns true if a PING came too soon. gRFC A8: at least five minutes between two PINGs, two hours without a
    /// call.
    pub(super) fn is_ping_too_soon(&self, time: Duration, idle: bool) -> bool {
        let least = Duration::from_secs(if idle { 2 * 60 * 60 } else { 5 * 60 });
        self.last_ping.is_some_and(|last| time.saturating_sub(last) < least)
    }

    /// Returns true if its peer has acknowledged all its SETTINGS.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.settings.is_empty() && !self.forgotten
    }

    /// Records that this side has read a frame, and all frames before it.
    pub(super) fn has_read(&mut self, frame: Mark) {
        self.read = self.read.max(frame.number);
    }

    /// Returns the stream whose header block must continue.
    pub(super) fn open_block(&self) -> Option<u32> {
        self.block.map(|(stream, _)| stream)
    }
}
