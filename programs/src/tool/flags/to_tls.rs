//! TLS to a server: the flags of the tap and of replay, the handshake, and errors that name the flag that helps.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client, rustls};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ClientConfig, CommonState, DigitallySignedStruct, SignatureScheme};

use crate::cli::{self, Stop, private};
use barewire::transport::tls::{Authorities, ClientTls, Identity, explain};

/// The name of HTTP/2 over TLS in ALPN: RFC 9113, section 3.1.
pub(in crate::tool) const H2: &[u8] = b"h2";

/// Time limit of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// The flags for TLS to the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(in crate::tool) struct ToTls {
    /// Uses TLS to the server; needs --ca-file or --insecure
    #[arg(long)]
    to_tls: bool,
    /// Certificate authorities to trust for the server, in PEM
    #[arg(long, alias = "ca", value_name = "FILE", requires = "to_tls")]
    ca_file: Option<PathBuf>,
    /// Accepts every server certificate
    #[arg(long, requires = "to_tls", conflicts_with = "ca_file")]
    insecure: bool,
    /// Name in the server's certificate; defaults to the name that the client asks for, or the host of --to
    #[arg(long, value_name = "NAME", requires = "to_tls")]
    server_name: Option<String>,
    /// Certificate to present to a server that asks for one, in PEM
    #[arg(long, value_name = "FILE", requires = "to_tls", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// TLS to a server.
#[derive(Clone)]
pub(in crate::tool) struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
    has_certificate: bool,
}

impl ToTls {
    /// Returns the configuration that the flags ask for, if they ask for TLS.
    pub(in crate::tool) fn client(&self) -> Result<Option<TlsClient>, Stop> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| usage(&error))?;
        let builder = match (self.to_tls, &self.ca_file) {
            (false, _) => return Ok(None),
            (true, Some(file)) => {
                let authorities = Authorities::from_file(file).map_err(|error| usage(&error))?;
                builder.with_root_certificates(authorities.roots())
            }
            (true, None) if self.insecure => {
                cli::say("warning: with --insecure anyone between here and the server can read and change the traffic");
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider())))
            }
            (true, None) => {
                let why = "--to-tls needs --ca-file FILE, the authorities to trust; only --insecure does without";
                return Err(usage(&why));
            }
        };
        let identity = self.identity()?;
        let has_certificate = identity.is_some();
        let config = match identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Some(TlsClient { config: Arc::new(config), server_name: self.server_name.clone(), has_certificate }))
    }

    /// Returns the TLS of this program's own client of the server, which trusts only the authorities in --ca-file.
    pub(in crate::tool) fn client_tls(&self) -> Result<Option<ClientTls>, Stop> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let mut tls = ClientTls::new(Authorities::from_file(file).map_err(|error| usage(&error))?);
        if let Some(identity) = self.identity()? {
            tls = tls.identity(identity);
        }
        Ok(Some(match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        }))
    }

    fn identity(&self) -> Result<Option<Identity>, Stop> {
        let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) else { return Ok(None) };
        if let Some(flaw) = private::flaw_of_key(key, true) {
            return Err(usage(&flaw));
        }
        Identity::from_files(certificate, key).map(Some).map_err(|error| usage(&error))
    }
}

fn usage(error: &dyn fmt::Display) -> Stop {
    Stop::Usage(error.to_string())
}

