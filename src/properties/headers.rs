//! Properties of header lists: Request-Headers, Response-Headers and Trailers with any content.
//!
//! An input is text, so that seeds can be read and written by hand: a first line, followed by `name: value` lines.
//! Lines that are not valid HTTP headers are ignored.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode, Uri};

use super::reference;
use crate::metadata::{Entry, Metadata, is_binary};
use crate::status::{Code, Status};
use crate::wire::ProtocolError;
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::wire::outgoing::Outgoing;
use crate::wire::request::{GRPC_ENCODING, GRPC_TIMEOUT, Refusal, RequestHeaders};
use crate::wire::response::{GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS, ResponseHead, ResponseHeaders, Trailers};
use crate::wire::section::SectionLimits;

/// No limits for metadata, which long inputs would exceed.
const ANY: SectionLimits = SectionLimits { size: u32::MAX, fields: usize::MAX };

/// The supported encodings: none, or two.
const SUPPORTED: [EncodingSet; 2] =
    [EncodingSet::IDENTITY, EncodingSet::IDENTITY.with(Encoding::Gzip).with(Encoding::Zstd)];

/// The input is a method, a URI and header lines. A request is accepted exactly if the rules accept it. An accepted
/// request that is written again reads the same. A refusal can be sent to the peer.
pub fn request_headers(data: &[u8]) {
    let (first, rest) = line(data);
    let mut words = first.splitn(2, |byte| *byte == b' ');
    let Ok(method) = Method::from_bytes(words.next().unwrap_or_default()) else { return };
    let Ok(uri) = Uri::try_from(words.next().unwrap_or_default()) else { return };
    let (headers, _) = fields(rest);
    for supported in SUPPORTED {
        let expected = is_in_order(&method, &uri, &headers, supported);
        match RequestHeaders::parse(request(&method, &uri, &headers), supported, ANY) {
            Ok(head) => {
                assert!(expected, "accepted {headers:?}");
                let sent = headers.get_all(GRPC_TIMEOUT).into_iter().next_back();
                assert_eq!(head.timeout, sent.and_then(|value| reference::timeout(value.as_bytes())));
                assert_eq!(entries(&head.metadata), reference::entries(&headers));
                check_rewritten(&head, &method, supported);
            }
            Err(refused) => {
                assert!(!expected, "refused {headers:?}: {refused:?}");
                check_refusal(refused.refusal);
            }
        }
    }
}

fn request(method: &Method, uri: &Uri, headers: &HeaderMap) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method.clone(), uri.clone(), headers.clone());
    parts
}

/// Checks the rules of request headers, one after the other.
fn is_in_order(method: &Method, uri: &Uri, headers: &HeaderMap, supported: EncodingSet) -> bool {
    let values = |name: HeaderName| headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let is_supported = |name: &[u8]| {
        ["identity", "gzip", "zstd"]
            .iter()
            .zip([Encoding::Identity, Encoding::Gzip, Encoding::Zstd])
            .any(|(known, encoding)| name.eq_ignore_ascii_case(known.as_bytes()) && supported.contains(encoding))
    };
    let hosts = values(header::HOST).count();
    *method == Method::POST
        && values(header::CONTENT_TYPE).next_back().is_some_and(reference::is_grpc)
        && (hosts == 1 || (hosts == 0 && uri.authority().is_some()))
        && values(header::TE).all(|value| value.eq_ignore_ascii_case(b"trailers"))
        && values(GRPC_TIMEOUT).all(|value| reference::timeout(value).is_some())
        && values(GRPC_ENCODING).all(is_supported)
        && binary_is_valid(headers)
}

fn binary_is_valid(headers: &HeaderMap) -> bool {
    headers
        .iter()
        .filter(|(name, _)| is_binary(name.as_str()))
        .all(|(_, line)| reference::base64_list(line.as_bytes()).iter().all(Option::is_some))
}

