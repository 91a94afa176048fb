//! [`ClientBuilder`]: the options of a client, one method for each.
//!
//! `ClientBuilder::connect`, which takes a URL, is in `transport/endpoint.rs`: the core does not use the transports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::interceptor::{CallStart, Interceptor, Interceptors};
use super::invoke::Invoke;
use super::options::{CallOptions, ClientOptions};
use crate::call::Compressors;
use crate::io::{ClientHandshake, Connector, SecureConnector};
use crate::limits::Limits;
use crate::status::{Code, Status};

/// Sets the options of a [`Client`], and connects it. Created by [`Client::builder`].
///
/// ```no_run
/// # async fn example() -> Result<(), barewire::Status> {
/// use std::time::Duration;
///
/// use barewire::Client;
///
/// let client = Client::builder()
///     .connect_timeout(Duration::from_secs(5))
///     .user_agent("my-app/1.0")
///     .max_receive_message_size(16 << 20)
///     .connect("http://localhost:50051")
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `connect` is called"]
#[derive(Clone, Default)]
pub struct ClientBuilder {
    options: ClientOptions,
    calls: CallOptions,
    interceptors: Interceptors,
    /// The handshake of TLS; `transport::tls` sets it.
    pub(crate) handshake: Option<ClientHandshake>,
}

impl Client {
    /// Starts to build a client with default options: see [`ClientBuilder`].
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    fn intercepted_by(mut self, interceptors: Interceptors) -> Client {
        self.0.interceptors = interceptors;
        self
    }
}

impl ClientBuilder {
    /// Replaces all options that were set before.
    ///
    /// ```
    /// use barewire::{Client, ClientOptions};
    ///
    /// let common = ClientOptions::default();
    /// let builder = Client::builder().options(common).user_agent("my-app/1.0");
    /// ```
    pub fn options(mut self, options: ClientOptions) -> ClientBuilder {
        self.options = options;
        self
    }

