//! [`ProtocolError`]: every violation of the protocol by a peer, and the table with the code, the broken rule and the text of
//! each.

use std::fmt;

use super::code_map::code_of_http_status;
use super::section::Section;
use crate::code::Code;

/// The code for a missing or a second message where exactly one is required.
///
/// statuscodes.md says UNIMPLEMENTED on both sides; grpc-go answers INTERNAL. `docs/decisions/0004-cardinality.md` gives the
/// reasons for following the document.
pub const CARDINALITY_CODE: Code = Code::Unimplemented;

/// A violation of the protocol by a peer. [`fmt::Display`] describes it with the offending value; [`ProtocolError::code`] is the
/// table of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A message's prefix declares more bytes than the receiver allows.
    MessageTooLarge {
        /// The declared length, in bytes.
        length: u64,
        /// The receiver's limit, in bytes.
        limit: usize,
    },
    /// The first byte of a prefix is neither 0 nor 1.
    ReservedFlag {
        /// That byte.
        flag: u8,
    },
    /// The stream ended inside a five-byte prefix.
    TruncatedPrefix {
        /// The number of its bytes that arrived.
        received: usize,
    },
    /// The stream ended inside a message.
    TruncatedMessage {
        /// The number of bytes of the message that arrived.
        received: usize,
        /// The number of bytes that its prefix declares.
        length: usize,
    },
    /// A message is flagged as compressed, but `grpc-encoding` does not name an encoding.
    CompressedWithoutEncoding,
    /// The request has a `grpc-encoding` that the server does not support.
    UnsupportedRequestEncoding {
        /// Its name, shortened if it is long.
        name: String,
    },
    /// The response has a `grpc-encoding` that the client did not list.
    UnsupportedResponseEncoding {
        /// Its name, shortened if it is long.
        name: String,
    },
    /// A compressed message decompresses to more bytes than the receiver allows.
    InflatedMessageTooLarge {
        /// The receiver's limit, in bytes.
        limit: usize,
    },
    /// The bytes of a compressed message are not of its encoding.
    UndecodableCompression {
        /// The encoding.
        encoding: &'static str,
        /// The text of the decoder's error.
        reason: String,
    },
    /// The bytes of a message are not a message of the expected type.
    UndecodableMessage {
        /// The path of the method.
        method: String,
        /// The text of the decoder's error.
        reason: String,
    },
    /// The stream ended without the one message that is required.
    NoMessage,
    /// A second message arrived where exactly one is required.
    TooManyMessages,
    /// The request's method is not POST.
    MethodNotPost {
        /// The method.
        method: String,
    },
    /// The path is not `/Service/Method`.
    MalformedPath {
        /// The path, shortened if it is long.
        path: String,
    },
    /// The `content-type` is missing or is not gRPC's.
    ContentType {
        /// Its value, if present, shortened if it is long.
        value: Option<String>,
    },
    /// `te` has a value other than `trailers`: a proxy between the peers may drop trailers.
    Te {
        /// The value, shortened if it is long.
        value: String,
    },
    /// The request has neither `:authority` nor `host`.
    NoAuthority,
    /// The request has several `host` headers.
    SeveralHosts,
    /// `grpc-timeout` does not consist of one to eight digits and a unit.
    MalformedTimeout {
        /// Its value, shortened if it is long.
        value: String,
    },
    /// A `-bin` value is not base64.
    MalformedBinary {
        /// The key.
        key: String,
    },
    /// A list of fields is larger than the receiver allows.
    MetadataTooLarge {
        /// The list.
        section: Section,
        /// The receiver's limit, in bytes as RFC 9113 section 6.5.2 counts them.
        limit: u32,
    },
    /// A list has more fields than the receiver allows.
    TooManyFields {
        /// The list.
        section: Section,
        /// The receiver's limit.
        limit: usize,
    },
    /// More informational responses (1xx) arrived before the final response than the receiver allows.
    TooManyInformational {
        /// The receiver's limit.
        limit: u32,
    },
    /// A response that is not gRPC and has no `grpc-status`; its HTTP status determines the code.
    NotGrpc {
        /// The HTTP status.
        status: u16,
        /// The `content-type`, if present, shortened if it is long.
        content_type: Option<String>,
        /// The beginning of the body, for people.
        body: String,
    },
    /// A gRPC response that ended without `grpc-status`.
    MissingStatus,
    /// `grpc-status` is not a number.
    MalformedStatus {
        /// Its value, shortened if it is long.
        value: String,
    },
    /// `grpc-status-details-bin` has another code than `grpc-status`.
    DetailsDisagree {
        /// The number of `grpc-status`.
        status: i32,
        /// The code in the details.
        details: i32,
    },
}

