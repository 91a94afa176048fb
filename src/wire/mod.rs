//! The wire format of gRPC over HTTP/2: pure functions over bytes and header maps.
//!
//! This module uses neither I/O nor async, h2 or prost. All of it is fuzzed, and bytes of a peer can't make it panic.
//! It implements the grammar of [PROTOCOL-HTTP2.md]; each production and its file:
//!
//! ```text
//! Request  → Request-Headers *Length-Prefixed-Message EOS
//! Response → (Response-Headers *Length-Prefixed-Message Trailers) / Trailers-Only
//!
//! Request-Headers  → Call-Definition *Custom-Metadata                        request.rs, outgoing.rs
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
//! The limits of metadata are in [`section`]. The types that all of these need are in `src/protocol/` and re-exported here: the
//! terms of HTTP/2 ([`http2`]), the three tables of codes ([`code_map`]), every violation of the protocol ([`error`]), the
//! reason of a failed call ([`cause`]), and the values of `-bin` keys ([`binary`]).
//!
//! [PROTOCOL-HTTP2.md]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod later;

pub mod encoding;
pub mod message;
pub mod outgoing;
pub mod percent;
pub mod request;
pub mod response;
pub mod section;
pub mod timeout;

pub use crate::protocol::{By, Cause, ProtocolError, What, binary, cause, code_map, error, http2};
