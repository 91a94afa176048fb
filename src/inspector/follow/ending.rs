//! The ways in which a call ends.

use std::fmt;

use crate::wire::http2::Http2Error;

/// The way in which a call ended, and which side ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The call has not ended.
    Open,
    /// The server's Trailers.
    Trailers,
    /// The server's Trailers-Only: one block of headers, with the status.
    TrailersOnly,
    /// The server's END_STREAM on DATA, without trailers.
    EndStream,
    /// Headers of the server with END_STREAM that could not be decoded: Trailers-Only, or an answer that is not gRPC.
    UnknownHeaders,
    /// The end of a response that is not gRPC.
    HttpResponse,
    /// The client's RST_STREAM.
    ClientReset(Http2Error),
    /// The client's RST_STREAM with CANCEL when `grpc-timeout` had passed.
    Deadline,
    /// The server's RST_STREAM.
    ServerReset(Http2Error),
    /// The server's GOAWAY, with a lower last stream or with a connection error.
    GoAway(Http2Error),
    /// The connection's end after the client's GOAWAY with a connection error.
    ClientGoAway(Http2Error),
    /// The end of the connection.
    ConnectionLost,
    /// Unknown: the call was forgotten because too many calls were open.
    Forgotten,
}

impl CallEnd {
    /// Returns true if the server ended the call with a gRPC response.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Trailers | Self::TrailersOnly | Self::EndStream)
    }
}

impl fmt::Display for CallEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("still open"),
            Self::Trailers => f.write_str("ended by the server's trailers"),
            Self::TrailersOnly => f.write_str("ended by the server's Trailers-Only"),
            Self::EndStream => f.write_str("ended by the server's END_STREAM on DATA, without trailers"),
            Self::UnknownHeaders => f.write_str("ended by headers of the server that could not be decoded"),
            Self::HttpResponse => f.write_str("ended by a response that is not gRPC"),
            Self::ClientReset(code) => write!(f, "ended by the client's RST_STREAM {code}"),
            Self::Deadline => f.write_str("ended by the client at its deadline"),
            Self::ServerReset(code) => write!(f, "ended by the server's RST_STREAM {code}"),
            Self::GoAway(code) => write!(f, "ended by the server's GOAWAY {code}"),
            Self::ClientGoAway(code) => write!(f, "ended by the connection's end after the client's GOAWAY {code}"),
            Self::ConnectionLost => f.write_str("ended by the connection's end"),
            Self::Forgotten => f.write_str("no longer followed"),
        }
    }
}
