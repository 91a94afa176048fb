//! The options of a server.

use std::time::Duration;

use crate::call::Compressors;
use crate::limits::{
    HANDSHAKE_TIMEOUT, KEEPALIVE_TIME, LAME_DUCK, Limits, MAX_CONCURRENT_CALLS, MAX_CONCURRENT_STREAMS,
    MAX_CONNECTIONS, MIN_PING_INTERVAL, SHUTDOWN_TIMEOUT,
};
use crate::wire::encoding::Encoding;

/// The options of a server. Each limit applies to one connection or one call, except `max_connections` and
/// `max_concurrent_calls`, which apply to the whole server.
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
    /// The limits of a connection, the same on client and server.
    pub limits: Limits,
    /// The number of calls that a connection may have in progress. 1,000 by default.
    pub max_concurrent_streams: u32,
    /// The number of connections that the server may hold, including those whose handshake is in progress. It closes a
    /// connection beyond this number as soon as it has accepted it, so that clients do not wait in the listener's backlog. 0 is
    /// unlimited, the default.
    pub max_connections: usize,
    /// The number of calls that all connections together may have in progress. A call beyond this number ends at once with
    /// RESOURCE_EXHAUSTED and a `google.rpc.RetryInfo` of 1 s in its details. A call counts from its headers to its end,
    /// interceptors included. Calls of an exempt [`Router`](crate::Router::exempt_from_limits) are neither refused nor counted;
    /// health checks are exempt. 0 is unlimited, the default.
    pub max_concurrent_calls: usize,
    /// The compressors that decompress requests and compress responses. Empty by default: compressed requests get
    /// UNIMPLEMENTED.
    pub compressors: Compressors,
    /// The encoding of responses, if the client accepts it and the handler does not choose another. `None` by default.
    pub encoding: Option<Encoding>,
    /// The time that a handler may keep its connection's task busy without waiting. Calls of a method that took longer
    /// repeatedly run on their own tasks from the start, so that they do not delay the connection's other calls. 1 ms
    /// by default.
    pub inline_limit: Duration,
    /// The time limit for a client's handshake: TLS, HTTP/2's preface and its SETTINGS together. 20 s by default.
    pub handshake_timeout: Duration,
    /// The time without calls after which the connection ends, counted from the end of its last call, or from its beginning
    /// (gRFC A9, MAX_CONNECTION_IDLE). The client gets GOAWAY NO_ERROR `max_idle`; a call that it has sent already is served.
    /// `None`, the default, means unlimited.
    pub max_connection_idle: Option<Duration>,
    /// The age at which a connection ends (gRFC A9, MAX_CONNECTION_AGE), changed by up to a tenth either way at random, so
    /// that clients do not all connect again at once. The client gets GOAWAY NO_ERROR `max_age` twice, as at a shutdown, and
    /// its calls in progress finish. `None`, the default, means unlimited.
    pub max_connection_age: Option<Duration>,
    /// The time that calls in progress may take to end after [`ServerOptions::max_connection_age`] (gRFC A9,
    /// MAX_CONNECTION_AGE_GRACE). Then the connection closes, as in grpc-go: the client sees UNAVAILABLE, and handlers see
    /// CANCELLED. `None`, the default, means unlimited.
    pub max_connection_age_grace: Option<Duration>,
    /// The time without a byte from the client after which the server sends a PING, with or without calls (gRFC A9, keepalive).
    /// The client then has [`Limits::peer_timeout`] to answer. 2 hours by default.
    pub keepalive_time: Duration,
    /// The shortest interval at which a client may send PINGs while it has calls; without calls it is 2 hours, unless
    /// [`ServerOptions::keepalive_permit_without_stream`] is set. A PING may be early by a second, or by a tenth of the interval
    /// if that is less. After more than two PINGs too soon the connection ends with GOAWAY ENHANCE_YOUR_CALM, `too_many_pings`
    /// (gRFC A8); [`Server::on_too_many_pings`](crate::Server::on_too_many_pings) reports it. Zero allows any number. 5 minutes
    /// by default.
    pub min_ping_interval: Duration,
    /// The time for which a server that shuts down still accepts connections and calls, before it sends GOAWAY. Meanwhile load
    /// balancers learn, for example from health checks, that they have to choose another server. Zero by default.
    pub lame_duck: Duration,
    /// True if [`ServerOptions::min_ping_interval`] also applies while the client has no calls (gRFC A8,
    /// PERMIT_KEEPALIVE_WITHOUT_CALLS). False, the default, allows one PING every 2 hours then.
    pub keepalive_permit_without_stream: bool,
    /// The time that calls in progress may take to end when the server shuts down; then they end with UNAVAILABLE. 10 s by
    /// default.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            limits: Limits::default(),
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            max_connections: MAX_CONNECTIONS,
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
            compressors: Compressors::none(),
            encoding: None,
            inline_limit: Duration::from_millis(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            max_connection_idle: None,
            max_connection_age: None,
            max_connection_age_grace: None,
            keepalive_time: KEEPALIVE_TIME,
            min_ping_interval: MIN_PING_INTERVAL,
            lame_duck: LAME_DUCK,
            keepalive_permit_without_stream: false,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }
}
