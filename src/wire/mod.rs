//! The wire format of gRPC over HTTP/2: pure functions over bytes and header maps.
//!
//! No I/O, no async, no h2, no prost. Everything here is fuzzed, and nothing here can panic on a peer's bytes.
//! The grammar is the one of [PROTOCOL-HTTP2.md]; each production and the file that owns it:
//!
//! ```text
//! Request  → Request-Headers *Length-Prefixed-Message EOS
//! Response → (Response-Headers *Length-Prefixed-Message Trailers) / Trailers-Only
//!
//! Request-Headers  → Call-Definition *Custom-Metadata                        request.rs
//! Call-Definition  → Method Scheme Path TE [Authority] [Timeout]
//!                    Content-Type [Message-Type] [Message-Encoding]
//!                    [Message-Accept-Encoding] [User-Agent]
//! Timeout          → "grpc-timeout" TimeoutValue TimeoutUnit                 timeout.rs
//! Message-Encoding → "grpc-encoding" Content-Coding                          encoding.rs
//! Custom-Metadata  → Binary-Header / ASCII-Header                            metadata.rs, binary.rs
//!
//! Length-Prefixed-Message → Compressed-Flag Message-Length Message           message.rs
//!
//! Response-Headers → HTTP-Status [Message-Encoding]
//!                    [Message-Accept-Encoding] Content-Type *Custom-Metadata response.rs
//! Trailers-Only    → HTTP-Status Content-Type Trailers                       response.rs
//! Trailers         → Status [Status-Message] [Status-Details] *Custom-Metadata
//! Status-Message   → "grpc-message" Percent-Encoded                          percent.rs
//! ```
//!
//! The limits of metadata stand in [`section`]. What all of these need stands in `src/protocol/` and is given out here: the
//! words of HTTP/2 ([`http2`]), the three tables of codes ([`code_map`]), every way a peer can be wrong ([`error`]), why a call
//! failed ([`cause`]), and the values of `-bin` keys ([`binary`]).
//!
//! [PROTOCOL-HTTP2.md]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod later;

pub mod encoding;
pub mod message;
pub mod percent;
pub mod request;
pub mod response;
pub mod section;
pub mod timeout;

pub use crate::protocol::{By, Cause, ProtocolError, What, binary, cause, code_map, error, http2};
