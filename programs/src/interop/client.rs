//! The test service's client.

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
