//! Server, client and bidirectional streams, and their metadata.

use super::outcome::{Failure, equal, ok, some};
use super::unary::{LARGE_ANSWER, check_large_answer, check_payload, large_request};
use crate::interop::client::TestServiceClient;
use crate::interop::messages::{ResponseParameters, StreamingInputCallRequest, StreamingOutputCallRequest};
use crate::interop::methods::{ECHO_INITIAL, ECHO_TRAILING};
use crate::interop::payload::zeros;
use barewire::{CallOptions, Metadata};

const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const ANSWERS: [usize; 4] = [31_415, 9, 2_653, 58_979];

pub(super) async fn client_streaming(service: &TestServiceClient) -> Result<(), Failure> {
    let (mut requests, answer) = ok("StreamingInputCall", service.streaming_input_call().await)?;
    for size in REQUESTS {
        let request = StreamingInputCallRequest { payload: Some(zeros(size)), ..StreamingInputCallRequest::default() };
        ok("sending", requests.send(request).await)?;
    }
    ok("half-closing", requests.finish().await)?;
    let answer = ok("StreamingInputCall", answer.await)?;
    equal("aggregated_payload_size", answer.aggregated_payload_size, 74_922)
}

pub(super) async fn server_streaming(service: &TestServiceClient) -> Result<(), Failure> {
    let request = StreamingOutputCallRequest {
        response_parameters: ANSWERS.map(parameters).to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let mut answers = ok("StreamingOutputCall", service.streaming_output_call(request).await)?;
    for (number, size) in (1..).zip(ANSWERS) {
        let what = format!("answer {number}");
        let answer = some(&what, answers.recv().await)?;
        check_payload(&what, answer.payload.as_ref(), size)?;
    }
    equal("after the last answer", ok("StreamingOutputCall", answers.recv().await)?, None)
}

pub(super) async fn ping_pong(service: &TestServiceClient) -> Result<(), Failure> {
    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    for (number, (sent, returned)) in (1..).zip(REQUESTS.into_iter().zip(ANSWERS)) {
        let what = format!("answer {number}");
        ok("sending", requests.send(ping(sent, returned)).await)?;
        let answer = some(&what, answers.recv().await)?;
        check_payload(&what, answer.payload.as_ref(), returned)?;
    }
    ok("half-closing", requests.finish().await)?;
    equal("after the last answer", ok("FullDuplexCall", answers.recv().await)?, None)
}

pub(super) async fn empty_stream(service: &TestServiceClient) -> Result<(), Failure> {
    let (requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    ok("half-closing", requests.finish().await)?;
    equal("an answer", ok("FullDuplexCall", answers.recv().await)?, None)
}

const INITIAL: &str = "test_initial_metadata_value";
const TRAILING: [u8; 3] = [0xab; 3];

/// Checks that metadata is echoed before and after the messages, of a unary call and of a stream.
pub(super) async fn custom_metadata(service: &TestServiceClient) -> Result<(), Failure> {
    let mut metadata = Metadata::new();
    ok("an entry", metadata.insert(ECHO_INITIAL, INITIAL).map_err(Into::into))?;
    ok("an entry", metadata.insert_bin(ECHO_TRAILING, &TRAILING).map_err(Into::into))?;
    let service = service.with(CallOptions::new().metadata(metadata));

    let answer = ok("UnaryCall", service.unary_call(large_request()).await)?;
    check_large_answer(&answer)?;
    check_initial(answer.initial_metadata())?;
    check_trailing(answer.trailing_metadata())?;

    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    let size = LARGE_ANSWER;
    ok("sending", requests.send(ping(REQUESTS[0], size)).await)?;
    ok("half-closing", requests.finish().await)?;
    check_initial(ok("the headers", answers.initial_metadata().await)?)?;
    check_payload("the answer", some("the answer", answers.recv().await)?.payload.as_ref(), size)?;
    equal("after the answer", ok("FullDuplexCall", answers.recv().await)?, None)?;
    check_trailing(answers.trailing_metadata())
}

fn check_initial(headers: &Metadata) -> Result<(), Failure> {
    equal(&format!("initial {ECHO_INITIAL}"), headers.get_all(ECHO_INITIAL).collect::<Vec<_>>(), vec![INITIAL])
}

fn check_trailing(trailers: &Metadata) -> Result<(), Failure> {
    let received: Result<Vec<_>, _> = trailers.get_all_bin(ECHO_TRAILING).collect();
    let received = ok("the trailing metadata", received.map_err(Into::into))?;
    equal(&format!("trailing {ECHO_TRAILING}"), received, vec![TRAILING.to_vec()])
}

/// Returns a message that asks for one response.
pub(super) fn ping(size: usize, answer: usize) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest {
        response_parameters: vec![parameters(answer)],
        payload: Some(zeros(size)),
        ..StreamingOutputCallRequest::default()
    }
}

/// Asks for a response of this size.
pub(super) fn parameters(size: usize) -> ResponseParameters {
    ResponseParameters { size: size as i32, ..ResponseParameters::default() }
}
