//! [`ProtocolError`]: every way a peer can be wrong, and the one table that gives each its code, the rule that the peer broke, and
//! a sentence that says so.

use std::fmt;

use super::code_map::code_of_http_status;
use super::section::Section;
use crate::code::Code;

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
    /// Returns the code that a call ends with over this error.
    pub fn code(&self) -> Code {
        self.row(|code, _, _| code)
    }

    /// Returns where the rule stands that the peer broke.
    pub fn rule(&self) -> &'static str {
        self.row(|_, rule, _| rule)
    }

    /// Reads the one table: the code, the rule and the text of each error.
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
                row!(Internal, MESSAGES, "message prefix begins with {flag:#04x}: the compressed flag is 0 or 1")
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
                row!(Unimplemented, COMPRESSION, "grpc-encoding {name:?} is not supported here")
            }
            UnsupportedResponseEncoding { name } => {
                row!(
                    Internal,
                    COMPRESSION,
                    "the server answered with grpc-encoding {name:?}, which this client did not list"
                )
            }
            InflatedMessageTooLarge { limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "compressed message is over the limit of {limit} bytes when it is restored"
                )
            }
            UndecodableCompression { encoding, reason } => {
                row!(Internal, COMPRESSION, "compressed message is not {encoding}: {reason}")
            }
            UndecodableMessage { reason } => row!(Internal, TYPE, "message can't be decoded: {reason}"),
            NoMessage => {
                row!(CARDINALITY_CODE, KIND, "the stream ended without a message where exactly one is due")
            }
            TooManyMessages => row!(CARDINALITY_CODE, KIND, "a second message came where exactly one is due"),
            MethodNotPost { method } => {
                row!(Internal, REQUESTS, "a gRPC request is a POST, this one is a {method}")
            }
            MalformedPath { path } => {
                row!(Unimplemented, REQUESTS, "path {path:?} is not of the form /Service/Method")
            }
            ContentType { value: Some(value) } => {
                row!(Internal, REQUESTS, "content-type {value:?} is not application/grpc or application/grpc+proto")
            }
            ContentType { value: None } => {
                row!(Internal, REQUESTS, "content-type is missing: gRPC's is application/grpc")
            }
            Te { value } => {
                row!(Internal, REQUESTS, "te is {value:?} instead of trailers: does a proxy strip them?")
            }
            NoAuthority => row!(Internal, REQUESTS, "the request has neither :authority nor host"),
            SeveralHosts => row!(Internal, HOST, "the request has more than one host header"),
            MalformedTimeout { value } => {
                row!(
                    Internal,
                    REQUESTS,
                    "grpc-timeout {value:?} is malformed: 1 to 8 digits and one of H M S m u n are due"
                )
            }
            MalformedBinary { key } => row!(Internal, REQUESTS, "the value of {key} is not base64"),
            MetadataTooLarge { section, limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "the {section} is larger than max_metadata_size, {limit} bytes, of this {}",
                    section.reader()
                )
            }
            TooManyFields { section, limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "the {section} has more fields than this {} takes, which is {limit} fields",
                    section.reader()
                )
            }
            TooManyInformational { limit } => {
                row!(
                    ResourceExhausted,
                    LIMIT,
                    "more informational responses (1xx) came than this client takes, which is {limit}"
                )
            }
            NotGrpc { status, content_type, body } => {
                let answer = NotGrpcAnswer { content_type: content_type.as_deref(), body };
                row!(code_of_http_status(*status), JUDGED, "the peer answered HTTP {status} with {answer}")
            }
            MissingStatus => row!(Unknown, RESPONSES, "the answer ended without grpc-status"),
            MalformedStatus { value } => row!(Unknown, RESPONSES, "grpc-status {value:?} is not a number"),
            DetailsDisagree { status, details } => {
                row!(Internal, RESPONSES, "grpc-status is {status}, but grpc-status-details-bin says {details}")
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

/// Writes the rest of the text of [`ProtocolError::NotGrpc`].
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
