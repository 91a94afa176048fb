//! The tap's own certificate authority: created once, kept in a folder, and used to sign a certificate for every name that
//! clients ask for (SNI, RFC 6066, section 3).
//!
//! ```text
//! FOLDER/ca.pem   the authority's certificate, which clients have to trust; valid for months, then renewed
//! FOLDER/ca.key   its key, readable by its owner only
//! ```
//!
//! The certificates that it signs are valid for days, so that one that leaks is soon worth nothing.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_rustls::rustls;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::validity::validity;
use crate::cli::{self, private};

/// Maximum number of cached certificates; at the limit, all are dropped.
const NAMES: usize = 1024;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Certificates are valid from this time before they are signed, because the clocks of clients may be slow.
const EARLIER: Duration = DAY;

/// The validity of the authority, and the rest of it at which it is renewed.
const AUTHORITY: Duration = Duration::from_secs(180 * DAY.as_secs());
const RENEWED: Duration = Duration::from_secs(14 * DAY.as_secs());

/// The validity of a certificate that it signs, and the age from which another one is signed.
const SIGNED: Duration = Duration::from_secs(7 * DAY.as_secs());
const AGE: Duration = DAY;

/// The authority's key, and the certificates that it has signed.
pub(super) struct Authority {
    certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Names in the certificate for clients that send no SNI.
    default_names: Vec<String>,
    signed: Mutex<HashMap<String, (SystemTime, Arc<CertifiedKey>)>>,
}

impl Authority {
    /// Loads the authority from this folder, or creates it there.
    pub(super) fn in_folder(folder: &Path, default_names: Vec<String>) -> io::Result<Authority> {
        let [certificate, key_file] = ["ca.pem", "ca.key"].map(|name| folder.join(name));
        if let Some(flaw) = private::flaw_of_folder(folder) {
            return Err(io::Error::other(flaw));
        }
        let key = match std::fs::read_to_string(&key_file) {
            Ok(text) => {
                if let Some(flaw) = private::flaw_of_key(&key_file, false) {
                    return Err(io::Error::other(flaw));
                }
                KeyPair::from_pem(&text).map_err(|error| named(&key_file, error))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = KeyPair::generate().map_err(io::Error::other)?;
                private::folder(folder).map_err(|error| named(folder, error))?;
                let written =
                    private::new(&key_file).and_then(|mut file| file.write_all(new.serialize_pem().as_bytes()));
                written.map_err(|error| named(&key_file, error))?;
                new
            }
            Err(error) => return Err(named(&key_file, error)),
        };
        let now = SystemTime::now();
        let params = authority(now);
        let stale = match std::fs::read(&certificate) {
            Ok(pem) => is_stale(&pem, now).then_some("expires too soon or too late, and is renewed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(""),
            Err(error) => return Err(named(&certificate, error)),
        };
        if let Some(why) = stale {
            let signed = params.self_signed(&key).map_err(io::Error::other)?;
            replace(&certificate, &signed.pem()).map_err(|error| named(&certificate, error))?;
            if !why.is_empty() {
                cli::say(format_args!("{} {why}: clients have to trust the new one", certificate.display()));
            }
        }
        let issuer = Issuer::new(params, key);
        Ok(Authority { certificate, issuer, default_names, signed: Mutex::default() })
    }

    /// Returns the file of the certificate that clients have to trust.
    pub(super) fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn sign(&self, names: Vec<String>, now: SystemTime) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let params = leaf(names, now)?;
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
        let now = SystemTime::now();
        let is_fresh = |signed: SystemTime| now.duration_since(signed).is_ok_and(|age| age < AGE);
        if let Some((_, known)) = signed.get(&asked).filter(|(signed, _)| is_fresh(*signed)) {
            return Some(known.clone());
        }
        let names = if asked.is_empty() { self.default_names.clone() } else { vec![asked.clone()] };
        let new = Arc::new(self.sign(names, now).ok()?);
        if signed.len() >= NAMES {
            signed.clear();
        }
        signed.insert(asked, (now, new.clone()));
        Some(new)
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Returns the authority's parameters. Its name is constant, so that what it signed stays valid when it is renewed.
fn authority(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "barewire tap");
    valid(&mut params, now, AUTHORITY);
    params
}

/// Returns the parameters of a certificate for servers with these names.
fn leaf(names: Vec<String>, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, SIGNED);
    Ok(params)
}

fn valid(params: &mut CertificateParams, now: SystemTime, lifetime: Duration) {
    let time = |time: SystemTime| date_time_ymd(1970, 1, 1) + time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (params.not_before, params.not_after) = (time(now - EARLIER), time(now + lifetime));
}

/// Returns true if the authority's certificate is not valid now, will soon expire, or is valid for longer than a new one.
fn is_stale(pem: &[u8], now: SystemTime) -> bool {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let certificate = CertificateDer::from_pem_slice(pem).ok();
    let Some(valid) = certificate.as_deref().and_then(validity) else { return true };
    valid.start > seconds(now) || valid.end < seconds(now + RENEWED) || valid.end > seconds(now + AUTHORITY + DAY)
}

/// Writes a file under another name and then gives it its name, so that it is whole at any time and a link is not followed.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let other = path.with_extension(format!("{}.new", std::process::id()));
    let written = private::new(&other).and_then(|mut file| file.write_all(text.as_bytes()));
    let replaced = written.and_then(|()| std::fs::rename(&other, path));
    if replaced.is_err() {
        // It may not even have been created.
        let _: io::Result<()> = std::fs::remove_file(&other);
    }
    replaced
}

fn named(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(20_000 * DAY.as_secs()) + Duration::from_secs(days * DAY.as_secs())
    }

    #[test]
    fn certificates_are_valid_for_months_and_for_days() {
        let key = KeyPair::generate().unwrap();
        let params = authority(at(0));
        let certificate = params.self_signed(&key).unwrap();
        let valid = validity(certificate.der()).unwrap();
        assert_eq!((valid.end - valid.start) / DAY.as_secs() as i64, 181);
        for (days, stale) in [(0, false), (160, false), (170, true), (200, true)] {
            assert_eq!(is_stale(certificate.pem().as_bytes(), at(days)), stale, "{days}");
        }
        assert!(is_stale(certificate.pem().as_bytes(), at(0) - 2 * DAY), "not valid yet");
        assert!(is_stale(certificate.pem().as_bytes(), at(0) - EARLIER - DAY), "not valid yet");
        let mut long = params.clone();
        long.not_after = date_time_ymd(2050, 1, 1);
        assert!(is_stale(long.self_signed(&key).unwrap().pem().as_bytes(), at(0)), "valid for too long");
        assert!(is_stale(b"no certificate", at(0)));
        let issuer = Issuer::new(params, key);
        let signed = leaf(vec!["a.example".to_owned()], at(5)).unwrap();
        let signed = signed.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let valid = validity(signed.der()).unwrap();
        assert_eq!((valid.end - valid.start) / DAY.as_secs() as i64, 8);
        // id-kp-serverAuth: RFC 5280, section 4.2.1.12.
        let server_auth = [0x2b, 6, 1, 5, 5, 7, 3, 1];
        assert!(signed.der().windows(server_auth.len()).any(|octets| octets == server_auth));
    }
}
