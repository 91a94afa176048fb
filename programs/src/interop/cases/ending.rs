//! Calls that end with another status than OK: cancelled, deadline exceeded, refused.

use std::time::Duration;

use super::outcome::{Failure, equal, ok, some, status};
use super::streaming::ping;
use super::unary::check_payload;
use crate::interop::client::TestServiceClient;
use crate::interop::messages::{EchoStatus, SimpleRequest, StreamingOutputCallRequest};
use crate::interop::payload::zeros;
use barewire::{CallOptions, Code, Outbound, Status};

/// The deadline is 1 ms after the call begins, so it may expire at any step of the call.
pub(super) async fn timeout_on_sleeping_server(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().timeout(Duration::from_millis(1)));
    let outcome = async {
        let (mut requests, mut answers) = service.full_duplex_call().await?;
        let request = StreamingOutputCallRequest { payload: Some(zeros(27_182)), ..Default::default() };
        // If this fails, reading the responses reports why.
        let _: Result<(), Status> = requests.send(request).await;
        answers.recv().await
    };
    status("FullDuplexCall", outcome.await, Code::DeadlineExceeded).map(drop)
}

pub(super) async fn cancel_after_begin(service: &TestServiceClient) -> Result<(), Failure> {
    let (requests, answer) = ok("StreamingInputCall", service.streaming_input_call().await)?;
    // Dropping the response cancels the call.
    drop(answer);
    status("StreamingInputCall", end_of(requests).await, Code::Cancelled).map(drop)
}

pub(super) async fn cancel_after_first_response(service: &TestServiceClient) -> Result<(), Failure> {
    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    ok("sending", requests.send(ping(27_182, 31_415)).await)?;
    let answer = some("the first answer", answers.recv().await)?;
    check_payload("the first answer", answer.payload.as_ref(), 31_415)?;
    drop(answers);
    status("FullDuplexCall", end_of(requests).await, Code::Cancelled).map(drop)
}

/// Sends until the call fails, and returns its status. Nothing reads the response any more, so the call's task cancels it;
/// until then a few messages may still be accepted, which are never sent.
async fn end_of<T: prost::Message + Default>(mut requests: Outbound<T>) -> Result<(), Status> {
    loop {
        requests.send(T::default()).await?;
        requests.flush().await?;
    }
}

const MESSAGE: &str = "test status message";
const SPECIAL_MESSAGE: &str = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
const SPECIAL_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn status_code_and_message(service: &TestServiceClient) -> Result<(), Failure> {
    let request = SimpleRequest { response_status: echo(MESSAGE), ..Default::default() };
    let unary = status("UnaryCall", service.unary_call(request).await, Code::Unknown)?;
    equal("UnaryCall's message", unary.message(), MESSAGE)?;

    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    let request = StreamingOutputCallRequest { response_status: echo(MESSAGE), ..Default::default() };
    ok("sending", requests.send(request).await)?;
    drop(requests);
    let duplex = status("FullDuplexCall", answers.recv().await, Code::Unknown)?;
    equal("FullDuplexCall's message", duplex.message(), MESSAGE)
}

pub(super) async fn special_status_message(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().timeout(SPECIAL_TIMEOUT));
    let request = SimpleRequest { response_status: echo(SPECIAL_MESSAGE), ..Default::default() };
    let status = status("UnaryCall", service.unary_call(request).await, Code::Unknown)?;
    equal("UnaryCall's message", status.message(), SPECIAL_MESSAGE)
}

pub(super) async fn unimplemented_method(service: &TestServiceClient) -> Result<(), Failure> {
    let outcome = service.unimplemented_call().await;
    status("TestService/UnimplementedCall", outcome, Code::Unimplemented).map(drop)
}

pub(super) async fn unimplemented_service(service: &TestServiceClient) -> Result<(), Failure> {
    let outcome = service.unimplemented_service_call().await;
    status("UnimplementedService/UnimplementedCall", outcome, Code::Unimplemented).map(drop)
}

fn echo(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: Code::Unknown.number(), message: message.to_owned() })
}
