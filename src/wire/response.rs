//! The headers of a response: before its messages (Response-Headers), after them (Trailers), or without any (Trailers-Only).
//!
//! ```text
//! Response         → (Response-Headers *Length-Prefixed-Message Trailers) / Trailers-Only
//! Response-Headers → HTTP-Status [Message-Encoding] [Message-Accept-Encoding] Content-Type *Custom-Metadata
//! Trailers-Only    → HTTP-Status Content-Type Trailers
//! Trailers         → Status [Status-Message] [Status-Details] *Custom-Metadata
//! HTTP-Status      → ":status 200"
//! Status           → "grpc-status" 1*DIGIT              ; 0-9
//! Status-Message   → "grpc-message" Percent-Encoded
//! Status-Details   → "grpc-status-details-bin" {base64 encoded google.rpc.Status}
//! ```
//!
//! PROTOCOL-HTTP2.md, "Responses"; http-grpc-status-mapping.md. Trailers-Only is a variant of [`ResponseHead`], so that the
//! compiler makes every reader handle it. Called by `server/call.rs` (encode) and `call/answer.rs` (parse).

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::encoding::{Encoding, EncodingSet};
use super::outgoing::encode_encodings;
use super::percent;
use super::request::{CONTENT_TYPE, is_grpc};
use crate::metadata::{Metadata, is_binary};
use crate::protocol::error::{ProtocolError, excerpt};
use crate::protocol::{By, What, binary};
use crate::status::{Code, Status};

/// `grpc-status`: the number of the [`Code`].
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`, see [`percent`].
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `grpc-status-details-bin`: a serialized `google.rpc.Status`.
pub const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The first HEADERS of a response.
#[derive(Debug)]
pub enum ResponseHead {
    /// Messages and Trailers follow.
    Headers(ResponseHeaders),
    /// The response is complete.
    TrailersOnly(Trailers),
    /// The response is not gRPC. A body may follow, and trailers with more information.
    NotGrpc {
        /// The HTTP status.
        status: StatusCode,
        /// The `content-type`, if present, shortened if it is long.
        content_type: Option<String>,
    },
}

/// The Response-Headers of a call.
#[derive(Debug, Default)]
pub struct ResponseHeaders {
    /// The compression of messages whose compressed flag is set.
    pub encoding: Encoding,
    /// True if they contain `grpc-status`, which is not allowed in headers without END_STREAM and ignored.
    pub has_status: bool,
    /// The encodings that the server accepts in requests.
    pub accept_encoding: EncodingSet,
    /// The initial metadata: all headers, whose readers skip the names of the protocol.
    pub metadata: Metadata,
}

/// The end of a call: its status, and the trailing metadata.
#[derive(Debug)]
pub struct Trailers {
    /// `Err` for every `grpc-status` other than 0; the error contains the trailing metadata too.
    pub status: Result<(), Status>,
    /// The trailing metadata: all trailers, whose readers skip the names of the protocol.
    pub metadata: Metadata,
}

impl ResponseHead {
    /// Reads the first HEADERS of a response, after any 1xx. `end_stream` is true if they carry END_STREAM; only then may they
    /// contain `grpc-status`. `accepted` are the encodings that this client listed.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::UnsupportedResponseEncoding`], [`ProtocolError::MalformedBinary`].
    pub fn parse(
        status: StatusCode,
        headers: HeaderMap,
        end_stream: bool,
        accepted: EncodingSet,
    ) -> Result<ResponseHead, ProtocolError> {
        // If grpc-status is present, it takes precedence over the HTTP status and the content-type.
        if end_stream && headers.contains_key(GRPC_STATUS) {
            return Ok(ResponseHead::TrailersOnly(Trailers::parse(headers)));
        }
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if status != StatusCode::OK || !content_type.is_some_and(is_grpc) {
            return Ok(ResponseHead::NotGrpc { status, content_type: content_type.map(excerpt) });
        }
        if end_stream {
            return Ok(ResponseHead::TrailersOnly(Trailers::parse(headers)));
        }
        let mut head = ResponseHeaders::default();
        for (name, value) in &headers {
            head.read(name, value.as_bytes(), accepted)?;
        }
        head.metadata = Metadata::from_received(headers);
        Ok(ResponseHead::Headers(head))
    }
}

