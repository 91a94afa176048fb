//! TLS on both sides of the tap: terminated here, so that the content can be shown, and started again towards the server.
//!
//! ```text
//! client ══ TLS ══▶ tap ══ TLS, with --to-tls ══▶ server
//!          --tls: its own authority, or --tls-cert and --tls-key
//! ```
//!
//! The bytes inside are forwarded unchanged. The server gets the name and the protocols that the client asked for, and the
//! client gets the protocol that the server chose: its handshake waits for the server's. So a server without ALPN looks through
//! the tap as it does without.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpStream;
use tokio_rustls::server::{StartHandshake, TlsStream};
use tokio_rustls::{LazyConfigAcceptor, client, rustls};

use rustls::server::Acceptor;
use rustls::sign::SingleCertAndKey;
use rustls::{AlertDescription, ServerConfig};

use super::authority::Authority;
use super::proxy::Socket;
use crate::cli::{self, Stop, private};
use crate::tool::flags::to_tls::{H2, TlsClient, TlsSession, ToTls, host, in_time, provider, sentence, tls_error};
use barewire::transport::tls::{ClientTls, Identity};

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
    #[command(flatten)]
    to: ToTls,
    /// Negotiates HTTP/2 with the client (ALPN h2) even if the server does not choose it
    #[arg(long, requires = "tls", requires = "to_tls")]
    assume_h2: bool,
}

/// The TLS configuration of both sides.
#[derive(Clone)]
pub(super) struct Tls {
    accept: Option<Arc<ServerConfig>>,
    /// The certificate that clients have to trust, if it is the tap's own.
    authority: Option<Arc<str>>,
    pub(super) connect: Option<TlsClient>,
    assume_h2: bool,
}

impl TlsFlags {
    /// Builds the configuration that the flags ask for; `listen` is the tap's address.
    pub(super) fn tls(&self, listen: &str) -> Result<Tls, Stop> {
        let connect = self.to.client()?;
        let (accept, authority) = if self.tls {
            self.server(listen).map(|(config, authority)| (Some(config), authority))?
        } else {
            (None, None)
        };
        Ok(Tls { accept: accept.map(Arc::new), authority, connect, assume_h2: self.assume_h2 })
    }

    /// Returns the TLS of this program's own client of the server, which trusts only the authorities in --ca-file.
    pub(super) fn client_tls(&self) -> Result<Option<ClientTls>, Stop> {
        self.to.client_tls()
    }

    /// Returns the configuration for clients, and the file of the authority that they have to trust.
    fn server(&self, listen: &str) -> Result<(ServerConfig, Option<Arc<str>>), Stop> {
        let usage = |error: &dyn fmt::Display| Stop::Usage(error.to_string());
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| usage(&error))?.with_no_client_auth();
        let (mut config, file) = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                if let Some(flaw) = private::flaw_of_key(key, true) {
                    return Err(usage(&flaw));
                }
                let identity = Identity::from_files(certificate, key).map_err(|error| usage(&error))?;
                (builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key()))), None)
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
                let file = authority.certificate().display().to_string();
                cli::say(format_args!("clients have to trust {file}"));
                (builder.with_cert_resolver(Arc::new(authority)), Some(file.into()))
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok((config, file))
    }
}

/// Follows the XDG Base Directory Specification: `$XDG_DATA_HOME`, or `.local/share` in the home folder.
fn data_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(data.join("barewire/tap"))
}

/// A client that has connected.
pub(super) enum Caller {
    /// Without TLS, or with TLS that the tap does not terminate.
    Plain(TcpStream),
    /// With TLS, of which the ClientHello has arrived.
    Hello(Box<StartHandshake<TcpStream>>),
}

impl Caller {
    /// Returns the name (SNI) and the protocols (ALPN) that the client asks for. Without TLS it is a client of HTTP/2.
    fn asks(&self) -> (Option<String>, Vec<Vec<u8>>) {
        match self {
            Caller::Plain(_) => (None, vec![H2.to_vec()]),
            Caller::Hello(start) => {
                let hello = start.client_hello();
                let protocols = hello.alpn().map(|protocols| protocols.map(<[u8]>::to_vec).collect());
                (hello.server_name().map(str::to_owned), protocols.unwrap_or_default())
            }
        }
    }

    /// Resets the connection.
    pub(super) fn reset(self) {
        match self {
            Caller::Plain(socket) => socket.reset(),
            Caller::Hello(start) => start.io.reset(),
        }
    }
}

