//! TLS on both sides of the tap: terminated here, so that the content can be shown, and started again towards the server.
//!
//! ```text
//! client ══ TLS ══▶ tap ══ TLS, with --to-tls ══▶ server
//!          --tls: its own authority, or --tls-cert and --tls-key
//! ```
//!
//! The bytes inside are forwarded unchanged. The server gets the name and the protocol that the client asked for.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, rustls, server};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, CommonState, DigitallySignedStruct, ServerConfig, SignatureScheme};

use super::authority::Authority;
use super::proxy::Socket;
use crate::cli::{self, Stop, private};
use barewire::transport::tls::{Authorities, ClientTls, Identity, explain};

/// Time limit of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// The TLS flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsFlags {
    /// Terminates the clients' TLS, to show its content. The certificates come from the tap's own authority, which clients have
    /// to trust, or from --tls-cert
    #[arg(long)]
    tls: bool,
    /// Folder of the tap's own authority, created on first use. Defaults to barewire/tap in the user's data folder
    #[arg(long, value_name = "DIR", requires = "tls")]
    ca_dir: Option<PathBuf>,
    /// Certificate to use instead, in PEM
    #[arg(long, value_name = "FILE", requires = "tls", requires = "tls_key", conflicts_with = "ca_dir")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Uses TLS to the server; needs --ca-file or --insecure
    #[arg(long)]
    to_tls: bool,
    /// Certificate authorities to trust for the server, in PEM
    #[arg(long, value_name = "FILE", requires = "to_tls")]
    ca_file: Option<PathBuf>,
    /// Accepts every server certificate
    #[arg(long, requires = "to_tls", conflicts_with = "ca_file")]
    insecure: bool,
    /// Name in the server's certificate; defaults to the name that the client asks for, or the host of --to
    #[arg(long, value_name = "NAME", requires = "to_tls")]
    server_name: Option<String>,
}

/// The TLS configuration of both sides.
#[derive(Clone)]
pub(super) struct Tls {
    accept: Option<TlsAcceptor>,
    connect: Option<Arc<ClientConfig>>,
    server_name: Option<String>,
}

impl TlsFlags {
    /// Builds the configuration that the flags ask for; `listen` is the tap's address.
    pub(super) fn tls(&self, listen: &str) -> Result<Tls, Stop> {
        let usage = |error: &dyn fmt::Display| Stop::Usage(error.to_string());
        Ok(Tls {
            accept: if self.tls { Some(Arc::new(self.server(listen)?).into()) } else { None },
            connect: match (self.to_tls, &self.ca_file) {
                (false, _) => None,
                (true, Some(file)) => {
                    let authorities = Authorities::from_file(file).map_err(|error| usage(&error))?;
                    let builder = client_builder()?;
                    Some(Arc::new(builder.with_root_certificates(authorities.roots()).with_no_client_auth()))
                }
                (true, None) if self.insecure => {
                    let verifier = Arc::new(Anyone(provider()));
                    cli::say(
                        "warning: with --insecure anyone between here and the server can read and change the traffic",
                    );
                    let builder = client_builder()?.dangerous().with_custom_certificate_verifier(verifier);
                    Some(Arc::new(builder.with_no_client_auth()))
                }
                (true, None) => {
                    let why = "--to-tls needs --ca-file FILE, the authorities to trust; only --insecure does without";
                    return Err(usage(&why));
                }
            },
            server_name: self.server_name.clone(),
        })
    }

    /// Returns the TLS of this program's own client of the server, which trusts only the authorities in --ca-file.
    pub(super) fn client_tls(&self) -> Result<Option<ClientTls>, Stop> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let authorities = Authorities::from_file(file).map_err(|error| Stop::Usage(error.to_string()))?;
        let tls = ClientTls::new(authorities);
        Ok(Some(match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        }))
    }

    fn server(&self, listen: &str) -> Result<ServerConfig, Stop> {
        let usage = |error: &dyn fmt::Display| Stop::Usage(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| usage(&error))?.with_no_client_auth();
        let mut config = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                if let Some(flaw) = private::flaw_of_key(key, true) {
                    return Err(usage(&flaw));
                }
                let identity = Identity::from_files(certificate, key).map_err(|error| usage(&error))?;
                builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
            }
            _ => {
                let folder = self.ca_dir.clone().or_else(data_folder);
                let folder = folder.ok_or_else(|| usage(&"found no data folder; name one with --ca-dir"))?;
                // An address that is only a port has no host.
                let names =
                    ["localhost", "127.0.0.1", "::1"].into_iter().chain(Some(host(listen)).filter(|it| !it.is_empty()));
                let names = names.map(str::to_owned).collect();
                let authority = Authority::in_folder(&folder, names);
                let authority =
                    authority.map_err(|error| usage(&format_args!("{error}; choose another folder with --ca-dir")))?;
                cli::say(format_args!("clients have to trust {}", authority.certificate().display()));
                builder.with_cert_resolver(Arc::new(authority))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// Returns the cryptography provider, ring's, as in the library.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Stop> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    builder.map_err(|error| Stop::Usage(error.to_string()))
}

