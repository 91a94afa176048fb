//! connectrpc's conformance tests, for gRPC over HTTP/2: the service that they call, and a client that makes the calls it is
//! told to.
//!
//! <https://github.com/connectrpc/conformance>: `connectconformance` starts a program and talks to it over stdin and stdout,
//! by messages with a length before each (`delimited`). A server is told once what to listen with, and is then called by
//! the suite's own client (`server`, `service`); a client is told one call after the other, most of them to the suite's
//! own server (`client`, `call`). What is in headers and errors is converted in `convert`.
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
mod rpc;
mod server;
mod service;

pub use client::{execute, run};
pub use delimited::{read, write};
pub use methods::{BIDI_STREAM, CLIENT_STREAM, IDEMPOTENT_UNARY, SERVER_STREAM, SERVICE, UNARY, UNIMPLEMENTED};
pub use server::Listening;
pub use service::{Conformance, router};
