//! The options of a server.

use std::time::Duration;

use crate::call::Compressors;
use crate::limits::{
    CONNECTION_WINDOW, HANDSHAKE_TIMEOUT, KEEPALIVE_TIME, MAX_CONCURRENT_STREAMS, MAX_CONNECTION_MEMORY,
    MAX_METADATA_SIZE, MAX_RECEIVE_MESSAGE_SIZE, MIN_PING_INTERVAL, PEER_TIMEOUT, SHUTDOWN_TIMEOUT, STREAM_WINDOW,
};
use crate::wire::encoding::Encoding;

/// The limits of a server, and how long it waits for what. Each applies to one connection or one call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The largest message a client may send, in bytes; beyond it the call is RESOURCE_EXHAUSTED. 4 MiB by default.
    pub max_receive_message_size: usize,
    /// The largest message a handler may send, in bytes. Unlimited by default.
    pub max_send_message_size: usize,
    /// The size of the metadata of a request, in bytes as RFC 9113 section 6.5.2 counts them (name + value + 32 each); beyond
    /// it the call is RESOURCE_EXHAUSTED, beyond three times as much HTTP 431. Clients are told; they may have 512 fields at
    /// most, besides. 64 KiB by default.
    pub max_metadata_size: u32,
    /// How many calls a connection may have in progress. 1,000 by default.
    pub max_concurrent_streams: u32,
    /// The flow-control window of a stream, in bytes: how much a client may send that no handler has taken. 1 MiB by default.
    pub stream_window: u32,
    /// The flow-control window of a connection, in bytes: how much all its streams together may hold that no handler has
    /// taken. 16 MiB by default, so that sixteen handlers that stopped reading still hold nobody up.
    pub connection_window: u32,
    /// What the calls of a connection may make the server hold beside what the client sent, in bytes: answers that wait for the
    /// client's windows, messages that grew when they were restored and decoded, metadata. Calls that want more wait; where
    /// nothing is given back for [`ServerOptions::peer_timeout`], they end with RESOURCE_EXHAUSTED. One message on its way in
    /// and one on its way out may always be held, whatever their size. 16 MiB by default.
    pub max_connection_memory: usize,
    /// What restores compressed messages and compresses answers. None by default: compressed requests are UNIMPLEMENTED.
    pub compressors: Compressors,
    /// What answers are compressed with, where the client takes it and the handler does not choose. Nothing by default.
    pub encoding: Option<Encoding>,
    /// Messages shorter than this, in bytes, are not compressed. 0 by default.
    pub min_compress_size: usize,
    /// How long a handler may keep its connection's task busy in one go. A method that took longer repeatedly has its calls run
    /// on tasks of their own from the start, so that it holds up no neighbour. 1 ms by default.
    pub inline_limit: Duration,
    /// How long a client may take to begin: TLS, HTTP/2's preface and its SETTINGS together. 20 s by default.
    pub handshake_timeout: Duration,
    /// How long a client may take over what HTTP/2 has it do at once: end a frame or a header block that it has begun,
    /// acknowledge SETTINGS and PING, take from its socket some of what is there. Beyond it the connection ends. Windows that
    /// it does not open and messages that it does not go on with count for nothing. 20 s by default.
    pub peer_timeout: Duration,
    /// After so long without a byte from the client it is asked by PING whether it is there (gRFC A9, keepalive), and has
    /// [`ServerOptions::peer_timeout`] to answer. 2 hours by default.
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
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_send_message_size: usize::MAX,
            max_metadata_size: MAX_METADATA_SIZE,
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
            max_connection_memory: MAX_CONNECTION_MEMORY,
            compressors: Compressors::none(),
            encoding: None,
            min_compress_size: 0,
            inline_limit: Duration::from_millis(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            peer_timeout: PEER_TIMEOUT,
            keepalive_time: KEEPALIVE_TIME,
            min_ping_interval: MIN_PING_INTERVAL,
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }
}
