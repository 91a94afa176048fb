//! An answer that is not gRPC's: a web server's page, a proxy's error. What it says becomes the status of the call
//! (http-grpc-status-mapping.md).

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};

use crate::limits::BODY_EXCERPT;
use crate::status::{Code, Status};
use crate::wire::response::GRPC_STATUS;
use crate::wire::{By, ProtocolError, What};

/// An answer that is not gRPC's, and the beginning of its body.
#[derive(Default)]
pub(super) struct Foreign {
    status: StatusCode,
    content_type: Option<String>,
    body: BytesMut,
}

impl Foreign {
    /// Creates one whose body has not come.
    pub(super) fn new(status: StatusCode, content_type: Option<String>) -> Foreign {
        Foreign { status, content_type, body: BytesMut::new() }
    }

    /// Adds to the body. Returns true when it is long enough for an error's message.
    pub(super) fn push(&mut self, data: &[u8]) -> bool {
        self.body.extend_from_slice(data);
        self.body.len() >= BODY_EXCERPT
    }

    /// Returns true where the trailers have a status that ends the call: it wins over what the HTTP status would mean, but for
    /// a success whose messages, not being gRPC's, were read by nobody.
    pub(super) fn is_ended_by(&self, trailers: &HeaderMap) -> bool {
        trailers.get(GRPC_STATUS).is_some_and(|status| !is_zero(status.as_bytes()) || self.body.is_empty())
    }

    /// Takes the answer out, to make a status of it.
    pub(super) fn take(&mut self) -> Foreign {
        std::mem::take(self)
    }

    /// Returns the status of the call; `code_of_http_status` says what its HTTP status means.
    pub(super) fn into_status(self, code_of_http_status: fn(u16) -> Code) -> Status {
        let Foreign { status, content_type, body } = self;
        let body = String::from_utf8_lossy(body.get(..BODY_EXCERPT).unwrap_or(&body)).into_owned();
        let code = code_of_http_status(status.as_u16());
        let error = ProtocolError::NotGrpc { status: status.as_u16(), content_type, body };
        Status::new(code, error.to_string()).caused(By::Peer, What::Protocol(error))
    }
}

/// Tells if this is the number of OK, however many zeros a peer writes it with.
fn is_zero(status: &[u8]) -> bool {
    status.iter().all(|digit| *digit == b'0')
}
