//! Tests the cause of a failed call: every kind of cause, by raw peers on both sides, with a tap and without.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use barewire::transport::record::Recording;
use barewire::transport::tap::Tap;
use barewire::wire::{By, Cause, ProtocolError, What};
use barewire::{CallOptions, Client, ClientOptions, Code, Inbound, Response, Router, Server, Status};
use tokio::sync::mpsc;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::{PipeConnector, PipeListener, connected, pipe};
use crate::common::server::{client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, ECHO, Note, note};
use crate::common::{quiet, soon};

/// Returns the error of a unary call whose answer is these frames.
async fn failure(frames: impl Into<Vec<Frame>>) -> Status {
    let (client, mut server) = client_and_raw_server().await;
    answered(&client, &mut server, frames).await
}

async fn answered(client: &Client, server: &mut RawPeer, frames: impl Into<Vec<Frame>>) -> Status {
    let call = client.unary(ECHO, note("hi"));
    let answer = async {
        server.expect_request(1).await;
        server.expect(data(1, text("hi")).end_stream()).await;
        server.send(frames).await;
    };
    soon("the failure", async { tokio::join!(call, answer) }).await.0.expect_err("it fails")
}

fn cause(status: &Status) -> &Cause {
    let cause = status.cause().unwrap_or_else(|| panic!("{status:?} has a cause"));
    let source = status.source().and_then(|source| source.downcast_ref::<Cause>());
    assert!(source.is_some_and(|source| std::ptr::eq(source, cause)), "it is the source as well");
    cause
}

#[track_caller]
fn assert_texts(status: &Status, plain: &str, behind: &str) {
    assert_eq!(status.to_string(), plain);
    assert_eq!(format!("{status:#}"), format!("{plain}: {behind}"));
}

fn goaway_with(last: u32, error: Http2Error, debug: &'static [u8]) -> Frame {
    Frame::GoAway { last, error, debug: debug.into() }
}