impl Tls {
    /// Returns true if the tap terminates the clients' TLS.
    pub(super) fn terminates(&self) -> bool {
        self.accept.is_some()
    }

    /// Waits for the ClientHello of a client, if the tap terminates TLS.
    pub(super) async fn hello(&self, socket: TcpStream) -> io::Result<Caller> {
        if self.accept.is_none() {
            return Ok(Caller::Plain(socket));
        }
        let mut first = [0; 3];
        let read = in_time(socket.peek(&mut first)).await?;
        if let Some(begins) = first.get(..read).filter(|begins| begins.first().is_some_and(|first| *first != 22)) {
            let speaks = if begins.starts_with(b"PRI") { "HTTP/2 in plaintext" } else { "plaintext" };
            let why = format!("the client speaks {speaks}, but --tls expects TLS; let it use TLS, or leave out --tls");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let start = in_time(LazyConfigAcceptor::new(Acceptor::default(), socket)).await;
        start.map(|start| Caller::Hello(Box::new(start))).map_err(|error| self.of_client(error))
    }

    /// Completes a client's handshake with the protocol that the server has chosen, if the tap uses TLS to it.
    pub(super) async fn accept(
        &self,
        caller: Caller,
        server: Option<&TlsSession>,
    ) -> io::Result<(Box<dyn Socket>, Option<TlsSession>)> {
        let (start, config) = match (caller, &self.accept) {
            (Caller::Hello(start), Some(config)) => (start, config),
            (Caller::Hello(start), None) => return Ok((Box::new(start.io), None)),
            (Caller::Plain(socket), _) => return Ok((Box::new(socket), None)),
        };
        let mut config = config.clone();
        if let Some(server) = server.filter(|server| !server.has_h2() && !self.assume_h2) {
            Arc::make_mut(&mut config).alpn_protocols = server.protocol.iter().cloned().collect();
        }
        let stream = in_time(start.into_stream(config)).await.map_err(|error| self.of_client(error))?;
        let session = stream.get_ref().1;
        let session = TlsSession::new("client", session, session.server_name());
        Ok((Box::new(stream), Some(session)))
    }

    /// Starts TLS to the server `to`, with the name and protocols that the client asks for.
    pub(super) async fn connect(
        &self,
        socket: TcpStream,
        to: &str,
        caller: &Caller,
    ) -> io::Result<(Box<dyn Socket>, Option<TlsSession>)> {
        let Some(connect) = &self.connect else { return Ok((Box::new(socket), None)) };
        let (name, protocols) = caller.asks();
        let (stream, session) = connect.connect(socket, to, name.as_deref(), protocols).await?;
        Ok((Box::new(stream), Some(session)))
    }

    /// Returns a warning if the server did not choose HTTP/2.
    pub(super) fn warning(&self, caller: &Caller, server: &TlsSession) -> Option<String> {
        if server.has_h2() {
            return None;
        }
        let (_, asked) = caller.asks();
        if !asked.iter().any(|protocol| protocol == H2) {
            return Some("the client did not ask for HTTP/2 (ALPN h2), so neither did the tap".to_owned());
        }
        let chose = match &server.protocol {
            None => "no protocol".to_owned(),
            Some(_) => server.protocol_name(),
        };
        let then = match (caller, self.assume_h2) {
            (Caller::Plain(_), _) => "gRPC clients that use TLS refuse such a server",
            (_, true) => "with --assume-h2 the tap tells the client that it did",
            (_, false) => "the tap tells the client the same, which gRPC clients refuse; --assume-h2 overrides that",
        };
        Some(format!("the server did not choose HTTP/2 by ALPN: it was offered h2 and chose {chose}; {then}"))
    }

    fn of_client(&self, error: io::Error) -> io::Error {
        use AlertDescription as Alert;
        let distrusts = matches!(
            tls_error(&error),
            Some(rustls::Error::AlertReceived(
                Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::CertificateExpired
            ))
        );
        let error = sentence(error, "client");
        match (&self.authority, distrusts) {
            (Some(file), true) => io::Error::new(error.kind(), format!("{error}; let it trust {file}")),
            (None, true) => io::Error::new(error.kind(), format!("{error}; it does not trust the one of --tls-cert")),
            _ => error,
        }
    }
}

impl Socket for TlsStream<TcpStream> {
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
