//! [`Cause`]: the event on the wire that made a call fail, stored in its [`Status`](crate::Status).

use std::error::Error;
use std::fmt;
use std::io;

use super::error::ProtocolError;
use super::http2::Http2Error;

/// The reason of a failed call, as this side saw it; see [`Status::cause`](crate::Status::cause). On one line:
/// `by the peer: RST_STREAM CANCEL`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cause {
    /// The side that caused the failure.
    pub by: By,
    /// The event.
    pub what: What,
    /// The last frames of the connection as text, newest last; empty without a tap.
    pub frames: Vec<String>,
}

/// The side that caused a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This side ended the call: at its deadline, or because of an HTTP/2 error of the peer.
    Us,
    /// The peer ended the call, or broke a rule.
    Peer,
    /// The network between the two: an address that can't be reached, a lost connection.
    Path,
}

/// The event that made a call fail.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// The server sent the status, by `grpc-status` in its trailers.
    Trailers,
    /// The stream was reset.
    Reset(Http2Error),
    /// GOAWAY ended the connection, and with it the call.
    GoAway {
        /// The error that GOAWAY carries.
        error: Http2Error,
        /// Its debug data, escaped where not printable; shortened if long, empty if GOAWAY has none.
        debug: String,
    },
    /// The peer broke a rule of gRPC, or its response is not gRPC at all ([`ProtocolError::NotGrpc`]).
    Protocol(ProtocolError),
    /// The peer does not speak HTTP/2.
    NotHttp2 {
        /// Its first bytes.
        beginning: Vec<u8>,
    },
    /// The TLS handshake or the TLS session failed.
    Tls(io::Error),
    /// The connection could not be made, or broke.
    Io(io::Error),
    /// The call's deadline passed on this side's clock.
    Deadline,
}

/// A failed TLS handshake, inside the [`io::Error`] of a [`Connector`](crate::io::Connector).
#[derive(Debug)]
pub struct NoTls {
    /// The side that caused the failure.
    pub by: By,
    /// The reason, for people.
    pub reason: String,
}

impl What {
    /// Returns the cause of a call that fails with `error`, and the side that caused it. A limit of metadata is only advice to
    /// the peer (RFC 9113 section 6.5.2): exceeding it does not break a rule, so it is this side that ends the call.
    pub(crate) fn of_protocol(error: ProtocolError) -> (By, What) {
        use ProtocolError::{MetadataTooLarge, TooManyFields, TooManyInformational};
        let by = match error {
            MetadataTooLarge { .. } | TooManyFields { .. } | TooManyInformational { .. } => By::Us,
            _ => By::Peer,
        };
        (by, What::Protocol(error))
    }

    /// Returns the cause of a call that fails with an error of its byte stream, and the side that caused it. Only TLS returns
    /// `InvalidData`: the peer sent an alert, or bytes that are not TLS.
    pub(crate) fn of_io(error: io::Error) -> (By, What) {
        match error.kind() {
            io::ErrorKind::InvalidData => (By::Peer, What::Tls(error)),
            _ => (By::Path, What::Io(error)),
        }
    }
}

impl fmt::Display for NoTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS handshake failed: {}", self.reason)
    }
}

impl Error for NoTls {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by {
            By::Us => "by this side: ",
            By::Peer => "by the peer: ",
            By::Path => "on the network path: ",
        })?;
        match &self.what {
            What::Trailers => f.write_str("grpc-status in its trailers"),
            What::Reset(error) => write!(f, "RST_STREAM {error}"),
            What::GoAway { error, debug } if debug.is_empty() => write!(f, "GOAWAY {error}"),
            What::GoAway { error, debug } => write!(f, "GOAWAY {error} \"{debug}\""),
            What::Protocol(error) => write!(f, "violates {}", error.rule()),
            What::NotHttp2 { beginning } if beginning.is_empty() => f.write_str("not HTTP/2: closed without a byte"),
            What::NotHttp2 { beginning } => write!(f, "not HTTP/2: \"{}\"", beginning.escape_ascii()),
            What::Tls(_) => f.write_str("TLS"),
            What::Io(error) => write!(f, "I/O error {:?}", error.kind()),
            What::Deadline => f.write_str("deadline exceeded"),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            What::Protocol(error) => Some(error),
            What::Tls(error) | What::Io(error) => Some(error),
            _ => None,
        }
    }
}
