//! Servers that break the rules of HTTP/2 and gRPC, or use everything they allow at once. Every call of our client ends with a
//! status by its deadline, memory stays bounded, and nothing panics.

use std::time::Duration;

use allocation_counter::AllocationInfo;
use barewire::{CallOptions, Client, Code, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::pipe::{PipeConnector, pipe};
use crate::common::service::{CHAT, COUNT, ECHO, count, note};

const MIB: usize = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(10);

type Case = (&'static str, Vec<u8>, Vec<u8>, &'static [Code]);

fn ok() -> Vec<Frame> {
    vec![response(1), data(1, text("hello")), trailers(1, "0")]
}

/// Returns the result of a unary call whose server sends `first` and then repeats `again` while the client reads, up to 16 MiB,
/// and the memory it took.
fn outcome(first: Vec<u8>, again: Vec<u8>) -> (Result<String, Status>, AllocationInfo) {
    let mut outcome = None;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        outcome = Some(runtime.block_on(async {
            // Not a pipe that records writes: the record would count as memory.
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
                // The connection stays open, and the server sends nothing.
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
            drop(client);
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
            answer.map(|note| note.text.clone())
        }));
    });
    (outcome.expect("it ran"), memory)
}

#[test]
fn every_call_to_a_hostile_server_ends_with_a_status_and_bounded_memory() {
    use Code::{DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown};
    let long = [&[0, 4][..], b"name", &[127, 0xe1, 0x1e], &[b'x'; 4000]].concat();
    let push = raw(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x83]);
    let cases: Vec<Case> = vec![
        // The name, the server's bytes, the bytes it then repeats endlessly, and the allowed results of the call.
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
        // The request was sent and needs no more window.
        ("the stream's window overflows", wire([window_update(1, 0x7FFF_FFFF)]), vec![], &[DeadlineExceeded]),
        ("CONTINUATION alone", wire([raw(CONTINUATION, END_HEADERS, 1, &[])]), vec![], &[Unavailable]),
        ("a frame over the limit", vec![1, 0, 0, DATA, 0, 0, 0, 0, 1], vec![], &[Unavailable]),
        ("HEADERS with invalid HPACK", wire([raw(HEADERS, END_HEADERS, 1, &[0x80])]), vec![], &[Unavailable]),
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
        ("1xx without end", vec![], wire([headers(1, [(":status", "100")])]), &[ResourceExhausted]),
        (
            "1xx of references without end",
            // 103 with an entry of 40 bytes in the table; each answer then has a thousand references to it.
            wire([raw(HEADERS, END_HEADERS, 1, b"\x08\x03103\x40\x01k\x07varying")]),
            wire([raw(HEADERS, END_HEADERS, 1, &[&b"\x08\x03103"[..], &[0xbe; 1000]].concat())]),
            &[ResourceExhausted],
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
        ("PRIORITY without end", vec![], wire(vec![raw(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]); 100]), &[DeadlineExceeded]),
        ("WINDOW_UPDATE without end", vec![], wire(vec![window_update(1, 1); 100]), &[DeadlineExceeded]),
        (
            "windows that jump",
            vec![],
            wire([0, 65_535].map(|size| settings([(INITIAL_WINDOW_SIZE, size)]))),
            &[DeadlineExceeded],
        ),
        ("RST_STREAM without end", vec![], wire(vec![reset(1, Http2Error::CANCEL); 100]), &[Code::Cancelled]),
        (
            "padding without end",
            wire([response(1)]),
            wire(vec![data(1, []).padded(255); 10]),
            &[Unavailable, DeadlineExceeded],
        ),
        (
            "an HPACK bomb",
            // An entry of 4,000 bytes in the table, then a thousand references to it.
            wire([raw(
                HEADERS,
                END_HEADERS,
                1,
                &[&[0x88, 0x40, 4][..], b"name", &[127, 0xa1, 0x1e], &[b'x'; 4000]].concat(),
            )]),
            wire([raw(HEADERS, END_HEADERS | END_STREAM, 1, &[0xbe; 1000])]),
            &[Unknown, Internal, Unavailable],
        ),
        ("a table of 4 GiB", wire([vec![settings([(1, u32::MAX)])], ok()].concat()), vec![], &[Code::Ok]),
        ("HEADERS before they are due", wire([response(3), response(1)]), vec![], &[Unavailable]),
        (
            "HEADERS behind a GOAWAY below them",
            wire([vec![goaway(0, Http2Error::NO_ERROR)], ok()].concat()),
            vec![],
            &[Unavailable],
        ),
        ("one answer for another's stream", wire([ok(), ok()].concat()), vec![], &[Code::Ok, Unavailable]),
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
        if !allowed.contains(&code) || memory.bytes_max > 4 * MIB as u64 || memory.bytes_current > 256 << 10 {
            let AllocationInfo { bytes_max, bytes_current, .. } = memory;
            wrong.push(format!("{name}: {ended:?}, {bytes_max} bytes, of which {bytes_current} are left"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// An answer of a gigabyte arrives completely and holds no more memory than the windows.
#[test]
fn answer_of_a_gigabyte_holds_only_a_window() {
    const MESSAGES: usize = 1 << 16;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let connecting = Client::connect(PipeConnector::new(near));
            let (client, mut server) = tokio::join!(connecting, RawPeer::server(far, []));
            let client = client.unwrap();
            let mut inbound = client.server_streaming(COUNT, count(1)).await.unwrap();
            server.expect_request(1).await;
            server.send(response(1)).await;
            let full = note("x".repeat(16_384 - 9));
            let message = data(1, text(&full.text));
            let reader = tokio::spawn(async move {
                let mut read = 0;
                while let Some(note) = inbound.recv().await? {
                    assert_eq!(note.text.len(), full.text.len());
                    read += 1;
                }
                Ok::<usize, Status>(read)
            });
            for sent in 0..MESSAGES {
                while server.window_returned(1).await + (1 << 20) < (sent as u64 + 1) << 14 {
                    crate::common::quiet().await;
                }
                server.send(message.clone()).await;
            }
            server.send(trailers(1, "0")).await;
            assert_eq!(reader.await.unwrap().unwrap(), MESSAGES);
        });
    });
    assert!(memory.bytes_max <= 4 * MIB as u64, "{} bytes", memory.bytes_max);
}

