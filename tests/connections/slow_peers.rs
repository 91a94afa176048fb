//! Tests that a peer that stalls where HTTP/2 requires it to continue is disconnected after 20 s, and one that is only slow is
//! not.
//!
//! RFC 9113 sections 3.4 (preface), 4.3 (header blocks), 6.5.3 (SETTINGS acknowledgement), 6.7 (PING); gRFCs A8 and A9.

use std::time::Duration;

use barewire::{CallOptions, Code};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_with};
use crate::common::service::{CHAT, COUNT, Event, READ, WAIT, note};
use crate::common::{quiet, soon};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns the bytes that a client sends before it stalls, and the debug data of the GOAWAY that it gets.
fn stalls() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const LATE: &str = "no HTTP/2 preface and SETTINGS arrived in time";
    const HALF: &str = "a frame or header block was not completed in time";
    let greeting = [PREFACE, &wire(&[settings([])])].concat();
    let ready = [PREFACE, &wire(&[settings([]), settings_ack()])].concat();
    let then = |before: &[u8], bytes: &[u8]| [before, bytes].concat();
    let data = wire(&[request(1, READ.path()), data(1, text("hello"))]);
    let block = wire(&[raw(HEADERS, 0, 1, &[0x83]), raw(CONTINUATION, 0, 1, &[0x86])]);
    vec![
        ("nothing", vec![], LATE),
        ("half a preface", PREFACE[..10].to_vec(), LATE),
        ("a preface", PREFACE.to_vec(), LATE),
        ("half of SETTINGS", then(PREFACE, &wire(&[settings([(4, 1)])])[..12]), LATE),
        ("no acknowledgement", greeting.clone(), "SETTINGS were not acknowledged in time"),
        ("half a frame header", then(&ready, &data[..4]), HALF),
        ("half of DATA", then(&ready, &data[..data.len() - 2]), HALF),
        ("half a header block", then(&ready, &block), HALF),
    ]
}

