//! gRPC's official interop tests: the test service, its client, and the cases that a client goes through with it.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md> says what the service does and what each case
//! asks and expects. [`server`] is the service, [`cases`] are the cases by name, [`orca`] is how a server reports its load
//! (gRFC A51), which two of the cases are about. The programs `interop_server` and `interop_client` have the flags of
//! grpc-go's, so that each can stand in for the other.

pub mod cases;
mod further;
pub mod orca;
pub mod server;

pub use server::{TestServer, router};

use std::sync::LazyLock;

use bytes::Bytes;

use barewire::client::Answer;
use barewire::{
    BidiStreaming, CallOptions, Client, ClientStreaming, Inbound, Method, Outbound, Response, ServerStreaming, Status,
    Unary,
};
use messages::{
    Empty, Payload, PayloadType, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};

/// The messages of `proto/grpc/testing`, which documents them.
#[allow(missing_docs)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));
}

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

/// Calls the test service.
#[derive(Clone, Debug)]
pub struct TestServiceClient {
    client: Client,
}

impl TestServiceClient {
    /// Calls it by this client.
    pub fn new(client: Client) -> TestServiceClient {
        TestServiceClient { client }
    }

    /// The same client with other options for the calls made through it.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> TestServiceClient {
        TestServiceClient { client: self.client.with(options) }
    }

    /// [`EMPTY_CALL`]. Errors: the status of the call.
    pub async fn empty_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(EMPTY_CALL, Empty {}).await
    }

    /// [`UNARY_CALL`]. Errors: the status of the call.
    pub async fn unary_call(&self, request: SimpleRequest) -> Result<Response<SimpleResponse>, Status> {
        self.client.unary(UNARY_CALL, request).await
    }

    /// [`STREAMING_OUTPUT_CALL`]. Errors: why the call could not begin.
    pub async fn streaming_output_call(
        &self,
        request: StreamingOutputCallRequest,
    ) -> Result<Inbound<StreamingOutputCallResponse>, Status> {
        self.client.server_streaming(STREAMING_OUTPUT_CALL, request).await
    }

    /// [`STREAMING_INPUT_CALL`]. Errors: why the call could not begin.
    pub async fn streaming_input_call(
        &self,
    ) -> Result<(Outbound<StreamingInputCallRequest>, Answer<StreamingInputCallResponse>), Status> {
        self.client.client_streaming(STREAMING_INPUT_CALL).await
    }

    /// [`FULL_DUPLEX_CALL`]. Errors: why the call could not begin.
    pub async fn full_duplex_call(
        &self,
    ) -> Result<(Outbound<StreamingOutputCallRequest>, Inbound<StreamingOutputCallResponse>), Status> {
        self.client.bidi_streaming(FULL_DUPLEX_CALL).await
    }

    /// [`HALF_DUPLEX_CALL`]. Errors: why the call could not begin.
    pub async fn half_duplex_call(
        &self,
    ) -> Result<(Outbound<StreamingOutputCallRequest>, Inbound<StreamingOutputCallResponse>), Status> {
        self.client.bidi_streaming(HALF_DUPLEX_CALL).await
    }

    /// [`UNIMPLEMENTED_CALL`]. Errors: the status of the call, which is never OK.
    pub async fn unimplemented_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(UNIMPLEMENTED_CALL, Empty {}).await
    }

    /// [`UNIMPLEMENTED_SERVICE_CALL`]. Errors: the status of the call, which is never OK.
    pub async fn unimplemented_service_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(UNIMPLEMENTED_SERVICE_CALL, Empty {}).await
    }

    /// [`orca::STREAM_CORE_METRICS`]. Errors: why the call could not begin.
    pub async fn stream_core_metrics(
        &self,
        request: orca::OrcaLoadReportRequest,
    ) -> Result<Inbound<orca::OrcaLoadReport>, Status> {
        self.client.server_streaming(orca::STREAM_CORE_METRICS, request).await
    }
}

/// The largest payload of zeros, in bytes: a request of ten bytes must not cost gigabytes.
const LARGEST_PAYLOAD: usize = 64 << 20;

/// Returns a payload of zeros, up to [`LARGEST_PAYLOAD`] of them. All payloads share one buffer.
fn zeros(count: usize) -> Payload {
    // Memory that is zero when the system gives it is not touched here, so that no page of it is held before it is read.
    static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LARGEST_PAYLOAD]));
    Payload { r#type: PayloadType::Compressable.into(), body: ZEROS.slice(..count.min(LARGEST_PAYLOAD)) }
}