/// Follows the XDG Base Directory Specification: `$XDG_DATA_HOME`, or `.local/share` in the home folder.
fn data_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("barewire/tap"))
}

/// Returns the host of "host:port", without the brackets of an IPv6 address; empty for a port alone.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Tls {
    /// Accepts a client's TLS, and returns the negotiated parameters.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<(Box<dyn Socket>, Option<TlsSession>)> {
        let Some(accept) = &self.accept else { return Ok((Box::new(socket), None)) };
        let stream = in_time(accept.accept(socket)).await.map_err(|error| explain(error, "client"))?;
        let session = stream.get_ref().1;
        let agreed = TlsSession::new("client", session, session.server_name());
        Ok((Box::new(stream), Some(agreed)))
    }

    /// Starts TLS to the server `to`, with the name and protocol that the client asked for.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        to: &str,
        client: Option<&TlsSession>,
    ) -> io::Result<(Box<dyn Socket>, Option<TlsSession>)> {
        let Some(config) = &self.connect else { return Ok((Box::new(socket), None)) };
        let asked = client.and_then(|client| client.server_name.as_deref());
        let name = self.server_name.as_deref().or(asked).unwrap_or_else(|| host(to)).to_owned();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| {
            let why = format!("invalid server name {name}; set another with --server-name");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let mut config = ClientConfig::clone(config);
        config.alpn_protocols = match client {
            Some(client) => client.protocol.iter().cloned().collect(),
            None => vec![b"h2".to_vec()],
        };
        let connect = TlsConnector::from(Arc::new(config)).connect(server_name, socket);
        let stream = in_time(connect).await.map_err(|error| {
            let mend = mend(&error);
            let error = explain(error, "server");
            io::Error::new(error.kind(), format!("{error}{mend}"))
        })?;
        let agreed = TlsSession::new("server", stream.get_ref().1, Some(&name));
        Ok((Box::new(stream), Some(agreed)))
    }
}

/// Returns the remedy for a failed handshake with the server, to append to the error.
fn mend(error: &io::Error) -> &'static str {
    use rustls::CertificateError as Wrong;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. })) => {
            "; use --server-name NAME to ask for a name in the certificate"
        }
        Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature)) => {
            "; use --ca-file FILE to trust the authority that signed it"
        }
        Some(rustls::Error::InvalidCertificate(_)) => "; renew or replace it, or see it unchecked with --insecure",
        Some(rustls::Error::InvalidMessage(_)) => "; leave out --to-tls for a server without TLS",
        Some(_) => "",
        // The server hung up, reset the connection or did not respond: it probably expects something else than TLS.
        None => "; if the server has no TLS, leave out --to-tls",
    }
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no handshake within {HANDSHAKE:?}"));
    timeout(HANDSHAKE, handshake).await.unwrap_or_else(|_| Err(late()))
}

/// The negotiated parameters of a TLS session.
#[derive(Clone, Debug)]
pub(super) struct TlsSession {
    with: &'static str,
    version: String,
    protocol: Option<Vec<u8>>,
    server_name: Option<String>,
}

impl TlsSession {
    fn new(with: &'static str, session: &CommonState, server_name: Option<&str>) -> TlsSession {
        TlsSession {
            with,
            version: session.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
            protocol: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
        }
    }
}

/// Formats as "TLS with the client: TLSv1_3, ALPN h2, SNI example.com".
impl fmt::Display for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.as_deref().map_or("none".into(), String::from_utf8_lossy);
        let name = self.server_name.as_deref().unwrap_or("none");
        write!(f, "TLS with the {}: {}, ALPN {protocol}, SNI {name}", self.with, self.version)
    }
}

impl Socket for server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

impl Socket for client::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

impl Socket for Box<dyn Socket> {
    fn reset(&self) {
        (**self).reset();
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