#[tokio::test(start_paused = true)]
async fn stalled_client_gets_goaway_with_the_reason() {
    for (name, said, words) in stalls() {
        let server = TestServer::start();
        let begun = Instant::now();
        let mut client = RawPeer::silent(server.dial().0);
        client.write(&said).await;
        let mut told = String::new();
        while let Some(frame) = client.next_any().await {
            if let Frame::GoAway { debug, .. } = frame {
                told = String::from_utf8(debug.to_vec()).unwrap();
            }
        }
        let waited = begun.elapsed();
        assert!(waited >= 19 * SECOND && waited <= 20 * SECOND + SECOND / 2, "{name}: {waited:?}");
        assert_eq!(told, words, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn trickled_header_block_ends_the_connection() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    let begun = Instant::now();
    client.send(raw(HEADERS, 0, 1, &[0x83])).await;
    let trickle = async {
        loop {
            sleep(5 * SECOND).await;
            // One more field, `a: b`.
            client.send(raw(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b'])).await;
            if begun.elapsed() >= 15 * SECOND {
                return;
            }
        }
    };
    trickle.await;
    let goaway = loop {
        if let Frame::GoAway { error, .. } = client.next_any().await.expect("a goaway") {
            break error;
        }
    };
    assert_eq!(goaway, Http2Error::ENHANCE_YOUR_CALM);
    assert!(begun.elapsed() <= 21 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn peer_timeout_is_configurable() {
    let server = TestServer::with(|options| options.limits.peer_timeout = 3 * SECOND);
    let mut client = server.connect().await;
    let begun = Instant::now();
    client.write(&[0, 0]).await;
    client.expect_end().await;
    assert!(begun.elapsed() <= 4 * SECOND);
}

#[test]
fn five_hundred_stalled_clients_cost_kilobytes_each_and_do_not_delay_others() {
    let ready = [PREFACE, &wire(&[settings([]), settings_ack()])].concat();
    let silent = ("a missing PING acknowledgement", ready, "a PING was not acknowledged in time");
    for (name, said, _) in stalls().into_iter().chain([silent]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let memory = allocation_counter::measure(|| {
            runtime.block_on(async {
                // The healthy client answers keepalive PINGs; the stalled ones do not.
                let server = TestServer::with(|options| options.keepalive_time = 2 * SECOND);
                let healthy = server.client().await;
                let mut stalled = Vec::new();
                for _ in 0..500 {
                    let mut io = server.dial().0;
                    io.write_all(&said).await.unwrap();
                    stalled.push(io);
                }
                for _ in 0..25 {
                    let answer = timeout(SECOND, healthy.unary(crate::common::service::ECHO, note("hello"))).await;
                    answer.expect("at once").expect("an answer");
                    sleep(SECOND).await;
                }
                for io in &mut stalled {
                    let mut left = Vec::new();
                    let read = tokio::io::AsyncReadExt::read_to_end(io, &mut left);
                    timeout(SECOND, read).await.unwrap_or_else(|_| panic!("{name}: closed")).unwrap();
                }
            });
        });
        // h2 allocates 16 KiB and more for its buffers; the buffers of the pipe count too.
        let each = memory.bytes_max / 500;
        assert!(each < 64 * 1024, "{name}: {each} bytes a connection");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_but_legal_client_is_served_for_hours() {
    let mut server = TestServer::start();
    let mut client = server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await;
    // No window for the answer; half a message; a chat without a message.
    client.send([request(1, COUNT.path()), data(1, number(3)).end_stream()]).await;
    let half = text("half");
    client.send([request(3, READ.path()), data(3, &half[..7])]).await;
    client.send(request(5, CHAT.path())).await;
    server.probe.expect(Event::Began).await;
    sleep(HOUR).await;
    client
        .send([data(3, &half[7..]).end_stream(), half_close(5), window_update(1, 1000), window_update(5, 1000)])
        .await;
    server.probe.go(2);
    assert_eq!(client.answer(1).await.status().0, "0");
    assert_eq!(client.answer(5).await.status().0, "0");
    client.send(window_update(3, 1000)).await;
    assert_eq!(client.answer(3).await.status().0, "0");
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_its_answer_is_disconnected() {
    let mut server = TestServer::start();
    let mut client = server.connect_with([(INITIAL_WINDOW_SIZE, i32::MAX as u32)]).await;
    client.send([window_update(0, i32::MAX as u32 - 65_535)]).await;
    let wanted = prost::Message::encode_to_vec(&crate::common::service::Note {
        number: 1 << 20,
        text: "x".repeat(1000),
        ..Default::default()
    });
    client.send([request(1, crate::common::service::FLOOD.path()), data(1, message(wanted)).end_stream()]).await;
    server.probe.expect(Event::Began).await;
    let begun = Instant::now();
    loop {
        match server.probe.next().await {
            Event::SendFailed(code) => assert_eq!(code, Code::Cancelled),
            Event::Dropped => break,
            _ => {}
        }
    }
    assert!(begun.elapsed() <= 21 * SECOND, "{:?}", begun.elapsed());
}

/// Returns the payload of the next PING without ACK.
async fn asked_by_ping(client: &mut RawPeer) -> [u8; 8] {
    loop {
        let frame = timeout(3 * HOUR, client.next_any()).await.expect("a PING").expect("a connection");
        if let Frame::Ping { ack: false, payload } = frame {
            return payload;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn idle_client_gets_a_ping_after_two_hours_and_has_twenty_seconds_to_answer() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    let begun = Instant::now();
    for asked in 1..=2u32 {
        sleep(2 * HOUR - 5 * SECOND).await;
        let payload = asked_by_ping(&mut client).await;
        assert!(begun.elapsed() >= 2 * HOUR * asked && begun.elapsed() < 2 * HOUR * asked + SECOND);
        client.send(Frame::Ping { ack: true, payload }).await;
    }
    sleep(2 * HOUR - 5 * SECOND).await;
    asked_by_ping(&mut client).await;
    let asked = Instant::now();
    assert_eq!(client.expect_end().await, [Http2Error::NO_ERROR]);
    assert!(asked.elapsed() >= 19 * SECOND && asked.elapsed() <= 21 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn received_frames_delay_the_keepalive_ping() {
    let server = TestServer::with(|options| options.keepalive_time = 60 * SECOND);
    let mut client = server.connect().await;
    for _ in 0..5 {
        sleep(50 * SECOND).await;
        client.send(window_update(0, 1)).await;
    }
    let spoke = Instant::now();
    asked_by_ping(&mut client).await;
    assert!(spoke.elapsed() >= 60 * SECOND && spoke.elapsed() < 61 * SECOND, "{:?}", spoke.elapsed());
}

#[tokio::test(start_paused = true)]
async fn too_many_pings_end_the_connection() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.ping().await;
        sleep(SECOND).await;
    }
    client.send(ping(*b"8 octets")).await;
    let goaway = loop {
        if let Frame::GoAway { error, debug, .. } = client.next_any().await.expect("a goaway") {
            break (error, debug);
        }
    };
    assert_eq!(goaway, (Http2Error::ENHANCE_YOUR_CALM, "too_many_pings".into()));
}

#[tokio::test(start_paused = true)]
async fn pings_at_the_allowed_interval_and_between_messages_are_allowed() {
    let server = TestServer::start();
    let mut client = server.connect().await;
    for stream in 0..6 {
        // Each answer clears the strikes.
        client.send([request(2 * stream + 1, COUNT.path()), data(2 * stream + 1, number(1)).end_stream()]).await;
        client.answer(2 * stream + 1).await;
        client.ping().await;
        client.ping().await;
    }
    let mut waiting = server.connect().await;
    waiting.send(request(1, CHAT.path())).await;
    for _ in 0..6 {
        waiting.ping().await;
        sleep(300 * SECOND).await;
    }
    let lenient = TestServer::with(|options| options.min_ping_interval = Duration::ZERO);
    let mut client = lenient.connect().await;
    for _ in 0..100 {
        client.ping().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stalled_server_fails_its_calls_with_the_reason() {
    let half = wire(&[response(1)]);
    let cases: [(&str, Vec<u8>); 3] = [
        ("a frame or header block was not completed in time", half[..half.len() - 3].to_vec()),
        ("a frame or header block was not completed in time", wire(&[raw(HEADERS, 0, 1, &[0x88])])),
        ("a frame or header block was not completed in time", vec![0, 0, 100, 0]),
    ];
    for (words, said) in cases {
        let (client, mut server) = client_with(|_| {}, []).await;
        let begun = Instant::now();
        let call = tokio::spawn(async move { client.unary(WAIT, note("hello")).await });
        server.expect_request(1).await;
        server.write(&said).await;
        let status = soon("the end", call).await.unwrap().unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, &*format!("the connection was lost: {words}"))
        );
        assert!(begun.elapsed() >= 19 * SECOND && begun.elapsed() <= 21 * SECOND);
    }
}

/// The server opens every window and does not read from its socket.
#[test]
fn server_that_does_not_read_is_disconnected() {
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(64 << 10);
            let connecting = tokio::spawn(barewire::Client::connect(crate::common::pipe::PipeConnector::new(near)));
            let mut server = RawPeer::silent(far);
            let most = i32::MAX as u32;
            let wide = [settings([(INITIAL_WINDOW_SIZE, most)]), settings_ack(), window_update(0, most - 65_535)];
            server.write(&wire(wide)).await;
            let client = connecting.await.unwrap().unwrap();
            let begun = Instant::now();
            let calls = (0..100).map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    let (mut out, _notes) = client.bidi_streaming(CHAT).await?;
                    loop {
                        out.send(note("x".repeat(1000))).await?;
                    }
                    #[allow(unreachable_code)]
                    Ok::<(), barewire::Status>(())
                })
            });
            for call in calls.collect::<Vec<_>>() {
                let status = soon("the end", call).await.unwrap().unwrap_err();
                assert_eq!(
                    (status.code(), status.message()),
                    (Code::Unavailable, "the connection was lost: the peer did not read from its socket in time")
                );
            }
            assert!(begun.elapsed() >= 19 * SECOND && begun.elapsed() <= 21 * SECOND, "{:?}", begun.elapsed());
        });
    });
    // Two batches for each call, and the data that h2 may hold.
    assert!(memory.bytes_max < 10 << 20, "{} bytes", memory.bytes_max);
}

#[tokio::test(start_paused = true)]
async fn server_that_does_not_acknowledge_settings_is_disconnected() {
    let (near, far) = crate::common::pipe::pipe();
    let connecting = barewire::Client::connect(crate::common::pipe::PipeConnector::new(near));
    let mut server = RawPeer::silent(far);
    server.write(&wire(&[settings([])])).await;
    let client = soon("the connection", connecting).await.unwrap();
    let status = soon("the end", client.unary(WAIT, note("hello"))).await.unwrap_err();
    assert_eq!(status.message(), "the connection was lost: SETTINGS were not acknowledged in time");
}

#[tokio::test(start_paused = true)]
async fn silent_server_gets_pings_during_calls_and_is_disconnected_without_an_ack() {
    let (client, mut server) = client_with(|options| options.keepalive_time = Some(30 * SECOND), []).await;
    // Without calls the client sends no PING.
    sleep(HOUR).await;
    quiet().await;
    let begun = Instant::now();
    let other = client.clone();
    let call = tokio::spawn(async move { other.unary(WAIT, note("hello")).await });
    server.expect_request(1).await;
    let mut pings = 0;
    let status = loop {
        match timeout(SECOND, server.next_any()).await {
            Ok(Some(Frame::Ping { ack: false, payload })) => {
                pings += 1;
                if pings < 3 {
                    server.send(Frame::Ping { ack: true, payload }).await;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break soon("the end", call).await.unwrap().unwrap_err(),
            Err(_) => {}
        }
        assert!(begun.elapsed() < HOUR);
    };
    assert_eq!(pings, 3);
    assert_eq!(status.message(), "the connection was lost: a PING was not acknowledged in time");
    assert!(begun.elapsed() >= 79 * SECOND && begun.elapsed() < 112 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn call_to_a_silent_server_ends_at_its_deadline() {
    let (client, mut server) = client_with(|_| {}, []).await;
    let client = client.with(CallOptions::new().timeout(HOUR));
    let call = tokio::spawn(async move { client.unary(WAIT, note("hello")).await });
    server.expect_request(1).await;
    let status = tokio::time::timeout(2 * HOUR, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
