//! [`ProtocolError`]: every way a peer can be wrong, named by the sentence it broke, and the one table that turns each into
//! a [`Status`].

use std::fmt;

use super::cause::{By, What};
use super::code_map::code_of_http_status;
use super::section::Section;
use crate::status::{Code, Status};

/// The code for no message, or more than one, where exactly one is due.
///
/// statuscodes.md says UNIMPLEMENTED on both sides; grpc-go answers INTERNAL. The reasons for following the document stand
/// in `docs/decisions/0004-cardinality.md`.
pub const CARDINALITY_CODE: Code = Code::Unimplemented;

/// What a peer did wrong. [`fmt::Display`] says it with the offending value; [`ProtocolError::code`] is the table of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A message's prefix declares more bytes than the receiver takes.
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
        /// How many of its bytes came.
        received: usize,
    },
    /// The stream ended inside a message.
    TruncatedMessage {
        /// How many bytes of the message came.
        received: usize,
        /// How many its prefix declares.
        length: usize,
    },
    /// A message is flagged as compressed and no `grpc-encoding` says how.
    CompressedWithoutEncoding,
    /// The request names a `grpc-encoding` that the server does not take.
    UnsupportedRequestEncoding {
        /// Its name, shortened if it is long.
        name: String,
    },
    /// The response names a `grpc-encoding` that the client did not list.
    UnsupportedResponseEncoding {
        /// Its name, shortened if it is long.
        name: String,
    },
    /// A compressed message has more bytes than the receiver takes when it is restored.
    InflatedMessageTooLarge {
        /// The receiver's limit, in bytes.
        limit: usize,
    },
    /// The bytes of a compressed message are not of its encoding.
    UndecodableCompression {
        /// The encoding.
        encoding: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The bytes of a message are not a message of the expected type.
    UndecodableMessage {
        /// What the decoder said.
        reason: String,
    },
    /// No message came where one is due.
    NoMessage,
    /// A second message came where one is due.
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
        /// Its value, if there is one, shortened if it is long.
        value: Option<String>,
    },
    /// `te` has a value other than `trailers`: something between the peers does not pass trailers on.
    Te {
        /// The value, shortened if it is long.
        value: String,
    },
    /// The request has neither `:authority` nor `host`.
    NoAuthority,
    /// The request has several `host` headers.
    SeveralHosts,
    /// `grpc-timeout` is not one to eight digits and a unit.
    MalformedTimeout {
        /// Its value, shortened if it is long.
        value: String,
    },
    /// A `-bin` value is not base64.
    MalformedBinary {
        /// The key.
        key: String,
    },
    /// A list of fields is larger than the receiver takes.
    MetadataTooLarge {
        /// The list.
        section: Section,
        /// The receiver's limit, in bytes as RFC 9113 section 6.5.2 counts them.
        limit: u32,
    },
    /// A list of fields has more of them than the receiver takes.
    TooManyFields {
        /// The list.
        section: Section,
        /// The receiver's limit.
        limit: usize,
    },
    /// More informational responses (1xx) came before an answer than the receiver takes.
    TooManyInformational {
        /// The receiver's limit.
        limit: u32,
    },
    /// An answer without `grpc-status` that is not gRPC's either, judged by its HTTP status.
    NotGrpc {
        /// The HTTP status.
        status: u16,
        /// The `content-type`, if there is one, shortened if it is long.
        content_type: Option<String>,
        /// The beginning of the body, for a person to read.
        body: String,
    },
    /// A gRPC answer that ended without `grpc-status`.
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
    /// The code that this error has as a [`Status`].
    pub fn code(&self) -> Code {
        self.row().0
    }

    /// Where the rule stands that the peer broke.
    pub fn rule(&self) -> &'static str {
        self.row().1
    }

    /// The one table.
    fn row(&self) -> (Code, &'static str) {
        use ProtocolError::*;
        const MESSAGES: &str = "PROTOCOL-HTTP2.md, Length-Prefixed-Message";
        const REQUESTS: &str = "PROTOCOL-HTTP2.md, Requests";
        const RESPONSES: &str = "PROTOCOL-HTTP2.md, Responses";
        const JUDGED: &str = "PROTOCOL-HTTP2.md, Responses (judged by http-grpc-status-mapping.md)";
        const COMPRESSION: &str = "compression.md";
        match self {
            MessageTooLarge { .. } | InflatedMessageTooLarge { .. } => {
                (Code::ResourceExhausted, "the receiver's limit")
            }
            MetadataTooLarge { .. } | TooManyFields { .. } | TooManyInformational { .. } => {
                (Code::ResourceExhausted, "the receiver's limit")
            }
            ReservedFlag { .. } | TruncatedPrefix { .. } | TruncatedMessage { .. } => (Code::Internal, MESSAGES),
            UndecodableMessage { .. } => (Code::Internal, "the method's message type"),
            NoMessage | TooManyMessages => (CARDINALITY_CODE, "the method's kind (statuscodes.md)"),
            UnsupportedRequestEncoding { .. } => (Code::Unimplemented, COMPRESSION),
            CompressedWithoutEncoding | UnsupportedResponseEncoding { .. } => (Code::Internal, COMPRESSION),
            UndecodableCompression { .. } => (Code::Internal, COMPRESSION),
            MalformedPath { .. } => (Code::Unimplemented, REQUESTS),
            MethodNotPost { .. } | ContentType { .. } | Te { .. } | NoAuthority => (Code::Internal, REQUESTS),
            MalformedTimeout { .. } | MalformedBinary { .. } => (Code::Internal, REQUESTS),
            SeveralHosts => (Code::Internal, "RFC 9110, section 7.2"),
            NotGrpc { status, .. } => (code_of_http_status(*status), JUDGED),
            MissingStatus | MalformedStatus { .. } => (Code::Unknown, RESPONSES),
            DetailsDisagree { .. } => (Code::Internal, RESPONSES),
        }
    }

    /// The status that the call ends with. The error stays with it as its cause.
    pub fn into_status(self) -> Status {
        Status::new(self.code(), self.to_string()).caused(self.by(), What::Protocol(self))
    }

    /// A limit of metadata is advice to the peer (RFC 9113 section 6.5.2): going beyond it breaks no rule.
    fn by(&self) -> By {
        use ProtocolError::{MetadataTooLarge, TooManyFields, TooManyInformational};
        match self {
            MetadataTooLarge { .. } | TooManyFields { .. } | TooManyInformational { .. } => By::Us,
            _ => By::Peer,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::MessageTooLarge { length, limit } => {
                write!(f, "message of {length} bytes is over the limit of {limit}")
            }
            ProtocolError::ReservedFlag { flag } => {
                write!(f, "message prefix begins with {flag:#04x}: the compressed flag is 0 or 1")
            }
            ProtocolError::TruncatedPrefix { received } => {
                write!(f, "stream ended after {received} of the 5 bytes of a message prefix")
            }
            ProtocolError::TruncatedMessage { received, length } => {
                write!(f, "stream ended after {received} of the {length} bytes of a message")
            }
            ProtocolError::CompressedWithoutEncoding => {
                f.write_str("message is flagged as compressed, but grpc-encoding is missing or identity")
            }
            ProtocolError::UnsupportedRequestEncoding { name } => {
                write!(f, "grpc-encoding {name:?} is not supported here")
            }
            ProtocolError::UnsupportedResponseEncoding { name } => {
                write!(f, "the server answered with grpc-encoding {name:?}, which this client did not list")
            }
            ProtocolError::InflatedMessageTooLarge { limit } => {
                write!(f, "compressed message is over the limit of {limit} bytes when it is restored")
            }
            ProtocolError::UndecodableCompression { encoding, reason } => {
                write!(f, "compressed message is not {encoding}: {reason}")
            }
            ProtocolError::UndecodableMessage { reason } => write!(f, "message can't be decoded: {reason}"),
            ProtocolError::NoMessage => f.write_str("the stream ended without a message where exactly one is due"),
            ProtocolError::TooManyMessages => f.write_str("a second message came where exactly one is due"),
            ProtocolError::MethodNotPost { method } => write!(f, "a gRPC request is a POST, this one is a {method}"),
            ProtocolError::MalformedPath { path } => write!(f, "path {path:?} is not of the form /Service/Method"),
            ProtocolError::ContentType { value: Some(value) } => {
                write!(f, "content-type {value:?} is not application/grpc or application/grpc+proto")
            }
            ProtocolError::ContentType { value: None } => {
                f.write_str("content-type is missing: gRPC's is application/grpc")
            }
            ProtocolError::Te { value } => write!(f, "te is {value:?} instead of trailers: does a proxy strip them?"),
            ProtocolError::NoAuthority => f.write_str("the request has neither :authority nor host"),
            ProtocolError::SeveralHosts => f.write_str("the request has more than one host header"),
            ProtocolError::MalformedTimeout { value } => {
                write!(f, "grpc-timeout {value:?} is malformed: 1 to 8 digits and one of H M S m u n are due")
            }
            ProtocolError::MalformedBinary { key } => write!(f, "the value of {key} is not base64"),
            ProtocolError::MetadataTooLarge { section, limit } => {
                let reader = section.reader();
                write!(f, "the {section} is larger than max_metadata_size, {limit} bytes, of this {reader}")
            }
            ProtocolError::TooManyFields { section, limit } => {
                let reader = section.reader();
                write!(f, "the {section} has more fields than this {reader} takes, which is {limit} fields")
            }
            ProtocolError::TooManyInformational { limit } => {
                write!(f, "more informational responses (1xx) came than this client takes, which is {limit}")
            }
            ProtocolError::NotGrpc { status, content_type, body } => {
                write!(f, "the peer answered HTTP {status} with ")?;
                match content_type {
                    Some(value) => write!(f, "content-type {value:?}")?,
                    None => f.write_str("no content-type")?,
                }
                f.write_str(" instead of gRPC")?;
                if !body.is_empty() {
                    write!(f, ", beginning {body:?}")?;
                }
                Ok(())
            }
            ProtocolError::MissingStatus => f.write_str("the answer ended without grpc-status"),
            ProtocolError::MalformedStatus { value } => write!(f, "grpc-status {value:?} is not a number"),
            ProtocolError::DetailsDisagree { status, details } => {
                write!(f, "grpc-status is {status}, but grpc-status-details-bin says {details}")
            }
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<ProtocolError> for Status {
    fn from(error: ProtocolError) -> Status {
        error.into_status()
    }
}

/// The beginning of a peer's value for a message to people: 64 bytes at most, whatever they are.
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
    fn the_library_never_produces_a_code_that_is_the_applications() {
        let every = [
            ProtocolError::MessageTooLarge { length: 6_291_456, limit: 4_194_304 },
            ProtocolError::ReservedFlag { flag: 0x80 },
            ProtocolError::TruncatedPrefix { received: 3 },
            ProtocolError::TruncatedMessage { received: 1, length: 2 },
            ProtocolError::CompressedWithoutEncoding,
            ProtocolError::UnsupportedRequestEncoding { name: "lzma".into() },
            ProtocolError::UnsupportedResponseEncoding { name: "lzma".into() },
            ProtocolError::InflatedMessageTooLarge { limit: 4_194_304 },
            ProtocolError::UndecodableCompression { encoding: "gzip", reason: "x".into() },
            ProtocolError::UndecodableMessage { reason: "x".into() },
            ProtocolError::NoMessage,
            ProtocolError::TooManyMessages,
            ProtocolError::MethodNotPost { method: "GET".into() },
            ProtocolError::MalformedPath { path: "/".into() },
            ProtocolError::ContentType { value: None },
            ProtocolError::Te { value: "gzip".into() },
            ProtocolError::NoAuthority,
            ProtocolError::SeveralHosts,
            ProtocolError::MalformedTimeout { value: "1".into() },
            ProtocolError::MalformedBinary { key: "a-bin".into() },
            ProtocolError::MetadataTooLarge { section: Section::Trailing, limit: 65_536 },
            ProtocolError::TooManyFields { section: Section::Request, limit: 512 },
            ProtocolError::TooManyInformational { limit: 16 },
            ProtocolError::NotGrpc { status: 502, content_type: Some("text/html".into()), body: "<html>".into() },
            ProtocolError::MissingStatus,
            ProtocolError::MalformedStatus { value: "x".into() },
            ProtocolError::DetailsDisagree { status: 5, details: 6 },
        ];
        for error in every {
            let status = error.clone().into_status();
            assert!(
                matches!(
                    status.code(),
                    Code::Unknown | Code::ResourceExhausted | Code::Unimplemented | Code::Internal | Code::Unavailable
                ),
                "{status}"
            );
            assert_eq!(status.message(), error.to_string());
        }
    }

    #[test]
    fn the_text_says_what_was_wrong_and_where() {
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
