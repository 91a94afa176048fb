//! [`Cause`]: what happened on the wire that made a call fail, kept beside the [`Status`](crate::Status) that it came to.

use std::error::Error;
use std::fmt;
use std::io;

use super::error::ProtocolError;
use super::http2::Http2Error;

/// Why a call failed, as this side saw it: see [`Status::cause`](crate::Status::cause). On one line: `by the peer: RST_STREAM CANCEL`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cause {
    /// Whose doing it was.
    pub by: By,
    /// What it was.
    pub what: What,
    /// The last frames of the connection in words, the newest at the end; none without a tap.
    pub frames: Vec<String>,
}

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This side ended the call: at its deadline, or over something that the peer got wrong in HTTP/2.
    Us,
    /// The peer ended the call, or broke a rule.
    Peer,
    /// What lies between the two: an address that can't be reached, a connection that broke.
    Path,
}

/// What made a call fail.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// The server said so itself, by `grpc-status` in its trailers.
    Trailers,
    /// The stream was reset.
    Reset(Http2Error),
    /// The connection was ended, and with it the call.
    GoAway {
        /// The error that GOAWAY carries.
        error: Http2Error,
        /// Its debug data, what is not printable escaped; shortened if they are long, empty where there are none.
        debug: String,
    },
    /// The peer broke a rule of gRPC, or its answer is no gRPC at all ([`ProtocolError::NotGrpc`]).
    Protocol(ProtocolError),
    /// The peer does not speak HTTP/2.
    NotHttp2 {
        /// Its first bytes.
        beginning: Vec<u8>,
    },
    /// TLS did not come about, or was given up.
    Tls(io::Error),
    /// The connection could not be made, or broke.
    Io(io::Error),
    /// The call's deadline passed, by the clock of this side.
    Deadline,
}

/// Inside the [`io::Error`] of a [`Connector`](crate::io::Connector): TLS did not come about, and over whom.
#[derive(Debug)]
pub struct NoTls {
    /// Whose doing it was.
    pub by: By,
    /// What went wrong, for a person.
    pub reason: String,
}

impl What {
    /// Returns the cause that a broken rule is, and whose doing it was. A limit of metadata is advice to the peer (RFC 9113
    /// section 6.5.2): going beyond it breaks no rule, and this side ended the call.
    pub(crate) fn of_protocol(error: ProtocolError) -> (By, What) {
        use ProtocolError::{MetadataTooLarge, TooManyFields, TooManyInformational};
        let by = match error {
            MetadataTooLarge { .. } | TooManyFields { .. } | TooManyInformational { .. } => By::Us,
            _ => By::Peer,
        };
        (by, What::Protocol(error))
    }

    /// What an error of a byte stream means, and whose doing it was. This kind of error is TLS's alone: the peer sent an alert,
    /// or what is no TLS.
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
            By::Path => "on the way: ",
        })?;
        match &self.what {
            What::Trailers => f.write_str("grpc-status in its trailers"),
            What::Reset(error) => write!(f, "RST_STREAM {error}"),
            What::GoAway { error, debug } if debug.is_empty() => write!(f, "GOAWAY {error}"),
            What::GoAway { error, debug } => write!(f, "GOAWAY {error} \"{debug}\""),
            What::Protocol(error) => write!(f, "against {}", error.rule()),
            What::NotHttp2 { beginning } if beginning.is_empty() => f.write_str("no HTTP/2, and nothing else"),
            What::NotHttp2 { beginning } => write!(f, "no HTTP/2, but \"{}\"", beginning.escape_ascii()),
            What::Tls(_) => f.write_str("TLS"),
            What::Io(error) => write!(f, "I/O, {:?}", error.kind()),
            What::Deadline => f.write_str("the deadline"),
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
