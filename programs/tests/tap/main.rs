//! `barewire tap` and `barewire decode` as users see them: bytes are forwarded unchanged, ends and resets too, errors are one
//! line, and files are complete.

mod before;
#[cfg(unix)]
mod files;
#[path = "../../../tests/common/installed.rs"]
mod installed;
mod limits;
mod mistakes;
mod names;
mod outputs;
mod process;
mod proto;
mod redaction;
mod replay;
mod tls;
mod to_tls;
mod tour;
mod tshark;

use barewire::services::route_guide::messages::{Point, Rectangle};
use barewire::services::route_guide::{Features, GET_FEATURE, Guide, LIST_FEATURES, router};
use barewire::transport::tcp;
use barewire::{CallOptions, Client, Metadata, Server};
use process::{BAREWIRE, Folder, Tap, barewire, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::Command;

/// Pseudo-random numbers that depend on the seed only (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.roll().to_le_bytes()).flatten().take(count).collect()
    }
}

/// Reserves a port that refuses connections until the socket listens; returns the socket and its address.
fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Expects the reset of a connection, perhaps while it is still being established.
async fn expect_reset(address: &str) {
    let received = async { TcpStream::connect(address).await?.read(&mut [0; 8]).await };
    let received = soon("the reset", received).await;
    assert!(matches!(&received, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset), "{received:?}");
}

/// Opens a connection through a tap; returns the client's and the server's end.
async fn through(tap: &Tap, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = soon("a connection", TcpStream::connect(&tap.address)).await.unwrap();
    let (server, _) = soon("the connection behind", listener.accept()).await.unwrap();
    (client, server)
}

/// Writes in pieces of random size up to 40,000 bytes, and then half-closes.
async fn say(mut socket: impl tokio::io::AsyncWrite + Unpin, bytes: Vec<u8>, mut dice: Dice) {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.roll() as usize % 40_000));
        socket.write_all(piece).await.unwrap();
        rest = after;
    }
    socket.shutdown().await.unwrap();
}

async fn read_all(mut socket: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_forwarded_unchanged_both_ways() {
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &["--show", "none"]).await;
    for seed in 0..4 {
        let (client, server) = through(&tap, &listener).await;
        let (request, answer) = (Dice(seed).bytes(3_000_000 + seed as usize), Dice(!seed).bytes(5_000_000));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let said = [
            tokio::spawn(say(to_client, request.clone(), Dice(seed + 10))),
            tokio::spawn(say(to_server, answer.clone(), Dice(seed + 20))),
        ];
        let received = soon("all bytes", async { tokio::join!(read_all(from_server), read_all(from_client)) }).await;
        assert!(received.0 == request && received.1 == answer, "bytes changed on their way");
        for said in said {
            said.await.unwrap();
        }
    }
    tap.end().await;
}

#[tokio::test]
async fn half_closed_side_still_receives() {
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &[]).await;
    let (mut client, mut server) = through(&tap, &listener).await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    // The server sees the end before it responds.
    assert_eq!(soon("the request", read_all(&mut server)).await, b"GET / HTTP/1.1\r\n\r\n");
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    drop(server);
    assert_eq!(soon("the answer", read_all(&mut client)).await, b"HTTP/1.1 200 OK\r\n\r\n");
    let printed = tap.end().await;
    // Bytes that are not HTTP/2 are labelled as such, and shown.
    assert_eq!(printed.matches("not HTTP/2").count(), 2, "{printed}");
    assert!(printed.contains("GET / HTTP/1.1") && printed.contains("HTTP/1.1 200 OK"), "{printed}");
    assert!(printed.contains("client ──▶ server  no more bytes"), "{printed}");
}

