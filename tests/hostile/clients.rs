//! Floods and bombs from a client. Their memory is limited to the bytes sent and a constant, they end at most their own
//! connection, and a healthy client is served the whole time.
//!
//! CVE-2023-44487 (rapid reset), CVE-2025-8671 (MadeYouReset), CVE-2024-27316 (CONTINUATION), CVE-2019-9511 to 9518.

use std::time::Duration;

use barewire::Code;
use prost::Message as _;
use tokio::io::AsyncWriteExt;

use crate::common::attack::*;
use crate::common::frames::*;
use crate::common::server::TestServer;
use crate::common::service::{CHAT, DEAF, ECHO, FLOOD, Note, READ};

#[test]
fn rapid_resets_cost_bounded_memory() {
    let attack =
        |n| wire((0..100).flat_map(|i| [opens(id(n, i, 100), END_STREAM), reset(id(n, i, 100), Http2Error::CANCEL)]));
    costs("rapid reset", 8 * MIB, Reads::Yes, 8 * MIB, attack);
    costs("rapid reset unread", 8 * MIB, Reads::No, 8 * MIB, attack);
}

#[test]
fn provoked_resets_cost_bounded_memory() {
    let made_by = |frame: fn(u32) -> Frame| {
        move |n| wire((0..100).flat_map(move |i| [opens(id(n, i, 100), 0), frame(id(n, i, 100))]))
    };
    costs("window update of 0", 8 * MIB, Reads::Yes, 16 * MIB, made_by(|stream| window_update(stream, 0)));
    costs("window overflow", 8 * MIB, Reads::Yes, 16 * MIB, made_by(|stream| window_update(stream, 0x7FFF_FFFF)));
    costs("data after END_STREAM", 8 * MIB, Reads::Yes, 16 * MIB, |n| {
        wire((0..100).flat_map(|i| [opens(id(n, i, 100), END_STREAM), data(id(n, i, 100), [0; 9])]))
    });
}

#[test]
fn endless_header_blocks_cost_bounded_memory() {
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
        // An entry of 4,000 bytes in the table; every request then has a thousand references to it.
        0 => {
            let entry = [&[0x40, 4][..], b"name", &[127, 0xa1, 0x1e], &[b'x'; 4000]].concat();
            wire([raw(HEADERS, END_HEADERS, 1, &entry)])
        }
        _ => wire((0..10).map(|i| raw(HEADERS, END_HEADERS, id(n, i, 10), &[0xbe; 1000]))),
    });
}

/// Requests that h2 accepts, with fields of one octet each: h2 holds them until the server reads them.
#[test]
fn requests_with_many_fields_cost_bounded_memory() {
    costs("fields of one octet", 12 * MIB, Reads::Yes, 4 * MIB, |n| {
        let references = [&b"\x83\x86\x01\x01t\x04\x02/x\x40\x01k\x01v"[..], &[0xbe; 4000]].concat();
        wire((0..50).map(|i| raw(HEADERS, END_HEADERS, id(n, i, 50), &references)))
    });
}

#[test]
fn floods_of_small_frames_cost_bounded_memory() {
    for reads in [Reads::Yes, Reads::No] {
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
fn waiting_calls_are_limited() {
    // Each waiting call holds its handler and metadata.
    costs("calls", 16 * MIB, Reads::Yes, 4 * MIB, |n| wire((0..100).map(|i| opens(id(n, i, 100), END_STREAM))));
}

#[test]
fn unread_answers_cost_bounded_memory() {
    let wanted = Note { number: 1 << 20, text: "x".repeat(1000), details: Vec::new() }.encode_to_vec();
    costs("a gigabyte unread", 4 * MIB, Reads::No, 4 * MIB, |n| match n {
        0 => wire([window_update(0, 0x7FFF_0000), request(1, FLOOD.path()), data(1, message(&wanted)).end_stream()]),
        // More than the pipe's buffer of frames that the server must read, so that this stops when the server stops reading.
        _ => wire(vec![raw(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]); 1000]),
    });
}

#[test]
fn untaken_messages_cost_bounded_memory() {
    // The stream window limits the buffered DATA; h2 uses some 100 bytes for each frame.
    let notes: Vec<u8> = (0..700).flat_map(|_| number(1)).collect();
    costs("a slow reader", 8 * MIB, Reads::Yes, 900 << 10, |n| match n {
        0 => wire([request(1, READ.path())]),
        _ => wire(chunks(1, &notes)),
    });
    costs("no reader", 4 * MIB, Reads::Yes, 32 * MIB, |n| match n {
        0 => wire([request(1, DEAF.path()), data(1, text("hello"))]),
        _ => wire(chunks(1, &notes)),
    });
}

#[test]
fn prefixes_of_missing_messages_cost_bounded_memory() {
    costs("4 MiB promised", 12 * MIB, Reads::Yes, 4 * MIB, |n| {
        wire((0..10).flat_map(|i| [request(id(n, i, 10), CHAT.path()), data(id(n, i, 10), prefix(0, 4 << 20))]))
    });
}

#[test]
fn thousand_clients_that_disconnect_mid_call_leak_nothing() {
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
                    crate::common::quiet().await;
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
async fn malformed_messages_get_their_errors_one_by_one() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    // Thousands of messages in one frame, and a frame for each byte.
    let many: Vec<u8> = (0..2000).flat_map(|_| number(1)).collect();
    client.send(request(1, crate::common::service::COLLECT.path())).await;
    client.send(chunks(1, &many)).await;
    client.send(half_close(1)).await;
    assert_eq!(client.answer(1).await.status().0, "0");
    let bytes: Vec<Frame> = text("hello").iter().map(|byte| data(3, [*byte])).collect();
    client.send([vec![request(3, ECHO.path())], bytes, vec![half_close(3)]].concat()).await;
    assert_eq!(client.answer(3).await.status().0, "0");
    // A wrong content-length makes a request malformed (RFC 9113 section 8.1.1).
    for (stream, length) in [(5, "3"), (7, "300")] {
        let frames =
            [request(stream, ECHO.path()).field("content-length", length), data(stream, text("hello")).end_stream()];
        client.send(frames).await;
        assert_eq!(client.answer(stream).await.reset(), Some(Http2Error::PROTOCOL_ERROR), "{length}");
    }
    // Groups nested a thousand deep can't be decoded.
    let deep = [vec![0x1b; 1000], vec![0x1c; 1000]].concat();
    client.send([request(9, ECHO.path()), data(9, message(&deep)).end_stream()]).await;
    assert_eq!(client.answer(9).await.status().0, (Code::Internal as i32).to_string());
}
