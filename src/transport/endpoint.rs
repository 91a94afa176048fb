//! The URL of a server, for `Client::builder().connect(url)`.
//!
//! ```text
//! http://host[:port]    TCP, default port 80                      RFC 9110 section 4.2.1
//! https://host[:port]   TLS over TCP, default port 443            RFC 9110 section 4.2.2
//! unix:path             a Unix socket, the path may be relative   gRPC naming.md
//! unix:///path          a Unix socket, absolute path              gRPC naming.md
//! unix-abstract:name    an abstract name, on Linux                gRPC naming.md
//! ```

use std::io;
use std::net::Ipv6Addr;

#[cfg(unix)]
use super::unix;
use super::{https, tcp};
use crate::client::{Client, ClientBuilder};
use crate::io::{ByteStream, Connector};
use crate::status::Status;

impl ClientBuilder {
    /// Connects to the server of a URL.
    ///
    /// | URL | transport |
    /// |---|---|
    /// | `http://host:port` | TCP, with prior knowledge of HTTP/2; without a port, 80 |
    /// | `https://host:port` | TLS over TCP; without a port, 443 |
    /// | `unix:///path`, `unix:path` | the Unix socket of that path; the second form may be relative |
    /// | `unix-abstract:name` | the Unix socket of that abstract name, on Linux |
    ///
    /// IPv6 addresses need brackets: `http://[::1]:50051`. Host and port of the URL become the `:authority` of calls; it is
    /// `localhost` for Unix sockets. Paths and names of Unix sockets are percent-decoded.
    ///
    /// `https` uses the TLS of the builder, or else the authorities of the operating system if the feature
    /// `tls-platform-roots` is on. The other forms are plaintext: they fail if the builder has TLS.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), barewire::Status> {
    /// let client = barewire::Client::builder().connect("http://localhost:50051").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a URL that is not one of these forms, with the form that works; otherwise those of
    /// [`Client::connect`].
    pub async fn connect(mut self, url: &str) -> Result<Client, Status> {
        let endpoint = Endpoint::parse(url).map_err(Status::invalid_argument)?;
        match (endpoint.https, &self.handshake) {
            (true, None) => self.handshake = Some(https::default_handshake()?),
            (false, Some(_)) => {
                return Err(Status::invalid_argument(format!(
                    "{url:?} is plaintext, but the builder has TLS: use https://, connect_over for TLS over another \
                     transport, or a builder without TLS"
                )));
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.connect_over(endpoint).await
    }
}

/// The place of a server, without TLS.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    place: Place,
    authority: String,
    /// True if connections need TLS.
    https: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// `host:port`.
    Tcp(String),
    /// A path, or `@` and an abstract name.
    Unix(String),
}

impl Connector for Endpoint {
    async fn connect(&self) -> io::Result<ByteStream> {
        match &self.place {
            Place::Tcp(address) => tcp::connect(address).connect().await,
            #[cfg(unix)]
            Place::Unix(path) => unix::connect(path).connect().await,
            #[cfg(not(unix))]
            Place::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "this platform has no Unix sockets")),
        }
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

/// The forms of URLs, for errors.
const FORMS: &str = "use http://host:port, https://host:port, unix:///path or unix-abstract:name";

impl Endpoint {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// The fault of the URL, and the form that works. Contains no password.
    fn parse(url: &str) -> Result<Endpoint, String> {
        if url.is_empty() {
            return Err("empty URL: use http://localhost:50051".into());
        }
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Endpoint::http(rest, "http", 80),
            "https" => Endpoint::http(rest, "https", 443),
            "unix" => Endpoint::unix(rest),
            "unix-abstract" => Endpoint::unix_abstract(rest),
            "dns" if !rest.is_empty() => {
                let host = rest.trim_start_matches('/');
                Err(format!(
                    "scheme \"dns\" is not supported: use http://{} for plaintext, https:// for TLS",
                    named(host)
                ))
            }
            _ if check_host(scheme, "").is_ok() && rest.bytes().all(|byte| byte.is_ascii_digit()) => {
                let port = if rest.is_empty() { "50051" } else { rest };
                Err(format!("missing scheme in {url:?}: use http://{scheme}:{port} for plaintext, https:// for TLS"))
            }
            _ if !url.contains("://") => Err(format!("missing scheme in {:?}: {FORMS}", named(url))),
            _ => Err(format!("unknown scheme {scheme:?}: {FORMS}")),
        }
    }

