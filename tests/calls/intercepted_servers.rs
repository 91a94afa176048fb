//! Tests the interceptors of a server: what they see of each call, what they may change, and how each call ends for them.

use std::sync::Arc;
use std::time::Duration;

use barewire::call::{CallEnd, CallObserver, MessageInfo};
use barewire::server::{CallStart, Interceptor};
use barewire::wire::encoding::Encoding;
use barewire::{Code, Metadata, Request, Router, Server, ServerOptions, Status, transport};
use tokio::sync::Notify;

use super::compression::toys;
use super::observed::Record;
use crate::common::frames::*;
use crate::common::server::TestServer;
use crate::common::service::{CHAT, COLLECT, COUNT, ECHO, Event, Note, count, note};
use crate::common::{quiet, soon};

/// Starts a server whose calls are recorded.
fn recorded() -> (TestServer, Record) {
    let record = Record::default();
    let (server, name) = (record.clone(), "");
    let server = TestServer::built(|built| {
        built.intercept(move |call| {
            server.push(format!("begin {} {:?}", call.path(), call.refusal().map(Status::code)));
            call.observe(server.observer(name));
            Ok(())
        })
    });
    (server, record)
}

#[tokio::test(start_paused = true)]
async fn observer_sees_the_events_of_each_kind_of_call() {
    let (server, record) = recorded();
    let client = server.client().await;
    client.unary(ECHO, note("hi")).await.unwrap();
    let path = |method: &str| format!("begin /test.Service/{method} None");
    let ok = "end OK Finished 0s [cost]".to_owned();
    let unary = [path("Echo"), "in 4 4 false".into(), "out 4 4 false".into(), "initial".into(), "trailing true".into()];
    assert_eq!(record.take(), [&unary[..], std::slice::from_ref(&ok)].concat());

    let mut notes = client.server_streaming(COUNT, count(2)).await.unwrap();
    while notes.recv().await.unwrap().is_some() {}
    assert_eq!(notes.initial_metadata().await.unwrap().get("seen"), Some(""), "the observer adds metadata");
    assert_eq!(notes.trailing_metadata().get("cost"), Some(""));
    let out = || "out 2 2 false".to_owned();
    let streamed = [path("Count"), "in 2 2 false".into(), out(), out(), "initial".into(), "trailing true".into()];
    assert_eq!(record.take(), [&streamed[..], std::slice::from_ref(&ok)].concat());

    let (mut out, answer) = client.client_streaming(COLLECT).await.unwrap();
    out.send(note("abc")).await.unwrap();
    out.finish().await.unwrap();
    answer.await.unwrap();
    let collected = [path("Collect"), "in 5 5 false".into(), "out 5 5 false".into(), "initial".into()];
    assert_eq!(record.take()[..4], collected);

    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    out.send(note("abc")).await.unwrap();
    assert!(notes.recv().await.unwrap().is_some());
    out.finish().await.unwrap();
    assert_eq!(notes.recv().await.unwrap(), None);
    let chatted = [path("Chat"), "in 5 5 false".into(), "out 5 5 false".into(), "initial".into()];
    assert_eq!(record.take(), [&chatted[..], &["trailing true".into(), ok]].concat());
}

/// Starts a server that compresses its messages, and whose calls are recorded.
fn compressing() -> (TestServer, Record) {
    let record = Record::default();
    let observed = record.clone();
    let server = TestServer::built(|server| {
        let mut options = ServerOptions::default();
        (options.compressors, options.encoding) = (toys(), Some(Encoding::Gzip));
        server.with_options(options).intercept(move |call| {
            call.observe(observed.observer(""));
            Ok(())
        })
    });
    (server, record)
}

