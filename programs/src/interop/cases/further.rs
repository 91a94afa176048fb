//! Cases that the official suite leaves out: metadata, error messages, deadlines and messages of every size, many concurrent
//! calls, cancellation at each stage.
//!
//! They work with every server of the test service, except three, which need the extensions in `interop/further.rs`.

use std::fmt::Debug;
use std::time::Duration;

use prost::Name;

use super::outcome::{Failure, equal, failure, ok, some, status};
use super::streaming::{parameters, ping};
use super::unary::check_payload;
use crate::interop::client::TestServiceClient;
use crate::interop::further::{DEADLINE_LEFT, DETAILS, EVERY_DETAIL, REPORT_DEADLINE, every_detail};
use crate::interop::messages::{
    BoolValue, EchoStatus, Empty, SimpleRequest, StreamingInputCallRequest, StreamingOutputCallRequest,
};
use crate::interop::methods::{ECHO_INITIAL, ECHO_TRAILING};
use crate::interop::payload::zeros;
use barewire::error_details::{
    BadRequest, DebugInfo, ErrorDetails, ErrorInfo, Help, LocalizedMessage, PreconditionFailure, QuotaFailure,
    RequestInfo, ResourceInfo, RetryInfo,
};
use barewire::wire::encoding::Encoding;
use barewire::{CallOptions, Code, Metadata, Response, Status};

pub(super) async fn metadata_repeated_keys(service: &TestServiceClient) -> Result<(), Failure> {
    echoed(service, &["first", "second", "first"], &[&[1], &[2], &[1]]).await
}

/// Covers every length modulo three, on which the padding of base64 depends.
pub(super) async fn metadata_every_byte(service: &TestServiceClient) -> Result<(), Failure> {
    let every: Vec<u8> = (0..=255).collect();
    echoed(service, &["visible ASCII: ~!@#$%^&*()"], &[&every, &every[..255], &every[..254], &[0xff]]).await
}

pub(super) async fn metadata_empty_values(service: &TestServiceClient) -> Result<(), Failure> {
    echoed(service, &[""], &[&[]]).await
}

pub(super) async fn metadata_large(service: &TestServiceClient) -> Result<(), Failure> {
    echoed(service, &[&"x".repeat(9_000)], &[&[0xab; 6_000]]).await
}

/// Checks that metadata is echoed in the initial and in the trailing metadata.
async fn echoed(service: &TestServiceClient, initial: &[&str], trailing: &[&[u8]]) -> Result<(), Failure> {
    let mut metadata = Metadata::new();
    for value in initial {
        ok("an entry", metadata.append(ECHO_INITIAL, value).map_err(Into::into))?;
    }
    for value in trailing {
        ok("an entry", metadata.append_bin(ECHO_TRAILING, value).map_err(Into::into))?;
    }
    let service = service.with(CallOptions::new().metadata(metadata));
    let answer = ok("UnaryCall", service.unary_call(SimpleRequest::default()).await)?;
    equal(ECHO_INITIAL, answer.initial_metadata().get_all(ECHO_INITIAL).collect::<Vec<_>>(), initial.to_vec())?;
    let received: Result<Vec<_>, _> = answer.trailing_metadata().get_all_bin(ECHO_TRAILING).collect();
    let received = received.map_err(|error| failure(ECHO_TRAILING, "base64", error))?;
    equal(ECHO_TRAILING, received, trailing.iter().map(|value| value.to_vec()).collect())
}

const MESSAGES: [&str; 7] = [
    "plain",
    "100 % sure: %41 stays %41",
    "tab\there, line\r\nbreak, \"quotes\" and \\backslash\\",
    "Grüße, Ελλάδα, Привет",
    "שלום عليكم नमस्ते",
    "你好，世界 こんにちは 안녕하세요",
    "👩‍🚀 and 😈",
];

/// Asks for each code, with one of the messages in turn.
pub(super) async fn status_messages(service: &TestServiceClient) -> Result<(), Failure> {
    let codes = Code::all().filter(|code| *code != Code::Ok);
    for (code, message) in codes.zip(MESSAGES.iter().cycle()) {
        let response_status = Some(EchoStatus { code: code.number(), message: (*message).to_owned() });
        let outcome = service.unary_call(SimpleRequest { response_status, ..Default::default() }).await;
        equal("the message", status("UnaryCall", outcome, code)?.message(), *message)?;
    }
    Ok(())
}

/// google.rpc.Status { code: 5, message: "not here", details: [Any { type_url: "t/x", value: "y" }] }
const SERIALIZED: &[u8] = b"\x08\x05\x12\x08not here\x1a\x08\x0a\x03t/x\x12\x01y";

