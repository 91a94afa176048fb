//! Floods and bombs of a client: they cost what was sent and a bounded sum, they end at their own connection at most, and
//! a healthy client beside them is served all along.
//!
//! Each runs in a thread whose allocations are counted, on one task's share of one core, so that nothing hides behind another.
//! CVE-2023-44487 (rapid reset), CVE-2025-8671 (MadeYouReset), CVE-2024-27316 (CONTINUATION), CVE-2019-9511 to 9518.

mod common;

use std::time::Duration;

use barewire::{Client, Code};
use bytes::BytesMut;
use common::frames::*;
use common::server::TestServer;
use common::service::{CHAT, DEAF, ECHO, FLOOD, Note, READ, WAIT, note};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const MIB: usize = 1 << 20;

/// Whether the attacker reads what it is answered.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    Yes,
    No,
}

fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
    Frame::Raw { kind, flags, stream, payload: payload.to_vec().into() }
}

fn wire(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    let mut wire = BytesMut::new();
    frames.into_iter().for_each(|frame| frame.encode(&mut wire));
    wire.to_vec()
}

/// Says the greeting and then what `attack` makes of the numbers 0, 1, 2, … until `most` bytes have left, the connection has
/// ended or nothing moves any more. Between two pieces the healthy client makes a call.
async fn run(
    server: &TestServer,
    healthy: &Client,
    reads: Reads,
    most: usize,
    attack: impl Fn(u32) -> Vec<u8>,
) -> usize {
    let mut io = server.dial().0;
    let greeting = [settings([(INITIAL_WINDOW_SIZE, 0x7FFF_FFFF)]), settings_ack()];
    io.write_all(&[PREFACE, &wire(greeting)].concat()).await.unwrap();
    let mut sent = 0;
    for number in 0.. {
        let piece = attack(number);
        if sent + piece.len() > most || !said(&mut io, &piece, reads).await {
            break;
        }
        sent += piece.len();
        if number % 16 == 0 {
            served(healthy).await;
        }
    }
    served(healthy).await;
    sent
}

async fn served(healthy: &Client) {
    let begun = std::time::Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(1), healthy.unary(ECHO, note("hello"))).await;
    assert_eq!(answer.expect("in time").expect("an answer").text, "hello");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?} on the real clock", begun.elapsed());
}

/// Writes all of it; false where the connection has ended or nothing moves.
async fn said(io: &mut DuplexStream, mut piece: &[u8], reads: Reads) -> bool {
    let mut space = [0; 16 << 10];
    while !piece.is_empty() {
        let (mut reading, mut writing) = tokio::io::split(&mut *io);
        tokio::select! {
            biased;
            read = reading.read(&mut space), if reads == Reads::Yes => match read {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            },
            written = writing.write(piece) => match written {
                Ok(count) if count > 0 => piece = &piece[count..],
                _ => return false,
            },
            () = tokio::time::sleep(Duration::from_millis(1)) => return false,
        }
    }
    true
}

/// Runs an attack and holds it to the memory that it may cost beside a server and a healthy client.
fn costs(name: &str, bound: usize, reads: Reads, most: usize, attack: impl Fn(u32) -> Vec<u8>) {
    let mut sent = 0;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = TestServer::start();
            let healthy = server.client().await;
            sent = run(&server, &healthy, reads, most, &attack).await;
            // What the attacker held is let go of when it is gone; its last words are waited for.
            tokio::time::sleep(Duration::from_secs(60)).await;
            served(&healthy).await;
        });
    });
    println!("{name}: {sent} bytes sent, {} held at most, {} after", memory.bytes_max, memory.bytes_current);
    assert!(memory.bytes_max as usize <= bound, "{name}: {} bytes after {sent} were sent", memory.bytes_max);
    assert!(memory.bytes_current <= 256 << 10, "{name}: {} bytes are left", memory.bytes_current);
}

fn id(number: u32, of: u32, each: u32) -> u32 {
    2 * (number * each + of) + 1
}

