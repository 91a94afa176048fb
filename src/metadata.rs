//! [`Metadata`]: the key-value pairs that travel with a call, before its messages and after them.
//!
//! ```text
//! Custom-Metadata → Binary-Header / ASCII-Header
//! Binary-Header   → {Header-Name "-bin"} {base64 encoded value}
//! ASCII-Header    → Header-Name ASCII-Value
//! Header-Name     → 1*( %x30-39 / %x61-7A / "_" / "-" / "." )   ; 0-9 a-z
//! ASCII-Value     → 1*( %x20-%x7E )                             ; space and printable ASCII
//! ```
//!
//! PROTOCOL-HTTP2.md, "Requests". What an application sets is checked against this grammar here, before h2 could reset the
//! stream over it. What a peer sent is kept as it came: names that belong to the protocol are not removed (that would cost
//! more than the rest of the request) but passed over by every reader below.

use std::fmt;
use std::sync::LazyLock;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::protocol::{ProtocolError, binary};

/// The memory of a name with its first value in the map of the http crate, twice: a place in a table that grows by doubling.
const NAME_COST: usize = 2 * 112;
/// The memory of each further value of a name, twice.
const VALUE_COST: usize = 2 * 72;

/// Metadata of a call. Keys are lower case; a key may have several values, whose order is kept.
///
/// A key that ends in `-bin` has values of any bytes, every other key has printable ASCII text.
#[derive(Clone, Default)]
pub struct Metadata {
    headers: HeaderMap,
}

/// One entry, as [`Metadata::iter`] gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A text value, byte for byte. A peer may send octets outside printable ASCII (HTTP allows them).
    Ascii(&'a str, &'a [u8]),
    /// A value of a `-bin` key, decoded.
    Binary(&'a str, Vec<u8>),
}

/// Why an entry can't be added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key is empty or has a character outside `0-9 a-z _ - .`.
    InvalidKey(String),
    /// The key belongs to gRPC or to HTTP.
    ReservedKey(String),
    /// The value of this key has a character outside printable ASCII.
    InvalidValue(String),
    /// The key ends in `-bin` and was given text, or the reverse.
    WrongKind(String),
}

