//! `barewire replay`: sends a captured call again to a real server, unchanged and changed, and frames that are wrong on
//! purpose.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use barewire::Server;
use barewire::inspector::write::{DEFAULT_MAX_FRAME_SIZE, RawFrame, header_block, message};
use barewire::services::route_guide::{Features, Guide, router};
use barewire::transport::tcp;
use barewire::wire::http2::PREFACE;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const BAREWIRE: &str = env!("CARGO_BIN_EXE_barewire");

/// Time limit for a program that should end at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A point with a feature: fields 1 and 2, the second one negative.
const POINT: [u8; 17] = [8, 0x9a, 0xa6, 0x8c, 0xc3, 1, 16, 0x96, 0x9f, 0x98, 0x9c, 0xfd, 0xff, 0xff, 0xff, 0xff, 1];

/// Starts the route guide on a free port.
async fn serve() -> String {
    let listener = tcp::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new(router(Guide::new(Features::published()))).serve(listener));
    address
}

async fn barewire(flags: &[&str]) -> Output {
    let mut command = Command::new(BAREWIRE);
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap()
}

/// Runs the program, which must succeed; returns its output.
async fn prints(flags: &[&str]) -> String {
    let output = barewire(flags).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail with this exit status; returns its error line.
async fn complains(flags: &[&str], exit_status: i32) -> String {
    let output = barewire(flags).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_status), "{flags:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl File {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> File {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{}-{}-replay-{name}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        std::fs::write(&path, bytes).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// Writes the bytes of a client that called GetFeature on stream 1, and RecordRoute with two points on stream 3.
fn captured() -> File {
    let mut wire = PREFACE.to_vec();
    RawFrame::settings(&[]).write(&mut wire);
    for (stream, method) in [(1, "GetFeature"), (3, "RecordRoute")] {
        let path = format!("/routeguide.RouteGuide/{method}");
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", &path),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "10S"),
        ];
        let frames = RawFrame::headers(stream, &header_block(fields), false, DEFAULT_MAX_FRAME_SIZE);
        frames.iter().for_each(|frame| frame.write(&mut wire));
        let point = message(0, &POINT);
        let points = if stream == 1 { point.clone() } else { [&point[..], &point[..]].concat() };
        RawFrame::data(stream, points, true).write(&mut wire);
    }
    File::new("client", wire)
}

#[tokio::test]
async fn captured_call_is_sent_unchanged() {
    let (address, capture) = (serve().await, captured());
    for flags in [&[][..], &["--call", "1"], &["--stream", "1"], &["--timing", "as-was"]] {
        let shown = prints(&[&["replay", capture.path(), "--to", &address], flags].concat()).await;
        for expected in
            ["Request-Headers", "Berkshire Valley Management Area Trail", "grpc-status: 0", "no answer to compare"]
        {
            assert!(shown.contains(expected), "{expected} is missing in:\n{shown}");
        }
    }
    let shown = prints(&["replay", capture.path(), "--to", &address, "--stream", "3"]).await;
    assert!(shown.contains("routeguide.RouteSummary") && shown.contains("point_count: 2"), "{shown}");
}

#[tokio::test]
async fn captured_call_is_sent_with_an_edited_message_or_header() {
    let (address, capture) = (serve().await, captured());
    let nowhere = File::new("message", [8, 1]);
    let file = format!("1=@{}", nowhere.path());
    for (flags, expected) in [
        (
            &["--message", "1=latitude=407838351", "--message", "1=longitude=-746143763"][..],
            "Patriots Path, Mendham, NJ",
        ),
        (&["--message", "1=0801 1002"], "latitude: 1, longitude: 2"),
        (&["--message", &file], "routeguide.Point, 2 bytes: latitude: 1"),
        (&["--message", "1=ff"], "grpc-status: 13"),
        (&["--set-header", ":path=/routeguide.RouteGuide/Missing"], "grpc-status: 12"),
        (&["--set-header", "content-type=text/plain"], ":status: 415"),
        (&["--drop-header", "te", "--set-header", "note=with = signs"], "note: with = signs"),
        (&["--set-header", "grpc-timeout=0n"], "grpc-status: 4"),
        (&["--call", "2", "--message", "2=00"], "grpc-status: 13"),
    ] {
        let shown = prints(&[&["replay", capture.path(), "--to", &address], flags].concat()).await;
        assert!(shown.contains(expected), "{expected} is missing in:\n{shown}");
    }
}

