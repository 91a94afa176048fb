//! Tests the fallback of a router, and calls of methods that are known only by their path.

use std::panic::{AssertUnwindSafe, catch_unwind};

use barewire::{Code, Inbound, Outbound, Raw, Router, Server, ServerOptions, Status, testing};

use crate::common::frames::*;
use crate::common::server::{TestServer, client_and_raw_server};
use crate::common::service::{CHAT, ECHO, MISSING, note, service};
use crate::common::soon;

/// Answers with the path, and then with each message.
async fn echo(_: &(), mut requests: Inbound<Raw>, mut responses: Outbound<Raw>) -> Result<(), Status> {
    let path = requests.context().expect("this is a server").path().to_owned();
    responses.send(Raw::from(path)).await?;
    while let Some(message) = requests.recv().await? {
        responses.send(message).await?;
    }
    Err(Status::data_loss("at the end"))
}

#[tokio::test(start_paused = true)]
async fn fallback_answers_the_paths_that_have_no_method() {
    let (router, _probe) = service();
    let client = testing::client(router.merge(Router::new(()).fallback(echo))).await;
    assert_eq!(*soon("a method", client.unary(ECHO, note("hi"))).await.unwrap(), note("hi"));

    for path in [MISSING.path(), "/other.Service/Method", "/a/b/c"] {
        let (mut requests, mut responses) = client.raw(path).await.unwrap();
        requests.send(Raw::from(&b"\xff\x00"[..])).await.unwrap();
        drop(requests);
        assert_eq!(soon("the path", responses.recv()).await.unwrap(), Some(Raw::from(path)));
        assert_eq!(soon("the message", responses.recv()).await.unwrap(), Some(Raw::from(&b"\xff\x00"[..])));
        let status = soon("the status", responses.recv()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "at the end"));
    }
}

#[tokio::test(start_paused = true)]
async fn fallback_does_not_answer_malformed_paths() {
    let server = TestServer::built(|_| Server::new(Router::new(()).fallback(echo)));
    let mut peer = server.connect().await;
    for (stream, path) in [(1, "/"), (3, "/service"), (5, "/service/"), (7, "//method"), (9, "/service/method?query")] {
        peer.send([request(stream, path), half_close(stream)]).await;
        assert_eq!(peer.answer(stream).await.status().0, "12", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_a_call_of_the_fallback_as_accepted() {
    let server = Server::new(Router::new(()).fallback(echo)).intercept(|call| match call.refusal() {
        None => Err(Status::aborted(call.path().to_owned())),
        Some(_) => Ok(()),
    });
    let client = testing::client_with(server, Default::default()).await.unwrap();
    let status = soon("the status", client.unary(MISSING, note("hi"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, MISSING.path()));
}

#[test]
fn second_fallback_is_a_mistake() {
    let twice = || Router::new(()).fallback(echo).fallback(echo);
    assert!(catch_unwind(AssertUnwindSafe(twice)).is_err());
    let merged = || Router::new(()).fallback(echo).merge(Router::new(()).fallback(echo));
    assert!(catch_unwind(AssertUnwindSafe(merged)).is_err());
    let _ = Router::new(()).merge(Router::new(()).fallback(echo)).merge(Router::new(()));
}

#[tokio::test(start_paused = true)]
async fn raw_call_has_the_headers_of_any_other() {
    let (client, mut server) = client_and_raw_server().await;
    let call = client.bidi_streaming(CHAT).await.unwrap();
    let expected = server.expect_request(1).await;
    drop(call);
    server.expect(reset(1, Http2Error::CANCEL)).await;
    let _call = client.raw(CHAT.path().to_owned()).await.unwrap();
    assert_eq!(server.expect_request(3).await, expected);
}

#[tokio::test(start_paused = true)]
async fn raw_call_of_an_invalid_path_is_internal() {
    let (client, mut server) = client_and_raw_server().await;
    for path in ["", "/", "service/method", "/service", "/service/", "//method", "/s/m?q", "/s /m", "/s/é", "/s/m\n"] {
        let status = client.raw(path).await.unwrap_err();
        let expected = format!("invalid method path {path:?}: use the form /package.Service/Method");
        assert_eq!((status.code(), status.message()), (Code::Internal, expected.as_str()));
    }
    // Every other path is either sent or refused.
    for byte in b'!'..=b'~' {
        if let Err(status) = client.raw(format!("/s/{}", byte as char)).await {
            assert_eq!(status.code(), Code::Internal);
            assert!(status.message().starts_with("invalid method path \"/s/"), "{status}");
        }
    }
    drop(client);
    let _ = server.expect_request(1).await;
}

#[tokio::test(start_paused = true)]
async fn interceptor_of_a_client_sees_the_path_of_a_raw_call() {
    let client = testing::client(Router::new(()).fallback(echo)).await;
    let client = client.intercept(|call| Err(Status::aborted(call.path().to_owned())));
    let status = client.raw("/own.Service/Path".to_owned()).await.unwrap_err();
    assert_eq!(status.message(), "/own.Service/Path");
}

#[tokio::test(start_paused = true)]
async fn fallback_obeys_the_limits() {
    let mut options = ServerOptions::default();
    options.limits.max_receive_message_size = 10;
    let server = Server::new(Router::new(()).fallback(echo)).with_options(options);
    let client = testing::client_with(server, Default::default()).await.unwrap();
    let (mut requests, mut responses) = client.raw("/any.Service/Method").await.unwrap();
    requests.send(Raw::from(vec![0; 11])).await.unwrap();
    assert_eq!(soon("the path", responses.recv()).await.unwrap(), Some(Raw::from("/any.Service/Method")));
    let status = soon("the status", responses.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}
