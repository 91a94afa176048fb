//! A request whose handler has not begun, and the answers to a request that gets no handler.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue, InvalidHeaderValue};

use crate::call::body::Body;
use crate::call::send::SendHalf;
use crate::call::watch::Ending;
use crate::call::{Context, EndReason};
use crate::status::Status;
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::wire::error::ProtocolError;
use crate::wire::request::Refusal;
use crate::wire::response::Trailers;

/// A request whose headers have arrived.
pub(super) struct Arrival {
    pub(super) context: Context,
    /// The compression of its messages.
    pub(super) encoding: Encoding,
    pub(super) body: Body,
}

/// The answer to a request without a handler.
pub(super) enum Refused {
    /// Trailers-Only with this status.
    Grpc(Status),
    /// The same, with `grpc-accept-encoding`: the encoding of the request is not supported (compression.md).
    Encoding(Status, Result<HeaderValue, InvalidHeaderValue>),
    /// The request is not gRPC.
    Http(HttpAnswer),
}

/// The answer to a request that is not gRPC: an HTTP status with a sentence for a person, and trailers for a gRPC client.
pub(super) struct HttpAnswer {
    status: StatusCode,
    error: ProtocolError,
    /// False for a response to HEAD, which may not have a body.
    has_body: bool,
}

impl Refused {
    /// Chooses the answer to a request with invalid headers. `has_body` is false if the response may not have a body;
    /// `supported` are the encodings of this server.
    pub(super) fn new(refusal: Refusal, has_body: bool, supported: EncodingSet) -> Refused {
        match refusal {
            Refusal::Http(status, error) => Refused::Http(HttpAnswer { status, error, has_body }),
            Refusal::Grpc(error @ ProtocolError::UnsupportedRequestEncoding { .. }) => {
                // The names of encodings are visible ASCII.
                Refused::Encoding(error.into_status(), HeaderValue::try_from(supported.to_list()))
            }
            Refusal::Grpc(error) => Refused::Grpc(error.into_status()),
        }
    }

    /// Returns the answer to a call that an interceptor answers with this status.
    pub(super) fn answered<T>(admitted: Result<T, Refused>, status: Status) -> Refused {
        match admitted {
            Err(refused @ Refused::Http(_)) => refused,
            _ => Refused::Grpc(status),
        }
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> Status {
        match self {
            Refused::Grpc(status) | Refused::Encoding(status, _) => status.clone(),
            Refused::Http(answer) => answer.error.clone().into_status(),
        }
    }
}

impl HttpAnswer {
    /// Sends the headers of the response. Returns its body, its trailers, and the end of the call.
    pub(super) fn respond(self, sending: &mut SendHalf) -> (Bytes, HeaderMap, Ending) {
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.append(header::ALLOW, HeaderValue::from_static("POST"));
        }
        let responded = sending.respond(self.status, headers, !self.has_body);
        let follows = responded.is_ok() && self.has_body;
        let body = if follows { Bytes::from(format!("{}\n", self.error)) } else { Bytes::new() };
        let status = self.error.into_status();
        let mut trailers = HeaderMap::new();
        Trailers::encode(Err(&status), &mut trailers);
        (body, trailers, Ending { status: Err(status), reason: EndReason::Refused, trailing: None })
    }
}
