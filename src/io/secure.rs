//! A handshake between the transport and HTTP/2, as the builders of both sides use it: TLS, which `transport::tls` implements.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use super::{ByteStream, Connector, Listener};

/// The future of a handshake.
pub(crate) type Secured = Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>>;

/// Runs a handshake over a byte stream, and returns the byte stream inside it.
pub(crate) type SecureHandshake = Arc<dyn Fn(ByteStream) -> Secured + Send + Sync>;

/// Prepares a client's handshakes with the server of this authority. Returns the authority for calls, and the handshake.
pub(crate) type ClientHandshake = Arc<dyn Fn(&str) -> io::Result<(String, SecureHandshake)> + Send + Sync>;

/// A listener with a handshake on each of its connections, if it has one.
pub(crate) struct SecureListener<L> {
    listener: L,
    handshake: Option<SecureHandshake>,
}

impl<L> SecureListener<L> {
    pub(crate) fn new(listener: L, handshake: Option<SecureHandshake>) -> SecureListener<L> {
        SecureListener { listener, handshake }
    }
}

impl<L: Listener> Listener for SecureListener<L> {
    type Handshake = Secured;

    async fn accept(&mut self) -> io::Result<Secured> {
        let below = self.listener.accept().await?;
        Ok(match self.handshake.clone() {
            None => Box::pin(below),
            Some(handshake) => Box::pin(async move { handshake(below.await?).await }),
        })
    }
}

/// A connector with a handshake on each of its connections.
pub(crate) struct SecureConnector<C> {
    connector: C,
    handshake: SecureHandshake,
    authority: String,
}

impl<C: Connector> SecureConnector<C> {
    /// Adds a handshake to a connector.
    ///
    /// # Errors
    ///
    /// Those of preparing the handshake: a name that a certificate can't contain, a configuration that can't be used.
    pub(crate) fn new(connector: C, prepare: &ClientHandshake) -> io::Result<SecureConnector<C>> {
        let (authority, handshake) = prepare(connector.authority())?;
        Ok(SecureConnector { connector, handshake, authority })
    }
}

impl<C: Connector> Connector for SecureConnector<C> {
    async fn connect(&self) -> io::Result<ByteStream> {
        (self.handshake)(self.connector.connect().await?).await
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn scheme(&self) -> &'static str {
        "https"
    }
}

impl<L: fmt::Debug> fmt::Debug for SecureListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<C: fmt::Debug> fmt::Debug for SecureConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureConnector").field("connector", &self.connector).finish_non_exhaustive()
    }
}
