//! What the cases can be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::unary::{LARGE_ANSWER, LARGE_REQUEST};
use barewire::wire::encoding::Encoding;

/// What some of the cases can be told.
#[derive(Clone)]
pub struct Settings {
    /// How much `rpc_soak` and `channel_soak` do.
    pub soak: Soak,
    /// What requests are compressed with; the client has to have it.
    pub encoding: Encoding,
    /// Hears, line by line, how a long case goes on.
    pub hear: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { soak: Soak::default(), encoding: Encoding::Gzip, hear: Arc::new(|_| ()) }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("soak", &self.soak).field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

/// How much `rpc_soak` and `channel_soak` do, and what they put up with. The defaults are grpc-go's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Soak {
    /// How many calls, on all workers together. 10 by default.
    pub iterations: u32,
    /// How many of them may fail or take too long. 0 by default.
    pub max_failures: u32,
    /// How long a call may take, connecting included. 1 s by default.
    pub max_latency: Duration,
    /// How long the whole case may take. 10 s by default.
    pub overall_timeout: Duration,
    /// The time from the beginning of a call to that of the worker's next, at least. 0 by default.
    pub min_time_between: Duration,
    /// The payload of a request, in bytes. 271,828 by default.
    pub request_size: usize,
    /// The payload of an answer, in bytes. 314,159 by default.
    pub response_size: usize,
    /// How many calls there are at a time; each makes its part of the iterations. 1 by default.
    pub workers: u32,
}

impl Default for Soak {
    fn default() -> Self {
        Soak {
            iterations: 10,
            max_failures: 0,
            max_latency: Duration::from_secs(1),
            overall_timeout: Duration::from_secs(10),
            min_time_between: Duration::ZERO,
            request_size: LARGE_REQUEST,
            response_size: LARGE_ANSWER,
            workers: 1,
        }
    }
}
