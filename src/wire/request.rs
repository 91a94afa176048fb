//! Request-Headers: the headers that a client writes before its messages and a server reads.
//!
//! ```text
//! Request-Headers → Call-Definition *Custom-Metadata
//! Call-Definition → Method Scheme Path TE [Authority] [Timeout] Content-Type [Message-Type]
//!                   [Message-Encoding] [Message-Accept-Encoding] [User-Agent]
//! Method          → ":method POST"
//! Path            → ":path" "/" Service-Name "/" {method name}
//! TE              → "te" "trailers"
//! Content-Type    → "content-type" "application/grpc" [("+proto" / "+json" / {custom})]
//! ```
//!
//! PROTOCOL-HTTP2.md, "Requests"; gRFC A41 for `:authority` and `host`. Called by `server/call.rs`; [`super::outgoing`]
//! writes what this file reads.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri};

use super::encoding::{Encoding, EncodingSet};
use super::section::{SectionLimits, field_size};
use super::timeout;
use crate::metadata::{Metadata, is_binary};
use crate::protocol::error::{ProtocolError, excerpt};
use crate::protocol::{Section, binary};

/// `grpc-timeout`, see [`timeout`].
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `grpc-encoding`, see [`Encoding`].
pub const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// `grpc-accept-encoding`, see [`EncodingSet`].
pub const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// The media type of gRPC; messages in Protocol Buffers are its default.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// The valid Request-Headers of a call.
#[derive(Debug)]
pub struct RequestHeaders {
    /// The scheme, the authority and the path with its query; see [`RequestHeaders::path`].
    pub uri: Uri,
    /// The time that the caller waits, from now; `None` without a limit.
    pub timeout: Option<Duration>,
    /// The compression of messages whose compressed flag is set.
    pub encoding: Encoding,
    /// The encodings that the caller accepts in the response.
    pub accept_encoding: EncodingSet,
    /// The metadata: all headers, whose readers skip the names of the protocol.
    pub metadata: Metadata,
}

/// The reason for refusing a request. The response depends on whether the peer speaks gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not gRPC: the response is an HTTP status with the text of the error.
    Http(StatusCode, ProtocolError),
    /// The request is gRPC but invalid: the response is Trailers-Only with the status of the error.
    Grpc(ProtocolError),
}

/// A request that is refused: the reason, and the parts of the request that a report of it names.
#[derive(Debug)]
pub struct RefusedRequest {
    /// The reason.
    pub refusal: Refusal,
    /// The scheme, the authority and the path with its query.
    pub uri: Uri,
    /// The headers, unchecked.
    pub metadata: Metadata,
}

impl RequestHeaders {
    /// Reads the headers of a request. `supported` are the encodings that this server can decompress, `limits` the limits of
    /// metadata.
    ///
    /// # Errors
    ///
    /// [`Refusal::Http`]: 405 for a method that is not POST, 415 for a `content-type` that is not gRPC's, 400 for a missing
    /// authority or more than one. [`Refusal::Grpc`]: metadata over the limits, a `te` other than `trailers`, a malformed
    /// `grpc-timeout`, an unsupported `grpc-encoding`, a `-bin` value that is not base64.
    pub fn parse(
        parts: Parts,
        supported: EncodingSet,
        limits: SectionLimits,
    ) -> Result<RequestHeaders, Box<RefusedRequest>> {
        let Parts { method, uri, headers, .. } = parts;
        match Fields::check(&method, &uri, &headers, supported, limits) {
            Ok(Fields { timeout, encoding, accept_encoding, .. }) => {
                let metadata = Metadata::from_received(headers);
                Ok(RequestHeaders { uri, timeout, encoding, accept_encoding, metadata })
            }
            Err(refusal) => {
                let metadata = Metadata::from_received(headers);
                Err(Box::new(RefusedRequest { refusal, uri, metadata }))
            }
        }
    }

    /// Returns the path of the method, including a query, which makes it the path of an unknown method.
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("", |path| path.as_str())
    }

    /// Returns `:authority`, the server that the request is for; if it is missing, `host` in the metadata names it (gRFC A41).
    pub fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }
}

/// The values read in one pass over the headers, with the first error of each kind.
struct Fields {
    /// The error of a missing or invalid `content-type`; `None` after a valid one.
    content_type: Option<ProtocolError>,
    /// Total size of all fields, including pseudo-header fields.
    size: usize,
    /// Number of `host` headers.
    hosts: usize,
    timeout: Option<Duration>,
    encoding: Encoding,
    accept_encoding: EncodingSet,
    error: Option<ProtocolError>,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            content_type: Some(ProtocolError::ContentType { value: None }),
            size: 0,
            hosts: 0,
            timeout: None,
            encoding: Encoding::Identity,
            accept_encoding: EncodingSet::IDENTITY,
            error: None,
        }
    }
}

