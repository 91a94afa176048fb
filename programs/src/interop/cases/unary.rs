//! Unary calls: empty messages, large messages, and many calls.

use std::time::Duration;

use super::outcome::{Failure, equal, failure, ok};
use crate::interop::client::TestServiceClient;
use crate::interop::messages::{Empty, Payload, SimpleRequest, SimpleResponse};
use crate::interop::payload::zeros;
use barewire::{CallOptions, Response};

/// Payload size of a large request, in bytes.
pub(super) const LARGE_REQUEST: usize = 271_828;
/// Payload size of a large response, in bytes.
pub(super) const LARGE_ANSWER: usize = 314_159;

const PICKS: usize = 100;
const PICKS_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn empty_unary(service: &TestServiceClient) -> Result<(), Failure> {
    let answer = ok("EmptyCall", service.empty_call().await)?;
    equal("the answer", answer.into_message(), Empty {})
}

pub(super) async fn large_unary(service: &TestServiceClient) -> Result<(), Failure> {
    let answer = ok("UnaryCall", service.unary_call(large_request()).await)?;
    check_large_answer(&answer)
}

/// All calls of a client must go to one server, which the response names.
pub(super) async fn pick_first_unary(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().timeout(PICKS_TIMEOUT));
    let mut first = None;
    for number in 1..=PICKS {
        let request = SimpleRequest {
            response_size: 1,
            payload: Some(zeros(1)),
            fill_server_id: true,
            ..SimpleRequest::default()
        };
        let answer = ok(&format!("UnaryCall {number}"), service.unary_call(request).await)?;
        let id = answer.into_message().server_id;
        if id.is_empty() {
            return Err(failure(format_args!("server_id of answer {number}"), "the server's", "none"));
        }
        let first = first.get_or_insert_with(|| id.clone());
        equal(&format!("server_id of answer {number}"), &id, first)?;
    }
    Ok(())
}

/// Returns the request that most cases use if they only need a call of some size.
pub(super) fn large_request() -> SimpleRequest {
    SimpleRequest {
        response_size: LARGE_ANSWER as i32,
        payload: Some(zeros(LARGE_REQUEST)),
        ..SimpleRequest::default()
    }
}

/// Checks the response to [`large_request`].
pub(super) fn check_large_answer(answer: &Response<SimpleResponse>) -> Result<(), Failure> {
    check_payload("the answer", answer.payload.as_ref(), LARGE_ANSWER)
}

/// Checks that a payload has `size` zeros.
pub(super) fn check_payload(what: &str, payload: Option<&Payload>, size: usize) -> Result<(), Failure> {
    let payload = payload.ok_or_else(|| failure(what, "a payload", "none"))?;
    equal(&format!("{what}'s type"), payload.r#type(), zeros(0).r#type())?;
    equal(&format!("{what}'s size"), payload.body.len(), size)?;
    equal(&format!("bytes in {what} that are not 0"), payload.body.iter().filter(|byte| **byte != 0).count(), 0)
}