    /// Parses the part after `http:` or `https:`.
    fn http(rest: &str, scheme: &str, default_port: u16) -> Result<Endpoint, String> {
        let form = format!("use {scheme}://host:port");
        let Some(rest) = rest.strip_prefix("//") else {
            return Err(format!("missing // after {scheme}: {form}"));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(format!("user and password in the URL are not supported: {form}, and send them as metadata"));
        }
        match tail.as_bytes() {
            [] | [b'/'] => {}
            [b'/', ..] => {
                return Err(format!(
                    "{tail:?} after host and port is not supported, because the method is the whole path of a call: use \
                     {scheme}://{authority}"
                ));
            }
            _ => return Err(format!("query and fragment {tail:?} are not supported: use {scheme}://{authority}")),
        }
        let (host, port) = split_port(authority, scheme)?;
        if host.is_empty() {
            return Err(format!("missing host: use {scheme}://localhost:{}", port.unwrap_or("50051")));
        }
        check_host(host, scheme)?;
        let port = match port {
            None => default_port,
            Some(port) => match port.parse() {
                Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => {
                    return Err(format!(
                        "invalid port {port:?}: use a number from 1 to 65535, {scheme}://{host}:50051"
                    ));
                }
            },
        };
        let place = Place::Tcp(format!("{host}:{port}"));
        Ok(Endpoint { place, authority: authority.to_owned(), https: scheme == "https" })
    }

    /// Parses the part after `unix:`.
    fn unix(rest: &str) -> Result<Endpoint, String> {
        let path = match rest.strip_prefix("//") {
            // The authority is empty, so that the path begins with the third slash.
            Some(path) if path.starts_with('/') => path,
            Some(path) => {
                return Err(format!("relative path or host in \"unix://{path}\": use unix:///path or unix:path"));
            }
            None => rest,
        };
        match decoded(path)? {
            path if path.is_empty() => Err("missing path: use unix:///path or unix:path".into()),
            // A relative path, so that it is not taken for an abstract name.
            path if path.starts_with('@') => Ok(Endpoint::socket(format!("./{path}"))),
            path => Ok(Endpoint::socket(path)),
        }
    }

    /// Parses the part after `unix-abstract:`.
    fn unix_abstract(rest: &str) -> Result<Endpoint, String> {
        match decoded(rest)? {
            name if name.is_empty() => Err("missing name: use unix-abstract:name".into()),
            name => Ok(Endpoint::socket(format!("@{name}"))),
        }
    }

    fn socket(path: String) -> Endpoint {
        Endpoint { place: Place::Unix(path), authority: "localhost".into(), https: false }
    }
}

/// Returns the part of a URL without a user and a password, to be shown in an error.
fn named(place: &str) -> &str {
    place.rsplit_once('@').map_or(place, |(_, host)| host)
}

/// Splits `host:port` and `[address]:port`; the port may be missing.
fn split_port<'a>(authority: &'a str, scheme: &str) -> Result<(&'a str, Option<&'a str>), String> {
    let host_end = match authority.strip_prefix('[') {
        Some(address) => match address.find(']') {
            Some(end) => end + 2,
            None => return Err(format!("missing ] in {authority:?}: use {scheme}://[::1]:50051")),
        },
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    match port.strip_prefix(':') {
        Some(port) if port.contains(':') => {
            Err(format!("IPv6 addresses need brackets in {authority:?}: use {scheme}://[::1]:50051"))
        }
        Some("") => Err(format!("missing port after {host:?}: use {scheme}://{host}:50051")),
        Some(port) => Ok((host, Some(port))),
        None if port.is_empty() => Ok((host, None)),
        None => Err(format!("{port:?} after {host}: use {scheme}://{host}:50051")),
    }
}

/// Checks that a host is a name, an IPv4 address, or an IPv6 address in brackets.
fn check_host(host: &str, scheme: &str) -> Result<(), String> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let parsed: Result<Ipv6Addr, _> = address.parse();
        return match parsed {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("invalid IPv6 address {address:?}: use {scheme}://[::1]:50051")),
        };
    }
    match host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        true => Ok(()),
        false => {
            Err(format!("invalid host {host:?}: use letters, digits, \"-\", \".\", \"_\", or an IPv6 address in []"))
        }
    }
}

