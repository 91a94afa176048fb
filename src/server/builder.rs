//! [`ServerBuilder`]: the options of a server, one method for each.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use super::Server;
use super::interceptor::{CallStart, Interceptor, Interceptors};
use super::options::ServerOptions;
use super::pings::TooManyPings;
use super::router::Routes;
use super::shared::Hooks;
use crate::call::Compressors;
use crate::io::{ConnectionInfo, Listener, SecureHandshake};
use crate::limits::Limits;
use crate::status::Status;
use crate::wire::encoding::Encoding;

/// Sets the options of a [`Server`], and builds or runs it. Created by [`Server::builder`].
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use barewire::{Server, transport};
///
/// Server::builder()
///     .max_concurrent_streams(100)
///     .max_receive_message_size(16 << 20)
///     .shutdown_timeout(Duration::from_secs(30))
///     .serve(router, transport::tcp::listen("127.0.0.1:50051").await?)
///     .await
/// # }
/// ```
#[must_use = "a builder does nothing until `build` or `serve` is called"]
#[derive(Default)]
pub struct ServerBuilder {
    options: ServerOptions,
    hooks: Hooks,
    interceptors: Interceptors,
    /// The handshake of TLS, or the error of its configuration, which [`Server::serve`] returns. `transport::tls` sets it.
    pub(crate) handshake: Option<io::Result<SecureHandshake>>,
}

impl Server {
    /// Starts to build a server with default options: see [`ServerBuilder`].
    ///
    /// ```
    /// use barewire::{Router, Server};
    ///
    /// let server = Server::builder().max_concurrent_streams(100).build(Router::new(()));
    /// ```
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Replaces the options.
    #[must_use]
    pub fn with_options(mut self, options: ServerOptions) -> Server {
        self.options = options;
        self
    }

    /// Sets a function that decides about each new connection: the server serves it if the function returns true, and
    /// closes it otherwise, before HTTP/2 begins. With TLS it runs after the handshake and sees the peer's certificates.
    /// It may attach values to the connection, which the handlers of its calls see.
    ///
    /// ```
    /// use barewire::{Router, Server};
    ///
    /// #[derive(Clone)]
    /// struct Tenant(u8);
    ///
    /// let server = Server::new(Router::new(())).on_accept(|connection| {
    ///     connection.extensions_mut().insert(Tenant(7));
    ///     connection.peer().tls.is_some()
    /// });
    /// ```
    #[must_use]
    pub fn on_accept(mut self, accepts: impl Fn(&mut ConnectionInfo) -> bool + Send + Sync + 'static) -> Server {
        self.hooks.on_accept = Some(Box::new(accepts));
        self
    }

    /// Sets a function that is called when a connection ends because its client sent too many PINGs
    /// ([`ServerOptions::min_ping_interval`]). The client sees only GOAWAY ENHANCE_YOUR_CALM `too_many_pings`, which gRFC A8
    /// prescribes; [`TooManyPings`] has the reason as text. The function must not block.
    ///
    /// ```
    /// use barewire::{Router, Server};
    ///
    /// let server = Server::new(Router::new(()))
    ///     .on_too_many_pings(|connection, pings| eprintln!("{}: {pings}", connection.peer().address));
    /// ```
    #[must_use]
    pub fn on_too_many_pings(
        mut self,
        report: impl Fn(&ConnectionInfo, &TooManyPings) + Send + Sync + 'static,
    ) -> Server {
        self.hooks.on_too_many_pings = Some(Box::new(report));
        self
    }

    /// Adds an interceptor, which sees each call after those that were added before.
    #[must_use]
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Server {
        self.interceptors.add(interceptor);
        self
    }

    /// Adds a function as an interceptor, like [`Server::interceptor`]; see [`Interceptor`] for an example.
    #[must_use]
    pub fn intercept(self, begin: impl Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static) -> Server {
        self.interceptor(begin)
    }
}