#[tokio::test]
async fn tcp_reset_is_forwarded_to_the_other_side() {
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &[]).await;
    for by_client in [true, false] {
        let (mut client, mut server) = through(&tap, &listener).await;
        // A reset before any byte may come before the other connection exists.
        client.write_all(b"x").await.unwrap();
        soon("a byte", server.read_exact(&mut [0])).await.unwrap();
        let (gone, mut stays) = if by_client { (client, server) } else { (server, client) };
        gone.set_zero_linger().unwrap();
        drop(gone);
        let error = soon("the reset", stays.read(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let printed = tap.end().await;
    assert_eq!(printed.lines().filter(|line| line.ends_with("  reset")).count(), 2, "{printed}");
}

#[tokio::test]
async fn refused_connection_is_one_line_and_later_ones_work() {
    let (socket, address) = refusing();
    let mut tap = Tap::start(&address, &["--wait"]).await;
    expect_reset(&tap.address).await;
    let line = tap.line("was reset: ").await;
    assert!(line.contains(&address) && line.contains("refused"), "{line}");

    let listener = socket.listen(1).unwrap();
    let (client, server) = through(&tap, &listener).await;
    drop((client, server));
    tap.end().await;
}

#[tokio::test]
async fn unreachable_server_is_one_line_and_exit_status_2() {
    let (_socket, address) = refusing();
    let mut tap = Tap::start(&address, &[]).await;
    expect_reset(&tap.address).await;
    let line = tap.line("refused").await;
    assert!(line.contains(&format!("can't connect to {address}: ")) && line.ends_with("or use --wait"), "{line}");
    assert_eq!(tap.ended().await.0, Some(2));
}

#[tokio::test]
async fn side_that_does_not_read_is_reported_and_blocks_the_other() {
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &[]).await;
    let (mut client, mut server) = through(&tap, &listener).await;
    let block = vec![b'x'; 1 << 20];
    // Sockets and the tap hold some megabytes; without back-pressure, the client could send on.
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(std::time::Duration::from_secs(3), client.write(&block)).await {
        sent += written.unwrap();
        assert!(sent < 1 << 30, "nothing stops the client");
    }
    let reads = tokio::spawn(async move {
        let mut received = 0;
        while received < sent {
            received += server.read(&mut vec![0; 1 << 20]).await.unwrap();
        }
        (server, received)
    });
    let (_server, received) = soon("all that was sent", reads).await.unwrap();
    assert_eq!(received, sent);
    drop(client);
    let printed = tap.end().await;
    assert!(printed.contains("the server has not read for 2 s"), "{}", &printed[printed.len().saturating_sub(2000)..]);
    assert!(printed.contains("the server reads again, after "), "the end of the stall is not reported");
}

/// Returns the exit status, and the only line on stderr.
async fn complaint(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BAREWIRE).args(flags).env_remove("BAREWIRE_WIRE").output().await.expect("it runs");
    let line = String::from_utf8(output.stderr).expect("text");
    assert_eq!(line.lines().count(), 1, "not one line: {line}");
    (output.status.code(), line.trim_end().to_owned())
}

#[tokio::test]
async fn invalid_flags_are_one_line() {
    let (_listener, address) = listener().await;
    let folder = Folder::new("mend");
    let (text, empty) = (folder.file("text"), folder.file("empty"));
    std::fs::write(&text, "no capture at all").unwrap();
    std::fs::write(&empty, "").unwrap();
    let nowhere = folder.file("no/such/file");
    for (flags, part) in [
        (&["tap", "--listen", &address, "--to", "localhost:1"][..], "--listen"),
        (&["tap", "--listen", "localhost", "--to", "localhost:1"], "host:port"),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--pcapng", &nowhere], &nowhere),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--show", "colours"], "colours"),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--to-tls"], "--ca-file"),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--tls-cert", &text], "--tls"),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--proto", &nowhere], "--proto"),
        (&["tap", "--listen", "localhost:0", "--to", "a:1", "--descriptor-set", &text], &text),
        (&["decode", &nowhere], &nowhere),
        (&["decode", &text], "not a capture"),
        (&["decode", &empty], "empty"),
    ] {
        let (status, line) = complaint(flags).await;
        assert_eq!(status, Some(2), "{flags:?}: {line}");
        assert!(line.contains(part), "{part:?} is missing in: {line}");
    }
}

/// Starts the route guide; returns its address.
async fn serve() -> String {
    let listener = tcp::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new(router(Guide::new(Features::published()))).serve(listener));
    address
}

