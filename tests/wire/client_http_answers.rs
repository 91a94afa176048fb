//! Tests answers that are HTTP but not, or not only, gRPC: every status in every form to every kind of call; and extra, early and
//! late header blocks.

use barewire::{Client, Code, Status};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{client_and_raw_server, client_with};
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, note};
use crate::common::{quiet, soon};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

const KINDS: [Kind; 4] = [Kind::Unary, Kind::ServerStreaming, Kind::ClientStreaming, Kind::Bidi];

/// Returns the result of a call of this kind that is answered with these frames, and the client's frame after its request.
async fn outcome(kind: Kind, frames: impl Into<Vec<Frame>>) -> (Result<(), Status>, Option<Frame>) {
    let (client, mut server) = client_and_raw_server().await;
    let frames = frames.into();
    let half_closed = matches!(kind, Kind::Unary | Kind::ServerStreaming);
    let answering = async {
        server.expect_request(1).await;
        if half_closed {
            server.expect(data(1, text("hi")).end_stream()).await;
        }
        server.send(frames).await;
    };
    let (outcome, ()) = soon("the outcome", async { tokio::join!(run(client.clone(), kind), answering) }).await;
    let last = tokio::time::timeout(std::time::Duration::from_nanos(1), server.next()).await;
    (outcome, last.ok().flatten())
}

/// Runs a call to its end. A streaming call keeps its sending half, which must end with the call.
async fn run(client: Client, kind: Kind) -> Result<(), Status> {
    match kind {
        Kind::Unary => client.unary(ECHO, note("hi")).await.map(drop),
        Kind::ServerStreaming => {
            let mut notes = client.server_streaming(COUNT, note("hi")).await?;
            while notes.recv().await?.is_some() {}
            notes.recv().await.map(|after| assert_eq!(after, None, "an end stays an end"))
        }
        Kind::ClientStreaming => {
            let (mut out, answer) = client.client_streaming(COLLECT).await?;
            let outcome = answer.await.map(drop);
            let late = out.send(note("late")).await.unwrap_err().code();
            assert_eq!(late, outcome.as_ref().err().map_or(Code::Cancelled, Status::code));
            outcome
        }
        Kind::Bidi => {
            let (mut out, mut notes) = client.bidi_streaming(CHAT).await?;
            let outcome = loop {
                match notes.recv().await {
                    Ok(Some(_)) => {}
                    end => break end.map(drop),
                }
            };
            let late = out.send(note("late")).await.unwrap_err().code();
            assert_eq!(late, outcome.as_ref().err().map_or(Code::Cancelled, Status::code));
            outcome
        }
    }
}

/// The statuses of http-grpc-status-mapping.md, and some that it does not list.
const TABLE: [(&str, Code); 16] = [
    ("400", Code::Internal),
    ("401", Code::Unauthenticated),
    ("403", Code::PermissionDenied),
    ("404", Code::Unimplemented),
    ("429", Code::Unavailable),
    ("431", Code::Internal),
    ("502", Code::Unavailable),
    ("503", Code::Unavailable),
    ("504", Code::Unavailable),
    ("200", Code::Unknown),
    ("204", Code::Unknown),
    ("301", Code::Unknown),
    ("405", Code::Unknown),
    ("418", Code::Unknown),
    ("500", Code::Unknown),
    ("599", Code::Unknown),
];

