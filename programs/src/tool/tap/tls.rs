//! TLS on both sides of the tap: it ends here, so that what is inside can be shown, and begins again towards the server.
//!
//! ```text
//! client ══ TLS ══▶ tap ══ TLS, with --to-tls ══▶ server
//!          --tls: its own authority, or --tls-cert and --tls-key
//! ```
//!
//! The bytes inside are forwarded as they are. The server is asked for the name and for the protocol that the client asked for.

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
use crate::cli::{self, Stop};
use barewire::transport::tls::{Authorities, ClientTls, Identity, explain};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// The flags about TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsFlags {
    /// Ends TLS of the clients here, so that what is inside is seen. Certificates come from an authority of the tap's own,
    /// which clients have to trust, or from --tls-cert
    #[arg(long)]
    tls: bool,
    /// The folder of the tap's own authority; it is made there when it is not. Without it: barewire/tap in the folder for
    /// data of the user
    #[arg(long, value_name = "DIR", requires = "tls")]
    ca_dir: Option<PathBuf>,
    /// A certificate to show instead, in PEM
    #[arg(long, value_name = "FILE", requires = "tls", requires = "tls_key", conflicts_with = "ca_dir")]
    tls_cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Talks TLS to the server, with --ca-file or --insecure
    #[arg(long)]
    to_tls: bool,
    /// The authorities that the server's certificate may be signed by, in PEM
    #[arg(long, value_name = "FILE", requires = "to_tls")]
    ca_file: Option<PathBuf>,
    /// Takes whatever certificate the server shows
    #[arg(long, requires = "to_tls", conflicts_with = "ca_file")]
    insecure: bool,
    /// The name that the server's certificate is for; without it the one that the client asks for, or that of --to
    #[arg(long, value_name = "NAME", requires = "to_tls")]
    server_name: Option<String>,
}

/// TLS as the flags have it.
#[derive(Clone)]
pub(super) struct Tls {
    accept: Option<TlsAcceptor>,
    connect: Option<Arc<ClientConfig>>,
    server_name: Option<String>,
}

impl TlsFlags {
    /// What the flags ask for; `listen` and `to` are host and port of both sides.
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
                    let builder = client_builder()?.dangerous().with_custom_certificate_verifier(verifier);
                    Some(Arc::new(builder.with_no_client_auth()))
                }
                (true, None) => return Err(usage(&"--to-tls needs --ca-file FILE, or --insecure")),
            },
            server_name: self.server_name.clone(),
        })
    }

    /// How a client of this program's own reaches the server; it trusts what --ca-file names and nothing else.
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
                let identity = Identity::from_files(certificate, key).map_err(|error| usage(&error))?;
                builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())))
            }
            _ => {
                let folder = self.ca_dir.clone().or_else(data_folder);
                let folder = folder.ok_or_else(|| usage(&"there is no folder for data; name one with --ca-dir"))?;
                // A port alone has no host.
                let names =
                    ["localhost", "127.0.0.1", "::1"].into_iter().chain(Some(host(listen)).filter(|it| !it.is_empty()));
                let names = names.map(str::to_owned).collect();
                let authority = Authority::in_folder(&folder, names);
                let authority = authority.map_err(|error| usage(&format_args!("{error}; choose with --ca-dir")))?;
                cli::say(format_args!("clients have to trust {}", authority.certificate().display()));
                builder.with_cert_resolver(Arc::new(authority))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// The cryptography: ring's, as in the library.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Stop> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    builder.map_err(|error| Stop::Usage(error.to_string()))
}

/// The XDG Base Directory Specification: `$XDG_DATA_HOME`, or `.local/share` at home.
fn data_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("barewire/tap"))
}

/// The host of "host:port", without the brackets of an IPv6 address; none of a port alone.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or("", |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Tls {
    /// Ends a client's TLS, and says what was agreed on.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<(Box<dyn Socket>, Option<Agreed>)> {
        let Some(accept) = &self.accept else { return Ok((Box::new(socket), None)) };
        let stream = in_time(accept.accept(socket)).await.map_err(|error| explain(error, "client"))?;
        let session = stream.get_ref().1;
        let agreed = Agreed::new("client", session, session.server_name());
        Ok((Box::new(stream), Some(agreed)))
    }

    /// Begins TLS towards the server `to`, as the client would have.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        to: &str,
        client: Option<&Agreed>,
    ) -> io::Result<(Box<dyn Socket>, Option<Agreed>)> {
        let Some(config) = &self.connect else { return Ok((Box::new(socket), None)) };
        let asked = client.and_then(|client| client.server_name.as_deref());
        let name = self.server_name.as_deref().or(asked).unwrap_or_else(|| host(to)).to_owned();
        let server_name = ServerName::try_from(name.clone()).map_err(|_| {
            let why = format!("{name} is no name that a certificate can be for; choose with --server-name");
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
        let agreed = Agreed::new("server", stream.get_ref().1, Some(&name));
        Ok((Box::new(stream), Some(agreed)))
    }
}

/// What the user can do about a handshake with the server that failed; behind the error.
fn mend(error: &io::Error) -> &'static str {
    use rustls::CertificateError as Wrong;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. })) => {
            "; --server-name NAME asks for one that it is for"
        }
        Some(rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature)) => {
            "; --ca-file FILE names the authority that has signed it"
        }
        Some(rustls::Error::InvalidCertificate(_)) => "; --insecure instead of --ca-file takes it all the same",
        Some(rustls::Error::InvalidMessage(_)) => "; leave out --to-tls for a server without TLS",
        Some(_) => "",
        // It hung up, reset the connection or said nothing: what a server does that waits for something else than TLS.
        None => "; if the server has no TLS, leave out --to-tls",
    }
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no handshake within {HANDSHAKE:?}"));
    timeout(HANDSHAKE, handshake).await.unwrap_or_else(|_| Err(late()))
}

/// What a handshake came to.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    with: &'static str,
    version: String,
    protocol: Option<Vec<u8>>,
    server_name: Option<String>,
}

impl Agreed {
    fn new(with: &'static str, session: &CommonState, server_name: Option<&str>) -> Agreed {
        Agreed {
            with,
            version: session.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
            protocol: session.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
        }
    }
}

/// "TLS with the client: TLSv1_3, ALPN h2, SNI example.com".
impl fmt::Display for Agreed {
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

/// Takes every certificate: whom the server is, is not asked.
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