impl Fields {
    /// Checks the headers of a request, and reads their values.
    fn check(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        supported: EncodingSet,
        limits: SectionLimits,
    ) -> Result<Fields, Refusal> {
        if method != Method::POST {
            let error = ProtocolError::MethodNotPost { method: excerpt(method.as_str().as_bytes()) };
            return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, error));
        }
        let mut fields = Fields { size: pseudo_size(method, uri), ..Fields::default() };
        // One pass: each look-up by name would compute a hash, mostly for absent headers.
        for (name, value) in headers {
            fields.read(name, value.as_bytes(), supported);
        }
        if let Some(error) = fields.content_type {
            return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        if fields.hosts > 1 || (fields.hosts == 0 && uri.authority().is_none()) {
            let error = if fields.hosts > 1 { ProtocolError::SeveralHosts } else { ProtocolError::NoAuthority };
            return Err(Refusal::Http(StatusCode::BAD_REQUEST, error));
        }
        limits.check_counted(Section::Request, fields.size, headers.len()).map_err(Refusal::Grpc)?;
        match fields.error {
            Some(error) => Err(Refusal::Grpc(error)),
            None => Ok(fields),
        }
    }

    fn read(&mut self, name: &HeaderName, value: &[u8], supported: EncodingSet) {
        let name = name.as_str();
        self.size += field_size(name, value.len());
        match name {
            "content-type" if is_grpc(value) => self.content_type = None,
            "content-type" => self.content_type = Some(ProtocolError::ContentType { value: Some(excerpt(value)) }),
            "te" if !value.eq_ignore_ascii_case(b"trailers") => self.fail(ProtocolError::Te { value: excerpt(value) }),
            "grpc-timeout" => match timeout::parse(value) {
                Ok(timeout) => self.timeout = Some(timeout),
                Err(error) => self.fail(error),
            },
            "grpc-encoding" => match Encoding::from_name(value).filter(|encoding| supported.contains(*encoding)) {
                Some(encoding) => self.encoding = encoding,
                None => self.fail(ProtocolError::UnsupportedRequestEncoding { name: excerpt(value) }),
            },
            "grpc-accept-encoding" => self.accept_encoding = self.accept_encoding.with_list(value),
            "host" => self.hosts += 1,
            name if is_binary(name) && !binary::is_valid_list(value) => {
                self.fail(ProtocolError::MalformedBinary { key: excerpt(name.as_bytes()) });
            }
            _ => {}
        }
    }

    fn fail(&mut self, error: ProtocolError) {
        self.error.get_or_insert(error);
    }
}

/// Returns the size of the pseudo-header fields of a request.
fn pseudo_size(method: &Method, uri: &Uri) -> usize {
    let authority = uri.authority().map_or(0, |authority| field_size(":authority", authority.as_str().len()));
    let path = uri.path_and_query().map_or(0, |path| field_size(":path", path.as_str().len()));
    let scheme = uri.scheme_str().map_or(0, |scheme| field_size(":scheme", scheme.len()));
    field_size(":method", method.as_str().len()) + scheme + authority + path
}

