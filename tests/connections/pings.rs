//! Tests which PINGs of a client a server allows, and that `too_many_pings` is explained on both sides (gRFC A8).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use barewire::{Code, ServerOptions};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::{TestServer, client_with};
use crate::common::service::{CHAT, WAIT, note};
use crate::common::{quiet, soon};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A server whose reports of too many PINGs are collected.
fn reporting(change: impl FnOnce(&mut ServerOptions)) -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = reports.clone();
    let mut options = ServerOptions::default();
    change(&mut options);
    let server = TestServer::built(|server| {
        server.with_options(options).on_too_many_pings(move |connection, pings| {
            sink.lock().unwrap().push(format!("{}: {pings}", connection.peer().address));
        })
    });
    (server, reports)
}

/// Sends PINGs at this interval until one of them ends the connection, at most ten. Returns their number.
async fn pings(peer: &mut RawPeer, interval: Duration) -> usize {
    for count in 1..=10 {
        let next = Instant::now() + interval;
        peer.send(ping(*b"8 octets")).await;
        while let Ok(frame) = timeout(Duration::from_nanos(1), peer.next_any()).await {
            match frame.expect("GOAWAY comes first") {
                Frame::Ping { ack: false, payload } => peer.send(Frame::Ping { ack: true, payload }).await,
                Frame::GoAway { error, debug, .. } => {
                    assert_eq!((error, &debug[..]), (Http2Error::ENHANCE_YOUR_CALM, &b"too_many_pings"[..]));
                    return count;
                }
                _ => {}
            }
        }
        sleep_until(next).await;
    }
    10
}

#[tokio::test(start_paused = true)]
async fn ping_may_be_early_by_the_slack() {
    // The second PING and every second one after it are too soon, until the fourth PING too soon would be the tenth.
    let minute = 60 * SECOND;
    for (allowed, slack) in [(5 * minute, SECOND), (10 * SECOND, SECOND), (SECOND, SECOND / 10)] {
        for (interval, expected) in [
            (allowed, 10),
            (allowed - slack / 2, 10),
            (allowed - slack, 10),
            (allowed - slack - MILLI, 6),
            (allowed / 3, 5),
            (MILLI, 4),
        ] {
            for has_calls in [true, false] {
                let (server, reports) = reporting(|options| {
                    options.min_ping_interval = allowed;
                    options.keepalive_permit_without_stream = !has_calls;
                });
                let mut peer = server.connect().await;
                if has_calls {
                    peer.send(request(1, CHAT.path())).await;
                }
                let count = pings(&mut peer, interval).await;
                assert_eq!(count, expected, "every {interval:?}, allowed {allowed:?}, calls: {has_calls}");
                assert_eq!(reports.lock().unwrap().len(), usize::from(expected < 10));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pings_without_calls_are_allowed_every_two_hours_unless_an_option_allows_more() {
    let server = TestServer::start();
    let mut peer = server.connect().await;
    assert_eq!(pings(&mut peer, 2 * HOUR - SECOND).await, 10);
    let mut peer = server.connect().await;
    assert_eq!(pings(&mut peer, 2 * HOUR - 2 * SECOND).await, 6);
    let mut peer = server.connect().await;
    assert_eq!(pings(&mut peer, 300 * SECOND).await, 4);
    let server = TestServer::with(|options| options.keepalive_permit_without_stream = true);
    let mut peer = server.connect().await;
    assert_eq!(pings(&mut peer, 300 * SECOND).await, 10);
    let mut peer = server.connect().await;
    assert_eq!(pings(&mut peer, 30 * SECOND).await, 4);
}

#[tokio::test(start_paused = true)]
async fn server_reports_what_was_sent_what_is_allowed_and_the_option() {
    let (server, reports) = reporting(|options| options.min_ping_interval = 60 * SECOND);
    let mut idle = server.connect().await;
    pings(&mut idle, 10 * SECOND).await;
    let mut busy = server.connect().await;
    busy.send(request(1, CHAT.path())).await;
    pings(&mut busy, 10 * SECOND).await;
    let expected = [
        "memory: too_many_pings: the client sent 4 PINGs within 30.0s without calls, and may send one every 7200s: raise \
         the client's keepalive time, or set the server's keepalive_permit_without_stream",
        "memory: too_many_pings: the client sent 4 PINGs within 30.0s with calls in progress, and may send one every 60s: \
         raise the client's keepalive time, or lower the server's min_ping_interval",
    ];
    assert_eq!(*reports.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn client_explains_too_many_pings() {
    let cases = [
        (None, false, "this client sends none (ClientOptions::keepalive_time is None), so a proxy may have sent them"),
        (
            Some(30 * SECOND),
            false,
            "this client sends a PING after 30s without a byte from the server (ClientOptions::keepalive_time), only during \
             calls",
        ),
        (
            Some(SECOND),
            true,
            "this client sends a PING after 10s without a byte from the server (ClientOptions::keepalive_time), also without \
             calls (keepalive_without_calls)",
        ),
    ];
    for (time, without_calls, sent) in cases {
        let change = |options: &mut barewire::ClientOptions| {
            (options.keepalive_time, options.keepalive_without_calls) = (time, without_calls);
        };
        let (client, mut server) = client_with(change, []).await;
        let other = client.clone();
        let call = tokio::spawn(async move { other.unary(WAIT, note("hi")).await });
        server.expect_request(1).await;
        let debug = "too_many_pings".into();
        server.send(Frame::GoAway { last: 0, error: Http2Error::ENHANCE_YOUR_CALM, debug }).await;
        let words = format!(
            "the connection ended with GOAWAY ENHANCE_YOUR_CALM, too_many_pings: {sent}; servers allow one every 5 minutes by \
             default, and one every 2 hours without calls: raise keepalive_time, or lower the server's limit"
        );
        let status = soon("the end", call).await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, &*words));
        // So does a call that begins later.
        quiet().await;
        let status = soon("the end", client.unary(WAIT, note("hi"))).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, &*words));
    }
}

#[tokio::test(start_paused = true)]
async fn our_client_at_the_allowed_interval_is_not_punished() {
    let server = TestServer::with(|options| options.min_ping_interval = 10 * SECOND);
    let mut options = barewire::ClientOptions::default();
    options.keepalive_time = Some(10 * SECOND);
    let connector = crate::common::pipe::PipeConnector::new(server.dial().0);
    let client = soon("the connection", barewire::Client::connect_with(connector, options)).await.unwrap();
    let (mut out, mut notes) = client.bidi_streaming(CHAT).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < HOUR {
        sleep(100 * SECOND).await;
    }
    out.send(note("still here")).await.unwrap();
    assert_eq!(soon("a note", notes.recv()).await.unwrap(), Some(note("still here")));
}

#[tokio::test(start_paused = true)]
async fn server_pings_a_connection_with_and_without_calls() {
    let server = TestServer::with(|options| options.keepalive_time = 60 * SECOND);
    for has_calls in [false, true] {
        let mut peer = server.connect().await;
        if has_calls {
            peer.send(request(1, CHAT.path())).await;
        }
        for _ in 0..3 {
            let asked = loop {
                match soon("a PING", peer.next_any()).await {
                    Some(Frame::Ping { ack: false, payload }) => break payload,
                    Some(_) => {}
                    None => panic!("the connection ended"),
                }
            };
            peer.send(Frame::Ping { ack: true, payload: asked }).await;
        }
    }
}
