//! The end of the server programs, and their limits: signals, the line about calls, the lame duck, connections and calls beyond
//! a limit, and flags that do not parse.

use std::path::Path;
use std::time::{Duration, Instant};

use barewire::error_details::RetryInfo;
use barewire::services::health::messages::ServingStatus;
use barewire::services::route_guide::messages::{Point, RouteNote};
use barewire::services::route_guide::{GET_FEATURE, RECORD_ROUTE, ROUTE_CHAT};
use barewire::{Client, Code, Inbound, Outbound};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::operator::{INTEROP, ROUTE_GUIDE, Running, check, client, soon, watch};

/// Returns the exit status, and the rest of stderr.
async fn ended(mut server: Running) -> (Option<i32>, String) {
    let mut rest = String::new();
    soon("the last line", server.stderr.read_to_string(&mut rest)).await.expect("text");
    (soon("the end", server.child.wait()).await.expect("it ended").code(), rest)
}

async fn terminate(server: &Running) {
    let id = server.child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
}

async fn look_up(client: &Client) -> Result<(), Code> {
    let call = client.unary(GET_FEATURE, Point { latitude: 409_146_138, longitude: -746_188_906 });
    soon("an answer", call).await.map(drop).map_err(|status| status.code())
}

/// Begins a chat, and returns it once its handler runs.
async fn chat(client: &Client) -> (Outbound<RouteNote>, Inbound<RouteNote>) {
    let (mut notes, mut answers) = client.bidi_streaming(ROUTE_CHAT).await.expect("it begins");
    notes.send(RouteNote::default()).await.expect("it is sent");
    soon("an answer", answers.recv()).await.expect("the call goes on");
    (notes, answers)
}

#[tokio::test]
async fn last_line_counts_the_calls_that_finished_and_names_those_that_were_cut() {
    let server = Running::start(ROUTE_GUIDE, &["-shutdown_timeout", "5s"]).await;
    let client = client(&server.address).await;
    let (first, mut statuses) = watch(&client).await;
    assert_eq!(first, ServingStatus::Serving);
    let mut calls = Vec::new();
    for _ in 0..13 {
        let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await.expect("it begins");
        points.send(Point::default()).await.expect("it is sent");
        points.flush().await.expect("it leaves");
        calls.push((points, summary));
    }
    // A call that is cancelled after the signal is neither finished nor cut. Once it is answered, the others have arrived.
    let cancelled = chat(&client).await;
    look_up(&client).await.expect("this call ends before the signal, and is not counted");
    terminate(&server).await;
    let last = soon("a status", statuses.recv()).await.expect("the call goes on").expect("a status");
    assert_eq!(last.status(), ServingStatus::NotServing);
    drop(cancelled);
    let (_open, cut) = calls.pop().expect("the last call");
    for (points, summary) in calls {
        drop(points);
        assert_eq!(soon("the answer", summary).await.expect("no call is lost").point_count, 1);
    }
    let status = soon("the end of the call", cut).await.expect_err("it is cut");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the server is shutting down"));
    let line = "12 calls finished, 1 cut: /routeguide.RouteGuide/RecordRoute 1\n";
    assert_eq!(ended(server).await, (Some(0), line.to_owned()));
}

#[tokio::test]
async fn last_line_without_calls_has_zeros() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let server = Running::start(program, &[]).await;
        terminate(&server).await;
        assert_eq!(ended(server).await, (Some(0), "0 calls finished, 0 cut\n".to_owned()));
    }
}