fn check_rewritten(head: &RequestHeaders, method: &Method, supported: EncodingSet) {
    let outgoing = Outgoing {
        timeout: head.timeout,
        encoding: head.encoding,
        accept_encoding: head.accept_encoding,
        user_agent: None,
    };
    let headers = outgoing.encode(Some(&head.metadata));
    let uri = Uri::from_static("http://localhost/service/method");
    let again = RequestHeaders::parse(request(method, &uri, &headers), supported, ANY)
        .expect("an accepted request is accepted again");
    assert_eq!(again.timeout, head.timeout);
    assert_eq!(again.encoding, head.encoding);
    assert_eq!(again.accept_encoding, head.accept_encoding);
    assert_eq!(entries(&again.metadata), entries(&head.metadata));
    let _: (&str, Option<&str>) = (head.path(), head.authority());
}

fn check_refusal(refusal: Refusal) {
    let error = match refusal {
        Refusal::Http(status, error) => {
            assert!(status.is_client_error(), "{status}");
            error
        }
        Refusal::Grpc(error) => error,
    };
    check_error(error);
}

/// The input is an HTTP status, optionally ` END_STREAM`, header lines, an empty line, and trailer lines. Any content
/// can be read. A status is read only from the allowed places. Headers that were read, written and read again are the
/// same.
pub fn response_headers(data: &[u8]) {
    let (first, rest) = line(data);
    let Some(status) = first.get(..3).and_then(|digits| StatusCode::from_bytes(digits).ok()) else { return };
    let end_stream = first.ends_with(b" END_STREAM");
    let (headers, rest) = fields(rest);
    let (trailers, _) = fields(rest);
    for accepted in SUPPORTED {
        check_head(status, &headers, end_stream, accepted);
    }
    check_trailers(&trailers);
    check_made_up_status(data);
}

fn check_head(status: StatusCode, headers: &HeaderMap, end_stream: bool, accepted: EncodingSet) {
    let is_grpc = status == StatusCode::OK
        && headers.get(header::CONTENT_TYPE).is_some_and(|value| reference::is_grpc(value.as_bytes()));
    match ResponseHead::parse(status, headers.clone(), end_stream, accepted) {
        Ok(ResponseHead::TrailersOnly(_)) => {
            assert!(end_stream && (is_grpc || headers.contains_key(GRPC_STATUS)));
            check_trailers(headers);
        }
        Ok(ResponseHead::Headers(head)) => {
            assert!(is_grpc && !end_stream && accepted.contains(head.encoding) && binary_is_valid(headers));
            let written = ResponseHeaders::encode(head.encoding, &head.metadata);
            let again = ResponseHead::parse(StatusCode::OK, written, false, accepted);
            let Ok(ResponseHead::Headers(again)) = again else { panic!("{head:?} became {again:?}") };
            assert_eq!(again.encoding, head.encoding);
            assert_eq!(entries(&again.metadata), entries(&head.metadata));
        }
        Ok(ResponseHead::NotGrpc { .. }) => assert!(!is_grpc),
        Err(error) => {
            assert!(is_grpc && !end_stream, "{error}");
            check_error(error);
        }
    }
}

fn check_trailers(headers: &HeaderMap) {
    let read = Trailers::parse(headers.clone());
    assert_eq!(entries(&read.metadata), reference::entries(headers));
    let number = read.status.as_ref().map_or_else(Status::number, |()| 0);
    let internal = Code::Internal.number();
    match headers.get(GRPC_STATUS).map(|value| reference::status_number(value.as_bytes())) {
        None | Some(None) => assert_eq!(number, Code::Unknown.number(), "no status, no success"),
        Some(Some(0)) if number == 0 => assert!(custom_binary_is_valid(headers)),
        Some(Some(0)) => assert!(number == internal && !custom_binary_is_valid(headers)),
        Some(Some(sent)) if sent == number => check_message(headers, read.status.as_ref().unwrap_err()),
        Some(Some(_)) => assert!(number == internal && headers.contains_key(GRPC_STATUS_DETAILS)),
    }
    match &read.status {
        Ok(()) => {
            let mut written = HeaderMap::new();
            Trailers::encode(Ok(()), &mut written);
            read.metadata.append_to(&mut written);
            let again = Trailers::parse(written);
            assert!(again.status.is_ok());
            assert_eq!(entries(&again.metadata), entries(&read.metadata));
        }
        Err(status) => {
            assert_eq!(entries(status.trailing_metadata()), entries(&read.metadata));
            check_status(status);
        }
    }
}