#[tokio::test(start_paused = true)]
async fn every_http_status_maps_to_its_code_for_every_kind_of_call() {
    for (http, code) in TABLE {
        let head = headers(1, [(":status", http), ("content-type", "text/html")]);
        let bare = headers(1, [(":status", http)]);
        let page = data(1, b"<html>\xff</html>");
        let other = headers(1, [("grpc-message", "no status"), ("k", "v")]).end_stream();
        for answer in [
            vec![head.clone().end_stream()],
            vec![bare.clone().end_stream()],
            vec![bare, half_close(1)],
            vec![head.clone(), page.clone().end_stream()],
            vec![head.clone(), page.clone(), half_close(1)],
            vec![head, page, other],
        ] {
            for kind in KINDS {
                let (outcome, last) = outcome(kind, answer.clone()).await;
                let status = outcome.unwrap_err();
                assert_eq!(status.code(), code, "{kind:?} {answer:?}");
                assert!(status.message().starts_with(&format!("the peer answered HTTP {http} with ")), "{status}");
                // The server has ended its response: a request in progress is reset with NO_ERROR.
                let expected = matches!(kind, Kind::ClientStreaming | Kind::Bidi);
                assert_eq!(last, expected.then(|| reset(1, Http2Error::NO_ERROR)), "{kind:?} {answer:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn endless_page_is_reset_early() {
    for kind in KINDS {
        let head = headers(1, [(":status", "502"), ("content-type", "text/html")]);
        let (outcome, last) = outcome(kind, [head, data(1, "x".repeat(300))]).await;
        assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
        assert_eq!(last, Some(reset(1, Http2Error::CANCEL)), "{kind:?}");
    }
}

/// The status of an answer counts, whatever the HTTP status (rule 41), but a call with unreadable messages does not succeed.
#[tokio::test(start_paused = true)]
async fn ok_trailers_after_a_body_that_is_not_grpc_fail_the_call() {
    for (http, code) in [("200", Code::Unknown), ("503", Code::Unavailable), ("404", Code::Unimplemented)] {
        for kind in KINDS {
            let head = headers(1, [(":status", http), ("content-type", "application/json")]);
            let (outcome, _) = outcome(kind, [head.clone(), data(1, text("hello")), trailers(1, "0")]).await;
            let status = outcome.unwrap_err();
            assert_eq!(status.code(), code, "{kind:?}: {status}");
            assert!(status.message().starts_with(&format!("the peer answered HTTP {http} with ")), "{status}");
            let (outcome, _) = outcome_of_error(kind, head).await;
            assert_eq!(outcome.unwrap_err().code(), Code::DataLoss, "{kind:?}: an error is what it is");
        }
    }
}

async fn outcome_of_error(kind: Kind, head: Frame) -> (Result<(), Status>, Option<Frame>) {
    outcome(kind, [head, data(1, text("hello")), trailers(1, "15")]).await
}

#[tokio::test(start_paused = true)]
async fn error_delivers_its_metadata_for_every_kind_of_call() {
    let only = response(1).field("grpc-status", "5").field("k", "v").end_stream();
    let end = headers(1, [("grpc-status", "5"), ("k", "v")]).end_stream();
    for kind in KINDS {
        for (answer, initial) in
            [(vec![only.clone()], None), (vec![response(1).field("h", "w"), end.clone()], Some("w"))]
        {
            let (outcome, _) = outcome(kind, answer).await;
            let status = outcome.unwrap_err();
            assert_eq!((status.code(), status.trailing_metadata().get("k")), (Code::NotFound, Some("v")), "{kind:?}");
            assert_eq!(status.trailing_metadata().get("h"), None, "{kind:?}: initial metadata is not trailing");
            if matches!(kind, Kind::Unary | Kind::ClientStreaming) {
                assert_eq!(status.initial_metadata().get("h"), initial, "{kind:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_message_with_any_octets_keeps_the_code() {
    for (sent, read) in [
        (&b"%"[..], "%"),
        (b"%4", "%4"),
        (b"100%", "100%"),
        (b"%zz%41", "%zzA"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "\u{fffd}"),
        (b"%ff", "\u{fffd}"),
        (b"%E2%98", "\u{fffd}"),
        (b"a\tb", "a\tb"),
    ] {
        let end = headers(1, [("grpc-status", "5")]).field("grpc-message", sent).end_stream();
        let status = outcome(Kind::Unary, [response(1), end]).await.0.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, read), "{sent:x?}");
    }
}

// Header blocks.

fn early(status: &str) -> Frame {
    headers(1, [(":status", status), ("link", "x")])
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_skipped_only_before_the_headers() {
    let whole = data(1, text("hello"));
    for status in ["100", "102", "103", "199"] {
        let one = early(status);
        let answer = [vec![one.clone(); 5], vec![response(1), whole.clone(), trailers(1, "0")]].concat();
        for kind in KINDS {
            outcome(kind, answer.clone()).await.0.unwrap_or_else(|error| panic!("{status} {kind:?}: {error}"));
        }
        for (answer, code) in [
            (vec![one.clone(), response(1).field("grpc-status", "5").end_stream()], Code::NotFound),
            (vec![one.clone(), headers(1, [(":status", "503")]).end_stream()], Code::Unavailable),
            (vec![one.clone(), reset(1, Http2Error::REFUSED_STREAM)], Code::Unavailable),
            (vec![one.clone(), one.clone().end_stream()], Code::Internal),
            (vec![one.clone().end_stream()], Code::Internal),
            (vec![one.clone(), half_close(1)], Code::Unavailable),
            (vec![response(1), one.clone()], Code::Internal),
            (vec![response(1), whole.clone(), one.clone()], Code::Internal),
        ] {
            for kind in KINDS {
                let status = outcome(kind, answer.clone()).await.0.unwrap_err();
                assert_eq!(status.code(), code, "{kind:?} {answer:?}: {status}");
            }
        }
    }
}

/// Makes two calls, and answers the first with these frames, some too many. Returns the results of both.
async fn with_a_neighbour(frames: Vec<Frame>) -> (Result<(), Status>, Result<(), Status>, RawPeer) {
    let (client, mut server) = client_and_raw_server().await;
    let mut calls = Vec::new();
    for stream in [1, 3] {
        calls.push(tokio::spawn(run(client.clone(), Kind::ServerStreaming)));
        server.expect_request(stream).await;
        server.expect(data(stream, text("hi")).end_stream()).await;
    }
    let [first, second] = calls.try_into().unwrap();
    server.send(frames).await;
    quiet().await;
    server.send([response(3), data(3, number(1)), trailers(3, "0")]).await;
    let first = soon("the first", first).await.unwrap();
    (first, soon("the second", second).await.unwrap(), server)
}

#[tokio::test(start_paused = true)]
async fn extra_header_block_affects_only_its_stream() {
    let open = headers(1, [("grpc-status", "0")]);
    for (frames, code) in [
        (vec![response(1), response(1)], Code::Internal),
        (vec![response(1), open.clone()], Code::Internal),
        (vec![response(1), data(1, number(1)), open.clone(), trailers(1, "0")], Code::Internal),
        (vec![response(1), trailers(1, "5"), trailers(1, "0")], Code::NotFound),
        (vec![response(1), trailers(1, "5"), response(1)], Code::NotFound),
        (vec![response(1), trailers(1, "5"), data(1, number(1))], Code::NotFound),
        (vec![response(1).field("grpc-status", "5").end_stream(), trailers(1, "0")], Code::NotFound),
    ] {
        let (first, second, _server) = with_a_neighbour(frames.clone()).await;
        assert_eq!(first.unwrap_err().code(), code, "{frames:?}");
        assert!(second.is_ok(), "{frames:?}: {second:?}");
    }
}

// The window of discarded data is returned.

#[tokio::test(start_paused = true)]
async fn discarded_answer_returns_the_connection_window() {
    const WINDOW: u64 = 65_535;
    const PAGE: usize = 30_000;
    let html = |stream| headers(stream, [(":status", "502"), ("content-type", "text/html")]);
    let body = |stream| chunks(stream, &[0; PAGE]);
    let long = |stream| [vec![data(stream, prefix(0, 1 << 20))], body(stream)].concat();
    for round in 0..3 {
        let (client, mut server) = client_with(|options| options.limits.connection_window = WINDOW as u32, []).await;
        let mut sent = 0;
        for stream in (1..20).step_by(2) {
            let call = tokio::spawn(run(client.clone(), if round == 2 { Kind::Bidi } else { Kind::Unary }));
            server.expect_request(stream).await;
            if round < 2 {
                server.expect(data(stream, text("hi")).end_stream()).await;
            }
            sent += PAGE as u64 + if round > 0 { 5 } else { 0 };
            // A page, and the beginning of a message whose call is dropped.
            let answer = if round == 0 { body(stream) } else { long(stream) };
            server.send([vec![if round == 0 { html(stream) } else { response(stream) }], answer].concat()).await;
            quiet().await;
            call.abort();
            assert_eq!(server.answer(stream).await.reset(), Some(Http2Error::CANCEL));
            let left = WINDOW + server.window_returned(0).await - sent;
            assert!(left >= PAGE as u64 + 5, "{left} bytes left in round {round}, on stream {stream}");
        }
    }
}
