//! The server's side of TLS: a listener that wraps another.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsAcceptor, rustls};

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;

use super::reload::{CurrentIdentity, IdentityHandle};
use super::{
    Authorities, H2, Identity, TlsError, VERSIONS, check_alpn, explain, has_h2, identity, provider, refuse_without_h2,
};
use crate::io::{Address, ByteStream, Listener, Peer, SecureHandshake};

/// The TLS configuration of a server: its identity, and the certificates that it requests from clients.
///
/// A server that requires certificates of its clients (mTLS), and prints the reasons of failed handshakes:
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use barewire::Server;
/// use barewire::transport::tcp;
/// use barewire::transport::tls::{Authorities, Identity, ServerTls};
///
/// let tls = ServerTls::new(Identity::from_files("server.pem", "server.key")?);
/// let tls = tls.require_client_certificates(Authorities::from_file("clients.pem")?);
/// let listener = tls.listener(tcp::listen("127.0.0.1:50051").await?)?;
/// let listener = listener.on_failure(|address, error| eprintln!("{address}: {error}"));
/// Server::new(router).serve(listener).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls {
    source: Source,
    clients: Clients,
    on_failure: Option<OnFailure>,
}

#[derive(Clone, Debug)]
enum Source {
    Identity(Identity),
    Reloadable(Arc<CurrentIdentity>),
    Config(Arc<ServerConfig>),
}

#[derive(Clone, Debug)]
enum Clients {
    Anonymous,
    Optional(Authorities),
    Required(Authorities),
}

/// The callback for failed handshakes.
type OnFailure = Arc<dyn Fn(&Address, &io::Error) + Send + Sync>;

impl ServerTls {
    /// Creates a configuration that presents this identity and does not request client certificates.
    pub fn new(identity: Identity) -> ServerTls {
        ServerTls::presenting(Source::Identity(identity))
    }

    /// As [`ServerTls::new`], with a handle that replaces the identity while the server runs: see [`IdentityHandle`]. Sessions
    /// are not resumed, because a client that resumes one does not see the new certificate.
    #[must_use]
    pub fn reloadable(identity: Identity) -> (ServerTls, IdentityHandle) {
        let (current, handle) = IdentityHandle::new(identity);
        (ServerTls::presenting(Source::Reloadable(current)), handle)
    }

    /// Creates a configuration from one of rustls 0.23, which decides about versions, algorithms, certificates and those of
    /// clients. Sets ALPN to `h2` alone, because a connection of gRPC speaks
    /// nothing else.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use barewire::transport::tls::{Identity, ServerTls, rustls};
    ///
    /// # fn example(identity: Identity) -> Result<(), Box<dyn std::error::Error>> {
    /// let provider = Arc::new(rustls::crypto::ring::default_provider());
    /// let config = rustls::ServerConfig::builder_with_provider(provider)
    ///     .with_protocol_versions(&[&rustls::version::TLS13])?
    ///     .with_no_client_auth()
    ///     .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity.certified_key())));
    /// let tls = ServerTls::from_config(Arc::new(config))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the configuration offers only other protocols by ALPN.
    pub fn from_config(mut config: Arc<ServerConfig>) -> Result<ServerTls, TlsError> {
        check_alpn(&config.alpn_protocols)?;
        Arc::make_mut(&mut config).alpn_protocols = vec![H2.to_vec()];
        Ok(ServerTls::presenting(Source::Config(config)))
    }

    fn presenting(source: Source) -> ServerTls {
        ServerTls { source, clients: Clients::Anonymous, on_failure: None }
    }

    /// Refuses clients that do not present a certificate of these authorities (mTLS).
    #[must_use]
    pub fn require_client_certificates(mut self, authorities: Authorities) -> ServerTls {
        self.clients = Clients::Required(authorities);
        self
    }

    /// Requests a certificate of these authorities from clients. Accepts a client without a certificate, whose
    /// [`TlsIdentity::certificates`](crate::io::TlsIdentity::certificates) are empty; refuses one with any other certificate.
    #[must_use]
    pub fn accept_client_certificates(mut self, authorities: Authorities) -> ServerTls {
        self.clients = Clients::Optional(authorities);
        self
    }

