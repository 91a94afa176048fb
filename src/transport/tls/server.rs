//! The server's side of TLS: a listener that wraps another.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsAcceptor, rustls};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;

use super::{Authorities, H2, Identity, TlsError, VERSIONS, explain, has_h2, identity, provider, refuse_without_h2};
use crate::io::{Address, ByteStream, Listener, Peer};

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
#[derive(Clone, Debug)]
pub struct ServerTls {
    identity: Identity,
    clients: Clients,
}

#[derive(Clone, Debug)]
enum Clients {
    Anonymous,
    Optional(Authorities),
    Required(Authorities),
}

impl ServerTls {
    /// Creates a configuration that presents this identity and does not request client certificates.
    pub fn new(identity: Identity) -> ServerTls {
        ServerTls { identity, clients: Clients::Anonymous }
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

    /// Adds TLS to the connections of another listener.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the authorities can't be used.
    pub fn listener<L: Listener>(&self, listener: L) -> Result<TlsListener<L>, TlsError> {
        Ok(TlsListener { listener, acceptor: TlsAcceptor::from(Arc::new(self.config()?)), on_failure: None })
    }

    fn config(&self) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::unusable("TLS", error))?;
        let builder = match self.client_verifier()? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(self.identity.key.clone())));
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
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

/// The callback for failed handshakes.
type OnFailure = Arc<dyn Fn(&Address, &io::Error) + Send + Sync>;

/// A listener that adds TLS to the connections of another.
///
/// [`ServerTls`] has an example.
pub struct TlsListener<L> {
    listener: L,
    acceptor: TlsAcceptor,
    on_failure: Option<OnFailure>,
}

impl<L> TlsListener<L> {
    /// Calls `report` with the client's address and a one-line error whenever a handshake fails: plaintext on this port, a client
    /// that does not trust this server's certificate. Without it, such connections end silently.
    #[must_use]
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
        Ok(Box::pin(async move {
            let ByteStream { io, peer, .. } = below.await?;
            let address = peer.address.clone();
            let result = shake_hands(acceptor, io, peer).await;
            result.inspect_err(|error| {
                if let Some(report) = on_failure {
                    report(&address, error);
                }
            })
        }))
    }
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

impl<L: fmt::Debug> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}