/// HEADERS of a call as one block, without the literals of a test: a few bytes.
fn opens(stream: u32, flags: u8) -> Frame {
    // :method POST, :scheme http, :authority "t", :path, te, content-type.
    let mut block = vec![0x83, 0x86, 0x01, 1, b't', 0x04, WAIT.path().len() as u8];
    block.extend_from_slice(WAIT.path().as_bytes());
    block.extend_from_slice(b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc");
    raw(HEADERS, END_HEADERS | flags, stream, &block)
}

#[test]
fn rapid_resets() {
    let attack =
        |n| wire((0..100).flat_map(|i| [opens(id(n, i, 100), END_STREAM), reset(id(n, i, 100), Http2Error::CANCEL)]));
    costs("rapid reset", 8 * MIB, Reads::Yes, 8 * MIB, attack);
    costs("rapid reset unread", 8 * MIB, Reads::No, 8 * MIB, attack);
}

#[test]
fn resets_that_the_server_is_made_to_send() {
    let made_by = |frame: fn(u32) -> Frame| {
        move |n| wire((0..100).flat_map(move |i| [opens(id(n, i, 100), 0), frame(id(n, i, 100))]))
    };
    costs("window of nothing", 8 * MIB, Reads::Yes, 16 * MIB, made_by(|stream| window_update(stream, 0)));
    costs("window overflow", 8 * MIB, Reads::Yes, 16 * MIB, made_by(|stream| window_update(stream, 0x7FFF_FFFF)));
    costs("data behind the end", 8 * MIB, Reads::Yes, 16 * MIB, |n| {
        wire((0..100).flat_map(|i| [opens(id(n, i, 100), END_STREAM), data(id(n, i, 100), [0; 9])]))
    });
}

#[test]
fn header_blocks_without_end() {
    let field = [&[0, 4][..], b"name", &[127, 0xe1, 0x1e], &[b'x'; 4000]].concat();
    costs("CONTINUATION", 2 * MIB, Reads::Yes, 64 * MIB, |n| match n {
        0 => wire([raw(HEADERS, 0, 1, &[0x83])]),
        _ => wire(vec![raw(CONTINUATION, 0, 1, &field); 10]),
    });
    costs("empty CONTINUATION", 2 * MIB, Reads::Yes, 4 * MIB, |n| match n {
        0 => wire([raw(HEADERS, 0, 1, &[0x83])]),
        _ => wire(vec![raw(CONTINUATION, 0, 1, &[]); 1000]),
    });
    costs("HPACK bomb", 12 * MIB, Reads::Yes, 16 * MIB, |n| match n {
        // An entry of 4,000 bytes in the table, then a thousand times its index in every request.
        0 => {
            let entry = [&[0x40, 4][..], b"name", &[127, 0xa1, 0x1e], &[b'x'; 4000]].concat();
            wire([raw(HEADERS, END_HEADERS, 1, &entry)])
        }
        _ => wire((0..10).map(|i| raw(HEADERS, END_HEADERS, id(n, i, 10), &[0xbe; 1000]))),
    });
}

#[test]
fn floods_of_small_frames() {
    for reads in [Reads::Yes, Reads::No] {
        // The pipe of these tests keeps a copy of what the server answers.
        let flood = |name, piece: Vec<u8>| costs(name, 8 * MIB, reads, 4 * MIB, move |_| piece.clone());
        flood("SETTINGS", wire(vec![settings([(4, 1000)]); 1000]));
        flood("empty SETTINGS", wire(vec![settings([]); 1000]));
        flood("PING", wire(vec![ping(*b"8 octets"); 1000]));
        flood("PING ACK", wire(vec![Frame::Ping { ack: true, payload: *b"8 octets" }; 1000]));
        flood("PRIORITY", wire(vec![raw(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]); 1000]));
        flood("WINDOW_UPDATE", wire(vec![window_update(0, 1); 1000]));
        flood("unknown frames", wire(vec![raw(0xEE, 0xFF, 7, b"what?"); 1000]));
        flood("GOAWAY", wire(vec![goaway(0, Http2Error::NO_ERROR); 1000]));
    }
    costs("empty DATA", 2 * MIB, Reads::Yes, 4 * MIB, |n| match n {
        0 => wire([opens(1, 0)]),
        _ => wire(vec![data(1, []); 1000]),
    });
    costs("padding alone", 2 * MIB, Reads::Yes, 4 * MIB, |n| match n {
        0 => wire([opens(1, 0)]),
        _ => wire(vec![data(1, []).padded(255); 50]),
    });
}