/// Decodes the percent-encoding of a path (RFC 3986 section 2.1).
fn decoded(path: &str) -> Result<String, String> {
    if let Some(mark) = path.chars().find(|mark| matches!(mark, '?' | '#')) {
        return Err(format!(
            "query and fragment in {path:?} are not supported: write {mark} as %{:02X}",
            u32::from(mark)
        ));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return Err(format!("invalid percent-encoding in {path:?}: write % as %25")),
            },
            byte => bytes.push(byte),
        }
    }
    if bytes.contains(&0) {
        return Err(format!("NUL in {path:?}: a path or a name can't contain it"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{path:?} is not UTF-8 when it is decoded: use UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str, authority: &str, https: bool) -> Endpoint {
        Endpoint { place: Place::Tcp(address.into()), authority: authority.into(), https }
    }

    #[test]
    fn urls_of_every_form_are_parsed() {
        for (url, expected) in [
            ("http://localhost:50051", tcp("localhost:50051", "localhost:50051", false)),
            ("HTTP://localhost:50051/", tcp("localhost:50051", "localhost:50051", false)),
            ("http://my_service", tcp("my_service:80", "my_service", false)),
            ("https://api.example.com", tcp("api.example.com:443", "api.example.com", true)),
            ("https://10.0.0.1:8443", tcp("10.0.0.1:8443", "10.0.0.1:8443", true)),
            ("http://[::1]:50051", tcp("[::1]:50051", "[::1]:50051", false)),
            ("https://[::1]", tcp("[::1]:443", "[::1]", true)),
            ("unix:///run/a.sock", Endpoint::socket("/run/a.sock".into())),
            ("unix:/run/a.sock", Endpoint::socket("/run/a.sock".into())),
            ("unix:a.sock", Endpoint::socket("a.sock".into())),
            ("unix:///run/a%20b%3F.sock", Endpoint::socket("/run/a b?.sock".into())),
            ("unix:@a", Endpoint::socket("./@a".into())),
            ("unix-abstract:a", Endpoint::socket("@a".into())),
            ("unix-abstract:a%2Fb", Endpoint::socket("@a/b".into())),
        ] {
            assert_eq!(Endpoint::parse(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn bad_urls_are_answered_with_the_form_that_works() {
        for (url, expected) in [
            ("", "empty URL: use http://localhost:50051"),
            (
                "localhost:50051",
                "missing scheme in \"localhost:50051\": use http://localhost:50051 for plaintext, https:// for TLS",
            ),
            (
                "localhost",
                "missing scheme in \"localhost\": use http://localhost:50051 for plaintext, https:// for TLS",
            ),
            ("/run/a.sock", &*format!("missing scheme in \"/run/a.sock\": {FORMS}")),
            ("ann:secret@host:1", &*format!("missing scheme in \"host:1\": {FORMS}")),
            ("ftp://localhost:50051", &*format!("unknown scheme \"ftp\": {FORMS}")),
            (
                "dns:///localhost:50051",
                "scheme \"dns\" is not supported: use http://localhost:50051 for plaintext, https:// for TLS",
            ),
            ("http:localhost:50051", "missing // after http: use http://host:port"),
            ("http://", "missing host: use http://localhost:50051"),
            ("https://:8443", "missing host: use https://localhost:8443"),
            ("http://host:", "missing port after \"host\": use http://host:50051"),
            ("http://host:0", "invalid port \"0\": use a number from 1 to 65535, http://host:50051"),
            ("http://host:+1", "invalid port \"+1\": use a number from 1 to 65535, http://host:50051"),
            ("http://host:65536", "invalid port \"65536\": use a number from 1 to 65535, http://host:50051"),
            ("https://host:grpc", "invalid port \"grpc\": use a number from 1 to 65535, https://host:50051"),
            ("http://::1:50051", "IPv6 addresses need brackets in \"::1:50051\": use http://[::1]:50051"),
            ("[::1]:50051", &*format!("missing scheme in \"[::1]:50051\": {FORMS}")),
            ("http://[::1:50051", "missing ] in \"[::1:50051\": use http://[::1]:50051"),
            ("http://[::1]50051", "\"50051\" after [::1]: use http://[::1]:50051"),
            ("http://[host]:1", "invalid IPv6 address \"host\": use http://[::1]:50051"),
            ("http://[fe80::1%eth0]:1", "invalid IPv6 address \"fe80::1%eth0\": use http://[::1]:50051"),
            (
                "http://my host:1",
                "invalid host \"my host\": use letters, digits, \"-\", \".\", \"_\", or an IPv6 address in []",
            ),
            (
                "http://ann:secret@host:1",
                "user and password in the URL are not supported: use http://host:port, and send them as metadata",
            ),
            (
                "http://host:1/api",
                "\"/api\" after host and port is not supported, because the method is the whole path of a call: use \
                 http://host:1",
            ),
            ("http://host:1?a=b", "query and fragment \"?a=b\" are not supported: use http://host:1"),
            ("http://host:1#a", "query and fragment \"#a\" are not supported: use http://host:1"),
            ("unix:", "missing path: use unix:///path or unix:path"),
            ("unix://", "relative path or host in \"unix://\": use unix:///path or unix:path"),
            ("unix://run/a.sock", "relative path or host in \"unix://run/a.sock\": use unix:///path or unix:path"),
            ("unix:///run/a?b", "query and fragment in \"/run/a?b\" are not supported: write ? as %3F"),
            ("unix:///run/100%", "invalid percent-encoding in \"/run/100%\": write % as %25"),
            ("unix:a%00b", "NUL in \"a%00b\": a path or a name can't contain it"),
            ("unix:a%FF", "\"a%FF\" is not UTF-8 when it is decoded: use UTF-8"),
            ("unix-abstract:", "missing name: use unix-abstract:name"),
        ] {
            assert_eq!(Endpoint::parse(url), Err(expected.to_owned()), "{url}");
        }
    }
}
