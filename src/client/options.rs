//! The options of a client and of a call.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderValue;

use crate::call::Compressors;
use crate::limits::{HANDSHAKE_TIMEOUT, Limits};
use crate::metadata::{Metadata, MetadataError};
use crate::status::{Code, Status};
use crate::wire::code_map;
use crate::wire::encoding::Encoding;

/// The options of a client.
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
    /// The limits of a connection, the same on client and server.
    pub limits: Limits,
    /// The compressors that decompress responses and compress requests. Empty by default.
    pub compressors: Compressors,
    /// Maps the HTTP status of a response without `grpc-status` to a code. [`code_map::code_of_http_status`], the
    /// published table, by default; other clients use an older table, and some proxies have statuses of their own.
    pub code_of_http_status: fn(u16) -> Code,
    /// The time limit for connecting, including TLS and the server's SETTINGS. 20 s by default.
    pub connect_timeout: Duration,
    /// The time without a byte from the server after which the client sends a PING (gRFC A8, keepalive). The server then has
    /// [`Limits::peer_timeout`] to answer. At least 10 s; by default servers treat PINGs more often than every 5
    /// minutes as abuse, and end the connection with `too_many_pings`, which the status of its calls explains. `None`, the default, disables keepalive.
    pub keepalive_time: Option<Duration>,
    /// True if keepalive also runs while the connection has no call. False by default.
    pub keepalive_without_calls: bool,
    /// The application's name and version, such as `my-app/1.0`, put before the library's in `user-agent`. Empty by default.
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
        HeaderValue::try_from(whole).map_err(|_| {
            Status::internal(format!("invalid user_agent {:?}: use printable ASCII characters", self.user_agent))
        })
    }
}

/// The options of a call: deadline, metadata, compression.
///
/// ```
/// use std::time::Duration;
///
/// use barewire::CallOptions;
///
/// let options = CallOptions::new().timeout(Duration::from_secs(2)).header("tenant", "blue");
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(super) timeout: Option<Duration>,
    metadata: Option<Arc<Metadata>>,
    /// The first invalid header, with which the call fails.
    invalid: Option<Box<MetadataError>>,
    pub(super) encoding: Option<Encoding>,
    compress: Option<bool>,
}

impl CallOptions {
    /// Creates options without a deadline, metadata or compression.
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// Sets the time limit of the whole call, from its beginning to its status; after it the call ends with
    /// DEADLINE_EXCEEDED.
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

    /// Allows or forbids compressing messages, if the call has an encoding. Allowed by default. A stream can change
    /// this with [`Outbound::compress`](crate::Outbound::compress).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> CallOptions {
        self.compress = Some(compress);
        self
    }

    /// Sets the initial metadata to send.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> CallOptions {
        self.metadata = Some(Arc::new(metadata));
        self
    }

    /// Adds a text entry to the initial metadata. If the key or the value is invalid, the call fails with INTERNAL and
    /// names it; [`Metadata::append`] returns the error at once.
    #[must_use]
    pub fn header(self, key: &str, value: &str) -> CallOptions {
        self.appended(|metadata| metadata.append(key, value))
    }

    /// Adds a binary entry to the initial metadata; its key ends in `-bin`. If the key is invalid, the call fails with
    /// INTERNAL and names it.
    ///
    /// ```
    /// use barewire::CallOptions;
    ///
    /// let options = CallOptions::new().header_bin("trace-bin", &[0x00, 0x11, 0x22]);
    /// ```
    #[must_use]
    pub fn header_bin(self, key: &str, value: &[u8]) -> CallOptions {
        self.appended(|metadata| metadata.append_bin(key, value))
    }

    /// Adds an entry to the metadata, and keeps the first error.
    fn appended(mut self, append: impl FnOnce(&mut Metadata) -> Result<(), MetadataError>) -> CallOptions {
        if let Err(error) = append(self.metadata_mut()) {
            self.invalid.get_or_insert(Box::new(error));
        }
        self
    }

    /// Returns these options with those of `other` that are set. A key in the metadata of `other` replaces the values that
    /// this metadata has for it.
    #[must_use]
    pub fn merged_with(self, other: CallOptions) -> CallOptions {
        let metadata = match (self.metadata, other.metadata) {
            (Some(mut metadata), Some(later)) => {
                Arc::make_mut(&mut metadata).replace_by(&later);
                Some(metadata)
            }
            (earlier, later) => later.or(earlier),
        };
        CallOptions {
            timeout: other.timeout.or(self.timeout),
            metadata,
            invalid: self.invalid.or(other.invalid),
            encoding: other.encoding.or(self.encoding),
            compress: other.compress.or(self.compress),
        }
    }

    /// Returns the metadata that was set, for changes.
    pub(super) fn metadata_mut(&mut self) -> &mut Metadata {
        Arc::make_mut(self.metadata.get_or_insert_default())
    }

    /// Returns the metadata that was set.
    pub(super) fn set_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_deref()
    }

    /// Returns the initial metadata to send.
    ///
    /// # Errors
    ///
    /// INTERNAL if a header is invalid.
    pub(super) fn initial_metadata(&self) -> Result<Option<&Metadata>, Status> {
        match &self.invalid {
            Some(error) => Err(Status::from((**error).clone())),
            None => Ok(self.metadata.as_deref()),
        }
    }

    /// Returns true if messages may be compressed.
    pub(super) fn may_compress(&self) -> bool {
        self.compress.unwrap_or(true)
    }
}
