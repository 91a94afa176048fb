//! Certificates and keys from PEM files (RFC 7468), validated when they are loaded and not at the first handshake.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};

use super::provider::provider;

/// The end of the error for a server that presents a CA certificate, which is the default of `openssl req -x509`.
pub(super) const REMEDY: &str = "rustls clients refuse as a server certificate; create one without CA:TRUE: \
    openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -days 365 -subj /CN=localhost \
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost";

/// A certificate with its chain and its private key, by which one side proves its identity.
///
/// [`ServerTls`](super::ServerTls) and [`ClientTls`](super::ClientTls) have examples.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
}

impl Identity {
    /// Loads a certificate (its own first, then those that lead to the authority) and its private key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file.
    pub fn from_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity, TlsError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        Identity::load(certificate, &read(certificate)?, key, &read(key)?)
    }

    /// As [`Identity::from_files`], from the contents. Keys may be PKCS #8, PKCS #1 or SEC 1, not encrypted.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which calls the two `certificate` and `key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        Identity::load(Path::new("certificate"), certificate, Path::new("key"), key)
    }

    /// Returns the reason why clients will refuse this certificate, and the remedy, if it can be found without a client: that it
    /// is a CA certificate (basicConstraints CA:TRUE, RFC 5280 section 4.2.1.9). Implementations other than rustls may accept it.
    pub fn flaw(&self) -> Option<String> {
        let own = self.key.cert.first()?;
        let mut roots = RootCertStore::empty();
        roots.add(own.clone()).ok()?;
        let certificate = ParsedCertificate::try_from(own).ok()?;
        let algorithms = provider().signature_verification_algorithms.all;
        let trusted = verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], UnixTime::now(), algorithms);
        match trusted {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(error)))
                if is_authority_as_end_entity(&error) =>
            {
                Some(format!("the certificate is a CA certificate (CA:TRUE), which {REMEDY}"))
            }
            _ => None,
        }
    }

    /// Returns the chain and its key in the form of rustls 0.23, for programs that build their own `rustls::ServerConfig` or
    /// `rustls::ClientConfig`.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }

    fn load(file: &Path, certificate: &[u8], key_file: &Path, key: &[u8]) -> Result<Identity, TlsError> {
        let chain = certificates(file, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::new(key_file, Reason::NoPrivateKey),
            error => TlsError::new(key_file, Reason::Malformed(pem_reason(&error))),
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::new(key_file, Reason::Malformed(error.to_string())))?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Identity { key: Arc::new(key) })
            }
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::new(key_file, Reason::KeyMismatch { certificate: file.to_owned() }))
            }
            Err(error) => Err(TlsError::new(file, Reason::Malformed(der_reason(&error)))),
        }
    }
}

/// The certificate authorities that one side trusts.
///
/// [`ServerTls`](super::ServerTls) and [`ClientTls`](super::ClientTls) have examples.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Loads all certificates of a file.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Authorities, TlsError> {
        let file = file.as_ref();
        Authorities::load(file, &read(file)?)
    }

    /// As [`Authorities::from_file`], from the contents.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which calls them `authorities`.
    pub fn from_pem(contents: &[u8]) -> Result<Authorities, TlsError> {
        Authorities::load(Path::new("authorities"), contents)
    }

    /// Returns them in the form of rustls 0.23, for programs that build their own `rustls::ClientConfig` or certificate verifier.
    pub fn roots(&self) -> Arc<RootCertStore> {
        self.roots.clone()
    }

    fn load(file: &Path, contents: &[u8]) -> Result<Authorities, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, contents)? {
            roots.add(certificate).map_err(|error| TlsError::new(file, Reason::Malformed(der_reason(&error))))?;
        }
        Ok(Authorities { roots: Arc::new(roots) })
    }
}

/// The error of a certificate, a key, or a TLS configuration.
///
/// ```
/// use barewire::transport::tls::Authorities;
///
/// let error = Authorities::from_file("missing.pem").unwrap_err();
/// assert!(error.to_string().starts_with("can't read missing.pem: "));
/// ```
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
pub(super) enum Reason {
    Unreadable(std::io::Error),
    NoCertificate,
    NoPrivateKey,
    Malformed(String),
    KeyMismatch { certificate: PathBuf },
    Unusable(String),
}

impl TlsError {
    fn new(file: &Path, reason: Reason) -> TlsError {
        TlsError { file: file.to_owned(), reason }
    }

