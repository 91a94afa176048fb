//! The pieces that may come before HTTP/2 in a direction, and the state between them.

use std::collections::VecDeque;

/// A piece before HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Proxy,
    /// A request that asks for HTTP/2, and becomes stream 1. True if a body follows.
    Upgrade {
        body: bool,
    },
    /// A request for a tunnel, or a response that does not end the opening.
    Message,
    /// Octets of a body with a length. True for the last ones.
    Body {
        last: bool,
    },
    /// A chunk of a body, or the last one with the trailers.
    Chunk {
        last: bool,
    },
    /// A response in HTTP/1.1 to a request that asked for HTTP/2.
    Refusal,
}

/// A request of HTTP/1.1 that has no response yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Upgrade,
    Connect,
}

/// The state of a direction's opening.
#[derive(Clone, Debug, Default)]
pub(super) struct OpeningState {
    /// The unanswered requests of this direction.
    pub(super) requests: VecDeque<Request>,
    /// True once the direction has asked for HTTP/2, which it may do once.
    pub(super) upgraded: bool,
    /// The bytes in which the end of a message's head was not found.
    pub(super) searched: usize,
}

/// Returns true if the bytes begin with a record of TLS: its type and its version (RFC 8446, section 5.1).
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, 0..=4, ..])
}
