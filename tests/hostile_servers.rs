//! A server that does to our client what HTTP/2 and gRPC forbid, or all that they allow at once: every call ends with a
//! status by its deadline, memory stays bounded, and nothing panics.

mod common;

use std::time::Duration;

use barewire::{CallOptions, Client, Code, Status};
use common::frames::*;
use common::peer::RawPeer;
use common::pipe::{PipeConnector, pipe};
use common::service::{COUNT, ECHO, count, note};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(10);

type Case = (&'static str, Vec<u8>, Vec<u8>, &'static [Code]);

fn ok() -> Vec<Frame> {
    vec![response(1), data(1, text("hello")), trailers(1, "0")]
}

/// How a unary call ends whose server answers with `first` and then with `again` for as long as it is listened to, up to
/// 16 MiB; and how much memory it took.
fn outcome(first: Vec<u8>, again: Vec<u8>) -> (Result<String, Status>, u64) {
    let mut outcome = None;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        outcome = Some(runtime.block_on(async {
            // Not one that keeps what is written on it.
            let (near, far) = tokio::io::duplex(64 << 10);
            let (mut from, mut to) = tokio::io::split(far);
            let server = tokio::spawn(async move {
                let _: std::io::Result<()> = to.write_all(&wire([settings([]), settings_ack()])).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _: std::io::Result<()> = to.write_all(&first).await;
                let mut left = 16 * MIB;
                while !again.is_empty() && left > again.len() && to.write_all(&again).await.is_ok() {
                    left -= again.len();
                }
                // Silence, and the connection stands.
                std::future::pending::<()>().await
            });
            let reader = tokio::spawn(async move {
                let mut space = [0; 4096];
                while from.read(&mut space).await.is_ok_and(|count| count > 0) {}
            });
            let client = Client::connect(PipeConnector::new(near)).await?;
            let client = client.with(CallOptions::new().timeout(DEADLINE));
            let call = tokio::time::timeout(DEADLINE + Duration::from_secs(1), client.unary(ECHO, note("hello")));
            let answer = call.await.expect("it ends by its deadline");
            server.abort();
            reader.abort();
            answer.map(|note| note.text.clone())
        }));
    });
    (outcome.expect("it ran"), memory.bytes_max)
}