/// Returns true if all `-bin` values except the status details are valid.
fn custom_binary_is_valid(headers: &HeaderMap) -> bool {
    let mut custom = headers.clone();
    custom.remove(GRPC_STATUS_DETAILS);
    binary_is_valid(&custom)
}

fn check_message(headers: &HeaderMap, status: &Status) {
    // An INTERNAL of the peer and one caused by invalid details have the same number.
    if status.number() != Code::Internal.number() {
        let message = headers.get(GRPC_MESSAGE).map(|value| reference::percent_decoded(value.as_bytes()));
        assert_eq!(status.message(), message.unwrap_or_default());
    }
}

/// Checks statuses made from the input: any number but 0, any text, with details, without, and with those of another
/// status.
fn check_made_up_status(data: &[u8]) {
    let Some((number, text)) = data.split_first_chunk() else { return };
    let number = (u32::from_le_bytes(*number) >> 1).max(1) as i32;
    let status = Status::from_number(number, String::from_utf8_lossy(text).into_owned());
    check_status(&status);
    check_status(&status.clone().with_details(details(number)));
    let other = written(&status.with_details(details(number ^ 1)));
    assert_eq!(Trailers::parse(other).status.expect_err("an error stays one").code(), Code::Internal);
}

/// google.rpc.Status: `int32 code = 1;`, a varint of seven bits a byte.
fn details(number: i32) -> Vec<u8> {
    let digits = (0..5).map(|place| (number >> (7 * place)) as u8 & 0x7F | if place < 4 { 0x80 } else { 0 });
    [0x08].into_iter().chain(digits).collect()
}

fn written(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    Trailers::encode(Err(status), &mut headers);
    headers
}

fn check_error(error: ProtocolError) {
    check_code(&error);
    check_status(&error.into_status());
}

/// Checks that an error from the library never has a code that only applications use (statuscodes.md).
pub(super) fn check_code(error: &ProtocolError) {
    use Code::{Aborted, AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound, Ok, OutOfRange};
    let others = [Ok, InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, Aborted, OutOfRange, DataLoss];
    assert!(!others.contains(&error.code()), "{} of {error}", error.code());
}

/// Checks that a status is unchanged after it was written and read.
fn check_status(status: &Status) {
    let read = Trailers::parse(written(status)).status.expect_err("an error stays one");
    assert_eq!(read.number(), status.number());
    assert_eq!(read.message(), status.message());
    assert_eq!(read.details(), status.details());
    assert_eq!(entries(read.trailing_metadata()), entries(status.trailing_metadata()));
    assert_eq!(Code::from_number(read.number()), status.code());
}

fn entries(metadata: &Metadata) -> Vec<Entry<'_>> {
    metadata.iter().collect()
}

/// Returns the first line, without its end, and the lines after it.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    (line, rest.get(1..).unwrap_or_default())
}

/// Returns the headers of the `name: value` lines up to an empty line, and the lines after that.
fn fields(mut rest: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while !rest.is_empty() {
        let (field, after) = line(rest);
        rest = after;
        if field.is_empty() {
            break;
        }
        let Some(colon) = field.iter().position(|byte| *byte == b':') else { continue };
        let value = &field[colon + 1..];
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let name = HeaderName::from_bytes(&field[..colon]);
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value))) else {
            continue;
        };
        if headers.try_append(name, value).is_err() {
            break;
        }
    }
    (headers, rest)
}