/// An unread answer of a gigabyte holds only as much as the window allows.
#[test]
fn unread_answer_holds_only_a_window() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = crate::common::server::client_and_raw_server().await;
            let inbound = client.server_streaming(COUNT, count(1)).await.unwrap();
            server.expect_request(1).await;
            let kilobyte =
                data(1, message([0x0a, 0xf8, 0x07].iter().copied().chain([b'x'; 1016]).collect::<Vec<u8>>()));
            server.send(response(1)).await;
            // A correct server stops at the window of 1 MiB; one that goes on gets its stream reset or its connection closed.
            for _ in 0..1000 {
                server.send(kilobyte.clone()).await;
            }
            crate::common::quiet().await;
            drop(inbound);
        });
    });
    assert!(memory.bytes_max <= 6 * MIB as u64, "{} bytes", memory.bytes_max);
}

/// Connects a thousand times to servers that disconnect during a call.
#[test]
fn thousand_servers_that_disconnect_mid_call_leak_nothing() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            for number in 0..1000 {
                let (near, far) = tokio::io::duplex(64 << 10);
                let connecting = tokio::spawn(Client::connect(PipeConnector::new(near)));
                let mut bad = RawPeer::silent(far);
                bad.write(&wire([settings([]), settings_ack()])).await;
                let client = connecting.await.unwrap().unwrap();
                let other = client.clone();
                let unary = tokio::spawn(async move { other.unary(ECHO, note("hello")).await });
                let (_out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
                if number % 2 == 0 {
                    crate::common::quiet().await;
                }
                let begun = [response(1), data(1, prefix(0, 1000)), response(3), data(3, &text("hello")[..7])];
                bad.write(&wire(&begun[..number % 5])).await;
                drop(bad);
                assert_eq!(unary.await.unwrap().unwrap_err().code(), Code::Unavailable);
                assert_eq!(crate::common::soon("the end", notes.recv()).await.unwrap_err().code(), Code::Unavailable);
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        });
    });
    assert!(memory.bytes_current <= 64 << 10, "{} bytes are left", memory.bytes_current);
    assert!(memory.bytes_max <= 2 * MIB as u64, "{} bytes", memory.bytes_max);
}

/// Frames on a stream that is not open yet, before the first call.
#[tokio::test(start_paused = true)]
async fn answer_before_its_request_ends_the_connection() {
    for early in
        [response(1), data(1, text("hello")), trailers(1, "0"), reset(1, Http2Error::CANCEL), window_update(1, 1)]
    {
        let (client, mut server) = crate::common::server::client_and_raw_server().await;
        server.send(early.clone()).await;
        assert_eq!(server.expect_end().await, [Http2Error::PROTOCOL_ERROR], "{early:?}");
        let status = crate::common::soon("the end", client.unary(ECHO, note("hello"))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{early:?}");
    }
}

/// A hostile server does not harm a client's calls to another server.
#[tokio::test(start_paused = true)]
async fn hostile_server_does_not_affect_calls_to_another() {
    let good = crate::common::server::TestServer::start();
    let healthy = good.client().await;
    let (near, far) = pipe();
    let connecting = tokio::spawn(Client::connect(PipeConnector::new(near)));
    let mut bad = RawPeer::silent(far);
    bad.write(&wire([settings([]), settings_ack()])).await;
    let client = connecting.await.unwrap().unwrap();
    let call = tokio::spawn(async move { client.unary(ECHO, note("hello")).await });
    bad.write(&wire([response(1), data(1, prefix(0, 1000))])).await;
    assert_eq!(crate::common::soon("an answer", healthy.unary(ECHO, note("hello"))).await.unwrap().text, "hello");
    drop(bad);
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::Unavailable);
}