impl Metadata {
    /// No entries.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// No entries, to lend out.
    pub(crate) fn none() -> &'static Metadata {
        static NONE: LazyLock<Metadata> = LazyLock::new(Metadata::new);
        &NONE
    }

    /// Sets a text value, in place of those the key had.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] where the key or the value is not of the grammar above, or the key is reserved.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = ascii_entry(key, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Adds a text value to those the key has. Errors as [`Metadata::insert`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = ascii_entry(key, value)?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Sets a binary value, in place of those the key had. Errors as [`Metadata::insert`].
    pub fn insert_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let (name, value) = binary_entry(key, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Adds a binary value to those the key has. Errors as [`Metadata::insert`].
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let (name, value) = binary_entry(key, value)?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Removes a key with all its values.
    pub fn remove(&mut self, key: &str) {
        self.headers.remove(key);
    }

    /// The first value of a text key, if it is printable ASCII.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key).next()
    }

    /// The values of a text key that are printable ASCII, in order.
    pub fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values = is_delivered(key).then(|| self.headers.get_all(key));
        values.into_iter().flatten().filter_map(|value| value.to_str().ok())
    }

    /// The first value of a `-bin` key.
    pub fn get_bin(&self, key: &str) -> Option<Result<Vec<u8>, ProtocolError>> {
        self.get_all_bin(key).next()
    }

    /// The values of a `-bin` key, in order; several may have come in one field line.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::MalformedBinary`] for a value that is not base64.
    pub fn get_all_bin<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Result<Vec<u8>, ProtocolError>> + 'a {
        let values = is_delivered(key).then(|| self.headers.get_all(key));
        values
            .into_iter()
            .flatten()
            .flat_map(|line| binary::decode_list(line.as_bytes()))
            .map(move |value| value.map_err(|_| ProtocolError::MalformedBinary { key: key.to_owned() }))
    }

    /// Every entry; equal keys together, in their order. A binary value that is not base64 is left out here and an error
    /// in [`Metadata::get_bin`].
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.delivered().flat_map(|(name, value)| {
            let key = name.as_str();
            let (text, binary) = match is_binary(key) {
                true => (None, Some(binary::decode_list(value.as_bytes()).filter_map(Result::ok))),
                false => (Some(Entry::Ascii(key, value.as_bytes())), None),
            };
            text.into_iter().chain(binary.into_iter().flatten().map(move |value| Entry::Binary(key, value)))
        })
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.delivered().next().is_none()
    }

    /// Adds all entries of another.
    pub fn extend(&mut self, other: Metadata) {
        other.append_to(&mut self.headers);
    }

    /// What a peer sent: kept whole, read through the filter.
    pub(crate) fn from_received(headers: HeaderMap) -> Metadata {
        Metadata { headers }
    }

    /// The `host` header of a request, which is no metadata.
    pub(crate) fn host(&self) -> Option<&str> {
        self.headers.get(header::HOST).and_then(|host| host.to_str().ok())
    }

    /// Estimates the memory of the fields, in bytes. The map grows by doubling, so that half of it may be empty. The
    /// bytes of names and values were sent, or are shared with the table of HPACK.
    pub(crate) fn memory(&self) -> usize {
        let (names, all) = (self.headers.keys_len(), self.headers.len());
        names * NAME_COST + (all - names) * VALUE_COST
    }

    /// All that was received, names of the protocol among it.
    pub(crate) fn received(&self) -> &HeaderMap {
        &self.headers
    }

    /// Appends the entries to the headers of a message that is about to leave.
    pub(crate) fn append_to(&self, headers: &mut HeaderMap) {
        if self.headers.is_empty() {
            return;
        }
        for (name, value) in self.delivered() {
            headers.append(name.clone(), value.clone());
        }
    }

    fn delivered(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().filter(|(name, _)| is_delivered(name.as_str()))
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.delivered()).finish()
    }
}

/// Whether a name is an application's: neither gRPC's own nor one that HTTP/2 gives a meaning to.
///
/// Names beginning with `grpc-` are reserved; the two that retries let an application see are the exceptions.
fn is_delivered(key: &str) -> bool {
    match key {
        "te" | "content-type" | "content-length" | "host" | "connection" | "keep-alive" | "proxy-connection"
        | "transfer-encoding" | "upgrade" => false,
        "grpc-previous-rpc-attempts" | "grpc-retry-pushback-ms" => true,
        _ => !key.starts_with("grpc-"),
    }
}

/// Whether the values of this key are base64 on the wire.
pub(crate) fn is_binary(key: &str) -> bool {
    key.ends_with("-bin")
}

fn ascii_entry(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), MetadataError> {
    let name = name(key)?;
    if is_binary(key) {
        return Err(MetadataError::WrongKind(key.to_owned()));
    }
    if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) {
        return Err(MetadataError::InvalidValue(key.to_owned()));
    }
    let value = HeaderValue::from_str(value).map_err(|_| MetadataError::InvalidValue(key.to_owned()))?;
    Ok((name, value))
}

fn binary_entry(key: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), MetadataError> {
    let name = name(key)?;
    if !is_binary(key) {
        return Err(MetadataError::WrongKind(key.to_owned()));
    }
    let value =
        HeaderValue::try_from(binary::encode(value)).map_err(|_| MetadataError::InvalidValue(key.to_owned()))?;
    Ok((name, value))
}

fn name(key: &str) -> Result<HeaderName, MetadataError> {
    let legal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.');
    if key.is_empty() || !key.bytes().all(legal) {
        return Err(MetadataError::InvalidKey(key.to_owned()));
    }
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| MetadataError::InvalidKey(key.to_owned()))?;
    // The user agent is an option of the client, which puts the application's before its own.
    if !is_delivered(key) || name == header::USER_AGENT {
        return Err(MetadataError::ReservedKey(key.to_owned()));
    }
    Ok(name)
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::InvalidKey(key) => write!(f, "metadata key {key:?} has more than 0-9 a-z _ - . in it"),
            MetadataError::ReservedKey(key) => write!(f, "metadata key {key:?} is reserved by gRPC or HTTP"),
            MetadataError::InvalidValue(key) => write!(f, "the value of metadata key {key:?} is not printable ASCII"),
            MetadataError::WrongKind(key) => {
                write!(f, "metadata key {key:?}: keys that end in -bin have binary values, all others have text")
            }
        }
    }
}