/// Tells whether a `content-type` is gRPC's with messages in Protocol Buffers: `application/grpc` or `application/grpc+proto`,
/// with or without parameters. Ignores case (RFC 9110 section 8.3.1).
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    const PROTO: &[u8] = b"+proto";
    let Some((head, rest)) = content_type.split_at_checked(GRPC.len()) else { return false };
    let rest = match rest.split_at_checked(PROTO.len()) {
        Some((subtype, rest)) if subtype.eq_ignore_ascii_case(PROTO) => rest,
        _ => rest,
    };
    head.eq_ignore_ascii_case(GRPC) && matches!(rest.trim_ascii_start(), [] | [b';', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SectionLimits = SectionLimits { size: 10_000, fields: 100 };

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::post("http://localhost/routeguide.RouteGuide/GetFeature");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn parse(headers: &[(&str, &str)]) -> Result<RequestHeaders, Refusal> {
        RequestHeaders::parse(request(headers), EncodingSet::IDENTITY.with(Encoding::Gzip), LIMITS)
            .map_err(|refused| refused.refusal)
    }

    #[test]
    fn all_request_headers_are_parsed() {
        let head = parse(&[
            ("grpc-timeout", "10S"),
            ("te", "trailers"),
            ("content-type", "application/grpc+proto"),
            ("grpc-encoding", "gzip"),
            ("grpc-accept-encoding", "identity, br"),
            ("grpc-accept-encoding", "gzip"),
            ("grpc-from-the-future", "x"),
            ("k", "v"),
            ("k-bin", "AQI"),
        ])
        .unwrap();
        assert_eq!(head.path(), "/routeguide.RouteGuide/GetFeature");
        assert_eq!(head.authority(), Some("localhost"));
        assert_eq!(head.timeout, Some(Duration::from_secs(10)));
        assert_eq!(head.encoding, Encoding::Gzip);
        assert_eq!(head.accept_encoding.to_list(), "identity,gzip,br");
        assert_eq!(head.metadata.iter().count(), 2);
    }

    #[test]
    fn only_content_type_is_required() {
        let head = parse(&[("content-type", "application/grpc")]).unwrap();
        assert_eq!((head.timeout, head.encoding), (None, Encoding::Identity));
    }

    #[test]
    fn content_types() {
        for good in [
            "application/grpc",
            "APPLICATION/gRPC",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
            "application/grpc+PROTO ; x=y",
        ] {
            assert!(is_grpc(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "application/grpcfoo",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc+json",
            "application/grpc+proto2",
            "text/html",
            "application/json",
            "application/grp",
        ] {
            assert!(!is_grpc(bad.as_bytes()), "{bad}");
            let refusal = parse(&[("content-type", bad)]).unwrap_err();
            let error = ProtocolError::ContentType { value: Some(bad.into()) };
            assert_eq!(refusal, Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
        }
        let missing = Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, ProtocolError::ContentType { value: None });
        assert_eq!(parse(&[]).unwrap_err(), missing);
    }

    #[test]
    fn other_http_methods_are_refused_with_405() {
        let mut parts = request(&[("content-type", "application/grpc")]);
        parts.method = Method::GET;
        let refusal = RequestHeaders::parse(parts, EncodingSet::IDENTITY, LIMITS).unwrap_err().refusal;
        assert_eq!(
            refusal,
            Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, ProtocolError::MethodNotPost { method: "GET".into() })
        );
    }

    #[test]
    fn missing_authority_is_refused_unless_host_is_present() {
        let grpc = ("content-type", "application/grpc");
        let mut parts = request(&[grpc]);
        parts.uri = "/s/m".parse().unwrap();
        let refusal = RequestHeaders::parse(parts, EncodingSet::IDENTITY, LIMITS).unwrap_err().refusal;
        assert_eq!(refusal, Refusal::Http(StatusCode::BAD_REQUEST, ProtocolError::NoAuthority));
        let mut parts = request(&[grpc, ("host", "a")]);
        parts.uri = "/s/m".parse().unwrap();
        assert!(RequestHeaders::parse(parts, EncodingSet::IDENTITY, LIMITS).is_ok());
        assert!(parse(&[grpc, ("host", "a")]).is_ok(), "both: host is dropped");
        let refusal = parse(&[grpc, ("host", "a"), ("host", "b")]).unwrap_err();
        assert_eq!(refusal, Refusal::Http(StatusCode::BAD_REQUEST, ProtocolError::SeveralHosts));
    }

    #[test]
    fn invalid_grpc_request_is_refused_with_a_grpc_status() {
        let grpc = ("content-type", "application/grpc");
        for (field, expected) in [
            (("grpc-timeout", "10"), ProtocolError::MalformedTimeout { value: "10".into() }),
            (("grpc-encoding", "br"), ProtocolError::UnsupportedRequestEncoding { name: "br".into() }),
            (("te", "gzip"), ProtocolError::Te { value: "gzip".into() }),
            (("x-bin", "?"), ProtocolError::MalformedBinary { key: "x-bin".into() }),
        ] {
            assert_eq!(parse(&[grpc, field]).unwrap_err(), Refusal::Grpc(expected));
        }
    }

    #[test]
    fn pseudo_header_fields_count_towards_the_metadata_limits() {
        let grpc = ("content-type", "application/grpc");
        // :method 43, :scheme 43, :authority 51, :path 70, content-type 60, and k 34 with a value of one octet.
        let limits = SectionLimits { size: 301, fields: 9 };
        let length = |length| {
            let parts = request(&[grpc, ("k", &"x".repeat(length))]);
            RequestHeaders::parse(parts, EncodingSet::IDENTITY, limits).map(|_| ()).map_err(|refused| refused.refusal)
        };
        assert_eq!(length(1), Ok(()));
        let too_large = ProtocolError::MetadataTooLarge { section: Section::Request, limit: 301 };
        assert_eq!(length(2), Err(Refusal::Grpc(too_large)));
        let limits = SectionLimits { size: 1000, fields: 2 };
        let parts = |count: usize| request(&[&[grpc][..], &vec![("k", "v"); count]].concat());
        assert!(RequestHeaders::parse(parts(1), EncodingSet::IDENTITY, limits).is_ok());
        let too_many = ProtocolError::TooManyFields { section: Section::Request, limit: 2 };
        let refusal = RequestHeaders::parse(parts(2), EncodingSet::IDENTITY, limits).unwrap_err().refusal;
        assert_eq!(refusal, Refusal::Grpc(too_many));
    }
}