impl ServerBuilder {
    /// Replaces all options that were set before.
    ///
    /// ```
    /// use barewire::{Server, ServerOptions};
    ///
    /// let common = ServerOptions::default();
    /// let builder = Server::builder().options(common).max_concurrent_streams(100);
    /// ```
    pub fn options(mut self, options: ServerOptions) -> ServerBuilder {
        self.options = options;
        self
    }

    /// Replaces all limits that were set before. The methods below set one limit each.
    pub fn limits(mut self, limits: Limits) -> ServerBuilder {
        self.options.limits = limits;
        self
    }

    /// Sets the largest message that a client may send, in bytes: [`Limits::max_receive_message_size`], 4 MiB by default.
    pub fn max_receive_message_size(mut self, bytes: usize) -> ServerBuilder {
        self.options.limits.max_receive_message_size = bytes;
        self
    }

    /// Sets the largest message that this server may send, in bytes: [`Limits::max_send_message_size`], unlimited by default.
    pub fn max_send_message_size(mut self, bytes: usize) -> ServerBuilder {
        self.options.limits.max_send_message_size = bytes;
        self
    }

    /// Sets the largest metadata that a client may send, in bytes: [`Limits::max_metadata_size`], 64 KiB by default.
    pub fn max_metadata_size(mut self, bytes: u32) -> ServerBuilder {
        self.options.limits.max_metadata_size = bytes;
        self
    }

    /// Sets the flow-control window of a stream, in bytes: [`Limits::stream_window`], 1 MiB by default.
    pub fn stream_window(mut self, bytes: u32) -> ServerBuilder {
        self.options.limits.stream_window = bytes;
        self
    }

    /// Sets the flow-control window of a connection, in bytes: [`Limits::connection_window`], 16 MiB by default.
    pub fn connection_window(mut self, bytes: u32) -> ServerBuilder {
        self.options.limits.connection_window = bytes;
        self
    }

    /// Limits the memory that the calls of a connection need beyond the bytes that the client sent, in bytes:
    /// [`Limits::max_connection_memory`], 16 MiB by default.
    pub fn max_connection_memory(mut self, bytes: usize) -> ServerBuilder {
        self.options.limits.max_connection_memory = bytes;
        self
    }

    /// Sets the smallest message that is compressed, in bytes: [`Limits::min_compress_size`], 0 by default.
    pub fn min_compress_size(mut self, bytes: usize) -> ServerBuilder {
        self.options.limits.min_compress_size = bytes;
        self
    }