#[tokio::test(start_paused = true)]
async fn cause_is_the_status_of_the_server() {
    let trailers_only = response(1).field("grpc-status", "5").field("grpc-message", "no such").end_stream();
    for frames in [vec![trailers_only], vec![response(1), trailers(1, "5").field("grpc-message", "no such")]] {
        let status = failure(frames).await;
        assert!(matches!(cause(&status), Cause { by: By::Peer, what: What::Trailers, .. }), "{status:?}");
        assert_texts(&status, "NOT_FOUND: no such", "by the peer: grpc-status in its trailers");
    }
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_reset_by_either_side() {
    let status = failure([reset(1, Http2Error::ENHANCE_YOUR_CALM)]).await;
    let what = &cause(&status).what;
    assert!(matches!(what, What::Reset(Http2Error::ENHANCE_YOUR_CALM)), "{what:?}");
    assert_eq!(cause(&status).by, By::Peer);
    assert_texts(
        &status,
        "RESOURCE_EXHAUSTED: the server reset the stream with ENHANCE_YOUR_CALM",
        "by the peer: RST_STREAM ENHANCE_YOUR_CALM",
    );

    // RFC 9113 section 8.1.1: a wrong content-length is a stream error.
    let status = failure([response(1).field("content-length", "1"), data(1, text("hi"))]).await;
    let what = &cause(&status).what;
    assert!(matches!(what, What::Reset(Http2Error::PROTOCOL_ERROR)), "{what:?}");
    assert_eq!(cause(&status).by, By::Us);
    assert!(format!("{status:#}").ends_with("violated HTTP/2: by this side: RST_STREAM PROTOCOL_ERROR"));
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_goaway_with_its_debug_data() {
    for (debug, shown) in [
        (&b""[..], ""),
        (b"too_many_pings", "too_many_pings"),
        (b"a \"quote\", (b\"c\") and \x00\xff", r#"a \"quote\", (b\"c\") and \0\xff"#),
    ] {
        let status = failure([goaway_with(0, Http2Error::ENHANCE_YOUR_CALM, debug)]).await;
        match &cause(&status).what {
            What::GoAway { error: Http2Error::ENHANCE_YOUR_CALM, debug } => assert_eq!(debug, shown),
            other => panic!("{other:?}"),
        }
        assert_eq!(cause(&status).by, By::Peer);
        let behind = if debug.is_empty() { String::new() } else { format!(" \"{shown}\"") };
        let explained = "UNAVAILABLE: the connection ended with GOAWAY ENHANCE_YOUR_CALM, too_many_pings: this client sends none \
                         (ClientOptions::keepalive_time is None), so a proxy may have sent them; servers allow one every 5 \
                         minutes by default, and one every 2 hours without calls: raise keepalive_time, or lower the server's \
                         limit";
        let plain = "UNAVAILABLE: the connection ended with GOAWAY ENHANCE_YOUR_CALM";
        assert_texts(
            &status,
            if shown == "too_many_pings" { explained } else { plain },
            &format!("by the peer: GOAWAY ENHANCE_YOUR_CALM{behind}"),
        );
    }
    let long = failure([goaway_with(0, Http2Error::NO_ERROR, &[b'x'; 10_000])]).await;
    assert!(matches!(&cause(&long).what, What::GoAway { debug, .. } if debug.len() == 256));

    // RFC 9113 section 6.7: a PING has eight octets.
    let short = Frame::Raw { kind: PING, flags: 0, stream: 0, payload: b"short"[..].into() };
    let status = failure([short]).await;
    let what = &cause(&status).what;
    assert!(matches!(what, What::GoAway { error: Http2Error::PROTOCOL_ERROR, .. }), "{what:?}");
    assert_eq!(cause(&status).by, By::Us);
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_protocol_error_of_the_server() {
    let status = failure([response(1), data(1, flagged(7, "x"))]).await;
    let what = &cause(&status).what;
    assert!(matches!(what, What::Protocol(ProtocolError::ReservedFlag { flag: 7 })), "{what:?}");
    assert_eq!(cause(&status).source().map(ToString::to_string).as_deref(), Some(status.message()));
    assert_texts(
        &status,
        "INTERNAL: invalid compressed flag 0x07 in a message prefix: use 0 or 1",
        "by the peer: violates PROTOCOL-HTTP2.md, Length-Prefixed-Message",
    );

    let page = headers(1, [(":status", "502"), ("content-type", "text/html")]);
    let status = failure([page, data(1, "<html>").end_stream()]).await;
    match &cause(&status).what {
        What::Protocol(ProtocolError::NotGrpc { status: 502, content_type: Some(content_type), body }) => {
            assert_eq!((content_type.as_str(), body.as_str()), ("text/html", "<html>"));
        }
        other => panic!("{other:?}"),
    }
    let words =
        r#"UNAVAILABLE: the peer answered HTTP 502 with content-type "text/html" instead of gRPC, beginning "<html>""#;
    assert_texts(
        &status,
        words,
        "by the peer: violates PROTOCOL-HTTP2.md, Responses (judged by http-grpc-status-mapping.md)",
    );
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_limit_of_this_side() {
    let (client, _server) = client_with(|options| options.limits.max_send_message_size = 10, []).await;
    let status = client.unary(ECHO, note("more than ten")).await.unwrap_err();
    let what = &cause(&status).what;
    assert!(matches!(what, What::Protocol(ProtocolError::MessageTooLarge { length: 15, limit: 10 })), "{what:?}");
    assert_eq!((cause(&status).by, status.code()), (By::Us, Code::ResourceExhausted));
}

#[tokio::test(start_paused = true)]
async fn cause_is_the_deadline() {
    let (client, mut server) = client_and_raw_server().await;
    let client = client.with(CallOptions::new().timeout(Duration::from_secs(1)));
    let unary = soon("the deadline", client.unary(ECHO, note("hi"))).await.unwrap_err();
    server.expect_request(1).await;
    let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    let streaming = soon("the deadline", notes.recv()).await.unwrap_err();
    for status in [unary, streaming] {
        assert!(matches!(cause(&status), Cause { by: By::Us, what: What::Deadline, .. }), "{status:?}");
        assert_texts(
            &status,
            "DEADLINE_EXCEEDED: deadline exceeded before the call completed",
            "by this side: deadline exceeded",
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_lost_or_failed_connection() {
    let (client, server) = client_and_raw_server().await;
    let call = client.unary(ECHO, note("hi"));
    let status = soon("the loss", async { tokio::join!(call, async { drop(server) }) }).await.0.unwrap_err();
    let What::Io(error) = &cause(&status).what else { panic!("{status:?}") };
    assert_eq!((cause(&status).by, error.kind()), (By::Path, ErrorKind::BrokenPipe));
    assert_texts(
        &status,
        "UNAVAILABLE: the connection was lost",
        "on the network path: I/O error BrokenPipe: stream closed because of a broken pipe",
    );

    let spent = PipeConnector::new(pipe().0);
    barewire::io::Connector::connect(&spent).await.unwrap();
    let status = Client::connect(spent).await.unwrap_err();
    let What::Io(error) = &cause(&status).what else { panic!("{status:?}") };
    assert_eq!((cause(&status).by, error.kind()), (By::Path, ErrorKind::ConnectionRefused));
    assert_texts(
        &status,
        "UNAVAILABLE: can't connect: connection refused",
        "on the network path: I/O error ConnectionRefused",
    );

    let (near, _far) = pipe();
    let status = soon("the timeout", Client::connect(PipeConnector::new(near))).await.unwrap_err();
    assert!(matches!(&cause(&status).what, What::Io(error) if error.kind() == ErrorKind::TimedOut), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn cause_is_a_peer_that_does_not_speak_http2() {
    for (words, plain, behind) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "UNAVAILABLE: the peer answered \"HTTP/1.1 400 Bad Request\": is this a gRPC port?",
            r#"by the peer: not HTTP/2: "HTTP/1.1 400 Bad Request\r\n\r\n""#,
        ),
        (
            b"<!DOCTYPE HTML>",
            "UNAVAILABLE: the peer answered with a page of HTML: is this a gRPC port?",
            r#"by the peer: not HTTP/2: "<!DOCTYPE HTML>""#,
        ),
        (
            &[0x15, 3, 3, 0, 2, 2, 70],
            "UNAVAILABLE: the peer answered with a TLS alert: does this port want TLS?",
            r#"by the peer: not HTTP/2: "\x15\x03\x03\x00\x02\x02F""#,
        ),
        (
            b"",
            "UNAVAILABLE: the peer closed the connection before it spoke HTTP/2",
            "by the peer: not HTTP/2: closed without a byte",
        ),
    ] {
        let (near, far) = pipe();
        let mut server = RawPeer::silent(far);
        let connecting = Client::connect_with(PipeConnector::new(near), ClientOptions::default());
        let answer = async {
            server.write(words).await;
            server.shut_down().await;
        };
        let (client, ()) = soon("the refusal", async { tokio::join!(connecting, answer) }).await;
        let status = client.expect_err("nothing to call");
        assert!(matches!(&cause(&status).what, What::NotHttp2 { beginning } if beginning == words), "{status:?}");
        assert_eq!(cause(&status).by, By::Peer);
        assert_texts(&status, plain, behind);
    }
}

#[tokio::test(start_paused = true)]
async fn cause_has_the_last_frames_with_a_tap() {
    let (near, far) = pipe();
    let tap = Tap::to(Recording::with_limit(1 << 20));
    let connecting = Client::connect(tap.around(PipeConnector::new(near)));
    let (client, mut server) = soon("both", async { tokio::join!(connecting, RawPeer::server(far, [])) }).await;
    let client = client.unwrap();
    let status = answered(&client, &mut server, [goaway_with(0, Http2Error::NO_ERROR, b"bye")]).await;
    let expected = ["▶ DATA on 1, 9 B, END_STREAM", "◀ GOAWAY NO_ERROR \"bye\"", "▶ GOAWAY NO_ERROR"];
    assert_eq!(cause(&status).frames[cause(&status).frames.len() - 3..], expected);
    assert!(format!("{status:#}").contains("; the last frames: "), "{status:#}");
    assert!(format!("{status:#}").ends_with(&expected.join(", ")), "{status:#}");
    assert!(!status.to_string().contains("frames"), "{status}");

    // After the end of the connection its tap still has the last frames.
    drop(server);
    quiet().await;
    let status = client.unary(ECHO, note("again")).await.unwrap_err();
    assert!(cause(&status).frames.contains(&expected[1].to_owned()), "{status:?}");
}

/// Reports the result of reading its request to the test.
struct Reader(mpsc::UnboundedSender<Result<Option<Note>, Status>>);

impl Reader {
    async fn collect(&self, mut notes: Inbound<Note>) -> Result<Response<Note>, Status> {
        let sender = self.0.clone();
        // Reads in its own task, which gets the error even if the handler is dropped.
        tokio::spawn(async move { sender.send(notes.recv().await) });
        std::future::pending().await
    }
}

/// Returns the error that a handler reads after the client's headers were followed by these frames.
async fn server_failure(tap: Tap, frames: impl Into<Vec<Frame>>, leaves: bool) -> Status {
    let (sender, mut read) = mpsc::unbounded_channel();
    let router = Router::new(Reader(sender)).client_streaming(COLLECT, Reader::collect);
    let (arrivals, incoming) = mpsc::unbounded_channel();
    tokio::spawn(Server::new(router).serve(tap.around(PipeListener(incoming))));
    let (near, far) = pipe();
    arrivals.send(connected(near)).unwrap();
    let mut client = RawPeer::client(far, []).await;
    client.send([request(1, "/test.Service/Collect")]).await;
    quiet().await;
    client.send(frames).await;
    let client = (!leaves).then_some(client);
    let status = soon("the end", read.recv()).await.expect("the handler reads").expect_err("it fails");
    drop(client);
    status
}

#[tokio::test(start_paused = true)]
async fn server_gets_the_cause_from_the_client() {
    let status = server_failure(Tap::none(), [reset(1, Http2Error::CANCEL)], false).await;
    assert!(matches!(cause(&status), Cause { by: By::Peer, what: What::Reset(Http2Error::CANCEL), .. }), "{status:?}");
    assert_texts(&status, "CANCELLED: the client reset the stream with CANCEL", "by the peer: RST_STREAM CANCEL");

    let status = server_failure(Tap::none(), [data(1, flagged(2, "x"))], false).await;
    let what = &cause(&status).what;
    assert!(matches!(what, What::Protocol(ProtocolError::ReservedFlag { flag: 2 })), "{what:?}");

    let status = server_failure(Tap::none(), [], true).await;
    assert!(matches!(cause(&status), Cause { by: By::Path, what: What::Io(_), .. }), "{status:?}");

    let status = server_failure(Tap::none(), [goaway_with(0, Http2Error::INTERNAL_ERROR, b"oops")], true).await;
    assert_eq!(status.code(), Code::Cancelled);
    assert_eq!(cause(&status).frames, [""; 0]);

    let tap = Tap::to(Recording::with_limit(1 << 20));
    let status = server_failure(tap, [reset(1, Http2Error::CANCEL)], false).await;
    assert_eq!(cause(&status).frames.last().map(String::as_str), Some("◀ RST_STREAM on 1 CANCEL"));
}

#[tokio::test(start_paused = true)]
async fn wrapped_status_keeps_its_cause_and_handler_status_lacks_one() {
    let inner = failure([reset(1, Http2Error::CANCEL)]).await;
    let outer = Status::unavailable("the catalogue is away").with_source(inner);
    assert!(matches!(outer.cause().map(|cause| &cause.what), Some(What::Reset(Http2Error::CANCEL))));
    assert_eq!(
        format!("{outer:#}"),
        "UNAVAILABLE: the catalogue is away: CANCELLED: the server reset the stream with CANCEL: \
         by the peer: RST_STREAM CANCEL"
    );
    assert!(Status::not_found("no such").cause().is_none());
    assert!(Status::internal("x").with_source(std::io::Error::other("y")).cause().is_none());
}
