//! Identities that are replaced while a server or a client runs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem::{Identity, TlsError};

/// Replaces the identity of a server or a client while it runs: see [`ServerTls::reloadable`](super::ServerTls::reloadable)
/// and [`ClientTls::reloadable_identity`](super::ClientTls::reloadable_identity). Cheap to clone.
///
/// Handshakes that begin afterwards present the new certificate. Connections in progress go on.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use barewire::transport::{tcp, tls};
///
/// let identity = tls::Identity::from_files("server.pem", "server.key")?;
/// let (tls, handle) = tls::ServerTls::reloadable(identity);
/// tokio::spawn(async move {
///     loop {
///         tokio::time::sleep(Duration::from_secs(3600)).await;
///         if let Err(error) = handle.set_from_files("server.pem", "server.key") {
///             eprintln!("the old certificate stays in use: {error}");
///         }
///     }
/// });
/// barewire::Server::builder().tls(tls).serve(router, tcp::listen("127.0.0.1:50051").await?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IdentityHandle {
    current: Arc<CurrentIdentity>,
}

impl IdentityHandle {
    pub(super) fn new(identity: Identity) -> (Arc<CurrentIdentity>, IdentityHandle) {
        let current = Arc::new(CurrentIdentity { key: RwLock::new(identity.key) });
        (current.clone(), IdentityHandle { current })
    }

    /// Replaces the identity.
    pub fn set(&self, identity: Identity) {
        *self.current.key.write().unwrap_or_else(PoisonError::into_inner) = identity.key;
    }

    /// Replaces the identity by the one in these files, as [`Identity::from_files`] reads them. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// Those of [`Identity::from_files`]; the old identity then stays in use. That includes a certificate and a key that don't
    /// match because only one of the files has been replaced yet.
    pub fn set_from_files(&self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<(), TlsError> {
        self.set(Identity::from_files(certificate, key)?);
        Ok(())
    }
}

impl fmt::Debug for IdentityHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityHandle").finish_non_exhaustive()
    }
}

/// The identity for the next handshake.
#[derive(Debug)]
pub(super) struct CurrentIdentity {
    key: RwLock<Arc<CertifiedKey>>,
}

impl CurrentIdentity {
    fn key(&self) -> Arc<CertifiedKey> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for CurrentIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for CurrentIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