impl ProtocolError {
    /// Returns the code of a call that ends with this error.
    pub fn code(&self) -> Code {
        self.row(|code, _, _| code)
    }

    /// Returns the document and section of the rule that the peer broke.
    pub fn rule(&self) -> &'static str {
        self.row(|_, rule, _| rule)
    }

    /// Looks the error up in the table and passes its code, rule and text to `read`.
    fn row<T>(&self, read: impl FnOnce(Code, &'static str, fmt::Arguments<'_>) -> T) -> T {
        use Code::{Internal, ResourceExhausted, Unimplemented, Unknown};
        use ProtocolError::*;
        const LIMIT: &str = "the receiver's limit";
        const MESSAGES: &str = "PROTOCOL-HTTP2.md, Length-Prefixed-Message";
        const REQUESTS: &str = "PROTOCOL-HTTP2.md, Requests";
        const RESPONSES: &str = "PROTOCOL-HTTP2.md, Responses";
        const JUDGED: &str = "PROTOCOL-HTTP2.md, Responses (judged by http-grpc-status-mapping.md)";
        const COMPRESSION: &str = "compression.md";
        const TYPE: &str = "the method's message type";
        const KIND: &str = "the method's kind (statuscodes.md)";
        const HOST: &str = "RFC 9110, section 7.2";
        macro_rules! row {
            ($code:expr, $rule:expr, $($text:tt)+) => { read($code, $rule, format_args!($($text)+)) };
        }
        match self {
            MessageTooLarge { length, limit } => {
                row!(ResourceExhausted, LIMIT, "message of {length} bytes is over the limit of {limit}")
            }
            ReservedFlag { flag } => {
                row!(Internal, MESSAGES, "invalid compressed flag {flag:#04x} in a message prefix: use 0 or 1")
            }
            TruncatedPrefix { received } => {
                row!(Internal, MESSAGES, "stream ended after {received} of the 5 bytes of a message prefix")
            }
            TruncatedMessage { received, length } => {
                row!(Internal, MESSAGES, "stream ended after {received} of the {length} bytes of a message")
            }
            CompressedWithoutEncoding => {
                row!(
                    Internal,
                    COMPRESSION,
                    "message is flagged as compressed, but grpc-encoding is missing or identity"
                )
            }
            UnsupportedRequestEncoding { name } => {
                row!(Unimplemented, COMPRESSION, "grpc-encoding {name:?} is not supported by this server")
            }
            UnsupportedResponseEncoding { name } => {
                row!(
                    Internal,
                    COMPRESSION,
                    "the server answered with grpc-encoding {name:?}, which this client did not list in grpc-accept-encoding"
                )
            }
            InflatedMessageTooLarge { limit } => {
                row!(ResourceExhausted, LIMIT, "decompressed message is over the limit of {limit} bytes")
            }
            UndecodableCompression { encoding, reason } => {
                row!(Internal, COMPRESSION, "can't decompress the message with {encoding}: {reason}")
            }
            UndecodableMessage { method, reason } => {
                row!(Internal, TYPE, "message of {method} can't be decoded: {reason}")
            }
            NoMessage => {
                row!(CARDINALITY_CODE, KIND, "the stream ended without a message: exactly one is required")
            }
            TooManyMessages => row!(CARDINALITY_CODE, KIND, "a second message arrived: exactly one is required"),
            MethodNotPost { method } => {
                row!(Internal, REQUESTS, "invalid method {method}: a gRPC request must be a POST")
            }
            MalformedPath { path } => {
                row!(Unimplemented, REQUESTS, "invalid path {path:?}: use /package.Service/Method")
            }
            ContentType { value: Some(value) } => {
                row!(
                    Internal,
                    REQUESTS,
                    "invalid content-type {value:?}: use application/grpc or application/grpc+proto"
                )
            }
            ContentType { value: None } => {
                row!(Internal, REQUESTS, "content-type is missing: use application/grpc")
            }
            Te { value } => {
                row!(Internal, REQUESTS, "invalid te {value:?}: use trailers; a proxy may have changed it")
            }
            NoAuthority => row!(Internal, REQUESTS, "the request has neither :authority nor host"),
            SeveralHosts => row!(Internal, HOST, "the request has more than one host header"),
            MalformedTimeout { value } => {
                row!(Internal, REQUESTS, "invalid grpc-timeout {value:?}: use 1 to 8 digits and one of H M S m u n")
            }
            MalformedBinary { key } => row!(Internal, REQUESTS, "the value of {key} is not base64"),
            MetadataTooLarge { section, limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "the {section} is larger than {limit} bytes, the max_metadata_size of this {}",
                    section.reader()
                )
            }
            TooManyFields { section, limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "the {section} has more than {limit} fields, the limit of this {}",
                    section.reader()
                )
            }
            TooManyInformational { limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "more than {limit} informational responses (1xx) arrived, the limit of this client"
                )
            }
            NotGrpc { status, content_type, body } => {
                let answer = NotGrpcAnswer { content_type: content_type.as_deref(), body };
                row!(code_of_http_status(*status), JUDGED, "the peer answered HTTP {status} with {answer}")
            }
            MissingStatus => row!(Unknown, RESPONSES, "the response ended without grpc-status"),
            MalformedStatus { value } => row!(Unknown, RESPONSES, "grpc-status {value:?} is not a number"),
            DetailsDisagree { status, details } => {
                row!(Internal, RESPONSES, "grpc-status is {status}, but grpc-status-details-bin has code {details}")
            }
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row(|_, _, text| f.write_fmt(text))
    }
}

