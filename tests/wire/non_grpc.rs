//! Peers that speak HTTP but not gRPC, played by hyper: a browser or curl with our server, a web server with our client.

use std::convert::Infallible;

use barewire::{Client, Code, Status};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::common::pipe::{PipeConnector, pipe};
use crate::common::server::TestServer;
use crate::common::service::{COUNT, ECHO, note};
use crate::common::soon;

// Clients of our server.

/// Returns the answer to hyper's HTTP/2 client: status, `content-type`, body, and `grpc-status` of the trailers.
async fn ask(server: &TestServer, request: Request<Full<Bytes>>) -> (StatusCode, String, String, Option<String>) {
    let io = TokioIo::new(server.dial().0);
    let (mut sender, connection) =
        soon("the handshake", http2::handshake(TokioExecutor::new(), io)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let (parts, body) = soon("the answer", sender.send_request(request)).await.expect("an answer").into_parts();
    let body = soon("the body", body.collect()).await.expect("a body");
    let text = |value: Option<&http::HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
    let status = text(body.trailers().and_then(|trailers| trailers.get("grpc-status")));
    let content_type = text(parts.headers.get("content-type")).unwrap_or_default();
    (parts.status, content_type, String::from_utf8(body.to_bytes().to_vec()).unwrap(), status)
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

fn post(content_type: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("http://test/test.Service/Echo").header("content-type", content_type);
    request.body(Full::from(body)).unwrap()
}

const TEXT: &str = "text/plain; charset=utf-8";

#[tokio::test(start_paused = true)]
async fn browser_gets_405() {
    let server = TestServer::start();
    for uri in ["http://test/", "http://test/test.Service/Echo", "http://test/favicon.ico?x=y"] {
        let (status, content_type, body, grpc) = ask(&server, get(uri)).await;
        assert_eq!((status, &*content_type), (StatusCode::METHOD_NOT_ALLOWED, TEXT));
        assert_eq!(body, "invalid method GET: a gRPC request must be a POST\n");
        assert_eq!(grpc.as_deref(), Some("13"));
    }
}

#[tokio::test(start_paused = true)]
async fn form_or_json_gets_415() {
    let server = TestServer::start();
    for value in ["application/json", "application/x-www-form-urlencoded", "application/grpc-web+proto"] {
        let (status, content_type, body, grpc) = ask(&server, post(value, "{}")).await;
        assert_eq!((status, &*content_type), (StatusCode::UNSUPPORTED_MEDIA_TYPE, TEXT));
        assert_eq!(body, format!("invalid content-type {value:?}: use application/grpc or application/grpc+proto\n"));
        assert_eq!(grpc.as_deref(), Some("13"));
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_call_from_hyper_is_served() {
    let server = TestServer::start();
    let (status, content_type, body, grpc) = ask(&server, post("application/grpc", "\0\0\0\0\x04\x0a\x02hi")).await;
    assert_eq!((status, &*content_type), (StatusCode::OK, "application/grpc"));
    assert_eq!((&*body, grpc.as_deref()), ("\0\0\0\0\x04\x0a\x02hi", Some("0")));
}

#[tokio::test(start_paused = true)]
async fn http1_client_is_disconnected_at_once() {
    let server = TestServer::start();
    let io = TokioIo::new(server.dial().0);
    let (mut sender, connection) = soon("the handshake", http1::handshake(io)).await.expect("no request was sent yet");
    tokio::spawn(connection);
    let began = tokio::time::Instant::now();
    assert!(soon("the end", sender.send_request(get("/"))).await.is_err());
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

// Servers for our client.

/// The answer of hyper's server to every request.
#[derive(Clone, Copy)]
struct Page {
    status: u16,
    content_type: &'static str,
    body: &'static str,
}

impl Page {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let _ = request.into_body().collect().await;
        let page = Response::builder().status(self.status).header("content-type", self.content_type);
        Ok(page.body(Full::from(self.body)).unwrap())
    }
}

/// Connects our client to an HTTP/2 web server that answers every request with this page.
async fn client_of(page: Page) -> Client {
    let (near, far) = pipe();
    let service = service_fn(move |request| page.answer(request));
    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::spawn(serving.serve_connection(TokioIo::new(far), service));
    soon("the connection", Client::connect(PipeConnector::new(near))).await.expect("it connects")
}

#[tokio::test(start_paused = true)]
async fn html_page_gets_the_code_of_its_http_status_and_is_quoted() {
    for (status, code) in [
        (200, Code::Unknown),
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
    ] {
        let client = client_of(Page { status, content_type: "text/html", body: "<html>Bad Gateway</html>" }).await;
        let words = format!(
            "the peer answered HTTP {status} with content-type \"text/html\" instead of gRPC, \
             beginning \"<html>Bad Gateway</html>\""
        );
        let assert = |failure: Status| assert_eq!((failure.code(), failure.message()), (code, &*words));
        assert(soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap_err());
        let mut notes = client.server_streaming(COUNT, note("hi")).await.unwrap();
        assert(soon("the answer", notes.recv()).await.unwrap_err());
    }
}

#[tokio::test(start_paused = true)]
async fn page_with_grpc_content_type_is_unknown() {
    let client = client_of(Page { status: 200, content_type: "application/grpc", body: "" }).await;
    let status = soon("the answer", client.unary(ECHO, note("hi"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "the response ended without grpc-status"));
}

#[tokio::test(start_paused = true)]
async fn http1_web_server_is_unavailable() {
    let (near, far) = pipe();
    let page = Page { status: 200, content_type: "text/html", body: "<html>" };
    let service = service_fn(move |request| page.answer(request));
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
    let status = soon("the outcome", Client::connect(PipeConnector::new(near))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("the peer "), "{status}");
}