#[test]
fn every_call_ends_with_a_status_and_costs_little() {
    use Code::{DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown};
    let long = [&[0, 4][..], b"name", &[127, 0xe1, 0x1e], &[b'x'; 4000]].concat();
    let push = raw(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x83]);
    let cases: Vec<Case> = vec![
        // What it is, what the server says, what it then says without end, and how the call may end.
        ("silence", vec![], vec![], &[DeadlineExceeded]),
        ("a window beyond 2^31", wire([settings([(INITIAL_WINDOW_SIZE, 1 << 31)])]), vec![], &[Unavailable]),
        ("frames of a byte", wire([settings([(5, 1)])]), vec![], &[Unavailable]),
        ("ENABLE_PUSH of 7", wire([settings([(2, 7)])]), vec![], &[Unavailable]),
        ("SETTINGS of 5 bytes", wire([raw(SETTINGS, 0, 0, &[0; 5])]), vec![], &[Unavailable]),
        ("SETTINGS on a stream", wire([raw(SETTINGS, 0, 1, &[])]), vec![], &[Unavailable]),
        ("HEADERS on a stream never opened", wire([response(7)]), vec![], &[Unavailable]),
        ("HEADERS on an even stream", wire([response(2)]), vec![], &[Unavailable]),
        ("DATA on a stream never opened", wire([data(7, text("hello"))]), vec![], &[Unavailable]),
        ("DATA on the connection", wire([data(0, text("hello"))]), vec![], &[Unavailable]),
        ("a push", wire([push]), vec![], &[Unavailable]),
        ("RST_STREAM of a stream never opened", wire([reset(7, Http2Error::CANCEL)]), vec![], &[Unavailable]),
        ("a window update of nothing", wire([window_update(0, 0)]), vec![], &[Unavailable]),
        ("a window overflow", wire([window_update(0, 0x7FFF_FFFF)]), vec![], &[Unavailable]),
        // h2 resets the stream and tells nobody who waits for its answer.
        ("the stream's window overflows", wire([window_update(1, 0x7FFF_FFFF)]), vec![], &[Internal, DeadlineExceeded]),
        ("CONTINUATION alone", wire([raw(CONTINUATION, END_HEADERS, 1, &[])]), vec![], &[Unavailable]),
        ("a frame over the limit", vec![1, 0, 0, DATA, 0, 0, 0, 0, 1], vec![], &[Unavailable]),
        ("HEADERS that are no HPACK", wire([raw(HEADERS, END_HEADERS, 1, &[0x80])]), vec![], &[Unavailable]),
        (
            "headers without end",
            wire([raw(HEADERS, 0, 1, &[0x88])]),
            wire([raw(CONTINUATION, 0, 1, &long)]),
            &[Unavailable, Internal, ResourceExhausted, Unknown],
        ),
        (
            "empty CONTINUATION without end",
            wire([raw(HEADERS, 0, 1, &[0x88])]),
            wire(vec![raw(CONTINUATION, 0, 1, &[]); 100]),
            &[Unavailable],
        ),
        (
            "1xx without end",
            vec![],
            wire([headers(1, [(":status", "100")])]),
            &[DeadlineExceeded, Unavailable, Internal],
        ),
        ("a status of 99", wire([headers(1, [(":status", "99")])]), vec![], &[Unavailable]),
        ("no :status", wire([headers(1, [("content-type", "application/grpc")])]), vec![], &[Internal, Unknown]),
        ("trailers twice", wire([ok(), vec![trailers(1, "0")]].concat()), vec![], &[Code::Ok, Unavailable]),
        ("DATA behind the end", wire([ok(), vec![data(1, text("more"))]].concat()), vec![], &[Code::Ok, Unavailable]),
        ("messages without end", wire([response(1)]), wire([data(1, text("hello"))]), &[Code::Unimplemented]),
        ("4 GiB promised", wire([response(1), data(1, prefix(0, u32::MAX))]), vec![], &[ResourceExhausted]),
        ("4 MiB promised, nothing sent", wire([response(1), data(1, prefix(0, 4 << 20))]), vec![], &[DeadlineExceeded]),
        ("empty DATA without end", wire([response(1)]), wire(vec![data(1, []); 100]), &[Unavailable, DeadlineExceeded]),
        ("PINGs without end", vec![], wire(vec![ping(*b"8 octets"); 100]), &[DeadlineExceeded, Unavailable]),
        ("SETTINGS without end", vec![], wire(vec![settings([(4, 100)]); 100]), &[DeadlineExceeded, Unavailable]),
        ("unknown frames without end", vec![], wire(vec![raw(0xEE, 0xFF, 1, b"what?"); 100]), &[DeadlineExceeded]),
        ("GOAWAY before the call", wire([goaway(0, Http2Error::NO_ERROR)]), vec![], &[Unavailable]),
        (
            "GOAWAY that grows",
            wire([goaway(0, Http2Error::NO_ERROR), goaway(9, Http2Error::NO_ERROR)]),
            vec![],
            &[Unavailable],
        ),
        (
            "GOAWAY without end",
            vec![],
            wire(vec![goaway(1, Http2Error::NO_ERROR); 100]),
            &[DeadlineExceeded, Unavailable],
        ),
        ("GOAWAY of 16 KiB", wire([raw(GOAWAY, 0, 0, &[0; 16_384])]), vec![], &[Unavailable]),
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), vec![], &[Unavailable]),
        ("noise", (0..40_000u32).map(|n| ((n * 7919) >> 3) as u8).collect(), vec![], &[Unavailable]),
        (
            "a body without end that is not gRPC's",
            wire([headers(1, [(":status", "200"), ("content-type", "text/html")])]),
            wire([data(1, "x".repeat(16_384))]),
            &[Unknown],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, first, again, allowed) in cases {
        let (ended, memory) = outcome(first, again);
        let code = ended.as_ref().map_or_else(Status::code, |_| Code::Ok);
        if !allowed.contains(&code) || memory > 4 * MIB as u64 {
            wrong.push(format!("{name}: {ended:?}, {memory} bytes"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// An answer of a gigabyte that nobody reads is as much as the window allows.
#[test]
fn an_answer_of_a_gigabyte_costs_a_window() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = common::server::client_and_raw_server().await;
            let inbound = client.server_streaming(COUNT, count(1)).await.unwrap();
            server.expect_request(1).await;
            let kilobyte =
                data(1, message([0x0a, 0xf8, 0x07].iter().copied().chain([b'x'; 1016]).collect::<Vec<u8>>()));
            server.send(response(1)).await;
            // An honest server stops at the window of 1 MiB; one that goes on ends its stream or the connection.
            for _ in 0..1000 {
                server.send(kilobyte.clone()).await;
            }
            common::quiet().await;
            drop(inbound);
        });
    });
    assert!(memory.bytes_max <= 6 * MIB as u64, "{} bytes", memory.bytes_max);
}

/// What one server does harms no client of another.
#[tokio::test(start_paused = true)]
async fn a_client_of_a_good_server_is_served_meanwhile() {
    let good = common::server::TestServer::start();
    let healthy = good.client().await;
    let (near, far) = pipe();
    let connecting = tokio::spawn(Client::connect(PipeConnector::new(near)));
    let mut bad = RawPeer::silent(far);
    bad.write(&wire([settings([]), settings_ack()])).await;
    let client = connecting.await.unwrap().unwrap();
    let call = tokio::spawn(async move { client.unary(ECHO, note("hello")).await });
    bad.write(&wire([response(1), data(1, prefix(0, 1000))])).await;
    assert_eq!(common::soon("an answer", healthy.unary(ECHO, note("hello"))).await.unwrap().text, "hello");
    drop(bad);
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
}
