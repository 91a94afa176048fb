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
mod server;
mod service;

pub use client::{execute, run};
pub use delimited::{read, write};
pub use server::Listening;
pub use service::{Conformance, router};

use barewire::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use messages::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, IdempotentUnaryRequest,
    IdempotentUnaryResponse, ServerStreamRequest, ServerStreamResponse, UnaryRequest, UnaryResponse,
    UnimplementedRequest, UnimplementedResponse,
};

/// The messages of `proto/connectrpc/conformance`, which documents them.
#[allow(missing_docs)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/connectrpc.conformance.v1.rs"));
}

/// What `grpc-status-details-bin` carries. Of the details it has only their names are needed, in the descriptor set.
#[allow(missing_docs, dead_code)]
mod rpc {
    include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
}

/// The service, as it stands in paths.
pub const SERVICE: &str = "connectrpc.conformance.v1.ConformanceService";

/// Unary: answers as the request defines.
pub const UNARY: Method<UnaryRequest, UnaryResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/Unary");
/// Unary: the same; Connect may use GET for it.
pub const IDEMPOTENT_UNARY: Method<IdempotentUnaryRequest, IdempotentUnaryResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/IdempotentUnary");
/// Unary: a method that no server has.
pub const UNIMPLEMENTED: Method<UnimplementedRequest, UnimplementedResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/Unimplemented");
/// Server streaming: answers as the request defines.
pub const SERVER_STREAM: Method<ServerStreamRequest, ServerStreamResponse, ServerStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/ServerStream");
/// Client streaming: answers as the first request defines.
pub const CLIENT_STREAM: Method<ClientStreamRequest, ClientStreamResponse, ClientStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/ClientStream");
/// Bidirectional streaming: answers as the first request defines, each message at once or all after the last.
pub const BIDI_STREAM: Method<BidiStreamRequest, BidiStreamResponse, BidiStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/BidiStream");