    /// Replaces all limits that were set before. The methods below set one limit each.
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.options.limits = limits;
        self
    }

    /// Sets the largest message that the server may send, in bytes: [`Limits::max_receive_message_size`], 4 MiB by default.
    pub fn max_receive_message_size(mut self, bytes: usize) -> ClientBuilder {
        self.options.limits.max_receive_message_size = bytes;
        self
    }

    /// Sets the largest message that this client may send, in bytes: [`Limits::max_send_message_size`], unlimited by default.
    pub fn max_send_message_size(mut self, bytes: usize) -> ClientBuilder {
        self.options.limits.max_send_message_size = bytes;
        self
    }

    /// Sets the largest metadata that the server may send, in bytes: [`Limits::max_metadata_size`], 64 KiB by default.
    pub fn max_metadata_size(mut self, bytes: u32) -> ClientBuilder {
        self.options.limits.max_metadata_size = bytes;
        self
    }

    /// Sets the flow-control window of a stream, in bytes: [`Limits::stream_window`], 1 MiB by default.
    pub fn stream_window(mut self, bytes: u32) -> ClientBuilder {
        self.options.limits.stream_window = bytes;
        self
    }

    /// Sets the flow-control window of a connection, in bytes: [`Limits::connection_window`], 16 MiB by default.
    pub fn connection_window(mut self, bytes: u32) -> ClientBuilder {
        self.options.limits.connection_window = bytes;
        self
    }

    /// Limits the memory that the calls of a connection need beyond the bytes that the server sent, in bytes:
    /// [`Limits::max_connection_memory`], 16 MiB by default.
    pub fn max_connection_memory(mut self, bytes: usize) -> ClientBuilder {
        self.options.limits.max_connection_memory = bytes;
        self
    }

    /// Sets the smallest message that is compressed, in bytes: [`Limits::min_compress_size`], 0 by default.
    pub fn min_compress_size(mut self, bytes: usize) -> ClientBuilder {
        self.options.limits.min_compress_size = bytes;
        self
    }

    /// Limits the time that the server may take for each thing that HTTP/2 requires at once: [`Limits::peer_timeout`], 20 s by
    /// default.
    pub fn peer_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.limits.peer_timeout = timeout;
        self
    }

    /// Sets the compressors that decompress responses and compress requests: [`ClientOptions::compressors`], empty by default.
    pub fn compressors(mut self, compressors: Compressors) -> ClientBuilder {
        self.options.compressors = compressors;
        self
    }

    /// Sets the table from the HTTP status of a response without `grpc-status` to a code:
    /// [`ClientOptions::code_of_http_status`], the published table by default.
    pub fn code_of_http_status(mut self, table: fn(u16) -> Code) -> ClientBuilder {
        self.options.code_of_http_status = table;
        self
    }

    /// Limits the time for connecting, including TLS and the server's SETTINGS: [`ClientOptions::connect_timeout`], 20 s by
    /// default.
    pub fn connect_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.connect_timeout = timeout;
        self
    }

    /// Sets the time without a byte from the server after which the client sends a PING: [`ClientOptions::keepalive_time`],
    /// `None` by default, which disables keepalive.
    pub fn keepalive_time(mut self, time: impl Into<Option<Duration>>) -> ClientBuilder {
        self.options.keepalive_time = time.into();
        self
    }

    /// Sets keepalive for a connection without calls, too: [`ClientOptions::keepalive_without_calls`], false by default.
    pub fn keepalive_without_calls(mut self, keepalive: bool) -> ClientBuilder {
        self.options.keepalive_without_calls = keepalive;
        self
    }

    /// Sets the application's name and version in `user-agent`:
    /// [`ClientOptions::user_agent`](field@ClientOptions::user_agent), empty by default.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> ClientBuilder {
        self.options.user_agent = user_agent.into();
        self
    }

    /// Sets options for every call of the client. Options of a single call replace them, as [`Client::with`] describes.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use barewire::{CallOptions, Client};
    ///
    /// let calls = CallOptions::new().timeout(Duration::from_secs(10)).header("tenant", "blue");
    /// let builder = Client::builder().call_options(calls);
    /// ```
    pub fn call_options(mut self, options: CallOptions) -> ClientBuilder {
        self.calls = self.calls.merged_with(options);
        self
    }

    /// Adds an interceptor, which sees each call after those that were added before.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> ClientBuilder {
        self.interceptors.add(interceptor);
        self
    }

    /// Adds a function as an interceptor, like [`ClientBuilder::interceptor`].
    ///
    /// ```
    /// use barewire::Client;
    ///
    /// let builder = Client::builder().intercept(|call| {
    ///     call.metadata_mut().insert("authorization", "Bearer sesame")?;
    ///     Ok(())
    /// });
    /// ```
    pub fn intercept(
        self,
        begin: impl Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> ClientBuilder {
        self.interceptor(begin)
    }

    /// Connects by any connector. If the builder has TLS, adds it to the connector's byte streams.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), barewire::Status> {
    /// use barewire::{Client, transport};
    ///
    /// let client = Client::builder().connect_over(transport::unix::connect("/run/words.sock")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`]. INVALID_ARGUMENT if the builder's TLS can't be used with this connector: it uses TLS
    /// already, or its authority is not a name that a certificate can contain.
    pub async fn connect_over(self, connector: impl Connector) -> Result<Client, Status> {
        let ClientBuilder { options, calls, interceptors, handshake } = self;
        let client = match handshake {
            None => Client::connect_with(connector, options).await?,
            Some(_) if connector.scheme() == "https" => {
                return Err(Status::invalid_argument(
                    "the connector uses TLS already: set TLS on the builder or on the connector, not on both",
                ));
            }
            Some(prepare) => {
                let secured = SecureConnector::new(connector, &prepare);
                let secured = secured.map_err(|error| Status::invalid_argument(error.to_string()))?;
                Client::connect_with(secured, options).await?
            }
        };
        Ok(client.with(calls).intercepted_by(interceptors))
    }

    /// Builds a client over a connection or channel, as [`Client::over`]. The options of connecting and TLS have no effect.
    ///
    /// # Errors
    ///
    /// Those of [`Client::over`].
    pub fn over(self, invoke: Arc<dyn Invoke>) -> Result<Client, Status> {
        Ok(Client::over(invoke, self.options)?.with(self.calls).intercepted_by(self.interceptors))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("options", &self.options)
            .field("call_options", &self.calls)
            .field("tls", &self.handshake.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_sets_its_option() {
        fn all_unknown(_: u16) -> Code {
            Code::Unknown
        }
        let second = Duration::from_secs;
        let builder = Client::builder()
            .compressors(Compressors::none())
            .code_of_http_status(all_unknown)
            .connect_timeout(second(1))
            .keepalive_time(second(2))
            .keepalive_without_calls(true)
            .user_agent("x/1")
            .max_receive_message_size(7)
            .max_send_message_size(8)
            .max_metadata_size(9)
            .stream_window(10)
            .connection_window(11)
            .max_connection_memory(12)
            .min_compress_size(13)
            .peer_timeout(second(14));
        // Every field is named, so that the compiler points here when an option is added.
        let ClientOptions {
            limits,
            compressors,
            code_of_http_status,
            connect_timeout,
            keepalive_time,
            keepalive_without_calls,
            user_agent,
        } = builder.options;
        assert_eq!(code_of_http_status(404), Code::Unknown);
        assert_eq!((connect_timeout, keepalive_time), (second(1), Some(second(2))));
        assert_eq!((keepalive_without_calls, &*user_agent), (true, "x/1"));
        assert!(compressors.is_empty());
        let Limits {
            max_receive_message_size,
            max_send_message_size,
            max_metadata_size,
            stream_window,
            connection_window,
            max_connection_memory,
            min_compress_size,
            peer_timeout,
        } = limits;
        assert_eq!((max_receive_message_size, max_send_message_size, max_metadata_size), (7, 8, 9));
        assert_eq!((stream_window, connection_window), (10, 11));
        assert_eq!((max_connection_memory, min_compress_size, peer_timeout), (12, 13, second(14)));
    }

    #[test]
    fn options_replace_what_was_set_before_and_call_options_merge() {
        let builder = Client::builder().user_agent("x/1").options(ClientOptions::default());
        assert_eq!(builder.options.user_agent, "");
        let builder = builder.call_options(CallOptions::new().timeout(Duration::from_secs(1)));
        let builder = builder.call_options(CallOptions::new().header("tenant", "blue"));
        assert_eq!(builder.calls.timeout, Some(Duration::from_secs(1)));
        let metadata = builder.calls.initial_metadata().unwrap().unwrap();
        assert_eq!(metadata.get("tenant"), Some("blue"));
    }
}
