//! The client: four kinds of call over whatever [`Invoke`] offers, which is one connection in this core.
//!
//! Read on in `connection.rs` (one connection) and `call.rs` (one call, top to bottom).

mod call;
mod connection;

pub use call::Answer;
pub use connection::Connection;

use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;
use prost::Message;

use crate::call::compress::Sizes;
use crate::call::receive::Receiving;
use crate::call::send::Sending;
use crate::call::{Compressors, Inbound, Outbound, Response};
use crate::io::Connector;
use crate::limits::{
    CONNECTION_WINDOW, HANDSHAKE_TIMEOUT, MAX_CONNECTION_MEMORY, MAX_METADATA_SIZE, MAX_RECEIVE_MESSAGE_SIZE,
    PEER_TIMEOUT, STREAM_WINDOW,
};
use crate::metadata::Metadata;
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::status::{Code, Status};
use crate::wire::code_map;
use crate::wire::encoding::{Encoding, EncodingSet};

/// Begins calls: one connection, or something that has many of them.
pub trait Invoke: Send + Sync {
    /// Opens a stream with these Request-Headers.
    fn begin(&self, head: Head) -> Begin;
}

/// What a call begins with.
#[derive(Clone, Debug)]
pub struct Head {
    /// The path of the method.
    pub path: &'static str,
    /// Request-Headers but for the pseudo-header fields.
    pub headers: HeaderMap,
    /// The largest message that the answer may have, in bytes.
    pub receive_limit: usize,
    /// What the answer may be compressed with.
    pub compressors: Compressors,
    /// See [`ClientOptions::code_of_http_status`].
    pub code_of_http_status: fn(u16) -> Code,
}

/// A call that begins: at once, or when there is a connection for it.
#[allow(clippy::large_enum_variant)] // It is made once a call and taken apart at once.
pub enum Begin {
    /// It has begun, or can't.
    Now(Result<Opened, Status>),
    /// It will.
    Later(Pin<Box<dyn Future<Output = Result<Opened, Status>> + Send>>),
}

/// The stream of a call whose Request-Headers have been sent.
pub struct Opened {
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
}

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
    fn user_agent(&self) -> Result<HeaderValue, Status> {
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
    timeout: Option<Duration>,
    metadata: Option<Arc<Metadata>>,
    encoding: Option<Encoding>,
    uncompressed: bool,
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

    /// Whether messages may be compressed, where there is an encoding; for streams see [`Outbound::compress`]. They may by
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

/// Calls methods. Cheap to clone; all clones share what is beneath.
///
/// ```no_run
/// # #[derive(Clone, PartialEq, prost::Message)]
/// # struct Text {
/// #     #[prost(string, tag = "1")]
/// #     text: String,
/// # }
/// # const SHOUT: barewire::Method<Text, Text, barewire::Unary> = barewire::Method::new("/words.Words/Shout");
/// # async fn example() -> Result<(), barewire::Status> {
/// use std::time::Duration;
/// use barewire::{CallOptions, Client, transport};
///
/// let client = Client::connect(transport::tcp::connect("localhost:50051")).await?;
/// let client = client.with(CallOptions::new().timeout(Duration::from_secs(10)));
/// let loud = client.unary(SHOUT, Text { text: "hello".into() }).await?;
/// println!("{}", loud.text);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    invoke: Arc<dyn Invoke>,
    shared: Arc<Shared>,
    options: CallOptions,
}

struct Shared {
    options: ClientOptions,
    user_agent: HeaderValue,
    sizes: Arc<Sizes>,
    /// Those of the compressors, and identity.
    encodings: EncodingSet,
}

impl Client {
    /// Connects with default options.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE where the server can't be reached, or where what answers is not HTTP/2.
    pub async fn connect(connector: impl Connector) -> Result<Client, Status> {
        Client::connect_with(connector, ClientOptions::default()).await
    }

    /// Connects. Errors as [`Client::connect`].
    pub async fn connect_with(connector: impl Connector, options: ClientOptions) -> Result<Client, Status> {
        let connection = Connection::open(&connector, &options).await?;
        Client::over(Arc::new(connection), options)
    }

    /// A client over something that begins calls.
    ///
    /// # Errors
    ///
    /// INTERNAL for a user agent that is no header value.
    pub fn over(invoke: Arc<dyn Invoke>, options: ClientOptions) -> Result<Client, Status> {
        let user_agent = options.user_agent()?;
        let encodings = options.compressors.encodings();
        let sizes = Arc::new(Sizes {
            limit: options.max_send_message_size,
            min_size: options.min_compress_size,
            compressors: options.compressors.clone(),
        });
        let shared = Arc::new(Shared { options, user_agent, sizes, encodings });
        Ok(Client { invoke, shared, options: CallOptions::new() })
    }

    /// The same client with other options for the calls made through it.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Client {
        Client { options, ..self.clone() }
    }

    /// Sends one message and waits for the one that answers it.
    ///
    /// # Errors
    ///
    /// The status of the call, from the server or from this side.
    pub async fn unary<Req, Resp>(
        &self,
        method: Method<Req, Resp, Unary>,
        message: impl Borrow<Req>,
    ) -> Result<Response<Resp>, Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::unary(self, method.path(), message.borrow()).await
    }

    /// Sends one message; the answers come in through what this returns.
    ///
    /// # Errors
    ///
    /// Why the call could not begin. How it ends is said by [`Inbound::recv`].
    pub async fn server_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, ServerStreaming>,
        message: impl Borrow<Req>,
    ) -> Result<Inbound<Resp>, Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::server_streaming(self, method.path(), message.borrow()).await
    }

    /// Opens a call that sends any number of messages and gets one: what sends them, and a future of the answer.
    ///
    /// # Errors
    ///
    /// Why the call could not begin. How it ends is said by the [`Answer`].
    pub async fn client_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, ClientStreaming>,
    ) -> Result<(Outbound<Req>, Answer<Resp>), Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        let (outbound, inbound) = call::streaming(self, method.path()).await?;
        Ok((outbound, Answer::new(inbound)))
    }

    /// Opens a call with any number of messages both ways, in any order.
    ///
    /// # Errors
    ///
    /// Why the call could not begin. How it ends is said by [`Inbound::recv`].
    pub async fn bidi_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, BidiStreaming>,
    ) -> Result<(Outbound<Req>, Inbound<Resp>), Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::streaming(self, method.path()).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Begin::Now(_) => "Begin::Now",
            Begin::Later(_) => "Begin::Later",
        })
    }
}
