//! [`Section`]: the lists of fields of a call.

use std::fmt;

/// The lists of fields that a peer sends in a call (RFC 9110 calls them sections).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Request-Headers, read by a server.
    Request,
    /// Trailers of a request, which gRPC does not define, read by a server.
    RequestTrailers,
    /// Response-Headers, read by a client.
    Initial,
    /// Trailers and Trailers-Only, read by a client.
    Trailing,
}

impl Section {
    /// Returns the side that reads the list and applies its limits: `client` or `server`.
    pub fn reader(self) -> &'static str {
        match self {
            Section::Request | Section::RequestTrailers => "server",
            Section::Initial | Section::Trailing => "client",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Request => "metadata of the request",
            Section::RequestTrailers => "trailing metadata of the request",
            Section::Initial => "initial metadata",
            Section::Trailing => "trailing metadata",
        })
    }
}