    /// Limits the time that a client may take for each thing that HTTP/2 requires at once: [`Limits::peer_timeout`], 20 s by
    /// default.
    pub fn peer_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.options.limits.peer_timeout = timeout;
        self
    }

    /// Sets the number of calls that a connection may have in progress: [`ServerOptions::max_concurrent_streams`], 1,000 by
    /// default.
    pub fn max_concurrent_streams(mut self, calls: u32) -> ServerBuilder {
        self.options.max_concurrent_streams = calls;
        self
    }

    /// Limits the number of connections: [`ServerOptions::max_connections`], unlimited by default.
    pub fn max_connections(mut self, connections: usize) -> ServerBuilder {
        self.options.max_connections = connections;
        self
    }

    /// Limits the number of calls that all connections together may have in progress:
    /// [`ServerOptions::max_concurrent_calls`], unlimited by default.
    pub fn max_concurrent_calls(mut self, calls: usize) -> ServerBuilder {
        self.options.max_concurrent_calls = calls;
        self
    }

    /// Sets the compressors that decompress requests and compress responses: [`ServerOptions::compressors`], empty by default.
    pub fn compressors(mut self, compressors: Compressors) -> ServerBuilder {
        self.options.compressors = compressors;
        self
    }

    /// Sets the encoding of responses: [`ServerOptions::encoding`], `None` by default.
    pub fn encoding(mut self, encoding: impl Into<Option<Encoding>>) -> ServerBuilder {
        self.options.encoding = encoding.into();
        self
    }

    /// Sets the time that a handler may keep its connection's task busy: [`ServerOptions::inline_limit`], 1 ms by default.
    pub fn inline_limit(mut self, limit: Duration) -> ServerBuilder {
        self.options.inline_limit = limit;
        self
    }

    /// Limits the time of a client's handshake: [`ServerOptions::handshake_timeout`], 20 s by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.options.handshake_timeout = timeout;
        self
    }

    /// Limits the time without calls: [`ServerOptions::max_connection_idle`], `None` by default, which means unlimited.
    pub fn max_connection_idle(mut self, time: impl Into<Option<Duration>>) -> ServerBuilder {
        self.options.max_connection_idle = time.into();
        self
    }

    /// Limits the age of a connection: [`ServerOptions::max_connection_age`], `None` by default, which means unlimited.
    pub fn max_connection_age(mut self, age: impl Into<Option<Duration>>) -> ServerBuilder {
        self.options.max_connection_age = age.into();
        self
    }

    /// Limits the time that calls may take to end after that age: [`ServerOptions::max_connection_age_grace`], `None` by
    /// default, which means unlimited.
    pub fn max_connection_age_grace(mut self, grace: impl Into<Option<Duration>>) -> ServerBuilder {
        self.options.max_connection_age_grace = grace.into();
        self
    }

    /// Sets the time without a byte from the client after which the server sends a PING: [`ServerOptions::keepalive_time`],
    /// 2 hours by default.
    pub fn keepalive_time(mut self, time: Duration) -> ServerBuilder {
        self.options.keepalive_time = time;
        self
    }

    /// Sets the shortest interval at which a client may send PINGs: [`ServerOptions::min_ping_interval`], 5 minutes by default.
    pub fn min_ping_interval(mut self, interval: Duration) -> ServerBuilder {
        self.options.min_ping_interval = interval;
        self
    }

    /// Sets the time for which a server that shuts down still accepts connections and calls: [`ServerOptions::lame_duck`], zero
    /// by default.
    pub fn lame_duck(mut self, time: Duration) -> ServerBuilder {
        self.options.lame_duck = time;
        self
    }

    /// Allows the client to send PINGs without calls as often as with calls:
    /// [`ServerOptions::keepalive_permit_without_stream`], false by default.
    pub fn keepalive_permit_without_stream(mut self, permit: bool) -> ServerBuilder {
        self.options.keepalive_permit_without_stream = permit;
        self
    }

    /// Limits the time that calls in progress may take to end when the server shuts down:
    /// [`ServerOptions::shutdown_timeout`], 10 s by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> ServerBuilder {
        self.options.shutdown_timeout = timeout;
        self
    }

    /// Sets a function that decides about each new connection, as [`Server::on_accept`] describes.
    pub fn on_accept(mut self, accepts: impl Fn(&mut ConnectionInfo) -> bool + Send + Sync + 'static) -> ServerBuilder {
        self.hooks.on_accept = Some(Box::new(accepts));
        self
    }

    /// Sets a function that is called when a connection ends because of its client's PINGs, as
    /// [`Server::on_too_many_pings`] describes.
    pub fn on_too_many_pings(
        mut self,
        report: impl Fn(&ConnectionInfo, &TooManyPings) + Send + Sync + 'static,
    ) -> ServerBuilder {
        self.hooks.on_too_many_pings = Some(Box::new(report));
        self
    }

    /// Adds an interceptor, which sees each call after those that were added before.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> ServerBuilder {
        self.interceptors.add(interceptor);
        self
    }

    /// Adds a function as an interceptor, like [`ServerBuilder::interceptor`].
    ///
    /// ```
    /// use barewire::{Server, Status};
    ///
    /// let builder = Server::builder().intercept(|call| match call.metadata().get("authorization") {
    ///     Some("Bearer sesame") => Ok(()),
    ///     _ => Err(Status::unauthenticated("a Bearer token is required")),
    /// });
    /// ```
    pub fn intercept(
        self,
        begin: impl Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> ServerBuilder {
        self.interceptor(begin)
    }

    /// Builds a server of these routes. [`Server::serve`] runs it.
    pub fn build(self, routes: impl Into<Routes>) -> Server {
        let ServerBuilder { options, hooks, interceptors, handshake } = self;
        Server { routes: routes.into(), options, hooks, interceptors, handshake }
    }

    /// Builds a server of these routes and runs it, as [`Server::serve`].
    ///
    /// # Errors
    ///
    /// Those of [`Server::serve_until`].
    pub async fn serve(self, routes: impl Into<Routes>, listener: impl Listener) -> io::Result<()> {
        self.build(routes).serve(listener).await
    }

    /// Builds a server of these routes and runs it until `shutdown` is ready, as [`Server::serve_until`].
    ///
    /// # Errors
    ///
    /// Those of [`Server::serve_until`].
    pub async fn serve_until(
        self,
        routes: impl Into<Routes>,
        listener: impl Listener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        self.build(routes).serve_until(listener, shutdown).await
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("options", &self.options)
            .field("on_accept", &self.hooks.on_accept.is_some())
            .field("tls", &self.handshake.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_sets_its_option() {
        let second = Duration::from_secs;
        let builder = Server::builder()
            .max_concurrent_streams(1)
            .compressors(Compressors::none())
            .encoding(Encoding::Gzip)
            .inline_limit(second(2))
            .handshake_timeout(second(3))
            .keepalive_time(second(4))
            .min_ping_interval(second(5))
            .shutdown_timeout(second(6))
            .max_receive_message_size(7)
            .max_send_message_size(8)
            .max_metadata_size(9)
            .stream_window(10)
            .connection_window(11)
            .max_connection_memory(12)
            .min_compress_size(13)
            .peer_timeout(second(14))
            .max_connections(15)
            .max_concurrent_calls(16)
            .lame_duck(second(17))
            .max_connection_idle(second(15))
            .max_connection_age(second(16))
            .max_connection_age_grace(second(17))
            .keepalive_permit_without_stream(true);
        // Every field is named, so that the compiler points here when an option is added.
        let ServerOptions {
            limits,
            max_concurrent_streams,
            max_connections,
            max_concurrent_calls,
            compressors,
            encoding,
            inline_limit,
            handshake_timeout,
            keepalive_time,
            min_ping_interval,
            lame_duck,
            keepalive_permit_without_stream,
            max_connection_idle,
            max_connection_age,
            max_connection_age_grace,
            shutdown_timeout,
        } = builder.build(crate::Router::new(())).options;
        assert_eq!((max_concurrent_streams, encoding), (1, Some(Encoding::Gzip)));
        assert!(compressors.is_empty());
        assert_eq!((max_connections, max_concurrent_calls, lame_duck.as_secs()), (15, 16, 17));
        let times = [inline_limit, handshake_timeout, keepalive_time, min_ping_interval, shutdown_timeout];
        assert_eq!(times.map(|time| time.as_secs()), [2, 3, 4, 5, 6]);
        let lives = [max_connection_idle, max_connection_age, max_connection_age_grace];
        assert_eq!(lives.map(|time| time.map(|time| time.as_secs())), [Some(15), Some(16), Some(17)]);
        assert!(keepalive_permit_without_stream);
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
        assert_eq!((max_connection_memory, min_compress_size, peer_timeout.as_secs()), (12, 13, 14));
    }

    #[test]
    fn options_and_limits_replace_what_was_set_before() {
        let builder = Server::builder().max_concurrent_streams(1).options(ServerOptions::default());
        let options = builder.max_metadata_size(2).limits(Limits::default()).inline_limit(Duration::ZERO).options;
        assert_eq!(options.max_concurrent_streams, ServerOptions::default().max_concurrent_streams);
        assert_eq!(options.limits.max_metadata_size, Limits::default().max_metadata_size);
        assert!(options.inline_limit.is_zero());
    }
}