#[test]
fn calls_that_wait_are_as_many_as_allowed() {
    // Each holds a call with its handler and metadata.
    costs("calls", 16 * MIB, Reads::Yes, 4 * MIB, |n| wire((0..100).map(|i| opens(id(n, i, 100), END_STREAM))));
}

#[test]
fn answers_that_nobody_reads() {
    let wanted = Note { number: 1 << 20, text: "x".repeat(1000), details: Vec::new() }.encode_to_vec();
    costs("a gigabyte unread", 4 * MIB, Reads::No, 4 * MIB, |n| match n {
        0 => wire([window_update(0, 0x7FFF_0000), request(1, FLOOD.path()), data(1, message(&wanted)).end_stream()]),
        // More than the pipe holds of what a server has to read, so that it stops when the server does.
        _ => wire(vec![raw(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]); 1000]),
    });
}

#[test]
fn messages_that_a_handler_does_not_take() {
    // The window of the stream bounds what is there, at most so many bytes of DATA; h2 keeps some 100 for a frame.
    let notes: Vec<u8> = (0..700).flat_map(|_| number(1)).collect();
    costs("a slow reader", 8 * MIB, Reads::Yes, 900 << 10, |n| match n {
        0 => wire([request(1, READ.path())]),
        _ => wire(chunks(1, &notes)),
    });
    costs("nobody reads", 4 * MIB, Reads::Yes, 32 * MIB, |n| match n {
        0 => wire([request(1, DEAF.path()), data(1, text("hello"))]),
        _ => wire(chunks(1, &notes)),
    });
}

#[test]
fn prefixes_that_promise_what_never_comes() {
    costs("4 MiB promised", 12 * MIB, Reads::Yes, 4 * MIB, |n| {
        wire((0..10).flat_map(|i| [request(id(n, i, 10), CHAT.path()), data(id(n, i, 10), prefix(0, 4 << 20))]))
    });
}

#[test]
fn a_thousand_clients_that_go_in_mid_call_leave_nothing() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = TestServer::start();
            let healthy = server.client().await;
            for number in 0..1000 {
                let mut io = server.dial().0;
                let frames =
                    [settings([]), settings_ack(), opens(1, 0), request(3, CHAT.path()), data(3, text("hello"))];
                io.write_all(&[PREFACE, &wire(frames)].concat()).await.unwrap();
                if number % 2 == 0 {
                    common::quiet().await;
                }
                drop(io);
                if number % 50 == 0 {
                    served(&healthy).await;
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            assert!(alive <= 4, "{alive} tasks: the server, the healthy client and its connection");
        });
    });
    assert!(memory.bytes_current <= 256 << 10, "{} bytes are left", memory.bytes_current);
}

#[tokio::test(start_paused = true)]
async fn broken_messages_in_every_number_get_their_answers() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    // Thousands of messages in one frame, and each byte in a frame of its own.
    let many: Vec<u8> = (0..2000).flat_map(|_| number(1)).collect();
    client.send(request(1, common::service::COLLECT.path())).await;
    client.send(chunks(1, &many)).await;
    client.send(half_close(1)).await;
    assert_eq!(client.answer(1).await.status().0, "0");
    let bytes: Vec<Frame> = text("hello").iter().map(|byte| data(3, [*byte])).collect();
    client.send([vec![request(3, ECHO.path())], bytes, vec![half_close(3)]].concat()).await;
    assert_eq!(client.answer(3).await.status().0, "0");
    // A content-length that lies is a malformed request (RFC 9113 section 8.1.1).
    for (stream, length) in [(5, "3"), (7, "300")] {
        let frames =
            [request(stream, ECHO.path()).field("content-length", length), data(stream, text("hello")).end_stream()];
        client.send(frames).await;
        assert_eq!(client.answer(stream).await.reset(), Some(Http2Error::PROTOCOL_ERROR), "{length}");
    }
    // Groups nested a thousand deep are no message.
    let deep = [vec![0x1b; 1000], vec![0x1c; 1000]].concat();
    client.send([request(9, ECHO.path()), data(9, message(&deep)).end_stream()]).await;
    assert_eq!(client.answer(9).await.status().0, (Code::Internal as i32).to_string());
}