#[tokio::test(start_paused = true)]
async fn observer_sees_the_sizes_of_compressed_messages() {
    let (server, record) = compressing();
    let mut peer = server.connect().await;
    let head =
        |stream, path| request(stream, path).field("grpc-encoding", "gzip").field("grpc-accept-encoding", "gzip");
    let payload: Vec<u8> = [b"z".to_vec(), text("abc")[5..].iter().rev().copied().collect()].concat();
    peer.send([head(1, "/test.Service/Echo"), data(1, flagged(1, &payload)).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status().0, "0");
    assert_eq!(record.take()[..2], ["in 5 6 true", "out 5 6 true"]);
    // A request without compression, and a stream of responses.
    peer.send([head(3, "/test.Service/Count"), data(3, number(1)).end_stream()]).await;
    assert_eq!(peer.answer(3).await.status().0, "0");
    assert_eq!(record.take()[..2], ["in 2 2 false", "out 2 3 true"]);
}

#[tokio::test(start_paused = true)]
async fn large_message_compressed_off_the_worker_is_seen() {
    let (server, record) = compressing();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
    peer.send([window_update(0, 1 << 20)]).await;
    let large = "x".repeat(300 << 10);
    for (stream, path) in [(1, "/test.Service/Echo"), (3, "/test.Service/Chat")] {
        let mut frames = vec![request(stream, path).field("grpc-accept-encoding", "gzip")];
        frames.extend(chunks(stream, &text(&large)));
        frames.push(half_close(stream));
        peer.send(frames).await;
        assert_eq!(peer.answer(stream).await.status().0, "0");
        let size = text(&large).len() - 5;
        assert_eq!(record.take()[..2], [format!("in {size} {size} false"), format!("out {size} {} true", size + 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_methods_and_refused_requests_are_seen() {
    let (server, record) = recorded();
    let mut peer = server.connect().await;
    let get = request(3, "/test.Service/Echo").set(":method", "GET").end_stream();
    let frames = [
        request(1, "/test.Service/Missing").end_stream(),
        get,
        request(5, "/test.Service/Echo").field("grpc-timeout", "soon").end_stream(),
        request(7, "/noslash").end_stream(),
        request(9, "/test.Service/Echo").field("grpc-encoding", "br").end_stream(),
        request(11, "/test.Service/Echo").set("content-type", "text/html").end_stream(),
        request(13, "/test.Service/Echo").field("grpc-timeout", "0n").end_stream(),
        request(15, "/test.Service/Echo").set(":method", "HEAD").end_stream(),
    ];
    let seen = [
        ("/test.Service/Missing", "Unimplemented"),
        ("/test.Service/Echo", "Internal"),
        ("/test.Service/Echo", "Internal"),
        ("/noslash", "Unimplemented"),
        ("/test.Service/Echo", "Unimplemented"),
        ("/test.Service/Echo", "Internal"),
        ("/test.Service/Echo", "DeadlineExceeded"),
        ("/test.Service/Echo", "Internal"),
    ];
    for (frame, (path, code)) in frames.into_iter().zip(seen) {
        let stream = frame.stream();
        peer.send([frame]).await;
        let answer = peer.answer(stream).await;
        let mut lines = record.take();
        assert_eq!(lines.remove(0), format!("begin {path} Some({code})"), "{stream}");
        let end = lines.pop().unwrap();
        assert!(end.contains(" Refused 0s"), "{end}");
        assert!(lines.iter().all(|line| line == "trailing false"), "{stream}: {lines:?}");
        assert_eq!(
            answer.header(":status"),
            Some(match stream {
                3 | 15 => "405",
                11 => "415",
                _ => "200",
            })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn first_error_answers_and_later_interceptors_do_not_see_the_call() {
    let record = Record::default();
    let named = |name: &'static str, refused: &'static str| {
        let record = record.clone();
        move |call: &mut CallStart<'_>| {
            record.push(format!("begin {name}"));
            call.observe(record.observer(name));
            match call.metadata().get("refused-by") == Some(refused) {
                true => Err(Status::permission_denied(format!("refused by {name}"))),
                false => Ok(()),
            }
        }
    };
    let server = TestServer::built(|server| {
        let server = server.interceptor(named("one", "1")).interceptor(named("two", "2"));
        server.interceptor(named("three", "3"))
    });
    let mut peer = server.connect().await;
    let refused = request(1, "/test.Service/Echo").field("refused-by", "2");
    peer.send([refused, data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status(), ("7", "refused by two"));
    let expected = ["begin one", "begin two", "trailing false two", "trailing false one"];
    let ends = ["end PERMISSION_DENIED Refused 0s [cost,cost] two", "end PERMISSION_DENIED Refused 0s [cost,cost] one"];
    assert_eq!(record.take(), [&expected[..], &ends[..]].concat());
    // Arriving events are seen in order, leaving ones in the reverse order.
    peer.send([request(3, "/test.Service/Echo"), data(3, text("hi")).end_stream()]).await;
    let answer = peer.answer(3).await;
    assert_eq!(answer.status().0, "0");
    let lines: Vec<_> = record.take();
    let of = |event: &str| lines.iter().filter(|line| line.starts_with(event)).cloned().collect::<Vec<_>>();
    assert_eq!(
        of("in"),
        ["in 4 4 false one", "in 4 4 false two", "in 4 4 false three", "initial three", "initial two", "initial one"]
    );
    assert_eq!(of("out"), ["out 4 4 false three", "out 4 4 false two", "out 4 4 false one"]);
    // An unknown method is answered by the interceptor; a request that is not gRPC is not.
    peer.send([request(5, "/test.Service/Missing").field("refused-by", "1").end_stream()]).await;
    assert_eq!(peer.answer(5).await.status(), ("7", "refused by one"));
    peer.send([request(7, "/x").set("content-type", "a/b").field("refused-by", "1").end_stream()]).await;
    assert_eq!(peer.answer(7).await.header(":status"), Some("415"));
}

#[tokio::test(start_paused = true)]
async fn reason_tells_how_the_call_ended() {
    let (mut server, record) = recorded();
    let mut peer = server.connect().await;
    let wait = |stream| [request(stream, "/test.Service/Wait"), data(stream, text("hi")).end_stream()];
    // By its deadline.
    peer.send([request(1, "/test.Service/Wait").field("grpc-timeout", "3S"), data(1, text("")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status().0, "4");
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 3s [cost]");
    // By the client.
    for (stream, error, reason) in [(3, Http2Error::CANCEL, "Cancelled"), (5, Http2Error::INTERNAL_ERROR, "Reset")] {
        peer.send(wait(stream)).await;
        quiet().await;
        peer.send([reset(stream, error)]).await;
        quiet().await;
        assert_eq!(record.take_end(), format!("end CANCELLED {reason} 0s []"));
    }
    // A streaming handler notices the reset by its messages, and returns.
    peer.send([request(7, "/test.Service/Chat"), data(7, text("hi"))]).await;
    quiet().await;
    peer.send([reset(7, Http2Error::CANCEL)]).await;
    quiet().await;
    assert_eq!(record.take_end(), "end CANCELLED Cancelled 0s []");
    // The handler fails, and panics.
    peer.send([request(9, "/test.Service/Fail"), data(9, number(5)).end_stream()]).await;
    peer.answer(9).await;
    assert_eq!(record.take_end(), "end NOT_FOUND Finished 0s [cost]");
    peer.send([request(11, "/test.Service/Panic"), data(11, number(5)).end_stream()]).await;
    peer.answer(11).await;
    assert_eq!(record.take_end(), "end UNKNOWN Finished 0s [cost]");
    // By the loss of the connection.
    for path in ["/test.Service/Wait", "/test.Service/Chat"] {
        let mut peer = server.connect().await;
        peer.send([request(1, path), data(1, text("hi"))]).await;
        quiet().await;
        drop(peer);
        quiet().await;
        assert_eq!(record.take_end(), "end CANCELLED ConnectionLost 0s []", "{path}");
    }
    // By the shutdown of the server.
    peer.send(wait(13)).await;
    quiet().await;
    while server.probe.rest().await.last() != Some(&Event::Began) {}
    let (_probe, serving) = server.shut_down();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(record.take_end(), "end UNAVAILABLE Shutdown 10s [cost]");
    soon("the end", serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn call_that_waits_for_window_ends_at_its_deadline() {
    let (server, record) = recorded();
    let mut peer = server.connect_with([(INITIAL_WINDOW_SIZE, 3)]).await;
    peer.send([request(1, "/test.Service/Echo").field("grpc-timeout", "2S"), data(1, text("hi")).end_stream()]).await;
    peer.answer(1).await;
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 2s [cost]");
}

/// A user, as an interceptor attaches it.
#[derive(Clone, Debug, PartialEq)]
struct User(String);

struct Who;

impl Who {
    async fn who(&self, request: Request<Note>) -> Result<Note, Status> {
        let user = request.extensions().get::<User>().map_or("nobody", |user| &user.0);
        let number = request.extensions().get::<u64>().copied().unwrap_or_default();
        Ok(Note { text: user.into(), number, ..Note::default() })
    }
}

#[tokio::test(start_paused = true)]
async fn values_of_an_interceptor_reach_the_handler() {
    let (listener, connector) = transport::memory::pair();
    let server = Server::new(Router::new(Who).unary(ECHO, Who::who)).intercept(|call| {
        if let Some(name) = call.metadata().get("user").map(str::to_owned) {
            call.extensions_mut().insert(User(name));
        }
        assert_eq!(call.extensions().get::<u64>(), None, "each call has its own");
        Ok(())
    });
    tokio::spawn(server.serve(listener));
    let client = barewire::Client::connect(connector).await.unwrap();
    assert_eq!(client.unary(ECHO, note("")).await.unwrap().text, "nobody");
    let ann = client.with(barewire::CallOptions::new().header("user", "ann"));
    assert_eq!(ann.unary(ECHO, note("")).await.unwrap().text, "ann");
}

/// Starts a server whose interceptor waits: for the permission to continue, then for the decision that the metadata names.
fn waiting(record: &Record) -> (TestServer, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let (opened, first, second) = (gate.clone(), record.clone(), record.clone());
    let server = TestServer::built(|server| {
        let server = server.intercept(move |call| {
            call.observe(first.observer("one"));
            let gate = opened.clone();
            let decision = call.metadata().get("decision").unwrap_or_default().to_owned();
            call.wait_for(async move {
                gate.notified().await;
                match decision.as_str() {
                    "no" => Err(Status::unauthenticated("no")),
                    "panic" => panic!("a decision that panics"),
                    _ => Ok(User(decision)),
                }
            });
            call.wait_for(async { Ok(7_u64) });
            Ok(())
        });
        server.intercept(move |call| {
            second.push(format!("begin {:?} {:?}", call.extensions().get::<User>(), call.extensions().get::<u64>()));
            call.observe(second.observer("two"));
            Ok(())
        })
    });
    (server, gate)
}

#[tokio::test(start_paused = true)]
async fn call_waits_for_a_decision() {
    let record = Record::default();
    let (server, gate) = waiting(&record);
    let mut peer = server.connect().await;
    let echo = |stream, decision| request(stream, "/test.Service/Echo").field("decision", decision);
    peer.send([echo(1, "yes"), data(1, text("hi")).end_stream()]).await;
    peer.expect_silence().await;
    gate.notify_one();
    assert_eq!(peer.answer(1).await.status().0, "0");
    let lines = record.take();
    assert_eq!(lines[0], "begin Some(User(\"yes\")) Some(7)");
    assert_eq!(lines[lines.len() - 2..], ["end OK Finished 0s [cost,cost] two", "end OK Finished 0s [cost,cost] one"]);
    for (stream, decision, answer) in [(3, "no", ("16", "no")), (5, "panic", ("13", "an interceptor panicked"))] {
        gate.notify_one();
        peer.send([echo(stream, decision), data(stream, text("hi")).end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status(), answer);
        assert!(record.take_end().contains("Refused"), "the second interceptor does not see the call");
    }
    // An unknown method waits too, and is then refused.
    peer.send([request(7, "/test.Service/Missing").end_stream()]).await;
    peer.expect_silence().await;
    gate.notify_one();
    assert_eq!(peer.answer(7).await.status().0, "12");
}

#[tokio::test(start_paused = true)]
async fn wait_for_a_decision_ends_with_the_call() {
    let record = Record::default();
    let (server, _gate) = waiting(&record);
    let mut peer = server.connect().await;
    let echo = |stream| request(stream, "/test.Service/Echo").field("grpc-timeout", "2S");
    peer.send([echo(1), data(1, text("hi")).end_stream()]).await;
    assert_eq!(peer.answer(1).await.status().0, "4");
    assert_eq!(record.take_end(), "end DEADLINE_EXCEEDED Deadline 2s [cost] one");
    peer.send([echo(3), data(3, text("hi")).end_stream()]).await;
    quiet().await;
    peer.send([reset(3, Http2Error::CANCEL)]).await;
    quiet().await;
    assert_eq!(record.take_end(), "end CANCELLED Cancelled 0s [] one");
    peer.send([echo(5), data(5, text("hi")).end_stream()]).await;
    quiet().await;
    drop(peer);
    quiet().await;
    assert_eq!(record.take_end(), "end CANCELLED ConnectionLost 0s [] one");
}

#[tokio::test(start_paused = true)]
async fn small_frames_of_a_waiting_call_do_not_end_the_connection() {
    let record = Record::default();
    let (server, gate) = waiting(&record);
    let mut peer = server.connect().await;
    peer.send([request(1, "/test.Service/Collect")]).await;
    // Far more frames than h2 holds for a connection: see DATA_FRAME_BUDGET.
    for _ in 0..100 {
        let frames: Vec<_> = (0..400).map(|_| data(1, text(""))).collect();
        peer.send(frames).await;
        quiet().await;
    }
    peer.send([half_close(1)]).await;
    gate.notify_one();
    let answer = peer.answer(1).await;
    assert_eq!(answer.status().0, "0");
}

#[tokio::test(start_paused = true)]
async fn interceptor_shortens_the_deadline() {
    let seen = Record::default();
    let ends = seen.clone();
    let server = TestServer::built(|server| {
        server.intercept(move |call| {
            call.limit_time(Duration::from_secs(5));
            call.observe(ends.observer(""));
            Ok(())
        })
    });
    let mut peer = server.connect().await;
    for (stream, timeout, seconds) in [(1, None, 5), (3, Some("2S"), 2), (5, Some("9S"), 5)] {
        let mut head = request(stream, "/test.Service/Wait");
        if let Some(timeout) = timeout {
            head = head.field("grpc-timeout", timeout);
        }
        peer.send([head, data(stream, text("hi")).end_stream()]).await;
        assert_eq!(peer.answer(stream).await.status().0, "4");
        assert_eq!(seen.take_end(), format!("end DEADLINE_EXCEEDED Deadline {seconds}s [cost]"));
    }
}

/// An interceptor and observer that panics in the event that the metadata names.
struct Panics;

struct PanicsIn(String);

impl PanicsIn {
    fn reach(&self, event: &str) {
        assert!(self.0 != event, "an interceptor that panics in {event}");
    }
}

impl Interceptor for Panics {
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status> {
        let observer = PanicsIn(call.metadata().get("panic").unwrap_or_default().to_owned());
        observer.reach("begin");
        call.observe(observer);
        Ok(())
    }
}

impl CallObserver for PanicsIn {
    fn initial_metadata(&mut self, _: &mut Metadata) {
        self.reach("initial");
    }

    fn message_received(&mut self, _: &MessageInfo) {
        self.reach("in");
    }

    fn message_sent(&mut self, _: &MessageInfo) {
        self.reach("out");
    }

    fn trailing_metadata(&mut self, _: Result<(), &Status>, _: &mut Metadata) {
        self.reach("trailing");
    }

    fn end(&mut self, _: &CallEnd<'_>) {
        self.reach("end");
    }
}

#[tokio::test(start_paused = true)]
async fn panic_of_an_interceptor_fails_only_its_call() {
    let record = Record::default();
    let other = record.clone();
    let server = TestServer::built(|server| {
        let server = server.intercept(move |call| {
            call.observe(other.observer(""));
            Ok(())
        });
        server.interceptor(Panics)
    });
    let mut peer = server.connect().await;
    let events = ["begin", "in", "out", "initial", "trailing", "end", ""];
    for (kind, path) in ["/test.Service/Echo", "/test.Service/Count", "/test.Service/Collect", "/test.Service/Chat"]
        .into_iter()
        .enumerate()
    {
        for (number_of, event) in events.into_iter().enumerate() {
            let stream = u32::try_from(2 * (kind * events.len() + number_of) + 1).unwrap();
            let head = request(stream, path).field("panic", event);
            peer.send([head, data(stream, number(1)).end_stream()]).await;
            let answer = peer.answer(stream).await;
            // The headers of a call whose messages were sent cannot be taken back, nor its status once it was sent.
            let fails = ["begin", "in", "out"].contains(&event);
            let late = event == "trailing" || (event == "initial" && path != "/test.Service/Collect");
            if fails {
                assert_eq!(answer.status(), ("13", "an interceptor panicked"), "{path} {event}");
            } else if !late {
                assert!(["0", "13"].contains(&answer.status().0), "{path} {event}");
            }
            let ends = record.take_end();
            assert!(ends.starts_with(if fails { "end INTERNAL" } else { "end" }), "{path} {event}: {ends}");
        }
    }
    peer.ping().await;
    assert_eq!(Code::Internal.number(), 13);
}
