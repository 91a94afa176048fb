//! The options of a client, and those of a call.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use crate::call::Compressors;
use crate::limits::{
    CONNECTION_WINDOW, HANDSHAKE_TIMEOUT, MAX_CONNECTION_MEMORY, MAX_METADATA_SIZE, MAX_RECEIVE_MESSAGE_SIZE,
    PEER_TIMEOUT, STREAM_WINDOW,
};
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::code_map;
use crate::wire::encoding::Encoding;

/// The limits of a client, and how long it waits for what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The largest message a server may send, in bytes; beyond it the call is RESOURCE_EXHAUSTED. 4 MiB by default.
    pub max_receive_message_size: usize,
    /// The largest message the caller may send, in bytes. Unlimited by default.
    pub max_send_message_size: usize,
    /// The size of the metadata of an answer, in bytes as RFC 9113 section 6.5.2 counts them (name + value + 32 each); beyond
    /// it the call is RESOURCE_EXHAUSTED. The server is told; it may send 512 fields at most, besides. 64 KiB by default.
    pub max_metadata_size: u32,
    /// The flow-control window of a stream, in bytes: how much a server may send that the caller has not taken. 1 MiB by
    /// default.
    pub stream_window: u32,
    /// The flow-control window of the connection, in bytes: how much all its streams together may hold that no caller has
    /// taken. 16 MiB by default.
    pub connection_window: u32,
    /// What the calls of a connection may make the client hold beside what the server sent, in bytes: requests that wait for the
    /// server's windows, messages that grew when they were restored and decoded, metadata. Calls that want more wait; where
    /// nothing is given back for [`ClientOptions::peer_timeout`], they end with RESOURCE_EXHAUSTED. 16 MiB by default.
    pub max_connection_memory: usize,
    /// What restores compressed answers and compresses requests. None by default.
    pub compressors: Compressors,
    /// Messages shorter than this, in bytes, are not compressed. 0 by default.
    pub min_compress_size: usize,
    /// The code of an answer without `grpc-status`, by its HTTP status. [`code_map::code_of_http_status`], the published table,
    /// by default; other clients have an older one, and some proxies mean something of their own.
    pub code_of_http_status: fn(u16) -> Code,
    /// How long connecting may take, TLS and the server's SETTINGS included. 20 s by default.
    pub connect_timeout: Duration,
    /// How long a server may take over what HTTP/2 has it do at once: end a frame or a header block that it has begun,
    /// acknowledge SETTINGS and PING, take from its socket some of what is there. Beyond it the connection ends, and its calls
    /// are UNAVAILABLE. 20 s by default.
    pub peer_timeout: Duration,
    /// After so long without a byte from the server it is asked by PING whether it is there (gRFC A8, keepalive), and has
    /// [`ClientOptions::peer_timeout`] to answer. At least 10 s; servers take PINGs more often than every 5 minutes for abuse
    /// unless they were told otherwise. Never by default.
    pub keepalive_time: Option<Duration>,
    /// Whether keepalive goes on while there is no call. It does not by default.
    pub keepalive_without_calls: bool,
    /// What the application calls itself, put before the library's own name in `user-agent`: `my-app/1.0`. Empty by default.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_send_message_size: usize::MAX,
            max_metadata_size: MAX_METADATA_SIZE,
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
            max_connection_memory: MAX_CONNECTION_MEMORY,
            compressors: Compressors::none(),
            min_compress_size: 0,
            code_of_http_status: code_map::code_of_http_status,
            connect_timeout: HANDSHAKE_TIMEOUT,
            peer_timeout: PEER_TIMEOUT,
            keepalive_time: None,
            keepalive_without_calls: false,
            user_agent: String::new(),
        }
    }
}

/// The library's part of `user-agent` (PROTOCOL-HTTP2.md, "User Agents").
const USER_AGENT: &str = concat!("grpc-rust-barewire/", env!("CARGO_PKG_VERSION"));

impl ClientOptions {
    pub(super) fn user_agent(&self) -> Result<HeaderValue, Status> {
        let whole = match self.user_agent.as_str() {
            "" => return Ok(HeaderValue::from_static(USER_AGENT)),
            own => format!("{own} {USER_AGENT}"),
        };
        HeaderValue::try_from(whole).map_err(|_| Status::internal("the user agent has more than printable ASCII in it"))
    }
}

/// What a call is given beside its messages.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) encoding: Option<Encoding>,
    pub(super) uncompressed: bool,
}

impl CallOptions {
    /// No deadline, no metadata, no compression.
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// How long the whole call may take, from its beginning to its status; then it is DEADLINE_EXCEEDED.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> CallOptions {
        self.timeout = Some(timeout);
        self
    }

    /// Compresses the messages of the request with this encoding, one of [`ClientOptions::compressors`].
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> CallOptions {
        self.encoding = Some(encoding);
        self
    }

    /// Whether messages may be compressed, where there is an encoding; for streams see [`Outbound::compress`](crate::Outbound::compress). They may by
    /// default.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> CallOptions {
        self.uncompressed = !compress;
        self
    }

    /// The initial metadata to send.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> CallOptions {
        self.metadata = Some(Arc::new(metadata));
        self
    }
}
