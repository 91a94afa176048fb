//! Converts headers and errors between the suite's messages and the library's types.

use prost::{Message, Name};
use prost_types::Any;

use super::messages::{Error, Header};
use barewire::error_details::RpcStatus;
use barewire::metadata::{Entry, MetadataError};
use barewire::wire::binary;
use barewire::{Metadata, Status};

/// Converts headers to metadata. Binary values are in base64, as on the wire.
pub(super) fn metadata(headers: &[Header]) -> Result<Metadata, Status> {
    let mut metadata = Metadata::new();
    for header in headers {
        let key = header.name.to_ascii_lowercase();
        for value in &header.value {
            append(&mut metadata, &key, value)?;
        }
    }
    Ok(metadata)
}

fn append(metadata: &mut Metadata, key: &str, value: &str) -> Result<(), MetadataError> {
    if !key.ends_with("-bin") {
        return metadata.append(key, value);
    }
    let bytes = binary::decode(value.as_bytes()).map_err(|_| MetadataError::InvalidValue(key.to_owned()))?;
    metadata.append_bin(key, &bytes)
}

/// Converts metadata to headers, with the values of equal keys in one header.
pub(super) fn headers(metadata: &Metadata) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for entry in metadata.iter() {
        let (name, value) = match entry {
            Entry::Ascii(name, value) => (name, String::from_utf8_lossy(value).into_owned()),
            Entry::Binary(name, value) => (name, binary::encode(&value)),
        };
        match headers.iter_mut().find(|header| header.name == name) {
            Some(header) => header.value.push(value),
            None => headers.push(Header { name: name.to_owned(), value: vec![value] }),
        }
    }
    headers
}

/// Converts an error to a status for a handler to return.
pub(super) fn status(error: Error) -> Status {
    let message = error.message.unwrap_or_default();
    let status = Status::from_number(error.code, message.clone());
    if error.details.is_empty() {
        return status;
    }
    let details = RpcStatus { code: error.code, message, details: error.details };
    status.with_details(details.encode_to_vec())
}

/// Converts the status of a call to an error.
pub(super) fn error(status: &Status) -> Error {
    // Details that are not a google.rpc.Status are ignored.
    let details = RpcStatus::decode(status.details().clone()).unwrap_or_default().details;
    Error { code: status.number(), message: Some(status.message().to_owned()), details }
}

/// Packs a message into an `Any`.
pub(super) fn any(message: &impl Name) -> Any {
    Any { type_url: message_type(message), value: message.encode_to_vec() }
}

fn message_type<M: Name>(_: &M) -> String {
    M::type_url()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &[&str]) -> Header {
        Header { name: name.to_owned(), value: value.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn headers_are_converted_both_ways() {
        let there = metadata(&[header("X-Text", &["a", "b"]), header("x-bytes-bin", &["AAEC", "/w=="])]).unwrap();
        assert_eq!(there.get_all("x-text").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(there.get_all_bin("x-bytes-bin").flatten().collect::<Vec<_>>(), [vec![0, 1, 2], vec![0xff]]);
        let back = headers(&there);
        assert_eq!(back, [header("x-text", &["a", "b"]), header("x-bytes-bin", &["AAEC", "/w"])]);
        assert!(metadata(&[header("x-bytes-bin", &["?"])]).is_err());
    }

    #[test]
    fn errors_are_converted_both_ways() {
        let error_with = |details| Error { code: 9, message: Some("no".to_owned()), details };
        for details in [vec![], vec![any(&header("name", &[]))]] {
            let status = status(error_with(details.clone()));
            assert_eq!((status.number(), status.message()), (9, "no"));
            assert_eq!(status.details().is_empty(), details.is_empty());
            assert_eq!(error(&status), error_with(details));
        }
        let type_url = any(&header("name", &[])).type_url;
        assert_eq!(type_url, "type.googleapis.com/connectrpc.conformance.v1.Header");
    }
}
