//! Compression, which these cases check in the Compressed-Flag of each message.
//!
//! Each case begins with a probe whose `expect_compressed` is wrong. A server that ignores that field fails the case there.

use super::outcome::{Failure, equal, ok, some, status};
use super::streaming::parameters;
use super::unary::{check_large_answer, check_payload, large_request};
use crate::interop::client::TestServiceClient;
use crate::interop::messages::{
    BoolValue, ResponseParameters, SimpleRequest, StreamingInputCallRequest, StreamingOutputCallRequest,
};
use crate::interop::payload::zeros;
use barewire::wire::encoding::Encoding;
use barewire::{CallOptions, Code};

pub(super) async fn client_compressed_unary(service: &TestServiceClient, encoding: Encoding) -> Result<(), Failure> {
    let call = |compress, expected| {
        let service = service.with(CallOptions::new().encoding(encoding).compress(compress));
        async move { service.unary_call(SimpleRequest { expect_compressed: bool(expected), ..large_request() }).await }
    };
    status("the probe", call(false, true).await, Code::InvalidArgument)?;
    for compress in [true, false] {
        let answer = ok(&format!("UnaryCall, compressed: {compress}"), call(compress, compress).await)?;
        check_large_answer(&answer)?;
    }
    Ok(())
}

pub(super) async fn server_compressed_unary(service: &TestServiceClient) -> Result<(), Failure> {
    for compressed in [true, false] {
        let request = SimpleRequest { response_compressed: bool(compressed), ..large_request() };
        let answer = ok(&format!("UnaryCall, compressed: {compressed}"), service.unary_call(request).await)?;
        equal("the answer is compressed", answer.was_compressed(), compressed)?;
        check_large_answer(&answer)?;
    }
    Ok(())
}

pub(super) async fn client_compressed_streaming(
    service: &TestServiceClient,
    encoding: Encoding,
) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().encoding(encoding));
    let request =
        |expected, size| StreamingInputCallRequest { expect_compressed: bool(expected), payload: Some(zeros(size)) };

    let (mut requests, answer) = ok("StreamingInputCall", service.streaming_input_call().await)?;
    requests.compress(false);
    ok("sending", requests.send(request(true, 27_182)).await)?;
    drop(requests);
    status("the probe", answer.await, Code::InvalidArgument)?;

    let (mut requests, answer) = ok("StreamingInputCall", service.streaming_input_call().await)?;
    for (compress, size) in [(true, 27_182), (false, 45_904)] {
        requests.compress(compress);
        ok("sending", requests.send(request(compress, size)).await)?;
    }
    ok("half-closing", requests.finish().await)?;
    let answer = ok("StreamingInputCall", answer.await)?;
    equal("aggregated_payload_size", answer.aggregated_payload_size, 73_086)
}

pub(super) async fn server_compressed_streaming(service: &TestServiceClient) -> Result<(), Failure> {
    let wanted = [(true, 31_415), (false, 92_653)];
    let request = StreamingOutputCallRequest {
        response_parameters: wanted
            .map(|(compressed, size)| ResponseParameters { compressed: bool(compressed), ..parameters(size) })
            .to_vec(),
        ..StreamingOutputCallRequest::default()
    };
    let mut answers = ok("StreamingOutputCall", service.streaming_output_call(request).await)?;
    for (number, (compressed, size)) in (1..).zip(wanted) {
        let what = format!("answer {number}");
        let answer = some(&what, answers.recv().await)?;
        equal(&format!("{what} is compressed"), answers.was_compressed(), compressed)?;
        check_payload(&what, answer.payload.as_ref(), size)?;
    }
    equal("after the last answer", ok("StreamingOutputCall", answers.recv().await)?, None)
}

fn bool(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}
