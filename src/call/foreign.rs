//! Responses that are not gRPC: a web server's page, a proxy's error. Their HTTP status and body become the status of
//! the call (http-grpc-status-mapping.md).

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};

use crate::limits::BODY_EXCERPT;
use crate::status::{Code, Status};
use crate::wire::response::GRPC_STATUS;
use crate::wire::{By, ProtocolError, What};

/// A response that is not gRPC, and the beginning of its body.
#[derive(Default)]
pub(super) struct Foreign {
    status: StatusCode,
    content_type: Option<String>,
    body: BytesMut,
}

impl Foreign {
    /// Creates a response whose body has not arrived.
    pub(super) fn new(status: StatusCode, content_type: Option<String>) -> Foreign {
        Foreign { status, content_type, body: BytesMut::new() }
    }

    /// Adds to the body. Returns true once it is long enough for an error message.
    pub(super) fn push(&mut self, data: &[u8]) -> bool {
        self.body.extend_from_slice(data);
        self.body.len() >= BODY_EXCERPT
    }

    /// Returns true if the trailers have a status that ends the call. It takes precedence over the HTTP status, except
    /// for OK after a body that was not gRPC: nothing read its messages.
    pub(super) fn is_ended_by(&self, trailers: &HeaderMap) -> bool {
        trailers.get(GRPC_STATUS).is_some_and(|status| !is_zero(status.as_bytes()) || self.body.is_empty())
    }

    /// Takes the response out, to convert it into a status.
    pub(super) fn take(&mut self) -> Foreign {
        std::mem::take(self)
    }

    /// Converts the response into the status of the call; `code_of_http_status` maps its HTTP status to a code.
    pub(super) fn into_status(self, code_of_http_status: fn(u16) -> Code) -> Status {
        let Foreign { status, content_type, body } = self;
        let body = String::from_utf8_lossy(body.get(..BODY_EXCERPT).unwrap_or(&body)).into_owned();
        let code = code_of_http_status(status.as_u16());
        let error = ProtocolError::NotGrpc { status: status.as_u16(), content_type, body };
        Status::new(code, error.to_string()).caused(By::Peer, What::Protocol(error))
    }
}

/// Returns true if this is the number of OK, written with any number of zeros.
fn is_zero(status: &[u8]) -> bool {
    status.iter().all(|digit| *digit == b'0')
}
