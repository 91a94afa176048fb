//! TLS for the bare server and the load: rustls with ring, as barewire and tonic use it.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::to_text;

/// Creates an acceptor with this certificate.
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_file_iter(cert).map_err(to_text)?.collect::<Result<_, _>>().map_err(to_text)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(to_text)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(to_text)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Creates a connector that trusts this authority.
pub fn connector(authority: &Path) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).map_err(to_text)? {
        roots.add(certificate.map_err(to_text)?).map_err(to_text)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Every connection makes a full handshake.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name in the certificate.
pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}