pub(super) async fn status_details(service: &TestServiceClient) -> Result<(), Failure> {
    let mut metadata = Metadata::new();
    ok("an entry", metadata.insert_bin(DETAILS, SERIALIZED).map_err(Into::into))?;
    let service = service.with(CallOptions::new().metadata(metadata));
    let status = status("UnaryCall", service.unary_call(SimpleRequest::default()).await, Code::NotFound)?;
    equal("the message", status.message(), "not here")?;
    equal("the details", &status.details()[..], SERIALIZED)
}

/// Reads a detail of every published type, and keeps one of an unknown type.
pub(super) async fn error_details(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().header(EVERY_DETAIL, "please"));
    let status = status("UnaryCall", service.unary_call(SimpleRequest::default()).await, Code::FailedPrecondition)?;
    equal("the message", status.message(), "the printer is out of paper")?;
    let (received, expected) = (details(&status)?, every_detail());
    equal("the number of details", received.len(), expected.len())?;
    same::<ErrorInfo>(&received, &expected)?;
    same::<RetryInfo>(&received, &expected)?;
    same::<DebugInfo>(&received, &expected)?;
    same::<QuotaFailure>(&received, &expected)?;
    same::<PreconditionFailure>(&received, &expected)?;
    same::<BadRequest>(&received, &expected)?;
    same::<RequestInfo>(&received, &expected)?;
    same::<ResourceInfo>(&received, &expected)?;
    same::<Help>(&received, &expected)?;
    same::<LocalizedMessage>(&received, &expected)?;
    equal("the unknown detail", received.iter().last(), expected.iter().last())
}

fn details(status: &Status) -> Result<ErrorDetails, Failure> {
    status.error_details().map_err(|error| failure("the details", "a google.rpc.Status", error))
}

/// Compares the details of one type, as they decode.
fn same<M: Name + Default + PartialEq + Debug>(
    received: &ErrorDetails,
    expected: &ErrorDetails,
) -> Result<(), Failure> {
    let read = |details: &ErrorDetails| details.get::<M>().map_err(|error| failure(M::full_name(), "a message", error));
    equal(&M::full_name(), read(received)?, read(expected)?)
}

const YEAR: u64 = 365 * 24 * 3600;

/// A timeout for each unit of `grpc-timeout`, from nanoseconds to hours.
const TIMEOUTS: [Duration; 6] = [
    Duration::from_millis(90),
    Duration::from_secs(20),
    Duration::from_secs(7_200),
    Duration::from_secs(2 * YEAR),
    Duration::from_secs(50 * YEAR),
    Duration::from_secs(300 * YEAR),
];

/// Some peers treat deadlines further away than this as no deadline.
const FAR: Duration = Duration::from_secs(10 * YEAR);

pub(super) async fn deadline_units(service: &TestServiceClient) -> Result<(), Failure> {
    let mut metadata = Metadata::new();
    ok("an entry", metadata.insert(REPORT_DEADLINE, "please").map_err(Into::into))?;
    let options = CallOptions::new().metadata(metadata);
    let none = ok("UnaryCall", service.with(options.clone()).unary_call(SimpleRequest::default()).await)?;
    equal("without a deadline", left(&none), Some("none"))?;
    for timeout in TIMEOUTS {
        let service = service.with(options.clone().timeout(timeout));
        let answer = ok("UnaryCall", service.unary_call(SimpleRequest::default()).await)?;
        let seen = left(&answer).unwrap_or_default();
        let is_right = match seen.parse() {
            // At most one unit more, because the timeout is rounded up; some seconds less, because it takes time to arrive.
            Ok(left) => {
                let left = Duration::from_millis(left);
                left <= timeout + timeout / 1000 && left + Duration::from_secs(5) >= timeout
            }
            Err(_) => seen == "none" && timeout > FAR,
        };
        if !is_right {
            return Err(failure(
                "the deadline that the server sees",
                format_args!("{timeout:?}"),
                format_args!("{seen:?}"),
            ));
        }
    }
    Ok(())
}

fn left<T>(answer: &Response<T>) -> Option<&str> {
    answer.initial_metadata().get(DEADLINE_LEFT)
}