impl ResponseHeaders {
    fn read(&mut self, name: &HeaderName, value: &[u8], accepted: EncodingSet) -> Result<(), ProtocolError> {
        match name.as_str() {
            "grpc-encoding" => {
                self.encoding = Encoding::from_name(value)
                    .filter(|encoding| accepted.contains(*encoding))
                    .ok_or_else(|| ProtocolError::UnsupportedResponseEncoding { name: excerpt(value) })?;
            }
            "grpc-status" => self.has_status = true,
            "grpc-accept-encoding" => self.accept_encoding = self.accept_encoding.with_list(value),
            name if is_binary(name) && !binary::is_valid_list(value) => {
                return Err(ProtocolError::MalformedBinary { key: excerpt(name.as_bytes()) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes Response-Headers: `content-type`, the encoding unless it is identity, custom metadata.
    pub fn encode(encoding: Encoding, metadata: &Metadata) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, CONTENT_TYPE);
        encode_encodings(&mut headers, encoding, EncodingSet::IDENTITY);
        metadata.append_to(&mut headers);
        headers
    }
}

impl Trailers {
    /// Reads Trailers, or the Trailers part of Trailers-Only. Never fails: the call ends, whatever they contain.
    ///
    /// * Without `grpc-status`, or with one that is not a number: UNKNOWN.
    /// * Details that are not base64 or not a message are ignored; details with another code make the call INTERNAL.
    /// * Binary metadata that is not base64 makes a successful call INTERNAL; an error status stays unchanged.
    pub fn parse(headers: HeaderMap) -> Trailers {
        let status = parse_status(&headers);
        let metadata = Metadata::from_received(headers);
        let status = status.map_err(|status| status.with_trailing_metadata(metadata.clone()));
        Trailers { status, metadata }
    }

    /// Appends the trailers of a call that ended with `status` to `headers`, which are empty, or for Trailers-Only contain the
    /// Response-Headers.
    pub fn encode(status: Result<(), &Status>, headers: &mut HeaderMap) {
        let Err(status) = status else {
            headers.append(GRPC_STATUS, HeaderValue::from_static("0"));
            return;
        };
        headers.append(GRPC_STATUS, HeaderValue::from(status.number()));
        if !status.message().is_empty() {
            // Percent-encoded text is visible ASCII, which is always a valid header value.
            if let Ok(value) = HeaderValue::from_str(&percent::encode(status.message())) {
                headers.append(GRPC_MESSAGE, value);
            }
        }
        if !status.details().is_empty()
            && let Ok(value) = HeaderValue::try_from(binary::encode(status.details()))
        {
            headers.append(GRPC_STATUS_DETAILS, value);
        }
        status.trailing_metadata().append_to(headers);
    }
}

fn parse_status(headers: &HeaderMap) -> Result<(), Status> {
    let Some(value) = headers.get(GRPC_STATUS) else { return Err(ProtocolError::MissingStatus.into_status()) };
    let Some(number) = parse_number(value.as_bytes()) else {
        return Err(ProtocolError::MalformedStatus { value: excerpt(value.as_bytes()) }.into_status());
    };
    if number == Code::Ok.number() {
        let malformed = headers.iter().find(|(name, value)| {
            is_binary(name.as_str()) && *name != GRPC_STATUS_DETAILS && !binary::is_valid_list(value.as_bytes())
        });
        return match malformed {
            Some((name, _)) => {
                Err(ProtocolError::MalformedBinary { key: excerpt(name.as_str().as_bytes()) }.into_status())
            }
            None => Ok(()),
        };
    }
    let message = headers.get(GRPC_MESSAGE).map(|message| percent::decode(message.as_bytes())).unwrap_or_default();
    let status = Status::from_number(number, message).caused(By::Peer, What::Trailers);
    let mut details = headers.get_all(GRPC_STATUS_DETAILS).iter();
    let (Some(first), None) = (details.next(), details.next()) else { return Err(status) };
    let Ok(details) = binary::decode(first.as_bytes()) else { return Err(status) };
    match details_code(&details) {
        Some(code) if code != number => {
            Err(ProtocolError::DetailsDisagree { status: number, details: code }.into_status())
        }
        Some(_) => Err(status.with_details(Bytes::from(details))),
        None => Err(status),
    }
}

/// Reads digits only, with any leading zeros, as "parse leniently" allows. Returns `i32::MAX` for a number that is too long.
fn parse_number(value: &[u8]) -> Option<i32> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok().map(|digits| digits.parse().unwrap_or(i32::MAX))
}

/// Returns the code of a serialized `google.rpc.Status`, which is its field 1, an int32; `None` if the bytes are not a message.
///
/// Reads only the top level, by the wire types of the Protocol Buffers encoding: 0 is a varint, 1 eight bytes, 2 a length and
/// that many bytes, 5 four bytes.
fn details_code(mut message: &[u8]) -> Option<i32> {
    let mut code = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return None,
            (1, 0) => code = varint(&mut message)? as i32,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(code)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn head(status: u16, fields: &[(&'static str, &str)], end_stream: bool) -> Result<ResponseHead, ProtocolError> {
        ResponseHead::parse(StatusCode::from_u16(status).unwrap(), map(fields), end_stream, EncodingSet::IDENTITY)
    }

    const GRPC: (&str, &str) = ("content-type", "application/grpc");

    #[test]
    fn response_headers_are_parsed() {
        let Ok(ResponseHead::Headers(head)) = head(200, &[GRPC, ("k", "v"), ("grpc-accept-encoding", "gzip")], false)
        else {
            panic!()
        };
        assert_eq!(head.metadata.get("k"), Some("v"));
        assert_eq!(head.accept_encoding.to_list(), "identity,gzip");
    }

    #[test]
    fn grpc_status_without_end_stream_is_ignored() {
        let Ok(ResponseHead::Headers(head)) = head(200, &[GRPC, ("grpc-status", "5")], false) else { panic!() };
        assert_eq!(head.metadata.get("grpc-status"), None);
    }

    #[test]
    fn grpc_status_in_trailers_only_overrides_http_status() {
        for status in [200, 404, 503] {
            let fields = [("grpc-status", "5"), ("grpc-message", "no %e2%98%ba"), ("k", "v")];
            let Ok(ResponseHead::TrailersOnly(trailers)) = head(status, &fields, true) else { panic!() };
            let status = trailers.status.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, "no ☺"));
            assert_eq!(status.trailing_metadata().get("k"), Some("v"), "trailing, not initial");
        }
    }

    #[test]
    fn missing_status_is_unknown_or_follows_the_http_status() {
        let Ok(ResponseHead::TrailersOnly(trailers)) = head(200, &[GRPC], true) else { panic!() };
        assert_eq!(trailers.status.unwrap_err().code(), Code::Unknown);
        for end_stream in [false, true] {
            let Ok(ResponseHead::NotGrpc { status, content_type }) =
                head(502, &[("content-type", "text/html")], end_stream)
            else {
                panic!()
            };
            assert_eq!((status.as_u16(), content_type.as_deref()), (502, Some("text/html")));
            assert!(matches!(head(200, &[], end_stream), Ok(ResponseHead::NotGrpc { .. })));
        }
    }

    #[test]
    fn unlisted_response_encoding_is_internal() {
        let error = head(200, &[GRPC, ("grpc-encoding", "gzip")], false).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert!(head(200, &[GRPC, ("grpc-encoding", "identity")], false).is_ok());
        let error = head(200, &[GRPC, ("x-bin", "?")], false).unwrap_err();
        assert_eq!(error, ProtocolError::MalformedBinary { key: "x-bin".into() });
    }

    #[test]
    fn statuses_are_parsed_leniently() {
        for (value, number) in [("0", 0), ("00", 0), ("05", 5), ("16", 16), ("17", 17), ("99999999999", i32::MAX)] {
            let status = Trailers::parse(map(&[("grpc-status", value)])).status;
            assert_eq!(status.map_or_else(|status| status.number(), |()| 0), number, "{value}");
        }
        for value in ["", "-1", "+5", "five", "5 "] {
            let status = Trailers::parse(map(&[("grpc-status", value)])).status.unwrap_err();
            assert_eq!(status.code(), Code::Unknown, "{value:?}");
        }
    }

    #[test]
    fn mismatched_details_are_internal_and_malformed_ones_ignored() {
        // google.rpc.Status { code: 5, message: "m" }
        let details = binary::encode(&[0x08, 5, 0x12, 1, b'm']);
        let parse = |status: &str, details: &[&str]| {
            let mut headers = map(&[("grpc-status", status), ("grpc-message", "m")]);
            for value in details {
                headers.append(GRPC_STATUS_DETAILS, HeaderValue::from_str(value).unwrap());
            }
            Trailers::parse(headers).status.unwrap_err()
        };
        let status = parse("5", &[&details]);
        assert_eq!((status.code(), status.details().len()), (Code::NotFound, 5));
        let status = parse("6", &[&details]);
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), "grpc-status is 6, but grpc-status-details-bin has code 5");
        for broken in [&["?"][..], &["CA"], &["Cg"], &["AA"], &[&details, &details]] {
            let status = parse("5", broken);
            assert_eq!(
                (status.code(), status.message(), status.details().len()),
                (Code::NotFound, "m", 0),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn malformed_metadata_fails_a_success_and_keeps_an_error() {
        let ok = Trailers::parse(map(&[("grpc-status", "0"), ("x-bin", "?")]));
        assert_eq!(ok.status.unwrap_err().code(), Code::Internal);
        let error = Trailers::parse(map(&[("grpc-status", "5"), ("x-bin", "?")]));
        assert_eq!(error.status.unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn written_trailers_parse() {
        let mut headers = HeaderMap::new();
        Trailers::encode(Ok(()), &mut headers);
        assert_eq!(headers.get(GRPC_STATUS).unwrap(), "0");
        assert!(Trailers::parse(headers).status.is_ok());

        let mut status = Status::not_found("100% ☺").with_details(vec![0x08, 5]);
        status.trailing_metadata_mut().append("k", "v").unwrap();
        let mut headers = ResponseHeaders::encode(Encoding::Identity, &Metadata::new());
        Trailers::encode(Err(&status), &mut headers);
        assert_eq!(headers.get(GRPC_MESSAGE).unwrap(), "100%25 %E2%98%BA");
        let Ok(ResponseHead::TrailersOnly(trailers)) =
            ResponseHead::parse(StatusCode::OK, headers, true, EncodingSet::IDENTITY)
        else {
            panic!()
        };
        let read = trailers.status.unwrap_err();
        assert_eq!((read.code(), read.message(), &read.details()[..]), (Code::NotFound, "100% ☺", &[0x08, 5][..]));
        assert_eq!(trailers.metadata.get("k"), Some("v"));
    }
}