impl std::error::Error for MetadataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_follow_the_grammar() {
        let mut metadata = Metadata::new();
        for key in ["", "Upper", "with space", "colon:", "ümlaut", ":path"] {
            assert_eq!(metadata.insert(key, "v"), Err(MetadataError::InvalidKey(key.into())), "{key:?}");
        }
        for value in ["tab\t", "new\nline", "ü", "\u{7f}"] {
            assert_eq!(metadata.insert("k", value), Err(MetadataError::InvalidValue("k".into())), "{value:?}");
        }
        for key in ["grpc-status", "grpc-anything", "te", "content-type", "user-agent", "connection", "host"] {
            assert_eq!(metadata.insert(key, "v"), Err(MetadataError::ReservedKey(key.into())), "{key:?}");
        }
        assert_eq!(metadata.insert("a-bin", "v"), Err(MetadataError::WrongKind("a-bin".into())));
        assert_eq!(metadata.insert_bin("a", b"v"), Err(MetadataError::WrongKind("a".into())));
        assert!(metadata.is_empty());
        for key in ["a", "0", "x_y-z.w", "grpc-previous-rpc-attempts"] {
            metadata.insert(key, " ~").unwrap();
            assert_eq!(metadata.get(key), Some(" ~"));
        }
    }

    #[test]
    fn equal_keys_keep_their_order_and_binary_values_are_unpadded() {
        let mut metadata = Metadata::new();
        metadata.append("k", "1").unwrap();
        metadata.append("other", "x").unwrap();
        metadata.append("k", "2").unwrap();
        metadata.append_bin("b-bin", &[0xab; 4]).unwrap();
        metadata.append_bin("b-bin", &[]).unwrap();
        assert_eq!(metadata.get_all("k").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(metadata.headers.get("b-bin").unwrap(), "q6urqw");
        let binary: Vec<_> = metadata.get_all_bin("b-bin").map(Result::unwrap).collect();
        assert_eq!(binary, [vec![0xab; 4], vec![]]);
        metadata.insert("k", "3").unwrap();
        assert_eq!(metadata.get_all("k").collect::<Vec<_>>(), ["3"]);
    }

    #[test]
    fn a_peers_protocol_headers_are_not_delivered() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "1S"),
            ("grpc-unknown", "x"),
            ("grpc-retry-pushback-ms", "5"),
            ("user-agent", "grpc-go/1.85.0"),
            ("b-bin", "AQI=,AwQ"),
            ("bad-bin", "?"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("octets", HeaderValue::from_bytes(b"\xff").unwrap());
        let metadata = Metadata::from_received(headers);
        let entries: Vec<_> = metadata.iter().collect();
        assert_eq!(
            entries,
            [
                Entry::Ascii("grpc-retry-pushback-ms", b"5"),
                Entry::Ascii("user-agent", b"grpc-go/1.85.0"),
                Entry::Binary("b-bin", vec![1, 2]),
                Entry::Binary("b-bin", vec![3, 4]),
                Entry::Ascii("octets", b"\xff"),
            ]
        );
        assert_eq!(metadata.get("grpc-timeout"), None);
        assert_eq!(metadata.get("octets"), None, "not text");
        assert!(matches!(metadata.get_bin("bad-bin"), Some(Err(ProtocolError::MalformedBinary { .. }))));
        // Echoing what came, octets included, is no error.
        let mut echoed = HeaderMap::new();
        metadata.append_to(&mut echoed);
        assert_eq!(echoed.get("octets").unwrap().as_bytes(), b"\xff");
        assert!(!echoed.contains_key("te"));
    }
}