    /// Calls `report` with the client's address and a one-line error whenever a handshake fails, as
    /// [`TlsListener::on_failure`].
    #[must_use]
    pub fn on_failure(mut self, report: impl Fn(&Address, &io::Error) + Send + Sync + 'static) -> ServerTls {
        self.on_failure = Some(Arc::new(report));
        self
    }

    /// Adds TLS to the connections of another listener.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the authorities can't be used, or if they were set on a configuration from
    /// [`ServerTls::from_config`], which has its own verifier of client certificates.
    pub fn listener<L: Listener>(&self, listener: L) -> Result<TlsListener<L>, TlsError> {
        let acceptor = TlsAcceptor::from(self.config()?);
        Ok(TlsListener { listener, acceptor, on_failure: self.on_failure.clone() })
    }

    /// Returns the handshake of a server's builder. Errors as [`ServerTls::listener`].
    pub(crate) fn handshake(self) -> Result<SecureHandshake, TlsError> {
        let acceptor = TlsAcceptor::from(self.config()?);
        Ok(Arc::new(move |below| Box::pin(accept(acceptor.clone(), below, self.on_failure.clone()))))
    }

    fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier = self.client_verifier()?;
        let resolver: Arc<dyn ResolvesServerCert> = match (&self.source, &verifier) {
            (Source::Identity(identity), _) => Arc::new(SingleCertAndKey::from(identity.key.clone())),
            (Source::Reloadable(current), _) => current.clone(),
            (Source::Config(config), None) => return Ok(config.clone()),
            (Source::Config(_), Some(_)) => {
                return Err(TlsError::unusable(
                    "the clients' authorities",
                    "set the verifier of client certificates in the rustls::ServerConfig",
                ));
            }
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::unusable("TLS", error))?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = vec![H2.to_vec()];
        if let Source::Reloadable(_) = &self.source {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    fn client_verifier(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let verifier = |authorities: &Authorities| {
            WebPkiClientVerifier::builder_with_provider(authorities.roots.clone(), provider())
        };
        let verifier = match &self.clients {
            Clients::Anonymous => return Ok(None),
            Clients::Optional(authorities) => verifier(authorities).allow_unauthenticated(),
            Clients::Required(authorities) => verifier(authorities),
        };
        verifier.build().map(Some).map_err(|error| TlsError::unusable("the clients' authorities", error))
    }
}

/// A listener that adds TLS to the connections of another.
///
/// [`ServerTls`] has an example.
#[must_use = "a listener accepts only when a server uses it"]
pub struct TlsListener<L> {
    listener: L,
    acceptor: TlsAcceptor,
    on_failure: Option<OnFailure>,
}

impl<L> TlsListener<L> {
    /// Calls `report` with the client's address and a one-line error whenever a handshake fails: plaintext on this port, a client
    /// that does not trust this server's certificate. Without it, such connections end silently.
    pub fn on_failure(mut self, report: impl Fn(&Address, &io::Error) + Send + Sync + 'static) -> TlsListener<L> {
        self.on_failure = Some(Arc::new(report));
        self
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Handshake = Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        let below = self.listener.accept().await?;
        let (acceptor, on_failure) = (self.acceptor.clone(), self.on_failure.clone());
        Ok(Box::pin(async move { accept(acceptor, below.await?, on_failure).await }))
    }
}

async fn accept(acceptor: TlsAcceptor, below: ByteStream, on_failure: Option<OnFailure>) -> io::Result<ByteStream> {
    let ByteStream { io, peer, .. } = below;
    let address = peer.address.clone();
    let result = shake_hands(acceptor, io, peer).await;
    result.inspect_err(|error| {
        if let Some(report) = on_failure {
            report(&address, error);
        }
    })
}

async fn shake_hands(acceptor: TlsAcceptor, io: Box<dyn crate::io::Io>, peer: Peer) -> io::Result<ByteStream> {
    let mut stream = acceptor.accept(io).await.map_err(|error| explain(error, "client"))?;
    let session = stream.get_ref().1;
    if !has_h2(session) {
        // rustls refuses a client that offers only other protocols, but accepts one that does not offer any.
        let _: io::Result<()> = stream.shutdown().await;
        return Err(refuse_without_h2("client"));
    }
    let tls = Some(identity(session, session.server_name()));
    Ok(ByteStream::new(stream, Peer { tls, ..peer }))
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("source", &self.source)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

impl<L: fmt::Debug> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}
