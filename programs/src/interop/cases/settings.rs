//! Settings of the cases.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::unary::{LARGE_ANSWER, LARGE_REQUEST};
use barewire::wire::encoding::Encoding;

/// Settings of the cases that have any.
#[derive(Clone)]
pub struct Settings {
    /// Amount of work and limits of `rpc_soak` and `channel_soak`.
    pub soak: Soak,
    /// Encoding of requests; the client must support it.
    pub encoding: Encoding,
    /// Called with a line of progress of a long case.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { soak: Soak::default(), encoding: Encoding::Gzip, progress: Arc::new(|_| ()) }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("soak", &self.soak).field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

/// Amount of work and limits of `rpc_soak` and `channel_soak`. The defaults are grpc-go's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Soak {
    /// Number of calls, of all workers together. 10 by default.
    pub iterations: u32,
    /// Number of calls that may fail or exceed `max_latency`. 0 by default.
    pub max_failures: u32,
    /// Maximum duration of a call, including connecting. 1 s by default.
    pub max_latency: Duration,
    /// Maximum duration of the whole case. 10 s by default.
    pub overall_timeout: Duration,
    /// Minimum time between the starts of two calls of a worker. 0 by default.
    pub min_time_between: Duration,
    /// Payload size of a request, in bytes. 271,828 by default.
    pub request_size: usize,
    /// Payload size of a response, in bytes. 314,159 by default.
    pub response_size: usize,
    /// Number of workers, which make their share of the calls concurrently. 1 by default.
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