#[tokio::test]
async fn lame_duck_still_accepts_and_a_second_signal_ends_at_once() {
    let flags = ["-lame_duck", "1h", "-shutdown_timeout", "1h", "-admin_addr", "127.0.0.1:0"];
    let mut server = Running::start(ROUTE_GUIDE, &flags).await;
    let admin = client(&server.announced("admin listening on ").await).await;
    let early = client(&server.address).await;
    let (_, mut statuses) = watch(&admin).await;
    let (_notes, mut answers) = chat(&early).await;
    terminate(&server).await;
    let last = soon("a status", statuses.recv()).await.expect("the call goes on").expect("a status");
    assert_eq!(last.status(), ServingStatus::NotServing);
    let late = client(&server.address).await;
    look_up(&late).await.expect("the listener still accepts");
    look_up(&early).await.expect("no GOAWAY yet");
    assert_eq!(check(&late, "").await, Ok(ServingStatus::NotServing));
    terminate(&server).await;
    let line = "2 calls finished, 1 cut: /routeguide.RouteGuide/RouteChat 1\n";
    assert_eq!(ended(server).await, (Some(0), line.to_owned()));
    let status = soon("the end of the call", answers.recv()).await.expect_err("it is cut");
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn second_signal_ends_a_shutdown_that_waits_for_calls() {
    let server = Running::start(ROUTE_GUIDE, &["-shutdown_timeout=1h"]).await;
    let client = client(&server.address).await;
    let _chat = chat(&client).await;
    terminate(&server).await;
    soon("the end of accepting", async {
        while TcpStream::connect(&server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    terminate(&server).await;
    let line = "0 calls finished, 1 cut: /routeguide.RouteGuide/RouteChat 1\n";
    assert_eq!(ended(server).await, (Some(0), line.to_owned()));
}

#[tokio::test]
async fn lame_duck_ends_by_itself() {
    let server = Running::start(INTEROP, &["-lame_duck", "300ms"]).await;
    let began = Instant::now();
    terminate(&server).await;
    assert_eq!(ended(server).await.0, Some(0));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

/// Returns true if the server closes this connection without sending anything but HTTP/2's greeting.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = soon("the end of the connection", stream.read_to_end(&mut Vec::new())).await;
    // Bytes that the server did not read make the end a reset.
    read.is_ok_and(|bytes| bytes < 100)
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let server = Running::start(ROUTE_GUIDE, &["-max_connections", "2", "-handshake_timeout", "1h"]).await;
    let client = client(&server.address).await;
    let silent = TcpStream::connect(&server.address).await.expect("it listens");
    assert!(is_closed(&mut TcpStream::connect(&server.address).await.expect("it listens")).await);
    look_up(&client).await.expect("the open connection is served");
    drop((silent, server));
}

#[tokio::test]
async fn handshake_takes_at_most_its_timeout() {
    let server = Running::start(INTEROP, &["-handshake_timeout", "100ms"]).await;
    assert!(is_closed(&mut TcpStream::connect(&server.address).await.expect("it listens")).await);
    drop(server);
}

#[tokio::test]
async fn settings_have_the_number_of_streams() {
    for (flags, streams) in
        [(&[][..], 1000_u32), (&["-max_concurrent_streams", "7"], 7), (&["-max_concurrent_streams=0"], u32::MAX)]
    {
        let server = Running::start(ROUTE_GUIDE, flags).await;
        let mut stream = TcpStream::connect(&server.address).await.expect("it listens");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is sent");
        let mut head = [0; 9];
        soon("SETTINGS", stream.read_exact(&mut head)).await.expect("a frame");
        assert_eq!((head[0], head[1], head[3]), (0, 0, 4), "the first frame is SETTINGS");
        let mut settings = vec![0; head[2].into()];
        soon("SETTINGS", stream.read_exact(&mut settings)).await.expect("its payload");
        let setting = [&[0, 3][..], &streams.to_be_bytes()].concat();
        assert!(settings.chunks(6).any(|each| each == setting), "{streams}: {settings:?}");
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_and_health_checks_are_not() {
    let server = Running::start(ROUTE_GUIDE, &["-max_concurrent_calls", "1"]).await;
    let (one, two) = (client(&server.address).await, client(&server.address).await);
    let (notes, mut answers) = chat(&one).await;
    let status = soon("an answer", two.unary(GET_FEATURE, Point::default())).await.expect_err("one is the limit");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.error_details().expect("google.rpc.Status");
    let retry: RetryInfo = details.get().expect("it decodes").expect("it is there");
    assert_eq!(retry.delay(), Some(Duration::from_secs(1)));
    assert_eq!(check(&two, "").await, Ok(ServingStatus::Serving));
    let (first, _watch) = watch(&two).await;
    assert_eq!(first, ServingStatus::Serving);
    notes.finish().await.expect("it ends");
    assert_eq!(soon("the end of the call", answers.recv()).await.expect("OK"), None);
    soon("a free place", async { while look_up(&two).await == Err(Code::ResourceExhausted) {} }).await;
    look_up(&two).await.expect("the watcher takes no place");
}

#[tokio::test]
async fn values_that_do_not_parse_are_one_line_and_exit_status_2() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).expect("a name");
        for (flag, value) in [
            ("-max_connections", "0x"),
            ("-max_connections", "-1"),
            ("-max_concurrent_streams", "4294967296"),
            ("-max_concurrent_calls", ""),
            ("-handshake_timeout", "0s"),
            ("-lame_duck", "5"),
            ("-lame_duck", "-5s"),
            ("-shutdown_timeout", "10 s"),
        ] {
            for arguments in [vec![format!("{flag}={value}")], vec![flag.to_owned(), value.to_owned()]] {
                let mut command = Command::new(program);
                command.args(["-port", "0"]).args(&arguments).kill_on_drop(true);
                let output = soon("the end", command.output()).await.expect("it runs");
                let stderr = String::from_utf8(output.stderr).expect("text");
                assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
                assert!(stderr.starts_with(&format!("{name}: ")) && stderr.contains(value), "{arguments:?}: {stderr}");
                assert!(stderr.contains(&format!("'{flag} ")), "{arguments:?}: {stderr}");
            }
        }
    }
}
