//! Tests details of errors: on the wire, as types, malformed, and of unknown types.

use std::time::Duration;

use barewire::error_details::{
    Any, BadRequest, DetailsError, ErrorDetails, ErrorInfo, LocalizedMessage, RetryInfo, RpcStatus,
};
use barewire::{Client, Code, Method, Request, Response, Router, Status, Unary};
use prost::Message;

use super::server::Running;
use crate::common::frames::*;

const FAIL: Method<(), (), Unary> = Method::new("/test.Service/Fail");

async fn start(failure: Status) -> (Running, Client) {
    let fail = |failure: &Status, _: Request<()>| {
        let failure = failure.clone();
        async move { Err::<Response<()>, _>(failure) }
    };
    let server = Running::start(Router::new(failure).unary(FAIL, fail));
    let client = server.client().await;
    (server, client)
}

fn unknown() -> Any {
    Any { type_url: "example.com/some.Unknown".to_owned(), value: vec![8, 1] }
}

#[tokio::test(start_paused = true)]
async fn details_reach_the_client_with_the_code_and_message_of_the_status() {
    let bad = BadRequest::new().violation("name", "must not be empty").violation("age", "must be positive");
    let details = ErrorDetails::new().with(&bad).with_any(unknown()).with(&RetryInfo::after(Duration::from_millis(1)));
    let failure = Status::invalid_argument("größer").with_error_details(&details);
    let (_server, client) = start(failure).await;
    let status = client.unary(FAIL, ()).await.unwrap_err();
    let encoded = RpcStatus::decode(status.details().clone()).expect("a google.rpc.Status");
    assert_eq!((encoded.code, &*encoded.message), (3, "größer"));
    let received = status.error_details().expect("they are valid");
    assert_eq!(received, details, "the unknown one included");
    assert_eq!(received.get::<BadRequest>().unwrap(), Some(bad));
    assert_eq!(received.get::<RetryInfo>().unwrap().unwrap().delay(), Some(Duration::from_millis(1)));
    assert_eq!(received.get::<ErrorInfo>().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn status_without_details_sends_no_header() {
    let server = Running::start(Router::new(()).unary(FAIL, |(): &(), _: Request<()>| async {
        Err::<Response<()>, _>(Status::not_found("x").with_error_details(&ErrorDetails::new()))
    }));
    let mut peer = server.client_without_window().await;
    peer.send([request(1, FAIL.path()), data(1, message([])).end_stream()]).await;
    let answer = peer.answer(1).await;
    assert_eq!((answer.status(), answer.trailer("grpc-status-details-bin")), (("5", "x"), None));
    assert!(Status::not_found("x").error_details().expect("none").is_empty());
}

#[test]
fn malformed_details_are_an_error_that_names_the_message() {
    let status = Status::not_found("x").with_details(&b"\x1a\x02zz"[..]);
    let error = status.error_details().expect_err("it is malformed");
    assert!(error.to_string().starts_with("invalid google.rpc.Status in the details: "), "{error}");
    // The list is valid, and one message in it is not: the others can be read.
    let malformed = Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(), value: vec![0x0a, 9] };
    let text = LocalizedMessage { locale: "de".to_owned(), message: "nein".to_owned() };
    let details = ErrorDetails::new().with_any(malformed).with(&ErrorInfo::new("A", "b")).with(&text);
    let details = Status::not_found("x").with_error_details(&details).error_details().expect("a valid list");
    let error = details.get::<ErrorInfo>().expect_err("it is malformed");
    assert!(error.to_string().starts_with("invalid google.rpc.ErrorInfo in the details: "), "{error}");
    assert_eq!(details.get::<LocalizedMessage>(), Ok(Some(text)));
    let reasons: Vec<_> = details.all::<ErrorInfo>().map(|info| info.map(|info| info.reason).ok()).collect();
    assert_eq!(reasons, [None, Some("A".to_owned())]);
}

#[test]
fn every_truncation_of_details_is_an_error_or_a_shorter_list() {
    let details = ErrorDetails::new().with(&BadRequest::new().violation("name", "empty")).with_any(unknown());
    let whole = Status::not_found("x").with_error_details(&details);
    for end in 0..whole.details().len() {
        if let Ok(read) = Status::not_found("x").with_details(whole.details().slice(..end)).error_details() {
            assert!(read.len() < details.len(), "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn code_of_the_details_must_be_that_of_the_status() {
    let other = RpcStatus { code: 7, message: String::new(), details: vec![unknown()] };
    let failure = Status::not_found("x").with_details(other.encode_to_vec());
    assert_eq!(failure.error_details(), Err(DetailsError::OtherCode { status: 5, details: 7 }));
    // A client does not even get to see such details.
    let (_server, client) = start(failure).await;
    let status = client.unary(FAIL, ()).await.unwrap_err();
    let words = "grpc-status is 5, but grpc-status-details-bin has code 7";
    assert_eq!((status.code(), status.message()), (Code::Internal, words));
    // Another message is allowed: some servers translate one of them.
    let translated = RpcStatus { code: 5, message: "y".to_owned(), details: vec![unknown()] };
    let status = Status::not_found("x").with_details(translated.encode_to_vec());
    assert_eq!(status.error_details().map(|details| details.len()), Ok(1));
}

#[test]
fn type_is_the_name_behind_the_last_slash() {
    let info = ErrorInfo::new("A", "b");
    for (type_url, is_found) in [
        ("type.googleapis.com/google.rpc.ErrorInfo", true),
        ("example.com/a/b/google.rpc.ErrorInfo", true),
        ("google.rpc.ErrorInfo", true),
        ("type.googleapis.com/xgoogle.rpc.ErrorInfo", false),
        ("type.googleapis.com/google.rpc.ErrorInfo/", false),
    ] {
        let details = ErrorDetails::new().with_any(Any { type_url: type_url.to_owned(), value: info.encode_to_vec() });
        assert_eq!(details.get::<ErrorInfo>().unwrap().is_some(), is_found, "{type_url}");
    }
}

#[test]
fn retry_delays_are_kept_and_invalid_ones_are_none() {
    for delay in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u32::MAX.into())] {
        assert_eq!(RetryInfo::after(delay).delay(), Some(delay));
    }
    assert_eq!(RetryInfo::after(Duration::MAX).delay().map(|delay| delay.as_secs()), Some(i64::MAX as u64));
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0), (0, i32::MIN), (i64::MAX, i32::MAX)] {
        let retry_delay = Some(prost_types::Duration { seconds, nanos });
        assert_eq!(RetryInfo { retry_delay }.delay(), None);
    }
    assert_eq!(RetryInfo::default().delay(), None);
}
