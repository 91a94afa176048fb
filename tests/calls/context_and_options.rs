//! Tests the values that a call carries to its handler, and the types that a handler may return.

use std::sync::Arc;
use std::time::Duration;

use barewire::io::{Address, ConnectionInfo, Peer};
use barewire::{CallOptions, Client, Code, Context, Request, Router, Server, Status, transport};

use crate::common::frames::*;
use crate::common::peer::value;
use crate::common::server::{client_and_raw_server, client_with};
use crate::common::service::{CHAT, COUNT, ECHO, Note, note};
use crate::common::{quiet, soon};

/// The number that a hook gives to a connection.
#[derive(Clone)]
struct Place(u64);

struct Numbers;

impl Numbers {
    /// Answers with the numbers of the connection, and refuses if the call has values.
    async fn numbers(&self, request: Request<Note>) -> Result<Note, Status> {
        let connection = request.context().connection();
        let place = connection.extensions().get::<Place>().ok_or_else(|| Status::internal("the hook did not run"))?;
        assert!(request.extensions().get::<Place>().is_none(), "values of the connection are not those of the call");
        Ok(Note { number: place.0, text: connection.id().to_string(), ..Note::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn hook_attaches_values_to_a_connection_or_refuses_it() {
    let (listener, connector) = transport::memory::pair();
    let count = std::sync::atomic::AtomicU64::new(0);
    let server =
        Server::new(Router::new(Arc::new(Numbers)).unary(ECHO, Numbers::numbers)).on_accept(move |connection| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            connection.extensions_mut().insert(Place(count));
            assert_eq!(connection.peer().address, Address::Memory);
            count != 1
        });
    tokio::spawn(server.serve(listener));
    let first = soon("a connection", Client::connect(connector.clone())).await.unwrap();
    let refused = soon("a connection", Client::connect(connector.clone())).await;
    assert_eq!(refused.map(drop).unwrap_err().code(), Code::Unavailable);
    let third = soon("a connection", Client::connect(connector)).await.unwrap();
    let mut ids = Vec::new();
    for (client, place) in [(&first, 0), (&third, 2), (&first, 0)] {
        let answer = soon("the answer", client.unary(ECHO, note(""))).await.unwrap();
        assert_eq!(answer.number, place);
        ids.push(answer.text.clone());
    }
    assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test]
async fn handler_is_called_with_a_context_of_a_test() {
    let mut connection = ConnectionInfo::new(Peer::plain(Address::Tcp("[::1]:7".parse().unwrap())));
    connection.extensions_mut().insert(Place(5));
    let id = connection.id();
    let context = Context::new("/test.Service/Echo").with_connection(connection);
    let request = Request::from_parts(note("hi"), context).map(|note| Note { number: 1, ..note });
    assert_eq!((request.context().path(), request.text.as_str(), request.number), ("/test.Service/Echo", "hi", 1));
    let answer = Numbers.numbers(request).await.unwrap();
    assert_eq!((answer.number, answer.text), (5, id.to_string()));
}

#[test]
#[should_panic(expected = "/test.Service/Echo is registered twice")]
fn path_cannot_be_registered_twice() {
    let _ = Router::new(Numbers).unary(ECHO, Numbers::numbers).unary(ECHO, Numbers::numbers);
}

#[test]
#[should_panic(expected = "/test.Service/Echo is registered twice")]
fn path_cannot_be_merged_twice() {
    let router = || Router::new(Numbers).unary(ECHO, Numbers::numbers);
    let _ = router().merge(router());
}

#[tokio::test(start_paused = true)]
async fn flush_and_finish_return_the_status_of_a_failed_call() {
    let (client, mut server) = client_and_raw_server().await;
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    server.expect_request(1).await;
    server.send(response(1).field("grpc-status", "7").field("grpc-message", "no").end_stream()).await;
    quiet().await;
    let flushed = soon("the flush", out.flush()).await.unwrap_err();
    assert_eq!((flushed.code(), flushed.message()), (Code::PermissionDenied, "no"));
    assert_eq!(soon("the finish", out.finish()).await.unwrap_err(), flushed);
    assert_eq!(soon("the end", notes.recv()).await.unwrap_err(), flushed);
}

#[tokio::test(start_paused = true)]
async fn finish_of_a_call_that_succeeded_early_fails_only_if_a_message_was_lost() {
    for (window, is_lost) in [(100, false), (0, true)] {
        let (client, mut server) = client_with(|_| {}, [(INITIAL_WINDOW_SIZE, window)]).await;
        let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
        server.expect_request(1).await;
        out.send(note("hi")).await.unwrap();
        quiet().await;
        server.send(response(1).field("grpc-status", "0").end_stream()).await;
        assert_eq!(soon("the end", notes.recv()).await.unwrap(), None);
        quiet().await;
        let finished = soon("the finish", out.finish()).await;
        assert_eq!(finished.map_err(|status| status.code()), if is_lost { Err(Code::Cancelled) } else { Ok(()) });
    }
}

#[tokio::test(start_paused = true)]
async fn later_options_replace_only_what_they_set() {
    let (client, mut server) = client_and_raw_server().await;
    let first = CallOptions::new().timeout(Duration::from_secs(2)).header("tenant", "blue").header("trace", "1");
    let client = client.with(first).with(CallOptions::new().header("tenant", "red").header("tenant", "green"));
    let call = tokio::spawn(async move { client.unary(ECHO, note("hi")).await });
    let fields = server.expect_request(1).await;
    let values = |name: &str| -> Vec<String> {
        let values = fields.iter().filter(|field| field.name == name);
        values.map(|field| String::from_utf8_lossy(&field.value).into_owned()).collect()
    };
    assert_eq!((values("tenant"), values("trace")), (vec!["red".into(), "green".into()], vec!["1".into()]));
    assert_eq!(values("grpc-timeout").len(), 1);
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn options_at_a_call_are_those_of_one_call() {
    let (client, mut server) = client_and_raw_server().await;
    let usual = client.header("tenant", "blue").header("trace", "1");
    let once = usual.timeout(Duration::from_secs(2)).header("tenant", "red").header_bin("id-bin", &[0, 255]);
    let mut calls = Vec::new();
    for (stream, client, tenant, id, timeouts) in [(1, once, "red", Some("AP8"), 1), (3, usual, "blue", None, 0)] {
        let call = tokio::spawn(async move { client.server_streaming(COUNT, note("hi")).await });
        let fields = server.expect_request(stream).await;
        assert_eq!((value(&fields, "tenant"), value(&fields, "trace")), (Some(tenant), Some("1")));
        assert_eq!(value(&fields, "id-bin"), id);
        assert_eq!(fields.iter().filter(|field| field.name == "grpc-timeout").count(), timeouts);
        server.expect(data(stream, text("hi")).end_stream()).await;
        calls.push(call.await.unwrap().unwrap());
    }
    let status = client.header_bin("id", &[1]).unary(ECHO, note("hi")).await.unwrap_err();
    assert!(status.message().contains("\"id\""), "{status}");
}

#[tokio::test(start_paused = true)]
async fn call_with_an_invalid_header_fails_and_names_it() {
    let (client, mut server) = client_and_raw_server().await;
    for (key, value, part) in [("Tenant", "blue", "\"Tenant\""), ("tenant", "b\n", "\"tenant\""), ("", "", "\"\"")] {
        let options = CallOptions::new().header(key, value).header("fine", "1");
        let status = client.with(options).unary(ECHO, note("hi")).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains(part), "{status}");
    }
    server.expect_silence().await;
}
