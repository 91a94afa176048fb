//! TLS over any other transport, by rustls: [`ServerTls`] wraps a listener, [`ClientTls`] wraps a connector.
//!
//! Supports TLS 1.2 and 1.3. Both sides negotiate HTTP/2 by ALPN as `h2` and refuse a peer that does not (RFC 9113 section 9.2,
//! RFC 7301). The trusted authorities are explicit, in [`Authorities`], or those of the operating system, with
//! `ClientTls::platform_roots` of the feature `tls-platform-roots`.
//!
//! A server's handshakes run on the tasks of their connections and are limited by
//! [`ServerOptions::handshake_timeout`](crate::ServerOptions::handshake_timeout).
//!
//! ```no_run
//! # async fn example(router: barewire::server::Routes) -> Result<(), Box<dyn std::error::Error>> {
//! use barewire::transport::{tcp, tls};
//!
//! let tls = tls::ServerTls::new(tls::Identity::from_files("server.pem", "server.key")?);
//! barewire::Server::builder().tls(tls).serve(router, tcp::listen("127.0.0.1:50051").await?).await?;
//!
//! let tls = tls::ClientTls::new(tls::Authorities::from_file("ca.pem")?).server_name("x.test.example.com");
//! let client = barewire::Client::builder().tls(tls).connect("https://localhost:50051").await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod client;
mod pem;
#[cfg(feature = "tls-platform-roots")]
mod platform;
mod provider;
mod reload;
mod server;

pub use client::{ClientTls, TlsConnector};
pub use pem::{Authorities, Identity, TlsError};
pub(crate) use provider::provider;
pub use reload::IdentityHandle;
pub use server::{ServerTls, TlsListener};
/// The version of rustls for [`ClientTls::from_config`] and [`ServerTls::from_config`].
pub use tokio_rustls::rustls;

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, CommonState, InvalidMessage, PeerIncompatible, SupportedProtocolVersion, version};

use crate::io::TlsIdentity;
use crate::wire::cause::{By, NoTls};

/// RFC 9113 section 3.1: the name of HTTP/2 over TLS in ALPN.
const H2: &[u8] = b"h2";

static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Checks that a configuration offers HTTP/2 by ALPN, or no protocol.
///
/// # Errors
///
/// [`TlsError`] if it offers only other protocols.
fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), TlsError> {
    if protocols.is_empty() || protocols.iter().any(|protocol| protocol == H2) {
        return Ok(());
    }
    let offered: Vec<String> = protocols.iter().map(|protocol| protocol.escape_ascii().to_string()).collect();
    let offered = offered.join(", ");
    let remedy = "gRPC needs HTTP/2: add b\"h2\" to alpn_protocols, or leave it empty";
    Err(TlsError::unusable("TLS", format!("ALPN offers only {offered}: {remedy}")))
}

/// Tells whether HTTP/2 was negotiated.
fn has_h2(session: &CommonState) -> bool {
    session.alpn_protocol() == Some(H2)
}

/// Returns the identity of the other side from the handshake.
fn identity(session: &CommonState, server_name: Option<&str>) -> Arc<TlsIdentity> {
    let certificates = session.peer_certificates().unwrap_or_default();
    Arc::new(TlsIdentity {
        certificates: certificates.iter().map(|certificate| Bytes::copy_from_slice(certificate)).collect(),
        server_name: server_name.map(str::to_owned),
        version: session.protocol_version().map_or_else(String::new, |version| format!("{version:?}")),
        cipher_suite: session
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| format!("{:?}", suite.suite())),
    })
}

/// Returns the error of a failed rustls handshake as one sentence about the other side, which it calls `peer` ("server",
/// "client"): why its certificate was refused, which alert arrived, that it does not speak TLS. The kind of the error stays.
///
/// The handshakes of [`ServerTls`] and [`ClientTls`] return such errors already; this is for programs that use rustls directly.
pub fn explain(error: io::Error, peer: &str) -> io::Error {
    let (by, reason) = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        // This side ends the handshake because of the peer's certificate; the peer ends it for any other reason.
        Some(tls @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
            (By::Us, reason(tls, peer))
        }
        Some(tls) => (By::Peer, reason(tls, peer)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            (By::Peer, format!("the {peer} closed the connection during the handshake"))
        }
        None => (By::Path, error.to_string()),
    };
    io::Error::new(error.kind(), NoTls { by, reason })
}

fn reason(error: &rustls::Error, peer: &str) -> String {
    use rustls::Error;
    match error {
        // The signature is bad if a trusted authority has the same name as the one that signed.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!("the {peer}'s certificate is not signed by an authority that this side trusts")
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("the {peer}'s certificate is not for {:?} but for {names}", expected.to_str())
        }
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            format!("the {peer}'s certificate expired {} ago", duration(not_after, time))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            format!("the {peer}'s certificate becomes valid in {}", duration(time, not_before))
        }
        Error::InvalidCertificate(CertificateError::Other(error)) if pem::is_authority_as_end_entity(error) => {
            format!("the {peer}'s certificate is a CA certificate (CA:TRUE), which {}", pem::REMEDY)
        }
        Error::InvalidCertificate(error) => format!("the {peer}'s certificate is invalid: {error}"),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => format!("the {peer} does not speak TLS"),
        Error::AlertReceived(alert) => format!("the {peer} refused the handshake with alert {alert:?}"),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => format!("the {peer} speaks neither TLS 1.2 nor TLS 1.3"),
        // Clients older than TLS 1.2 don't send signature algorithms (RFC 5246 section 7.4.1.4.1), which rustls checks first.
        Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired) => {
            format!("the {peer} speaks neither TLS 1.2 with signature algorithms nor TLS 1.3")
        }
        Error::NoCertificatesPresented => format!("the {peer} presented no certificate"),
        Error::NoApplicationProtocol => no_h2(peer),
        error => error.to_string(),
    }
}

/// Extracts a certificate's name from the text of rustls: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn plain(name: &str) -> &str {
    let within = name.split_once('(').and_then(|(_, within)| within.strip_suffix(')'));
    within.map_or(name, |within| within.trim_matches('"'))
}

fn duration(from: &UnixTime, to: &UnixTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match to.as_secs().saturating_sub(from.as_secs()) {
        seconds if seconds >= 2 * DAY => format!("{} days", seconds / DAY),
        seconds => format!("{seconds} seconds"),
    }
}

fn no_h2(peer: &str) -> String {
    format!("the {peer} did not negotiate HTTP/2 (ALPN h2)")
}

/// Returns the error for a peer that completed the handshake without h2.
fn refuse_without_h2(peer: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, NoTls { by: By::Peer, reason: no_h2(peer) })
}
