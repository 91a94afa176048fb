//! The tap's own certificate authority: created once, kept in a folder, and used to sign a certificate for every name that
//! clients ask for (SNI, RFC 6066, section 3).
//!
//! ```text
//! FOLDER/ca.pem   the authority's certificate, which clients have to trust
//! FOLDER/ca.key   its key, readable by its owner only
//! ```

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use tokio_rustls::rustls;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Maximum number of cached certificates; at the limit, all are dropped.
const NAMES: usize = 1024;

/// The authority's key, and the certificates that it has signed.
pub(super) struct Authority {
    certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Names in the certificate for clients that send no SNI.
    default_names: Vec<String>,
    signed: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Authority {
    /// Loads the authority from this folder, or creates it there.
    pub(super) fn in_folder(folder: &Path, default_names: Vec<String>) -> io::Result<Authority> {
        let [certificate, key] = ["ca.pem", "ca.key"].map(|name| folder.join(name));
        let key = match std::fs::read_to_string(&key) {
            Ok(text) => KeyPair::from_pem(&text).map_err(|error| named(&key, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = KeyPair::generate().map_err(io::Error::other)?;
                std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
                write_secret(&key, &new.serialize_pem()).map_err(|error| named(&key, error))?;
                new
            }
            Err(error) => return Err(named(&key, error)),
        };
        let params = authority();
        if !certificate.exists() {
            let signed = params.self_signed(&key).map_err(io::Error::other)?;
            std::fs::write(&certificate, signed.pem()).map_err(|error| named(&certificate, error))?;
        }
        let issuer = Issuer::new(params, key);
        Ok(Authority { certificate, issuer, default_names, signed: Mutex::default() })
    }

    /// Returns the file of the certificate that clients have to trust.
    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn sign(&self, names: Vec<String>) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        valid(&mut params);
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
        Ok(CertifiedKey::new(vec![certificate], key))
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().unwrap_or_default().to_owned();
        // The map is consistent even if another thread panicked.
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = signed.get(&asked) {
            return Some(known.clone());
        }
        let names = if asked.is_empty() { self.default_names.clone() } else { vec![asked.clone()] };
        let new = Arc::new(self.sign(names).ok()?);
        if signed.len() >= NAMES {
            signed.clear();
        }
        signed.insert(asked, new.clone());
        Some(new)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Returns the authority's parameters. They are constant, so that the certificate on disk is valid for every later run.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "barewire tap");
    valid(&mut params);
    params
}

/// Certificates are valid from 1 January of the first year to 1 January of the second.
const VALID: (i32, i32) = (2020, 2050);

fn valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(VALID.0, 1, 1);
    params.not_after = date_time_ymd(VALID.1, 1, 1);
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// Creates a file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
