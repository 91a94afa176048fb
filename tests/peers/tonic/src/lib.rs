//! Code that tonic's two programs share: converts headers and errors between the suite's messages and tonic's types.

use barewire_programs::conformance::messages::{Error, Header};
use barewire::wire::binary;
use prost::{Message, Name};
use prost_types::Any;
use tonic::metadata::{Ascii, Binary, KeyAndValueRef, MetadataKey, MetadataMap, MetadataValue};
use tonic::{Code, Status};

pub const SERVICE: &str = "connectrpc.conformance.v1.ConformanceService";

/// A `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Details {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// Adds headers to metadata, except those that tonic does not accept.
pub fn add(metadata: &mut MetadataMap, headers: &[Header]) {
    for header in headers {
        let key = header.name.to_ascii_lowercase();
        for value in &header.value {
            if key.ends_with("-bin") {
                let key = MetadataKey::<Binary>::from_bytes(key.as_bytes());
                if let (Ok(key), Ok(value)) = (key, binary::decode(value.as_bytes())) {
                    metadata.append_bin(key, MetadataValue::from_bytes(&value));
                }
            } else if let (Ok(key), Ok(value)) = (MetadataKey::<Ascii>::from_bytes(key.as_bytes()), value.parse()) {
                metadata.append(key, value);
            }
        }
    }
}

pub fn headers(metadata: &MetadataMap) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for entry in metadata.iter() {
        let (name, value) = match entry {
            KeyAndValueRef::Ascii(key, value) => {
                (key.as_str(), String::from_utf8_lossy(value.as_encoded_bytes()).into_owned())
            }
            KeyAndValueRef::Binary(key, value) => match value.to_bytes() {
                Ok(bytes) => (key.as_str(), binary::encode(&bytes)),
                Err(_) => continue,
            },
        };
        match headers.iter_mut().find(|header| header.name == name) {
            Some(header) => header.value.push(value),
            None => headers.push(Header { name: name.to_owned(), value: vec![value] }),
        }
    }
    headers
}

/// The status that a handler returns, with metadata.
pub fn status(error: Error, metadata: MetadataMap) -> Status {
    let message = error.message.unwrap_or_default();
    let details = match error.details.is_empty() {
        true => Vec::new(),
        false => Details { code: error.code, message: message.clone(), details: error.details }.encode_to_vec(),
    };
    Status::with_details_and_metadata(Code::from_i32(error.code), message, details.into(), metadata)
}

/// The status of a call.
pub fn error(status: &Status) -> Error {
    let details = Details::decode(status.details()).unwrap_or_default().details;
    Error { code: status.code().into(), message: Some(status.message().to_owned()), details }
}

pub fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}
