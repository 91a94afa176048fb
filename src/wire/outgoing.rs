//! Writes the Request-Headers of a call on a client; [`super::request`] has their grammar and reads them.
//!
//! PROTOCOL-HTTP2.md, "Requests". Called by `client/call.rs`.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};

use super::encoding::{Encoding, EncodingSet};
use super::request::{CONTENT_TYPE, GRPC_ACCEPT_ENCODING, GRPC_ENCODING, GRPC_TIMEOUT};
use super::timeout;
use crate::metadata::Metadata;

/// The headers that a client sends before its messages, except the path and the authority, which h2 writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// The time that the call may take; `None` without a limit.
    pub timeout: Option<Duration>,
    /// The compression of messages whose compressed flag is set.
    pub encoding: Encoding,
    /// The encodings that this client can decompress.
    pub accept_encoding: EncodingSet,
    /// The user agent, `grpc-rust-barewire/0.1.0` after the application's own.
    pub user_agent: Option<&'a HeaderValue>,
}

impl Outgoing<'_> {
    /// Writes the headers, in the order of the grammar: the timeout first, custom metadata last.
    pub fn encode(&self, metadata: Option<&Metadata>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(timeout) = self.timeout
            && let Ok(value) = HeaderValue::try_from(timeout::encode(timeout))
        {
            headers.append(GRPC_TIMEOUT, value);
        }
        headers.append(header::TE, HeaderValue::from_static("trailers"));
        headers.append(header::CONTENT_TYPE, CONTENT_TYPE);
        encode_encodings(&mut headers, self.encoding, self.accept_encoding);
        if let Some(user_agent) = self.user_agent {
            headers.append(header::USER_AGENT, user_agent.clone());
        }
        if let Some(metadata) = metadata {
            metadata.append_to(&mut headers);
        }
        headers
    }
}

/// Writes Message-Encoding and Message-Accept-Encoding; leaves out identity alone, which is the default.
pub(super) fn encode_encodings(headers: &mut HeaderMap, encoding: Encoding, accept_encoding: EncodingSet) {
    if encoding != Encoding::Identity {
        headers.append(GRPC_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    if accept_encoding != EncodingSet::IDENTITY
        && let Ok(value) = HeaderValue::try_from(accept_encoding.to_list())
    {
        headers.append(GRPC_ACCEPT_ENCODING, value);
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;
    use crate::wire::request::RequestHeaders;
    use crate::wire::section::SectionLimits;

    const LIMITS: SectionLimits = SectionLimits { size: 10_000, fields: 100 };

    #[test]
    fn written_request_headers_follow_the_grammar_and_parse() {
        let mut metadata = Metadata::new();
        metadata.append("k", "v").unwrap();
        let user_agent = HeaderValue::from_static("app grpc-rust-barewire/0.1.0");
        let outgoing = Outgoing {
            timeout: Some(Duration::from_secs(1)),
            encoding: Encoding::Gzip,
            accept_encoding: EncodingSet::IDENTITY.with(Encoding::Gzip),
            user_agent: Some(&user_agent),
        };
        let headers = outgoing.encode(Some(&metadata));
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        let expected =
            ["grpc-timeout", "te", "content-type", "grpc-encoding", "grpc-accept-encoding", "user-agent", "k"];
        assert_eq!(names, expected);
        let (mut parts, ()) =
            http::Request::post("http://localhost/routeguide.RouteGuide/GetFeature").body(()).unwrap().into_parts();
        parts.headers = headers;
        let head = RequestHeaders::parse(parts, EncodingSet::IDENTITY.with(Encoding::Gzip), LIMITS).unwrap();
        assert_eq!(head.timeout, Some(Duration::from_secs(1)));
        assert_eq!(head.metadata.get("k"), Some("v"));
        assert_eq!(Outgoing::default().encode(None).len(), 2, "te and content-type");
    }
}