/// Replays a capture of our client and our server over a real connection, as `BAREWIRE_WIRE` writes it.
#[tokio::test]
async fn answer_is_compared_with_the_captured_one() {
    let address = serve().await;
    let capture = File::new("calls.pcapng", "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_route_guide_client"));
    command.args(["-addr", &address]).env("BAREWIRE_WIRE", format!("pcapng:{}", capture.path()));
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let replay = |flags: &'static [&'static str]| {
        let all = [&["replay", capture.path(), "--to", &address, "--show", "none"], flags].concat();
        async move { prints(&all).await }
    };
    // Two GetFeature and one ListFeatures; the response of RecordRoute contains the elapsed time, so it differs.
    for call in ["1", "2", "3"] {
        let flags = ["replay", capture.path(), "--to", &address, "--show", "none", "--call", call, "--expect-same"];
        assert!(prints(&flags).await.ends_with("the answer equals the captured one\n"), "{call}");
    }
    let differs =
        replay(&["--call", "1", "--message", "1=latitude=407838351", "--message", "1=longitude=-746143763"]).await;
    assert!(differs.contains("- message 1: routeguide.Feature, ") && differs.contains("Berkshire Valley"), "{differs}");
    assert!(differs.contains("+ message 1: routeguide.Feature, ") && differs.contains("Patriots Path"), "{differs}");
    let refused = replay(&["--call", "1", "--set-header", ":path=/routeguide.RouteGuide/Missing"]).await;
    assert!(
        refused.contains("- trailers: grpc-status: 0") && refused.contains("+ trailers: grpc-status: 12"),
        "{refused}"
    );
    let chat = replay(&["--call", "5"]).await;
    assert!(chat.starts_with("\n/routeguide.RouteGuide/RouteChat again"), "{chat}");
    let flags = ["replay", capture.path(), "--to", &address, "--show", "none", "--message", "1=0801", "--expect-same"];
    let output = barewire(&flags).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "barewire: the answer differs from the captured one\n");
}

/// Keys from a pipe lead through the tour; without any, it prints everything.
#[tokio::test]
async fn keys_from_a_pipe_control_the_tour() {
    let mut command = Command::new(BAREWIRE);
    command.arg("tour").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut tour = command.spawn().unwrap();
    let mut keys = tour.stdin.take().unwrap();
    keys.write_all(b"n3q").await.unwrap();
    let output = tokio::time::timeout(PATIENCE, tour.wait_with_output()).await.expect("q ends it").unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let titles: Vec<&str> = shown.lines().filter(|line| line.contains(".  Frame ")).collect();
    assert_eq!(titles.len(), 3, "{shown}");
    assert!(titles[2].starts_with("3 of 8: RecordRoute, client streaming.  Frame 1 of "), "{titles:?}");
    drop(keys);
    let (without, all) = (prints(&["tour"]).await, prints(&["tour", "--no-pause"]).await);
    assert_eq!(without, all);
    assert!(all.contains("4 of 8: RouteChat, bidirectional streaming."));
    assert!(all.contains("7 of 8: ListFeatures, a wait for two windows."), "{all}");
    assert!(all.contains("waited 340 ms for the client's WINDOW_UPDATE of both windows"), "{all}");
}

#[tokio::test]
async fn messages_larger_than_the_window_are_sent() {
    let (address, capture) = (serve().await, captured());
    // A string in a field that Point does not have, larger than every window and frame.
    let large = [&[0x1a, 0x80, 0x89, 0x7a][..], &[b'x'; 2_000_000]].concat();
    let large = File::new("large", large);
    let flag = format!("1=@{}", large.path());
    let shown = prints(&["replay", capture.path(), "--to", &address, "--message", &flag]).await;
    assert!(shown.contains("grpc-status: 0"), "{}", &shown[shown.len() - 1000..]);
    assert!(shown.matches("16384 bytes").count() > 100, "it comes in frames that the server takes");
}

#[tokio::test]
async fn invalid_frames_can_be_sent() {
    let address = serve().await;
    for (script, expected) in [
        ("preface\nsettings\nframe PING 0 0102 # six octets are missing", "GOAWAY"),
        ("preface\nsettings\nframe DATA 1 length=16777215 00", "GOAWAY"),
        ("hex 474554202f20485454502f312e310d0a0d0a474554202f20", "not HTTP/2"),
        (
            "preface\nsettings\nwait 20\nheaders 1 END_STREAM :method=POST :scheme=http :path=/a.B/C :authority=x \
             te=trailers content-type=application/grpc\nwait 50\nframe GOAWAY 0 00000000 00000000",
            "unknown service a.B",
        ),
    ] {
        let script = File::new("script", script);
        let shown = prints(&["replay", "--raw", script.path(), "--to", &address, "--patience", "1"]).await;
        assert!(shown.contains(expected), "{expected} is missing in:\n{shown}");
        assert!(shown.contains("connects to"), "{shown}");
    }
}

