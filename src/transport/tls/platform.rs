//! Trust in the certificate authorities of the operating system.

use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;

use super::{ClientTls, TlsError, VERSIONS, provider};

impl ClientTls {
    /// Creates a configuration that trusts servers as the operating system does: by its own verifier on Windows, macOS, iOS and
    /// Android, by its certificate files on Linux and other systems. There `SSL_CERT_FILE` and `SSL_CERT_DIR` in the
    /// environment name other files. Blocks while it reads files. Needs the feature `tls-platform-roots`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use barewire::Client;
    /// use barewire::transport::tls::ClientTls;
    ///
    /// let client = Client::builder().tls(ClientTls::platform_roots()?).connect("https://words.example.com").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the system has no certificate authorities.
    pub fn platform_roots() -> Result<ClientTls, TlsError> {
        let unusable = |error: rustls::Error| {
            TlsError::unusable(
                "the certificate authorities of the operating system",
                format!("{error}: install them (ca-certificates on Linux), or use ClientTls::new(authorities)"),
            )
        };
        let verifier = Verifier::new(provider()).map_err(unusable)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::unusable("TLS", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        ClientTls::from_config(Arc::new(config))
    }
}
