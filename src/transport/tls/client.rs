//! The client's side of TLS: a connector that wraps another.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use super::{Authorities, H2, Identity, TlsError, VERSIONS, explain, has_h2, identity, provider, refuse_without_h2};
use crate::io::{ByteStream, Connector, Peer};

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
    authorities: Authorities,
    identity: Option<Identity>,
    server_name: Option<String>,
}

impl ClientTls {
    /// Creates a configuration that trusts servers whose certificates these authorities signed.
    pub fn new(authorities: Authorities) -> ClientTls {
        ClientTls { authorities, identity: None, server_name: None }
    }

    /// Presents this identity to servers that request one (mTLS).
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> ClientTls {
        self.identity = Some(identity);
        self
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
        let authority = self.server_name.clone().unwrap_or_else(|| connector.authority().to_owned());
        let name = match &self.server_name {
            Some(name) => name.as_str(),
            None => host(&authority),
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::unusable(name, "invalid server name: use a DNS name or an IP address"))?;
        let connect = tokio_rustls::TlsConnector::from(Arc::new(self.config()?));
        Ok(TlsConnector { connector, connect, name, authority })
    }

    fn config(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::unusable("TLS", error))?
            .with_root_certificates(self.authorities.roots.clone());
        let mut config = match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
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
pub struct TlsConnector<C> {
    connector: C,
    connect: tokio_rustls::TlsConnector,
    name: ServerName<'static>,
    authority: String,
}

impl<C: Connector> Connector for TlsConnector<C> {
    async fn connect(&self) -> io::Result<ByteStream> {
        let ByteStream { io, peer, .. } = self.connector.connect().await?;
        let stream = self.connect.connect(self.name.clone(), io).await.map_err(|error| explain(error, "server"))?;
        let session = stream.get_ref().1;
        if !has_h2(session) {
            return Err(refuse_without_h2("server"));
        }
        let tls = Some(identity(session, None));
        Ok(ByteStream::new(stream, Peer { tls, ..peer }))
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn scheme(&self) -> &'static str {
        "https"
    }
}

impl<C: fmt::Debug> fmt::Debug for TlsConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("connector", &self.connector)
            .field("name", &self.name)
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