/// Returns the cryptography provider, ring's, as in the library.
pub(in crate::tool) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the host of "host:port", without the brackets of an IPv6 address; empty for a port alone.
pub(in crate::tool) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl TlsClient {
    /// Starts TLS to the server `to`, and asks for these protocols. `asked` is the name that the tap's client asked for.
    pub(in crate::tool) async fn connect(
        &self,
        socket: TcpStream,
        to: &str,
        asked: Option<&str>,
        protocols: Vec<Vec<u8>>,
    ) -> io::Result<(client::TlsStream<TcpStream>, TlsSession)> {
        let name = self.server_name.as_deref().or(asked).unwrap_or_else(|| host(to)).to_owned();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| {
            let why = format!("invalid server name {name}; set another with --server-name");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols;
        let connect = TlsConnector::from(Arc::new(config)).connect(server_name, socket);
        let stream = in_time(connect).await.map_err(|error| self.explained(error))?;
        let session = TlsSession::new("server", stream.get_ref().1, Some(&name));
        Ok((stream, session))
    }

    /// Describes an error of a handshake, or of reading after it, with the remedy.
    pub(in crate::tool) fn explained(&self, error: io::Error) -> io::Error {
        let mend = self.mend(&error);
        let error = sentence(error, "server");
        io::Error::new(error.kind(), format!("{error}{mend}"))
    }

    fn mend(&self, error: &io::Error) -> &'static str {
        use rustls::CertificateError as Wrong;
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. })) => {
                "; use --server-name NAME to ask for a name in the certificate"
            }
            Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature)) => {
                "; use --ca-file FILE to trust the authority that signed it"
            }
            Some(rustls::Error::InvalidCertificate(_)) => "; renew or replace it, or see it unchecked with --insecure",
            Some(rustls::Error::InvalidMessage(_)) => "; leave out --to-tls for a server without TLS",
            Some(rustls::Error::AlertReceived(alert)) => match *alert {
                AlertDescription::CertificateRequired if !self.has_certificate => {
                    ": it wants a client certificate; use --client-cert FILE and --client-key FILE"
                }
                // TLS 1.2 has no alert of its own for a certificate that is missing.
                AlertDescription::HandshakeFailure | AlertDescription::BadCertificate if !self.has_certificate => {
                    "; if it wants a client certificate, use --client-cert FILE and --client-key FILE"
                }
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::AccessDenied
                    if self.has_certificate =>
                {
                    ": it does not accept the certificate of --client-cert"
                }
                AlertDescription::NoApplicationProtocol => {
                    ": it speaks none of the protocols that were asked for (ALPN)"
                }
                AlertDescription::UnrecognisedName => "; use --server-name NAME to ask for another name",
                _ => "",
            },
            Some(_) => "",
            // The server hung up, reset the connection or did not respond: it probably expects something else than TLS.
            None => "; if the server has no TLS, leave out --to-tls",
        }
    }
}

/// Returns the error of rustls in an I/O error.
pub(in crate::tool) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// Describes an error of TLS as a sentence about the other side, and names alerts as RFC 8446, section 6, does.
pub(in crate::tool) fn sentence(error: io::Error, peer: &str) -> io::Error {
    match tls_error(&error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            let why = format!("the {peer} refused the connection with the TLS alert {}", snake(&format!("{alert:?}")));
            io::Error::new(error.kind(), why)
        }
        _ => explain(error, peer),
    }
}

/// Turns "CertificateRequired" into "certificate_required", and "UnknownCA" into "unknown_ca".
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && before_is_lower {
            out.push('_');
        }
        before_is_lower = c.is_ascii_lowercase();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Limits the time of a handshake.
pub(in crate::tool) async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no handshake within {HANDSHAKE:?}"));
    timeout(HANDSHAKE, handshake).await.unwrap_or_else(|_| Err(late()))
}

/// The negotiated parameters of a TLS session.
#[derive(Clone, Debug)]
pub(in crate::tool) struct TlsSession {
    with: &'static str,
    version: String,
    pub(in crate::tool) protocol: Option<Vec<u8>>,
    pub(in crate::tool) server_name: Option<String>,
}

impl TlsSession {
    pub(in crate::tool) fn new(with: &'static str, session: &CommonState, server_name: Option<&str>) -> TlsSession {
        TlsSession {
            with,
            version: session.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
            protocol: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
        }
    }

    /// Returns true if HTTP/2 was negotiated.
    pub(in crate::tool) fn has_h2(&self) -> bool {
        self.protocol.as_deref() == Some(H2)
    }

    /// Returns the negotiated protocol as text.
    pub(in crate::tool) fn protocol_name(&self) -> String {
        self.protocol.as_deref().map_or("none".to_owned(), |name| name.escape_ascii().to_string())
    }
}

/// Formats as "TLS with the client: TLSv1_3, ALPN h2, SNI example.com".
impl fmt::Display for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.server_name.as_deref().unwrap_or("none");
        write!(f, "TLS with the {}: {}, ALPN {}, SNI {name}", self.with, self.version, self.protocol_name())
    }
}

/// Accepts every certificate, and so does not authenticate the server.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        for (alert, name) in [
            (AlertDescription::CertificateRequired, "certificate_required"),
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::NoApplicationProtocol, "no_application_protocol"),
        ] {
            let error = io::Error::other(rustls::Error::AlertReceived(alert));
            assert!(sentence(error, "server").to_string().ends_with(name), "{name}");
        }
    }
}