impl std::error::Error for ProtocolError {}

/// The rest of the text of [`ProtocolError::NotGrpc`].
struct NotGrpcAnswer<'a> {
    content_type: Option<&'a str>,
    body: &'a str,
}

impl fmt::Display for NotGrpcAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content_type {
            Some(value) => write!(f, "content-type {value:?}")?,
            None => f.write_str("no content-type")?,
        }
        f.write_str(" instead of gRPC")?;
        if self.body.is_empty() { Ok(()) } else { write!(f, ", beginning {:?}", self.body) }
    }
}

/// Returns the beginning of a peer's value for a message to people: 64 bytes at most.
pub(crate) fn excerpt(value: &[u8]) -> String {
    const MOST: usize = 64;
    match value.get(..MOST) {
        Some(head) if value.len() > MOST => format!("{}…", String::from_utf8_lossy(head)),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_mistake_and_its_place() {
        assert_eq!(
            ProtocolError::MessageTooLarge { length: 6_291_456, limit: 4_194_304 }.to_string(),
            "message of 6291456 bytes is over the limit of 4194304"
        );
        let html =
            ProtocolError::NotGrpc { status: 502, content_type: Some("text/html".into()), body: "<html>".into() };
        assert_eq!(
            html.to_string(),
            "the peer answered HTTP 502 with content-type \"text/html\" instead of gRPC, beginning \"<html>\""
        );
        assert_eq!(excerpt(&[b'x'; 65]).chars().count(), 65);
    }
}
