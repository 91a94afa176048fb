//! connectrpc's conformance tests, for gRPC over HTTP/2: the service that the suite calls, and a client that makes calls for
//! the suite.
//!
//! <https://github.com/connectrpc/conformance>: `connectconformance` starts a program and talks to it over stdin and stdout,
//! in messages with their length in front (`delimited`). A server gets its configuration once, and then the calls of the
//! suite's own client (`server`, `service`). A client gets one call after the other, most of them to the suite's own server
//! (`client`, `call`). `convert` converts headers and errors.
//!
//! ```sh
//! connectconformance --mode server --conf tests/peers/conformance.yaml -- target/release/conformance_server
//! connectconformance --mode client --conf tests/peers/conformance.yaml -- target/release/conformance_client
//! ```

mod call;
mod client;
mod convert;
mod delimited;
pub mod messages;
mod methods;
mod server;
mod service;

pub use client::{execute, run};
pub use delimited::{read, write};
pub use methods::{BIDI_STREAM, CLIENT_STREAM, IDEMPOTENT_UNARY, SERVER_STREAM, SERVICE, UNARY, UNIMPLEMENTED};
pub use server::BoundServer;
pub use service::{Conformance, router};
