//! The options of a client, and those of a call.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use crate::call::Compressors;
use crate::limits::{HANDSHAKE_TIMEOUT, Limits};
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::code_map;
use crate::wire::encoding::Encoding;

/// What can be set on a client.
///
/// ```
/// use std::time::Duration;
///
/// use barewire::ClientOptions;
///
/// let mut options = ClientOptions::default();
/// options.limits.max_receive_message_size = 16 << 20;
/// options.connect_timeout = Duration::from_secs(5);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// What a connection of either side has limits for.
    pub limits: Limits,
    /// What restores compressed answers and compresses requests. None by default.
    pub compressors: Compressors,
    /// The code of an answer without `grpc-status`, by its HTTP status. [`code_map::code_of_http_status`], the published table,
    /// by default; other clients have an older one, and some proxies mean something of their own.
    pub code_of_http_status: fn(u16) -> Code,
    /// How long connecting may take, TLS and the server's SETTINGS included. 20 s by default.
    pub connect_timeout: Duration,
    /// After so long without a byte from the server it is asked by PING whether it is there (gRFC A8, keepalive), and has
    /// [`Limits::peer_timeout`] to answer. At least 10 s; servers take PINGs more often than every 5 minutes for abuse
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
            limits: Limits::default(),
            compressors: Compressors::none(),
            code_of_http_status: code_map::code_of_http_status,
            connect_timeout: HANDSHAKE_TIMEOUT,
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
