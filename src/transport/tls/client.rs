//! The client's side of TLS: a connector that wraps another.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::reload::IdentityHandle;
use super::{
    Authorities, H2, Identity, TlsError, VERSIONS, check_alpn, explain, has_h2, identity, provider, refuse_without_h2,
};
use crate::io::{ByteStream, ClientHandshake, Connector, Peer, SecureHandshake};

/// The TLS configuration of a client: the authorities that it trusts, and its own identity.
///
/// A client that also has a certificate (mTLS):
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use barewire::Client;
/// use barewire::transport::tcp;
/// use barewire::transport::tls::{Authorities, ClientTls, Identity};
///
/// let tls = ClientTls::new(Authorities::from_file("ca.pem")?);
/// let tls = tls.identity(Identity::from_files("client.pem", "client.key")?);
/// let client = Client::connect(tls.connector(tcp::connect("localhost:50051"))?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientTls {
    trust: Trust,
    identity: Option<Arc<dyn ResolvesClientCert>>,
    /// True if a later handshake may present another certificate.
    reloads: bool,
    server_name: Option<String>,
}

#[derive(Clone, Debug)]
enum Trust {
    Authorities(Authorities),
    Config(Arc<ClientConfig>),
}

impl ClientTls {
    /// Creates a configuration that trusts servers whose certificates these authorities signed.
    pub fn new(authorities: Authorities) -> ClientTls {
        ClientTls::trusting(Trust::Authorities(authorities))
    }

    /// Creates a configuration from one of rustls 0.23, which decides about versions, algorithms, certificates and verification.
    /// Sets ALPN to `h2` alone, because a connection of gRPC speaks
    /// nothing else.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use barewire::transport::tls::{ClientTls, rustls};
    ///
    /// # fn example(roots: rustls::RootCertStore) -> Result<(), Box<dyn std::error::Error>> {
    /// let provider = Arc::new(rustls::crypto::ring::default_provider());
    /// let config = rustls::ClientConfig::builder_with_provider(provider)
    ///     .with_protocol_versions(&[&rustls::version::TLS13])?
    ///     .with_root_certificates(roots)
    ///     .with_no_client_auth();
    /// let tls = ClientTls::from_config(Arc::new(config))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the configuration offers only other protocols by ALPN.
    pub fn from_config(mut config: Arc<ClientConfig>) -> Result<ClientTls, TlsError> {
        check_alpn(&config.alpn_protocols)?;
        Arc::make_mut(&mut config).alpn_protocols = vec![H2.to_vec()];
        Ok(ClientTls::trusting(Trust::Config(config)))
    }

    fn trusting(trust: Trust) -> ClientTls {
        ClientTls { trust, identity: None, reloads: false, server_name: None }
    }

    /// Presents this identity to servers that request one (mTLS).
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> ClientTls {
        self.identity = Some(Arc::new(SingleCertAndKey::from(identity.key)));
        self.reloads = false;
        self
    }

    /// Presents this identity to servers that request one (mTLS), and returns a handle that replaces it for the connections that
    /// begin later. Sessions are not resumed, because a resumed session has the identity of its first handshake.
    ///
    /// ```no_run
    /// use barewire::transport::tls::{Authorities, ClientTls, Identity};
    ///
    /// # fn example() -> Result<(), barewire::transport::tls::TlsError> {
    /// let identity = Identity::from_files("client.pem", "client.key")?;
    /// let (tls, handle) = ClientTls::new(Authorities::from_file("ca.pem")?).reloadable_identity(identity);
    /// // Later, after the files were replaced:
    /// handle.set_from_files("client.pem", "client.key")?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn reloadable_identity(mut self, identity: Identity) -> (ClientTls, IdentityHandle) {
        let (current, handle) = IdentityHandle::new(identity);
        self.identity = Some(current);
        self.reloads = true;
        (self, handle)
    }

    /// Expects a certificate for this name instead of the host of the connection. The name also becomes the `:authority` of
    /// calls, so that client and server use the same name.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> ClientTls {
        self.server_name = Some(name.into());
        self
    }

    /// Adds TLS to the connections of another connector.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the server's name is neither a DNS name nor an IP address.
    pub fn connector<C: Connector>(&self, connector: C) -> Result<TlsConnector<C>, TlsError> {
        let session = self.session(connector.authority())?;
        Ok(TlsConnector { connector, session })
    }

    /// Returns the handshake of a client's builder.
    pub(crate) fn handshake(self) -> ClientHandshake {
        Arc::new(move |authority| {
            let unusable = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
            let session = self.session(authority).map_err(unusable)?;
            let authority = session.authority.clone();
            let handshake: SecureHandshake = Arc::new(move |below| {
                let session = session.clone();
                Box::pin(async move { session.connect(below).await })
            });
            Ok((authority, handshake))
        })
    }

    /// Prepares handshakes with the server of this authority.
    fn session(&self, authority: &str) -> Result<Session, TlsError> {
        let authority = self.server_name.clone().unwrap_or_else(|| authority.to_owned());
        let name = match &self.server_name {
            Some(name) => name.as_str(),
            None => host(&authority),
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::unusable(name, "invalid server name: use a DNS name or an IP address"))?;
        Ok(Session { connect: tokio_rustls::TlsConnector::from(Arc::new(self.config()?)), name, authority })
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let mut config = match &self.trust {
            Trust::Config(config) => ClientConfig::clone(config),
            Trust::Authorities(authorities) => {
                let builder = ClientConfig::builder_with_provider(provider())
                    .with_protocol_versions(&VERSIONS)
                    .map_err(|error| TlsError::unusable("TLS", error))?;
                let mut config = builder.with_root_certificates(authorities.roots.clone()).with_no_client_auth();
                config.alpn_protocols = vec![H2.to_vec()];
                config
            }
        };
        if let Some(identity) = &self.identity {
            config.client_auth_cert_resolver = identity.clone();
        }
        if self.reloads {
            config.resumption = Resumption::disabled();
        }
        Ok(config)
    }
}

/// The handshakes of a client with one server.
#[derive(Clone)]
struct Session {
    connect: tokio_rustls::TlsConnector,
    name: ServerName<'static>,
    authority: String,
}

impl Session {
    async fn connect(&self, below: ByteStream) -> io::Result<ByteStream> {
        let ByteStream { io, peer, .. } = below;
        let stream = self.connect.connect(self.name.clone(), io).await.map_err(|error| explain(error, "server"))?;
        let session = stream.get_ref().1;
        if !has_h2(session) {
            return Err(refuse_without_h2("server"));
        }
        let tls = Some(identity(session, None));
        Ok(ByteStream::new(stream, Peer { tls, ..peer }))
    }
}

/// Returns the host of `host:port`, without the brackets of an IPv6 address.
fn host(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A connector that adds TLS to the connections of another.
///
/// [`ClientTls`] has an example.
#[must_use = "a connector connects only when a client uses it"]
pub struct TlsConnector<C> {
    connector: C,
    session: Session,
}

impl<C: Connector> Connector for TlsConnector<C> {
    async fn connect(&self) -> io::Result<ByteStream> {
        self.session.connect(self.connector.connect().await?).await
    }

    fn authority(&self) -> &str {
        &self.session.authority
    }

    fn scheme(&self) -> &'static str {
        "https"
    }
}

impl<C: fmt::Debug> fmt::Debug for TlsConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("connector", &self.connector)
            .field("name", &self.session.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_parsed_from_an_authority() {
        for (authority, expected) in [
            ("localhost:50051", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:50051", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(host(authority), expected, "{authority}");
        }
    }
}
