//! The methods of the test service, and the keys of the metadata that it echoes.

use super::messages::{
    Empty, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use barewire::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};

/// Unary: an empty request, an empty response.
pub const EMPTY_CALL: Method<Empty, Empty, Unary> = Method::new("/grpc.testing.TestService/EmptyCall");
/// Unary: returns a payload of the requested size.
pub const UNARY_CALL: Method<SimpleRequest, SimpleResponse, Unary> = Method::new("/grpc.testing.TestService/UnaryCall");
/// Server streaming: sends the requested messages.
pub const STREAMING_OUTPUT_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, ServerStreaming> =
    Method::new("/grpc.testing.TestService/StreamingOutputCall");
/// Client streaming: counts the bytes of all payloads.
pub const STREAMING_INPUT_CALL: Method<StreamingInputCallRequest, StreamingInputCallResponse, ClientStreaming> =
    Method::new("/grpc.testing.TestService/StreamingInputCall");
/// Bidirectional streaming: answers each message at once.
pub const FULL_DUPLEX_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, BidiStreaming> =
    Method::new("/grpc.testing.TestService/FullDuplexCall");
/// Bidirectional streaming: answers all messages after the half-close.
pub const HALF_DUPLEX_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, BidiStreaming> =
    Method::new("/grpc.testing.TestService/HalfDuplexCall");
/// Unary: a method that the service declares and no server implements.
pub const UNIMPLEMENTED_CALL: Method<Empty, Empty, Unary> = Method::new("/grpc.testing.TestService/UnimplementedCall");
/// Unary: a method of a service that no server has.
pub const UNIMPLEMENTED_SERVICE_CALL: Method<Empty, Empty, Unary> =
    Method::new("/grpc.testing.UnimplementedService/UnimplementedCall");

/// Metadata with this key is echoed in the initial metadata.
pub const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
/// Metadata with this key is echoed in the trailing metadata.
pub const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