#[tokio::test]
async fn invalid_arguments_are_errors() {
    let (address, capture) = (serve().await, captured());
    let (path, nothing) = (capture.path(), File::new("nothing", "hello"));
    let broken = File::new("script", "preface\nfoo");
    let empty = File::new("preface", PREFACE);
    for (flags, expected) in [
        (&[path, "--call", "3"][..], "no such call: the capture has 2, and --call counts from 1"),
        (&[path, "--stream", "5"], "no such call"),
        (&[path, "--message", "2=00"], "--message 2=00: the client sent no such message"),
        (&[path, "--message", "x"], "must be N=HEX, N=@FILE or N=FIELD=VALUE"),
        (&[path, "--message", "1=0"], "odd number of hex digits"),
        (&[path, "--message", "1=foo=1"], "routeguide.Point has no field \"foo\""),
        (&[path, "--message", "1=@/no/such"], "/no/such: "),
        (&[path, "--set-header", "x"], "must be NAME=VALUE"),
        (&[path, "--drop-header", "x"], "the call has no such header"),
        (&[nothing.path()], "not a capture"),
        (&[empty.path()], "found no gRPC call"),
        (&["--raw", broken.path()], "line 2: unknown command \"foo\": use preface"),
        (&[], "CAPTURE"),
    ] {
        let line = complains(&[&["replay", "--to", &address], flags].concat(), 2).await;
        assert!(line.contains(expected), "{expected} is missing in: {line}");
    }
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = taken.local_addr().unwrap().to_string();
    drop(taken);
    let line = complains(&["replay", path, "--to", &free], 2).await;
    assert!(line.contains("can't connect: ") && line.contains(&free), "{line}");
}

/// The ways in which a server can misuse a replay.
#[derive(Clone, Copy)]
enum Hostile {
    /// Sends DATA without end.
    Endless,
    /// Sends a PING now and then, without end.
    Slow,
    /// Reads nothing, after it has opened its windows.
    Deaf,
}

async fn hostile(kind: Hostile) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut wire = Vec::new();
                RawFrame::settings(&[(4, u32::MAX >> 1)]).write(&mut wire);
                RawFrame::window_update(0, 1 << 30).write(&mut wire);
                let repeated = match kind {
                    Hostile::Endless => {
                        let answer = header_block([(":status", "200"), ("content-type", "application/grpc")]);
                        let frames = RawFrame::headers(1, &answer, false, DEFAULT_MAX_FRAME_SIZE);
                        frames.iter().for_each(|frame| frame.write(&mut wire));
                        let mut data = Vec::new();
                        RawFrame::data(1, message(0, &[]), false).write(&mut data);
                        data.repeat(1_000)
                    }
                    Hostile::Slow => b"\0\0\x08\x06\0\0\0\0\0barewire".to_vec(),
                    Hostile::Deaf => Vec::new(),
                };
                socket.write_all(&wire).await.unwrap();
                if repeated.is_empty() {
                    std::future::pending::<()>().await;
                }
                while socket.write_all(&repeated).await.is_ok() {
                    if let Hostile::Slow = kind {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_server_costs_little_memory_and_time() {
    let capture = captured();
    let large = File::new("large", [&[0x1a, 0x80, 0x80, 0x80, 0x10][..], &vec![b'x'; 32 << 20]].concat());
    let message = format!("1=@{}", large.path());
    for (kind, flags, part) in [
        (
            Hostile::Endless,
            &["--max-bytes", "1000000"][..],
            "the answer exceeds 1000000 bytes; set another limit with --max-bytes",
        ),
        (Hostile::Slow, &["--max-time", "1"], "not done within 1s; set another time with --max-time"),
        (Hostile::Deaf, &["--patience", "1", "--message", &message], "the server has not read for 1s"),
    ] {
        let address = hostile(kind).await;
        let flags = [&["replay", capture.path(), "--to", &address, "--show", "none"], flags].concat();
        let line = complains(&flags, 1).await;
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn server_that_does_not_end_the_call_is_a_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(socket);
    });
    let capture = captured();
    let line = complains(&["replay", capture.path(), "--to", &address, "--patience", "1", "--show", "none"], 1).await;
    assert!(line.contains("did not end the call within 1s"), "{line}");
}
