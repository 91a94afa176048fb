//! The options of a server.

use std::time::Duration;

use crate::call::Compressors;
use crate::limits::{
    HANDSHAKE_TIMEOUT, KEEPALIVE_TIME, Limits, MAX_CONCURRENT_STREAMS, MIN_PING_INTERVAL, SHUTDOWN_TIMEOUT,
};
use crate::wire::encoding::Encoding;

/// What can be set on a server. Each limit applies to one connection or one call.
///
/// ```
/// use barewire::ServerOptions;
///
/// let mut options = ServerOptions::default();
/// options.limits.max_receive_message_size = 16 << 20;
/// options.max_concurrent_streams = 100;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// What a connection of either side has limits for.
    pub limits: Limits,
    /// How many calls a connection may have in progress. 1,000 by default.
    pub max_concurrent_streams: u32,
    /// What restores compressed messages and compresses answers. None by default: compressed requests are UNIMPLEMENTED.
    pub compressors: Compressors,
    /// What answers are compressed with, where the client takes it and the handler does not choose. Nothing by default.
    pub encoding: Option<Encoding>,
    /// How long a handler may keep its connection's task busy in one go. A method that took longer repeatedly has its calls run
    /// on tasks of their own from the start, so that it holds up no neighbour. 1 ms by default.
    pub inline_limit: Duration,
    /// How long a client may take to begin: TLS, HTTP/2's preface and its SETTINGS together. 20 s by default.
    pub handshake_timeout: Duration,
    /// After so long without a byte from the client it is asked by PING whether it is there (gRFC A9, keepalive), and has
    /// [`Limits::peer_timeout`] to answer. 2 hours by default.
    pub keepalive_time: Duration,
    /// How often a client may send PINGs while it has calls; without any, every 2 hours. More than two too soon, and the
    /// connection ends with GOAWAY ENHANCE_YOUR_CALM, `too_many_pings` (gRFC A8). Zero allows any number. 5 minutes by default.
    pub min_ping_interval: Duration,
    /// How long calls in progress may go on when the server shuts down; the rest ends with UNAVAILABLE. 10 s by default.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            limits: Limits::default(),
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            compressors: Compressors::none(),
            encoding: None,
            inline_limit: Duration::from_millis(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            keepalive_time: KEEPALIVE_TIME,
            min_ping_interval: MIN_PING_INTERVAL,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }
}
