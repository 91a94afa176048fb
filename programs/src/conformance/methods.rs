//! The methods of the service.

use super::messages::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, IdempotentUnaryRequest,
    IdempotentUnaryResponse, ServerStreamRequest, ServerStreamResponse, UnaryRequest, UnaryResponse,
    UnimplementedRequest, UnimplementedResponse,
};
use barewire::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};

/// The name of the service, as in paths.
pub const SERVICE: &str = "connectrpc.conformance.v1.ConformanceService";

/// Unary: answers as the request defines.
pub const UNARY: Method<UnaryRequest, UnaryResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/Unary");
/// Unary: the same; the Connect protocol may use GET for it.
pub const IDEMPOTENT_UNARY: Method<IdempotentUnaryRequest, IdempotentUnaryResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/IdempotentUnary");
/// Unary: a method that no server implements.
pub const UNIMPLEMENTED: Method<UnimplementedRequest, UnimplementedResponse, Unary> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/Unimplemented");
/// Server streaming: answers as the request defines.
pub const SERVER_STREAM: Method<ServerStreamRequest, ServerStreamResponse, ServerStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/ServerStream");
/// Client streaming: answers as the first request defines.
pub const CLIENT_STREAM: Method<ClientStreamRequest, ClientStreamResponse, ClientStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/ClientStream");
/// Bidirectional streaming: answers as the first request defines, each message at once or all after the half-close.
pub const BIDI_STREAM: Method<BidiStreamRequest, BidiStreamResponse, BidiStreaming> =
    Method::new("/connectrpc.conformance.v1.ConformanceService/BidiStream");
