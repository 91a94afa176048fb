//! The methods of the test service, and the metadata that it echoes.

use super::messages::{
    Empty, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use barewire::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};

/// Unary: nothing for nothing.
pub const EMPTY_CALL: Method<Empty, Empty, Unary> = Method::new("/grpc.testing.TestService/EmptyCall");
/// Unary: a payload of the size that was asked for.
pub const UNARY_CALL: Method<SimpleRequest, SimpleResponse, Unary> = Method::new("/grpc.testing.TestService/UnaryCall");
/// Server streaming: the messages that were asked for.
pub const STREAMING_OUTPUT_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, ServerStreaming> =
    Method::new("/grpc.testing.TestService/StreamingOutputCall");
/// Client streaming: the bytes of all payloads are counted.
pub const STREAMING_INPUT_CALL: Method<StreamingInputCallRequest, StreamingInputCallResponse, ClientStreaming> =
    Method::new("/grpc.testing.TestService/StreamingInputCall");
/// Bidirectional streaming: each message is answered at once.
pub const FULL_DUPLEX_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, BidiStreaming> =
    Method::new("/grpc.testing.TestService/FullDuplexCall");
/// Bidirectional streaming: all messages are answered after the last.
pub const HALF_DUPLEX_CALL: Method<StreamingOutputCallRequest, StreamingOutputCallResponse, BidiStreaming> =
    Method::new("/grpc.testing.TestService/HalfDuplexCall");
/// Unary: a method that no server has, of a service that it has.
pub const UNIMPLEMENTED_CALL: Method<Empty, Empty, Unary> = Method::new("/grpc.testing.TestService/UnimplementedCall");
/// Unary: a method of a service that no server has.
pub const UNIMPLEMENTED_SERVICE_CALL: Method<Empty, Empty, Unary> =
    Method::new("/grpc.testing.UnimplementedService/UnimplementedCall");

/// Metadata under this key comes back before the messages.
pub const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
/// Metadata under this key comes back after the messages.
pub const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
