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
//! PROTOCOL-HTTP2.md, "Requests". Entries that an application adds are checked against this grammar here, before h2 could
//! reset the stream because of them. Headers from a peer are stored unchanged: removing the names that belong to the protocol
//! would cost more than the rest of the request, so every reader below skips them.

use std::fmt;
use std::sync::LazyLock;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::protocol::{ProtocolError, binary};

/// Memory of a name and its first value in the map of the http crate, in bytes, twice because its table grows by doubling.
const NAME_COST: usize = 2 * 112;
/// Memory of each further value of a name, in bytes, twice for the same reason.
const VALUE_COST: usize = 2 * 72;

/// Metadata of a call. Keys are lower case; a key may have several values, which keep their order.
///
/// The values of a key that ends in `-bin` are arbitrary bytes; those of every other key are printable ASCII text.
///
/// ```
/// use barewire::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "blue")?;
/// metadata.append("tenant", "red")?;
/// metadata.insert_bin("token-bin", &[0, 255])?;
/// assert_eq!(metadata.get("tenant"), Some("blue"));
/// assert_eq!(metadata.get_all("tenant").collect::<Vec<_>>(), ["blue", "red"]);
/// assert_eq!(metadata.get_bin("token-bin"), Some(Ok(vec![0, 255])));
/// # Ok::<(), barewire::metadata::MetadataError>(())
/// ```
#[derive(Clone, Default)]
pub struct Metadata {
    headers: HeaderMap,
}

/// One entry of [`Metadata::iter`].
///
/// ```
/// use barewire::Metadata;
/// use barewire::metadata::Entry;
///
/// let metadata = Metadata::from_iter([("tenant", "blue")]);
/// assert_eq!(metadata.iter().next(), Some(Entry::Ascii("tenant", b"blue")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A text value, byte for byte. A peer may send octets outside printable ASCII (HTTP allows them).
    Ascii(&'a str, &'a [u8]),
    /// A value of a `-bin` key, decoded.
    Binary(&'a str, Vec<u8>),
}

/// The error of adding an entry to [`Metadata`].
///
/// ```
/// use barewire::Metadata;
/// use barewire::metadata::MetadataError;
///
/// let mut metadata = Metadata::new();
/// assert_eq!(metadata.insert("Tenant!", "blue"), Err(MetadataError::InvalidKey("Tenant!".into())));
/// assert_eq!(metadata.insert("grpc-status", "0"), Err(MetadataError::ReservedKey("grpc-status".into())));
/// assert_eq!(metadata.insert("token-bin", "text"), Err(MetadataError::WrongKind("token-bin".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key is empty or has a character outside `0-9 a-z _ - .`.
    InvalidKey(String),
    /// The key belongs to gRPC or to HTTP.
    ReservedKey(String),
    /// The value of this key has a character outside printable ASCII.
    InvalidValue(String),
    /// The key ends in `-bin` and the value is text, or the reverse.
    WrongKind(String),
}

impl Metadata {
    /// Creates metadata without entries.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Returns a reference to metadata without entries.
    pub(crate) fn none() -> &'static Metadata {
        static NONE: LazyLock<Metadata> = LazyLock::new(Metadata::new);
        &NONE
    }

    /// Sets a text value, which replaces all values of the key.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if the key or the value does not follow the grammar above, or the key is reserved.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = ascii_entry(key, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Adds a text value after the key's other values. Errors as [`Metadata::insert`].
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let (name, value) = ascii_entry(key, value)?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Sets a binary value, which replaces all values of the key. Errors as [`Metadata::insert`].
    pub fn insert_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let (name, value) = binary_entry(key, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Adds a binary value after the key's other values. Errors as [`Metadata::insert`].
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let (name, value) = binary_entry(key, value)?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Removes a key with all its values.
    pub fn remove(&mut self, key: &str) {
        self.headers.remove(key);
    }

    /// Returns the first value of a text key that is printable ASCII.
    pub fn get(&self, key: &str) -> Option<&str> {
        if !is_delivered(key) {
            return None;
        }
        // Comparing the names one by one costs less than the hash of a key, for as many entries as calls usually have.
        let values = self.headers.iter().filter(|(name, _)| name.as_str() == key);
        let value = values.filter_map(|(_, value)| value.to_str().ok()).next();
        match value {
            None if key.bytes().any(|byte| byte.is_ascii_uppercase()) => self.get(&key.to_ascii_lowercase()),
            value => value,
        }
    }

    /// Returns the values of a text key that are printable ASCII, in order.
    pub fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values = is_delivered(key).then(|| self.headers.get_all(key));
        values.into_iter().flatten().filter_map(|value| value.to_str().ok())
    }

    /// Returns the first value of a `-bin` key.
    pub fn get_bin(&self, key: &str) -> Option<Result<Vec<u8>, ProtocolError>> {
        self.get_all_bin(key).next()
    }

    /// Returns the values of a `-bin` key, in order; one field line may hold several.
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

    /// Returns every entry; entries of equal keys are together, in their order. Skips binary values that are not base64;
    /// [`Metadata::get_bin`] reports them as errors.
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

    /// Returns the number of entries; every value of a key counts as one.
    pub fn len(&self) -> usize {
        self.delivered().count()
    }

    /// Returns true if an entry has this key.
    pub fn contains_key(&self, key: &str) -> bool {
        is_delivered(key) && self.headers.contains_key(key)
    }

    /// Tells whether the metadata has no entries.
    pub fn is_empty(&self) -> bool {
        self.delivered().next().is_none()
    }

    /// Adds all entries of `other`.
    pub fn extend(&mut self, other: Metadata) {
        other.append_to(&mut self.headers);
    }

    /// Adds all entries of `later`, and removes the earlier values of its keys.
    pub(crate) fn replace_by(&mut self, later: &Metadata) {
        for key in later.headers.keys() {
            self.headers.remove(key);
        }
        later.append_to(&mut self.headers);
    }

    /// Wraps the headers that a peer sent, unchanged; readers skip the names of the protocol.
    pub(crate) fn from_received(headers: HeaderMap) -> Metadata {
        Metadata { headers }
    }

    /// Returns the `host` header of a request, which readers skip as it is not metadata.
    pub(crate) fn host(&self) -> Option<&str> {
        self.headers.get(header::HOST).and_then(|host| host.to_str().ok())
    }

    /// Estimates the memory of the fields, in bytes. The map grows by doubling, so half of it may be empty. The bytes of names
    /// and values don't count: the peer sent them, or the table of HPACK shares them.
    pub(crate) fn memory(&self) -> usize {
        let (names, all) = (self.headers.keys_len(), self.headers.len());
        names * NAME_COST + (all - names) * VALUE_COST
    }

    /// Returns all received headers, including the names of the protocol.
    pub(crate) fn received(&self) -> &HeaderMap {
        &self.headers
    }

    /// Appends the entries to `headers`, which are about to be sent.
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

