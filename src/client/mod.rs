//! The client: the four kinds of call, over any [`Invoke`]; in this module that is one connection.
//!
//! See `connection.rs` for one connection and `call.rs` for one call, top to bottom.

mod builder;
mod call;
mod caller;
mod connection;
mod interceptor;
mod invoke;
mod options;
mod raw;

pub use builder::ClientBuilder;
pub use call::Answer;
pub use connection::Connection;
pub use interceptor::{CallStart, Interceptor};
pub use invoke::{Begin, CallStream, Head, Invoke};
pub use options::{CallOptions, ClientOptions};

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;

use caller::Caller;

use crate::call::{Inbound, Outbound, Response};
use crate::io::Connector;
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::status::Status;

/// Calls the methods of a server. Cheap to clone; clones share the connection.
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
pub struct Client(Caller);

impl Client {
    /// Connects with default options. [`Client::builder`] sets options, and connects to a URL.
    ///
    /// # Errors
    ///
    /// UNAVAILABLE if the server can't be reached or does not speak HTTP/2.
    pub async fn connect(connector: impl Connector) -> Result<Client, Status> {
        Client::connect_with(connector, ClientOptions::default()).await
    }

    /// Connects with these options. Errors as [`Client::connect`].
    pub async fn connect_with(connector: impl Connector, options: ClientOptions) -> Result<Client, Status> {
        let connection = Connection::open(&connector, &options).await?;
        Client::over(Arc::new(connection), options)
    }

    /// Creates a client over a connection or channel.
    ///
    /// # Errors
    ///
    /// INTERNAL if the user agent contains anything but printable ASCII.
    pub fn over(invoke: Arc<dyn Invoke>, options: ClientOptions) -> Result<Client, Status> {
        Caller::new(invoke, options).map(Client)
    }

    /// Returns a client on the same connection that uses these options for its calls. Options that are not set here stay
    /// as they are: see [`CallOptions::merged_with`].
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Client {
        let options = self.0.options.clone().merged_with(options);
        Client(Caller { options, ..self.0.clone() })
    }

    /// Returns a client on the same connection whose calls this interceptor sees, after those that were added before.
    #[must_use]
    pub fn interceptor(&self, interceptor: impl Interceptor) -> Client {
        let mut caller = self.0.clone();
        caller.interceptors.add(interceptor);
        Client(caller)
    }

    /// Adds a function as an interceptor, like [`Client::interceptor`]; see [`Interceptor`] for an example.
    #[must_use]
    pub fn intercept(
        &self,
        begin: impl Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Client {
        self.interceptor(begin)
    }

    /// Returns a client on the same connection that limits the time of each of its calls, as [`CallOptions::timeout`]. For one
    /// call, use the client at once:
    ///
    /// ```no_run
    /// # #[derive(Clone, PartialEq, prost::Message)]
    /// # struct Text {
    /// #     #[prost(string, tag = "1")]
    /// #     text: String,
    /// # }
    /// # const SHOUT: barewire::Method<Text, Text, barewire::Unary> = barewire::Method::new("/words.Words/Shout");
    /// # async fn example(client: barewire::Client) -> Result<(), barewire::Status> {
    /// use std::time::Duration;
    ///
    /// let text = Text { text: "hello".into() };
    /// let loud = client.timeout(Duration::from_secs(2)).header("tenant", "blue").unary(SHOUT, text).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn timeout(&self, timeout: Duration) -> Client {
        self.with(CallOptions::new().timeout(timeout))
    }

    /// Returns a client on the same connection that sends this text entry in the initial metadata of its calls. It replaces the
    /// values that this client has for the key; to send several, use [`Client::with`]. Invalid entries make the calls fail, as
    /// [`CallOptions::header`] describes.
    #[must_use]
    pub fn header(&self, key: &str, value: &str) -> Client {
        self.with(CallOptions::new().header(key, value))
    }

    /// Returns a client on the same connection that sends this binary entry in the initial metadata of its calls, as
    /// [`Client::header`]. The key ends in `-bin`.
    ///
    /// ```no_run
    /// # async fn example(client: barewire::Client) {
    /// let traced = client.header_bin("trace-bin", &[0x00, 0x11, 0x22]);
    /// # }
    /// ```
    #[must_use]
    pub fn header_bin(&self, key: &str, value: &[u8]) -> Client {
        self.with(CallOptions::new().header_bin(key, value))
    }

    /// Sends one message and waits for the response.
    ///
    /// # Errors
    ///
    /// The status of the call, from the server or from this client.
    pub async fn unary<Req, Resp>(
        &self,
        method: Method<Req, Resp, Unary>,
        message: impl Borrow<Req>,
    ) -> Result<Response<Resp>, Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::unary(&self.0, method.path(), message.borrow()).await
    }

    /// Sends one message and returns an [`Inbound`] that receives the responses.
    ///
    /// # Errors
    ///
    /// The reason why the call could not begin. [`Inbound::recv`] returns how it ends.
    pub async fn server_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, ServerStreaming>,
        message: impl Borrow<Req>,
    ) -> Result<Inbound<Resp>, Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::server_streaming(&self.0, method.path(), message.borrow()).await
    }

    /// Opens a call that sends any number of messages and receives one. Returns the sending half, and a future of the
    /// response.
    ///
    /// # Errors
    ///
    /// The reason why the call could not begin. The [`Answer`] returns how it ends.
    pub async fn client_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, ClientStreaming>,
    ) -> Result<(Outbound<Req>, Answer<Resp>), Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        let (outbound, inbound) = call::streaming(&self.0, Cow::Borrowed(method.path()), true).await?;
        Ok((outbound, Answer::new(inbound)))
    }

    /// Opens a call with any number of messages in both directions, in any order.
    ///
    /// # Errors
    ///
    /// The reason why the call could not begin. [`Inbound::recv`] returns how it ends.
    pub async fn bidi_streaming<Req, Resp>(
        &self,
        method: Method<Req, Resp, BidiStreaming>,
    ) -> Result<(Outbound<Req>, Inbound<Resp>), Status>
    where
        Req: Message,
        Resp: Message + Default,
    {
        call::streaming(&self.0, Cow::Borrowed(method.path()), false).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.0.options).finish_non_exhaustive()
    }
}
