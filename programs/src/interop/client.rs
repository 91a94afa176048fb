//! Client of the test service.

use super::messages::{
    Empty, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use super::methods::{
    EMPTY_CALL, FULL_DUPLEX_CALL, HALF_DUPLEX_CALL, STREAMING_INPUT_CALL, STREAMING_OUTPUT_CALL, UNARY_CALL,
    UNIMPLEMENTED_CALL, UNIMPLEMENTED_SERVICE_CALL,
};
use super::orca;
use barewire::client::Answer;
use barewire::{CallOptions, Client, Inbound, Outbound, Response, Status};

/// A typed client of the test service.
#[derive(Clone, Debug)]
pub struct TestServiceClient {
    client: Client,
}

impl TestServiceClient {
    /// Creates a client that makes its calls through `client`.
    pub fn new(client: Client) -> TestServiceClient {
        TestServiceClient { client }
    }

    /// Returns a client that makes its calls with these options.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> TestServiceClient {
        TestServiceClient { client: self.client.with(options) }
    }

    /// Calls [`EMPTY_CALL`]. Fails with the status of the call.
    pub async fn empty_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(EMPTY_CALL, Empty {}).await
    }

    /// Calls [`UNARY_CALL`]. Fails with the status of the call.
    pub async fn unary_call(&self, request: SimpleRequest) -> Result<Response<SimpleResponse>, Status> {
        self.client.unary(UNARY_CALL, request).await
    }

    /// Begins [`STREAMING_OUTPUT_CALL`]. Fails if the call can't begin.
    pub async fn streaming_output_call(
        &self,
        request: StreamingOutputCallRequest,
    ) -> Result<Inbound<StreamingOutputCallResponse>, Status> {
        self.client.server_streaming(STREAMING_OUTPUT_CALL, request).await
    }

    /// Begins [`STREAMING_INPUT_CALL`]. Fails if the call can't begin.
    pub async fn streaming_input_call(
        &self,
    ) -> Result<(Outbound<StreamingInputCallRequest>, Answer<StreamingInputCallResponse>), Status> {
        self.client.client_streaming(STREAMING_INPUT_CALL).await
    }

    /// Begins [`FULL_DUPLEX_CALL`]. Fails if the call can't begin.
    pub async fn full_duplex_call(
        &self,
    ) -> Result<(Outbound<StreamingOutputCallRequest>, Inbound<StreamingOutputCallResponse>), Status> {
        self.client.bidi_streaming(FULL_DUPLEX_CALL).await
    }

    /// Begins [`HALF_DUPLEX_CALL`]. Fails if the call can't begin.
    pub async fn half_duplex_call(
        &self,
    ) -> Result<(Outbound<StreamingOutputCallRequest>, Inbound<StreamingOutputCallResponse>), Status> {
        self.client.bidi_streaming(HALF_DUPLEX_CALL).await
    }

    /// Calls [`UNIMPLEMENTED_CALL`]. Fails with the status of the call, which is never OK.
    pub async fn unimplemented_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(UNIMPLEMENTED_CALL, Empty {}).await
    }

    /// Calls [`UNIMPLEMENTED_SERVICE_CALL`]. Fails with the status of the call, which is never OK.
    pub async fn unimplemented_service_call(&self) -> Result<Response<Empty>, Status> {
        self.client.unary(UNIMPLEMENTED_SERVICE_CALL, Empty {}).await
    }

    /// Begins [`orca::STREAM_CORE_METRICS`]. Fails if the call can't begin.
    pub async fn stream_core_metrics(
        &self,
        request: orca::OrcaLoadReportRequest,
    ) -> Result<Inbound<orca::OrcaLoadReport>, Status> {
        self.client.server_streaming(orca::STREAM_CORE_METRICS, request).await
    }
}
