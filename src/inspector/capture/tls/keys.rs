//! Derives keys from secrets, and decrypts sealed records.
//!
//! ```text
//! TLS 1.3  key, iv = HKDF-Expand-Label(secret, "key" or "iv")         RFC 8446, sections 5.2, 5.3, 7.1 to 7.3
//!          sealed → content, type(8), zeros                           nonce: iv xor sequence number
//! TLS 1.2  keys, ivs = PRF(master, "key expansion", randoms)          RFC 5246, sections 5, 6.2.3.3, 6.3
//!          AES-GCM: sealed → explicit nonce(64), content              nonce: iv(32), explicit(64); RFC 5288
//!          ChaCha20-Poly1305: sealed → content                        nonce as in TLS 1.3; RFC 7905
//! ```

use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use ring::hkdf::{self, HKDF_SHA256, HKDF_SHA384};
use ring::hmac;

use super::super::cursor::Cursor;
use super::key_log::Random;
use super::record::Record;

pub(super) const TLS12: u16 = 0x0303;
pub(super) const TLS13: u16 = 0x0304;

/// A cipher suite, by its number in the ServerHello.
pub(super) struct Suite {
    pub(super) version: u16,
    pub(super) number: u16,
    pub(super) name: &'static str,
    aead: &'static Algorithm,
    hash: &'static hkdf::Algorithm,
}