    /// Creates an error about something other than a file.
    pub(super) fn unusable(what: impl Into<PathBuf>, reason: impl fmt::Display) -> TlsError {
        TlsError { file: what.into(), reason: Reason::Unusable(reason.to_string()) }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.reason {
            Reason::Unreadable(error) => write!(f, "can't read {file}: {error}"),
            Reason::NoCertificate => write!(f, "{file}: no certificate found: expected PEM with \"BEGIN CERTIFICATE\""),
            Reason::NoPrivateKey => write!(f, "{file}: no private key found: expected PEM, not encrypted"),
            Reason::Malformed(reason) => write!(f, "{file}: {reason}"),
            Reason::KeyMismatch { certificate } => {
                write!(f, "{file}: the private key does not match the certificate in {}", certificate.display())
            }
            Reason::Unusable(reason) => write!(f, "{file}: {reason}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::new(file, Reason::Unreadable(error)))
}

fn certificates(file: &Path, contents: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(contents).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| TlsError::new(file, Reason::Malformed(pem_reason(&error))))?;
    match certificates.is_empty() {
        true => Err(TlsError::new(file, Reason::NoCertificate)),
        false => Ok(certificates),
    }
}

/// Describes a PEM error. The parser's own text prints lines of the file as lists of numbers.
fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("malformed PEM: missing \"END {}\"", String::from_utf8_lossy(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("malformed PEM: invalid section start {:?}", String::from_utf8_lossy(line))
        }
        pem::Error::Base64Decode(_) => "malformed PEM: invalid base64".to_owned(),
        error => format!("malformed PEM: {error}"),
    }
}

/// Describes an error of a certificate in a file. The text of rustls is about a peer's certificate.
fn der_reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => format!("malformed certificate: {error}"),
        error => error.to_string(),
    }
}

/// Tells whether a certificate was refused because it is a CA certificate; rustls does not have a public type for this error.
pub(super) fn is_authority_as_end_entity(error: &rustls::OtherError) -> bool {
    error.to_string() == "CaUsedAsEndEntity"
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn certificate() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn error(certificate: &str, key: &str) -> String {
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn matching_certificate_and_key_are_accepted() {
        let (certificate, key) = certificate();
        assert!(Identity::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
        assert!(Authorities::from_pem(certificate.as_bytes()).is_ok());
        // One file may contain both, and other text.
        let both = format!("a note\n{key}{certificate}");
        assert!(Identity::from_pem(both.as_bytes(), both.as_bytes()).is_ok());
    }

    #[test]
    fn ca_certificate_is_flagged_as_a_server_certificate() {
        let key = KeyPair::generate().unwrap();
        for (is_ca, flawed) in [
            (IsCa::NoCa, false),
            (IsCa::ExplicitNoCa, false),
            (IsCa::Ca(BasicConstraints::Unconstrained), true),
            (IsCa::Ca(BasicConstraints::Constrained(0)), true),
        ] {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.is_ca = is_ca;
            let certificate = params.self_signed(&key).unwrap().pem();
            let identity = Identity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
            let flaw = identity.flaw();
            assert_eq!(flaw.is_some(), flawed, "{flaw:?}");
            assert!(flaw.is_none_or(|flaw| flaw.contains("-addext basicConstraints=critical,CA:FALSE -addext ")));
        }
    }

    #[test]
    fn errors_name_the_certificate_or_the_key() {
        let (good, key) = certificate();
        let (_, other) = certificate();
        assert_eq!(error("", &key), "certificate: no certificate found: expected PEM with \"BEGIN CERTIFICATE\"");
        assert_eq!(error(&good, ""), "key: no private key found: expected PEM, not encrypted");
        assert_eq!(error(&good, &good), "key: no private key found: expected PEM, not encrypted");
        assert_eq!(error(&good, &other), "key: the private key does not match the certificate in certificate");
        let broken = good.replace("END", "ENDE");
        assert_eq!(error(&broken, &key), "certificate: malformed PEM: missing \"END CERTIFICATE\"");
        let no_base64 = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(error(no_base64, &key), "certificate: malformed PEM: invalid base64");
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(no_der, &key), "certificate: malformed certificate: BadEncoding");
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(error(&good, no_key).starts_with("key: "), "{}", error(&good, no_key));
        let authorities = Authorities::from_pem(no_der.as_bytes()).unwrap_err().to_string();
        assert_eq!(authorities, "authorities: malformed certificate: BadEncoding");
    }

    #[test]
    fn missing_file_is_named() {
        let error = Authorities::from_file("no/such.pem").unwrap_err();
        assert!(error.to_string().starts_with("can't read no/such.pem: "), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