/// Metadata is equal if the same keys have the same values, those of each key in the same order.
impl PartialEq for Metadata {
    fn eq(&self, other: &Metadata) -> bool {
        let entries = |metadata: &Metadata| {
            let mut headers = HeaderMap::new();
            metadata.append_to(&mut headers);
            headers
        };
        entries(self) == entries(other)
    }
}

impl Eq for Metadata {}

impl<'a> IntoIterator for &'a Metadata {
    type Item = Entry<'a>;
    type IntoIter = Box<dyn Iterator<Item = Entry<'a>> + 'a>;

    /// As [`Metadata::iter`].
    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Metadata {
    /// Collects text entries, in their order.
    ///
    /// ```
    /// use barewire::Metadata;
    ///
    /// let metadata = Metadata::from_iter([("tenant", "blue"), ("request-id", "7")]);
    /// assert_eq!(metadata.len(), 2);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if a key or a value is invalid. Use [`Metadata::append`] for entries that may be.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Metadata {
        let mut metadata = Metadata::new();
        for (key, value) in entries {
            let appended = metadata.append(key.as_ref(), value.as_ref());
            assert!(appended.is_ok(), "{}", appended.err().map(|error| error.to_string()).unwrap_or_default());
        }
        metadata
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.delivered()).finish()
    }
}

/// Tells whether a name belongs to the application, and neither to gRPC nor to HTTP/2.
///
/// Names beginning with `grpc-` are reserved, except the two that retries show to an application.
fn is_delivered(key: &str) -> bool {
    match key {
        "te" | "content-type" | "content-length" | "host" | "connection" | "keep-alive" | "proxy-connection"
        | "transfer-encoding" | "upgrade" => false,
        "grpc-previous-rpc-attempts" | "grpc-retry-pushback-ms" => true,
        _ => !key.starts_with("grpc-"),
    }
}

/// Tells whether the values of this key are base64 on the wire.
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
    // The user agent is an option of the client, which puts the application's name before its own.
    if !is_delivered(key) || name == header::USER_AGENT {
        return Err(MetadataError::ReservedKey(key.to_owned()));
    }
    Ok(name)
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::InvalidKey(key) => {
                write!(f, "invalid metadata key {key:?}: a metadata key must be one or more of 0-9 a-z _ - .")
            }
            MetadataError::ReservedKey(key) => {
                write!(f, "metadata key {key:?} is reserved by gRPC or HTTP: use another key")
            }
            MetadataError::InvalidValue(key) => {
                write!(f, "invalid value of metadata key {key:?}: use printable ASCII, or a key that ends in -bin")
            }
            MetadataError::WrongKind(key) => {
                write!(f, "metadata key {key:?}: use a binary value with a key that ends in -bin, text with any other")
            }
        }
    }
}

impl std::error::Error for MetadataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_keys_and_values_are_refused() {
        let mut metadata = Metadata::new();
        for key in ["", "Upper", "with space", "colon:", "ümlaut", ":path"] {
            let error = metadata.insert(key, "v").unwrap_err();
            assert_eq!(error, MetadataError::InvalidKey(key.into()), "{key:?}");
            assert!(error.to_string().contains("a metadata key must be one or more of 0-9 a-z _ - ."), "{error}");
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
    fn metadata_is_collected_counted_and_compared() {
        let metadata = Metadata::from_iter([("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!((metadata.len(), metadata.contains_key("a"), metadata.contains_key("c")), (3, true, false));
        assert_eq!(metadata, Metadata::from_iter([("b", "2"), ("a", "1"), ("a", "3")]));
        assert_ne!(metadata, Metadata::from_iter([("b", "2"), ("a", "3"), ("a", "1")]));
        assert_eq!((&metadata).into_iter().count(), 3);
        let mut received = HeaderMap::new();
        received.append("te", HeaderValue::from_static("trailers"));
        assert_eq!(Metadata::from_received(received), Metadata::new());
    }

    #[test]
    #[should_panic(expected = "invalid metadata key \"Upper\"")]
    fn invalid_key_cannot_be_collected() {
        let _ = Metadata::from_iter([("Upper", "1")]);
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
    fn protocol_headers_are_not_delivered_as_metadata() {
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
        // Echoing received metadata, octets included, succeeds.
        let mut echoed = HeaderMap::new();
        metadata.append_to(&mut echoed);
        assert_eq!(echoed.get("octets").unwrap().as_bytes(), b"\xff");
        assert!(!echoed.contains_key("te"));
    }
}