static SUITES: [Suite; 9] = [
    suite(TLS13, 0x1301, "TLS_AES_128_GCM_SHA256", &AES_128_GCM, &HKDF_SHA256),
    suite(TLS13, 0x1302, "TLS_AES_256_GCM_SHA384", &AES_256_GCM, &HKDF_SHA384),
    suite(TLS13, 0x1303, "TLS_CHACHA20_POLY1305_SHA256", &CHACHA20_POLY1305, &HKDF_SHA256),
    suite(TLS12, 0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", &AES_128_GCM, &HKDF_SHA256),
    suite(TLS12, 0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", &AES_256_GCM, &HKDF_SHA384),
    suite(TLS12, 0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", &AES_128_GCM, &HKDF_SHA256),
    suite(TLS12, 0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", &AES_256_GCM, &HKDF_SHA384),
    suite(TLS12, 0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", &CHACHA20_POLY1305, &HKDF_SHA256),
    suite(TLS12, 0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", &CHACHA20_POLY1305, &HKDF_SHA256),
];

const fn suite(
    version: u16,
    number: u16,
    name: &'static str,
    aead: &'static Algorithm,
    hash: &'static hkdf::Algorithm,
) -> Suite {
    Suite { version, number, name, aead, hash }
}

/// The phase of a connection that a key protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// 0-RTT data, which the server may have refused.
    Early,
    /// The handshake of TLS 1.3.
    Handshake,
    /// Application data, and all of TLS 1.2.
    Application,
    /// Application data after a KeyUpdate.
    Updated,
}

/// A key of one direction. It has no `Debug`, so that it can't be printed.
pub(super) struct Key {
    pub(super) stage: Stage,
    /// The sequence number of the next record.
    pub(super) next: u64,
    suite: &'static Suite,
    /// The traffic secret of TLS 1.3, from which the next one is derived.
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl Suite {
    pub(super) fn of(version: u16, number: u16) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.version == version && suite.number == number)
    }

    fn explicit_nonce(&self) -> bool {
        self.version == TLS12 && self.aead != &CHACHA20_POLY1305
    }

    /// Returns a key of TLS 1.3; `None` if the secret's length does not match the suite.
    pub(super) fn key(&'static self, stage: Stage, secret: &[u8]) -> Option<Key> {
        let hash = self.hash.hmac_algorithm().digest_algorithm().output_len();
        (secret.len() == hash).then_some(())?;
        let (key, iv) = (self.expand(secret, "key", self.aead.key_len())?, self.expand(secret, "iv", NONCE_LEN)?);
        self.assemble(stage, secret.to_vec(), &key, &iv)
    }

    /// Returns the client's and the server's key of TLS 1.2 (RFC 5246, section 6.3); AEADs need no MAC keys.
    pub(super) fn keys(&'static self, master: &[u8], client: &Random, server: &Random) -> Option<[Key; 2]> {
        let (key, iv) = (self.aead.key_len(), if self.explicit_nonce() { 4 } else { NONCE_LEN });
        let seed = [b"key expansion", &server[..], client].concat();
        let block = prf(self.hash.hmac_algorithm(), master, &seed, 2 * (key + iv));
        let mut block = Cursor::network(&block);
        let (client_key, server_key) = (block.take(key)?, block.take(key)?);
        let (client_iv, server_iv) = (block.take(iv)?, block.take(iv)?);
        let key = |key, iv| self.assemble(Stage::Application, Vec::new(), key, iv);
        Some([key(client_key, client_iv)?, key(server_key, server_iv)?])
    }

    fn assemble(&'static self, stage: Stage, secret: Vec<u8>, key: &[u8], short_iv: &[u8]) -> Option<Key> {
        let key = LessSafeKey::new(UnboundKey::new(self.aead, key).ok()?);
        let mut iv = [0; NONCE_LEN];
        iv.iter_mut().zip(short_iv).for_each(|(byte, given)| *byte = *given);
        Some(Key { stage, next: 0, suite: self, secret, key, iv })
    }

    /// Computes HKDF-Expand-Label without a context (RFC 8446, section 7.1).
    fn expand(&self, secret: &[u8], label: &str, length: usize) -> Option<Vec<u8>> {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let label = [b"tls13 ", label.as_bytes()].concat();
        let info = [&(length as u16).to_be_bytes()[..], &[label.len() as u8], &label, &[0]];
        let mut out = vec![0; length];
        hkdf::Prk::new_less_safe(*self.hash, secret).expand(&info, Length(length)).ok()?.fill(&mut out).ok()?;
        Some(out)
    }
}

impl Key {
    /// Returns the key after a KeyUpdate (RFC 8446, section 7.2); `None` for TLS 1.2.
    pub(super) fn updated(&self) -> Option<Key> {
        (self.suite.version == TLS13).then_some(())?;
        let secret = self.suite.expand(&self.secret, "traffic upd", self.secret.len())?;
        self.suite.key(Stage::Updated, &secret)
    }

    /// Decrypts a record; returns its type and content if it was sealed with this key and this sequence number.
    pub(super) fn open(&self, sequence: u64, record: &Record<'_>) -> Option<(u8, Vec<u8>)> {
        let tls12 = self.suite.version == TLS12;
        let mut fragment = Cursor::network(record.fragment);
        let number = if self.suite.explicit_nonce() { fragment.array()? } else { sequence.to_be_bytes() };
        let mut nonce = self.iv;
        nonce.iter_mut().skip(NONCE_LEN - number.len()).zip(number).for_each(|(byte, other)| *byte ^= other);
        let mut sealed = fragment.rest.to_vec();
        let length = sealed.len().checked_sub(self.suite.aead.tag_len())? as u16;
        let [kind, major, minor, ..] = record.header;
        let tls12_data = [&sequence.to_be_bytes()[..], &[kind, major, minor], &length.to_be_bytes()].concat();
        let data = Aad::from(if tls12 { &tls12_data[..] } else { &record.header });
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.key.open_in_place(nonce, data, &mut sealed).ok()?.len();
        sealed.truncate(length);
        if tls12 {
            return Some((kind, sealed));
        }
        // The type is after the content, before the padding (RFC 8446, section 5.4).
        sealed.truncate(sealed.iter().rposition(|byte| *byte != 0)? + 1);
        Some((sealed.pop()?, sealed))
    }
}

/// Computes the pseudorandom function of TLS 1.2 (RFC 5246, section 5).
fn prf(hash: hmac::Algorithm, secret: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(hash, secret);
    let (mut out, mut a) = (Vec::new(), hmac::sign(&key, seed));
    while out.len() < length {
        out.extend_from_slice(hmac::sign(&key, &[a.as_ref(), seed].concat()).as_ref());
        a = hmac::sign(&key, a.as_ref());
    }
    out.truncate(length);
    out
}
