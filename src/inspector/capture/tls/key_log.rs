//! Key logs: the secrets of TLS connections, written by the client or the server (draft-ietf-tls-keylogfile, the format
//! of NSS's `SSLKEYLOGFILE`).
//!
//! ```text
//! line → label SP client_random SP secret          in hex; the random is the one of the ClientHello, 32 bytes
//!
//! CLIENT_RANDOM                                     TLS 1.2: the master secret
//! CLIENT_EARLY_TRAFFIC_SECRET                       TLS 1.3 (RFC 8446, section 7.1): 0-RTT,
//! CLIENT_ and SERVER_HANDSHAKE_TRAFFIC_SECRET           the handshake after the ServerHello,
//! CLIENT_ and SERVER_TRAFFIC_SECRET_0                   application data
//! ```

use std::collections::BTreeMap;

/// The random of a ClientHello, which identifies a connection.
pub(super) type Random = [u8; 32];

/// The length of a secret: that of a hash, or of a master secret.
const SECRET: std::ops::RangeInclusive<usize> = 32..=64;

/// The kind of a connection's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    Master,
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    ClientTraffic,
    ServerTraffic,
}

/// The secrets of connections, used to decrypt captures.
///
/// Neither `Debug` nor any error shows a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyLog {
    secrets: BTreeMap<(Random, Label), Vec<u8>>,
}

impl KeyLog {
    /// Adds the lines of a key log (draft-ietf-tls-keylogfile, section 2) and returns the number of valid lines; 0
    /// means that this is not a key log. Other lines are ignored. Secrets of kinds that are not used here are counted
    /// too.
    ///
    /// ```
    /// let mut keys = barewire::inspector::capture::KeyLog::default();
    /// let line = format!("CLIENT_RANDOM {} {}\r\n", "5c".repeat(32), "0f".repeat(48));
    /// assert_eq!(keys.add(format!("# a comment\n{line}").as_bytes()), 1);
    /// assert!(!format!("{keys:?}").contains("15"));
    /// ```
    pub fn add(&mut self, text: &[u8]) -> usize {
        text.split(|byte| *byte == b'\n').filter_map(|line| self.add_line(line)).count()
    }

    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let (label, random, secret) = (words.next()?, bytes(words.next()?)?, bytes(words.next()?)?);
        let random = Random::try_from(random).ok()?;
        let whole = words.next().is_none() && SECRET.contains(&secret.len());
        if let (Some(label), true) = (self::label(label), whole) {
            self.secrets.insert((random, label), secret);
        }
        whole.then_some(())
    }

    pub(super) fn secret(&self, random: &Random, label: Label) -> Option<&[u8]> {
        self.secrets.get(&(*random, label)).map(Vec::as_slice)
    }
}

impl std::fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyLog({} secrets)", self.secrets.len())
    }
}

fn label(word: &str) -> Option<Label> {
    Some(match word {
        "CLIENT_RANDOM" => Label::Master,
        "CLIENT_EARLY_TRAFFIC_SECRET" => Label::ClientEarly,
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::ClientHandshake,
        "SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::ServerHandshake,
        "CLIENT_TRAFFIC_SECRET_0" => Label::ClientTraffic,
        "SERVER_TRAFFIC_SECRET_0" => Label::ServerTraffic,
        _ => return None,
    })
}

/// Decodes pairs of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| pair.iter().try_fold(0, |byte, half| Some(byte << 4 | digit(half)? as u8));
    digits.len().is_multiple_of(2).then(|| digits.as_bytes().chunks(2).map(byte).collect())?
}