/// Starts the route guide, and a tap in front of it.
async fn route_guide(flags: &[&str]) -> Tap {
    Tap::start(&serve().await, flags).await
}

/// Makes two calls with a secret. The second repeats it, so that HPACK refers to the first.
async fn call(address: &str) -> Client {
    let client = soon("a connection", Client::connect(tcp::connect(address))).await.unwrap();
    let mut metadata = Metadata::new();
    metadata.append("authorization", "Bearer a-secret-of-mine").unwrap();
    metadata.append("x-api-key", "another-secret").unwrap();
    let options = CallOptions::new().metadata(metadata);
    let asking = client.with(options);
    let point = Point { latitude: 409_146_138, longitude: -746_188_906 };
    for _ in 0..2 {
        let feature = soon("a feature", asking.unary(GET_FEATURE, point)).await.unwrap();
        assert!(feature.name.starts_with("Berkshire Valley"));
    }
    let everywhere = Rectangle {
        lo: Some(Point { latitude: 400_000_000, longitude: -750_000_000 }),
        hi: Some(Point { latitude: 420_000_000, longitude: -730_000_000 }),
    };
    let mut features = soon("features", asking.server_streaming(LIST_FEATURES, everywhere)).await.unwrap();
    while soon("a feature", features.recv()).await.unwrap().is_some() {}
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_complete_and_redacted_after_sigterm() {
    let folder = Folder::new("whole");
    let (pcapng, jsonl) = (folder.file("a.pcapng"), folder.file("a.jsonl"));
    let tap = route_guide(&["--pcapng", &pcapng, "--jsonl", &jsonl]).await;
    let client = call(&tap.address).await;
    // The connection is still open when the tap ends.
    let printed = tap.end().await;
    drop(client);
    assert!(printed.contains("authorization: Bearer a-secret-of-mine"), "the terminal shows secrets");
    assert_eq!(printed.matches("routeguide.Feature, ").count(), 102, "{printed}");

    for file in [&pcapng, &jsonl] {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"), "{file} has the secret");
        let decoded = barewire(&["decode", file]).await;
        assert_eq!(decoded.matches("routeguide.Feature, ").count(), 102, "{file}");
        assert_eq!(decoded.matches("authorization: ").count(), 3, "{file}");
        assert!(!decoded.contains("secret") && !decoded.contains('✗'), "{file}: {decoded}");
    }
    // Except for secrets, times and the end, the packets have what the tap showed.
    let frames = |text: &str| -> Vec<String> {
        let frames = text.lines().filter(|line| line.contains("  client ") && !line.ends_with("no more bytes"));
        frames.map(|line| line.split_once("  ").unwrap().1.to_owned()).collect()
    };
    let (mut saw, mut wrote) = (frames(&printed), frames(&barewire(&["decode", &pcapng]).await));
    // The order of frames in opposite directions may differ.
    saw.sort();
    wrote.sort();
    assert_eq!(saw, wrote);
    let lines = std::fs::read_to_string(&jsonl).unwrap();
    assert!(lines.lines().last().unwrap().starts_with("{\"record\":\"end\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_headers_are_redacted_unless_no_redact_is_given() {
    let folder = Folder::new("secret");
    let (some, all) = (folder.file("some.pcapng"), folder.file("all.pcapng"));
    for (file, flags) in [(&some, &["--redact", "user-agent"][..]), (&all, &["--no-redact"])] {
        let flags = [flags, &["--show", "none", "--pcapng", file]].concat();
        let tap = route_guide(&flags).await;
        drop(call(&tap.address).await);
        tap.end().await;
    }
    let (some, all) = (barewire(&["decode", &some]).await, barewire(&["decode", &all]).await);
    assert!(all.contains("authorization: Bearer a-secret-of-mine") && all.contains("user-agent: grpc-rust"));
    assert!(!some.contains("secret") && !some.contains("grpc-rust") && some.contains("user-agent: "), "{some}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_size_is_limited() {
    let folder = Folder::new("limit");
    let file = folder.file("a.pcapng");
    let mut tap = route_guide(&["--show", "none", "--pcapng", &file, "--max-bytes", "2000"]).await;
    drop(call(&tap.address).await);
    assert!(tap.line("has reached its size limit").await.contains(&file));
    tap.end().await;
    assert!(std::fs::metadata(&file).unwrap().len() <= 2000);
    barewire(&["decode", &file]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tshark_decodes_the_same_packets() {
    let Some(tshark) = tshark::Tshark::find("packets of the tap read by tshark") else { return };
    let folder = Folder::new("tshark");
    let (pcapng, jsonl) = (folder.file("a.pcapng"), folder.file("a.jsonl"));
    let tap = route_guide(&["--show", "none", "--pcapng", &pcapng, "--jsonl", &jsonl]).await;
    drop(call(&tap.address).await);
    tap.end().await;
    tshark.agrees(&pcapng, &jsonl).await;
}

/// Each view shows a capture in its way, and filters only leave lines out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_filters_apply_to_a_capture() {
    let folder = Folder::new("views");
    let (pcapng, ladder) = (folder.file("a.pcapng"), folder.file("ladder.svg"));
    let (mermaid, windows) = (folder.file("ladder.mmd"), folder.file("windows.svg"));
    let tap = route_guide(&["--show", "calls", "--pcapng", &pcapng]).await;
    drop(call(&tap.address).await);
    let printed = tap.end().await;
    assert_eq!(printed.matches("/routeguide.RouteGuide/").count(), 3, "{printed}");
    for (view, part) in [
        ("calls", "/routeguide.RouteGuide/ListFeatures"),
        ("ladder", "Request-Headers"),
        ("flow", "connection"),
        ("hpack", ":path"),
    ] {
        let shown = barewire(&["decode", &pcapng, "--show", view]).await;
        assert!(shown.contains(part), "{view}: {shown}");
    }
    let clean = barewire(&["decode", &pcapng, "--show", "lint"]).await;
    assert!(!clean.contains("error"), "our own client and server break no rule: {clean}");
    // A filter removes lines and changes none, although the output of a view depends on hidden frames too.
    for view in ["flow", "hpack", "ladder", "calls"] {
        let shown = |flags: &'static [&'static str]| {
            let all = [&["decode", &pcapng, "--show", view], flags].concat();
            async move { barewire(&all).await }
        };
        let (all, some) = (shown(&[]).await, shown(&["--method", "~ListFeatures"]).await);
        assert!(some.lines().count() < all.lines().count(), "{view}: {some}");
        // The gaps of a ladder are those between the frames that it shows.
        let gap = if view == "ladder" { 20..34 } else { 0..0 };
        let but_gap = |line: &str| {
            let columns = line.chars().enumerate().filter(|(column, _)| !gap.contains(column));
            columns.map(|(_, letter)| letter).collect::<String>()
        };
        let odd = some.lines().find(|line| !all.lines().any(|known| but_gap(known) == but_gap(line)));
        assert_eq!(odd, None, "{view}");
        assert!(view != "ladder" || some.contains("\n[1]  frame      time        gap  client"), "{some}");
    }
    let ladder_lines = barewire(&["decode", &pcapng, "--show", "ladder"]).await;
    assert!(ladder_lines.lines().all(|line| line.starts_with("[1] ")), "{ladder_lines}");
    let nothing = barewire(&["decode", &pcapng, "--stream", "77"]).await;
    assert!(nothing.contains("the filter hides all frames: "), "{nothing}");
    let explained = barewire(&["decode", &pcapng, "--explain", "--stream", "1", "--frame", "DATA"]).await;
    assert!(explained.contains("https://protobuf.dev/"), "{explained}");
    let only =
        barewire(&["decode", &pcapng, "--method", "~ListFeatures", "--status", "OK", "--frame", "HEADERS"]).await;
    assert!(only.contains("stream 5") && !only.contains("stream 1 ") && !only.contains("  DATA  "), "{only}");
    let failed = barewire(&["decode", &pcapng, "--show", "calls,lines", "--status", "!0"]).await;
    assert!(!failed.contains("/routeguide.RouteGuide/"), "{failed}");
    barewire(&["decode", &pcapng, "--show", "none", "--ladder", &ladder, "--windows", &windows]).await;
    barewire(&["decode", &pcapng, "--show", "none", "--ladder", &mermaid]).await;
    for (file, beginning) in [(&ladder, "<svg"), (&windows, "<svg"), (&mermaid, "sequenceDiagram")] {
        let drawn = std::fs::read_to_string(file).unwrap();
        assert!(drawn.starts_with(beginning) && drawn.len() > 1000, "{file}: {drawn}");
    }
    for (flags, part) in [
        (&["decode", &pcapng, "--status", "GOOD"][..], "GOOD"),
        (&["decode", &pcapng, "--frame", "DATUM"], "DATUM"),
        (&["decode", &pcapng, "--ladder", "a.png"], ".svg or .mmd"),
        (&["decode", &pcapng, "--connection", "7", "--windows", &windows], "no connection 7"),
        (&["decode", &pcapng, "--connection", "7"], "no connection 7"),
        (&["decode", &pcapng, "--connection", "0", "--show", "none"], "no connection 0"),
    ] {
        let (status, line) = complaint(flags).await;
        assert!(status == Some(2) && line.contains(part), "{part:?} is missing in: {line}");
    }
}

/// `--connection` is for every view and output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_shown_in_every_view() {
    let folder = Folder::new("connection");
    let (pcapng, html, ladder) = (folder.file("a.pcapng"), folder.file("a.html"), folder.file("a.mmd"));
    let tap = route_guide(&["--show", "none", "--pcapng", &pcapng]).await;
    for _ in 0..3 {
        drop(call(&tap.address).await);
    }
    tap.end().await;
    for view in ["lines", "hex", "calls", "ladder", "flow", "hpack", "lint"] {
        let all = barewire(&["decode", &pcapng, "--show", view]).await;
        let shown = barewire(&["decode", &pcapng, "--show", view, "--connection", "2"]).await;
        let of = |number: &str| all.lines().filter(|line| line.starts_with(&format!("[{number}] "))).count();
        assert!(of("1") > 0 && of("3") > 0, "{view}: {all}");
        assert_eq!(shown.lines().filter(|line| line.starts_with("[2] ")).count(), of("2"), "{view}: {shown}");
        // The ladder has numbers of streams within its lines.
        let others = shown.lines().filter(|line| line.starts_with("[1] ") || line.starts_with("[3] "));
        assert_eq!(others.count(), 0, "{view}: {shown}");
    }
    barewire(&["decode", &pcapng, "--show", "none", "--connection", "2", "--html", &html, "--ladder", &ladder]).await;
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(
        page.contains("\"connection\":2") && !page.contains("\"connection\":1") && !page.contains("\"connection\":3")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_variable_of_a_server_writes_files() {
    let folder = Folder::new("wire");
    let (server_file, client_file) = (folder.file("server.pcapng"), folder.file("client.jsonl"));
    let mut server = Command::new(env!("CARGO_BIN_EXE_route_guide_server"));
    server.args(["-host", "127.0.0.1", "-port", "0"]).env("BAREWIRE_WIRE", format!("pcapng:{server_file}"));
    let mut server = server.stderr(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stderr = tokio::io::BufReader::new(server.stderr.take().unwrap());
    let mut line = String::new();
    soon("the announcement", tokio::io::AsyncBufReadExt::read_line(&mut stderr, &mut line)).await.unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_route_guide_client"));
    client.args(["-addr", address]).env("BAREWIRE_WIRE", format!("jsonl:{client_file}"));
    assert!(soon("the client's end", client.output()).await.unwrap().status.success());
    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(soon("the server's end", server.wait()).await.unwrap().success());
    for file in [&server_file, &client_file] {
        let decoded = barewire(&["decode", file]).await;
        assert_eq!(decoded.matches("Trailers, grpc-status 0 OK").count(), 5, "{file}: {decoded}");
        assert!(decoded.contains("routeguide.RouteSummary, "), "{file}: {decoded}");
    }
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_route_guide_client"));
    let wrong = wrong.args(["-addr", address]).env("BAREWIRE_WIRE", "loud").output().await.unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("pcapng:FILE"));
}
