//! Counts a client's PINGs, and finds those that come too often (gRFC A8, "Server Enforcement").

use tokio::time::Instant;

use super::options::ServerOptions;
use crate::io::Pings;
use crate::limits::{MAX_PING_STRIKES, MIN_IDLE_PING_INTERVAL};

/// The number of PINGs that followed another one too soon.
#[derive(Debug, Default)]
pub(super) struct PingStrikes {
    count: u32,
    last: Option<Instant>,
}

impl PingStrikes {
    /// Counts PINGs and returns true if they are too many. A PING that follows another faster than
    /// [`ServerOptions::min_ping_interval`] is a strike; HEADERS and DATA that this side sends clear the strikes.
    pub(super) fn are_too_many(&mut self, pings: Pings, has_streams: bool, options: &ServerOptions) -> bool {
        let mut interval = options.min_ping_interval;
        if !interval.is_zero() && !has_streams {
            interval = interval.max(MIN_IDLE_PING_INTERVAL);
        }
        let now = Instant::now();
        if pings.data_sent {
            *self = PingStrikes::default();
        }
        let too_soon = self.last.is_some_and(|last| now < last + interval);
        let others = if interval.is_zero() { 0 } else { pings.fresh - 1 };
        self.count = self.count.saturating_add(u32::from(too_soon) + others);
        self.last = Some(now);
        self.count > MAX_PING_STRIKES
    }
}
