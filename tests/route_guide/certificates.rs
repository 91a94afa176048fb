//! Certificates for tests, valid and invalid.

use barewire::transport::tls::{Authorities, Identity};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The server name in the certificates.
pub const NAME: &str = "x.test.example.com";

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    pub fn trusted(&self) -> Authorities {
        Authorities::from_pem(self.issuer.pem().as_bytes()).unwrap()
    }

    #[cfg(feature = "tls-platform-roots")]
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Creates a certificate for a name. Returns it and its key in PEM.
    pub fn pem(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.make(name, |_| {});
        (certificate.pem(), key.serialize_pem())
    }

    /// Creates a certificate for a name. Returns the identity, and the certificate in DER.
    pub fn sign(&self, name: &str) -> (Identity, Vec<u8>) {
        self.sign_with(name, |_| {})
    }

    pub fn identity(&self, name: &str) -> Identity {
        self.sign(name).0
    }

    pub fn expired(&self, name: &str) -> Identity {
        self.sign_with(name, |params| params.not_after = date_time_ymd(2021, 1, 1)).0
    }

    /// Creates a CA certificate to be used as a server certificate, as `openssl req -x509` does by default.
    pub fn own(name: &str) -> (Identity, Authorities) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let identity = Identity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        (identity, Authorities::from_pem(certificate.as_bytes()).unwrap())
    }

    /// Returns rustls's root store with this authority.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// Returns rustls's form of an identity.
    pub fn der(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.make(name, |_| {});
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn make(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn sign_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Identity, Vec<u8>) {
        let (certificate, key) = self.make(name, change);
        let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        (identity, certificate.der().to_vec())
    }
}