/// Checks a compressed request and a compressed response, of a unary call and of a stream.
pub(super) async fn compression_both_ways(service: &TestServiceClient, encoding: Encoding) -> Result<(), Failure> {
    const SIZE: usize = 100_000;
    let service = service.with(CallOptions::new().encoding(encoding));
    let response_compressed = Some(BoolValue { value: true });
    let payload = Some(zeros(SIZE));
    let request =
        SimpleRequest { payload: payload.clone(), response_size: 100_000, response_compressed, ..Default::default() };
    let answer = ok("UnaryCall", service.unary_call(request).await)?;
    check_payload("the answer", answer.payload.as_ref(), SIZE)?;
    equal("UnaryCall's answer is compressed", answer.was_compressed(), true)?;

    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    let mut request = ping(SIZE, SIZE);
    request
        .response_parameters
        .iter_mut()
        .for_each(|parameters| parameters.compressed = Some(BoolValue { value: true }));
    ok("sending", requests.send(request).await)?;
    ok("half-closing", requests.finish().await)?;
    let answer = some("the answer", answers.recv().await)?;
    check_payload("the answer", answer.payload.as_ref(), SIZE)?;
    equal("FullDuplexCall's answer is compressed", answers.was_compressed(), true)
}

const SIZES: [usize; 9] = [0, 1, 16_383, 16_384, 16_385, 4_194_303, 4_194_304, 4_194_305, 67_108_864];

/// Sizes around the frame size and around the usual default limit of messages, up to `limit`.
pub(super) async fn message_sizes(service: &TestServiceClient, limit: usize) -> Result<(), Failure> {
    for size in SIZES.into_iter().filter(|size| size + 1024 <= limit) {
        let response_size = i32::try_from(size).unwrap_or(i32::MAX);
        let request = SimpleRequest { payload: Some(zeros(size)), response_size, ..Default::default() };
        let answer = ok("UnaryCall", service.unary_call(request).await)?;
        check_payload("the answer", answer.payload.as_ref(), size)?;
    }
    Ok(())
}

pub(super) async fn size_over_limit(service: &TestServiceClient, limit: usize) -> Result<(), Failure> {
    let response_size = i32::try_from(limit).unwrap_or(i32::MAX);
    let outcome = service.unary_call(SimpleRequest { response_size, ..Default::default() }).await;
    status("UnaryCall", outcome, Code::ResourceExhausted)?;
    usable(service).await
}

/// Starts a thousand unary calls and a hundred streams before the first of them ends, on one connection.
pub(super) async fn concurrent_calls(service: &TestServiceClient) -> Result<(), Failure> {
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(ok("FullDuplexCall", service.full_duplex_call().await)?);
    }
    let calls = (0..1000).map(|n| {
        let service = service.clone();
        tokio::spawn(async move { service.unary_call(SimpleRequest { response_size: n, ..Default::default() }).await })
    });
    for (size, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let answer = ok("UnaryCall", call.await.unwrap_or_else(|error| Err(Status::internal(error.to_string()))))?;
        check_payload("the answer", answer.payload.as_ref(), size)?;
    }
    for (requests, _) in &mut streams {
        ok("sending", requests.send(ping(10, 20)).await)?;
    }
    for (requests, mut answers) in streams {
        check_payload("the answer", some("the answer", answers.recv().await)?.payload.as_ref(), 20)?;
        ok("half-closing", requests.finish().await)?;
        equal("after the answer", ok("FullDuplexCall", answers.recv().await)?, None)?;
    }
    Ok(())
}

/// Cancels a call before its headers are sent, between its requests, between its responses, and after the half-close. Each time
/// the connection must still serve the next call.
pub(super) async fn cancel_at_each_stage(service: &TestServiceClient) -> Result<(), Failure> {
    let at_once = tokio::time::timeout(Duration::ZERO, service.unary_call(SimpleRequest::default())).await;
    drop(at_once);
    usable(service).await?;

    let (mut requests, answer) = ok("StreamingInputCall", service.streaming_input_call().await)?;
    let request = StreamingInputCallRequest { payload: Some(zeros(100_000)), ..Default::default() };
    ok("sending", requests.send(request).await)?;
    drop((requests, answer));
    usable(service).await?;

    let request =
        StreamingOutputCallRequest { response_parameters: vec![parameters(100_000); 100], ..Default::default() };
    let mut answers = ok("StreamingOutputCall", service.streaming_output_call(request).await)?;
    some("the first answer", answers.recv().await)?;
    drop(answers);
    usable(service).await?;

    let (requests, answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    ok("half-closing", requests.finish().await)?;
    drop(answers);
    usable(service).await
}

async fn usable(service: &TestServiceClient) -> Result<(), Failure> {
    let answer = ok("the next call", service.empty_call().await)?;
    equal("the next answer", answer.into_message(), Empty {})
}
