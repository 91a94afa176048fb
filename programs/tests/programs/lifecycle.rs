//! The life of a server process: ended during calls, killed, restarted, out of descriptors, and after ten thousand connections.
//! The resources of a process are read from `/proc`.

#![cfg(target_os = "linux")]

use std::process::Stdio;
use std::time::Duration;

use barewire::services::route_guide::messages::{Point, Rectangle, RouteNote};
use barewire::services::route_guide::{GET_FEATURE, RECORD_ROUTE, ROUTE_CHAT};
use barewire::transport::tcp;
use barewire::{Client, Code, Status};
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const SERVER: &str = env!("CARGO_BIN_EXE_route_guide_server");
const PATIENCE: Duration = Duration::from_secs(60);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

struct Process {
    child: Child,
    address: String,
    /// Kept open, so that the server can write to it.
    _stderr: BufReader<tokio::process::ChildStderr>,
}

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

impl Process {
    async fn start() -> Process {
        Process::run(Command::new(SERVER), 0).await
    }

    /// Runs the server, or a wrapper of it, on this port.
    async fn run(mut command: Command, port: u16) -> Process {
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        soon("the announcement", stderr.read_line(&mut line)).await.expect("a line");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Process { child, address, _stderr: stderr }
    }

    async fn client(&self) -> Client {
        soon("a connection", Client::connect(tcp::connect(&*self.address))).await.expect("it connects")
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([name, &pid]).status().await.expect("kill runs").success());
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id().expect("it runs"))).expect("Linux has it")
    }

    fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id().expect("it runs"));
        std::fs::read_dir(folder).expect("Linux has it").count()
    }

    /// Returns a figure of `/proc/PID/status`.
    fn figure(&self, name: &str) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        line.trim_start_matches(':').split_whitespace().next().expect("a number").parse().expect("a number")
    }

    /// Returns the CPU time of the process, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
    }

    /// Waits until no more than this many descriptors are open.
    async fn settle(&self, descriptors: usize) {
        soon("the descriptors", async {
            while self.descriptors() > descriptors {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

async fn look_up(client: &Client) -> Result<(), Status> {
    let point = Point { latitude: 409_146_138, longitude: -746_188_906 };
    client.unary(GET_FEATURE, point).await.map(|feature| assert!(feature.name.starts_with("Berkshire")))
}

fn note(text: &str) -> RouteNote {
    RouteNote { message: text.into(), ..RouteNote::default() }
}

#[tokio::test]
async fn shutdown_completes_a_hundred_calls() {
    let mut server = Process::start().await;
    let client = server.client().await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await.expect("it begins");
        points.send(Point::default()).await.expect("it is sent");
        points.flush().await.expect("it leaves");
        calls.push((points, summary));
    }
    // Once a later call on the same connection is answered, the hundred have arrived.
    look_up(&client).await.expect("an answer");
    server.signal("-TERM").await;
    soon("the end of accepting", async {
        while TcpStream::connect(&server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for (mut points, summary) in calls {
        points.send(Point::default()).await.expect("it is sent");
        drop(points);
        assert_eq!(soon("the answer", summary).await.expect("no call is lost").point_count, 2);
    }
    assert!(soon("the end", server.child.wait()).await.expect("it ends").success());
}

#[tokio::test]
async fn endless_call_delays_shutdown_only_up_to_the_timeout() {
    let mut server = Process::start().await;
    let client = server.client().await;
    let (_out, mut notes) = client.bidi_streaming(ROUTE_CHAT).await.expect("it begins");
    look_up(&client).await.expect("an answer");
    server.signal("-TERM").await;
    let begun = std::time::Instant::now();
    let status = soon("the end of the call", notes.recv()).await.expect_err("it is cut off");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the server is shutting down"));
    assert!(soon("the end", server.child.wait()).await.expect("it ends").success());
    assert!(begun.elapsed() >= Duration::from_secs(9), "it had its grace period: {:?}", begun.elapsed());
}

#[tokio::test]
async fn killed_server_is_unavailable_and_its_port_is_reusable_at_once() {
    let mut server = Process::start().await;
    let client = server.client().await;
    let (mut out, mut notes) = client.bidi_streaming(ROUTE_CHAT).await.expect("it begins");
    out.send(note("hello")).await.expect("it is sent");
    look_up(&client).await.expect("an answer");
    server.signal("-KILL").await;
    soon("the end", server.child.wait()).await.expect("it ends");
    let status = soon("the stream's end", async {
        loop {
            match notes.recv().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a stream that was cut off must not succeed"),
                Err(status) => return status,
            }
        }
    });
    assert_eq!(status.await.code(), Code::Unavailable);
    assert_eq!(soon("a new call", look_up(&client)).await.expect_err("no server").code(), Code::Unavailable);

    let port = server.address.rsplit(':').next().expect("a port").parse().expect("a number");
    let again = Process::run(Command::new(SERVER), port).await;
    look_up(&again.client().await).await.expect("an answer");
}

/// Connects, and disconnects at one of several moments.
async fn drop_in(address: &str, number: usize) {
    let Ok(mut stream) = TcpStream::connect(address).await else { panic!("it listens") };
    match number % 4 {
        0 => {}
        1 => drop(stream.write_all(&PREFACE[..10]).await),
        2 => drop(stream.write_all(PREFACE).await),
        // A request's HEADERS without END_STREAM: a call in progress.
        _ => {
            let path = b"/routeguide.RouteGuide/RouteChat";
            let mut block = vec![0x83, 0x86, 0x01, 1, b't', 0x04, path.len() as u8];
            block.extend_from_slice(path);
            block.extend_from_slice(b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc");
            let head = [0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1];
            drop(stream.write_all(&[PREFACE, &head, &block].concat()).await);
        }
    }
}

#[tokio::test]
async fn ten_thousand_connections_leak_nothing() {
    let server = Process::start().await;
    let client = server.client().await;
    look_up(&client).await.expect("an answer");
    let descriptors = server.descriptors();
    for number in 0..2000 {
        drop_in(&server.address, number).await;
    }
    server.settle(descriptors).await;
    let (memory, threads) = (server.figure("VmRSS"), server.figure("Threads"));
    for number in 0..10_000 {
        drop_in(&server.address, number).await;
        if number % 500 == 0 {
            soon("an answer between attacks", look_up(&client)).await.expect("an answer");
        }
    }
    server.settle(descriptors).await;
    let grown = server.figure("VmRSS").saturating_sub(memory);
    assert!(grown < 8 * 1024, "{grown} KiB more than the {memory} KiB after the first 2,000");
    assert_eq!(server.figure("Threads"), threads);
}

/// Builds an HTTP/2 frame from type, flags, stream and payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Attacks over real sockets that end their connection, or that continue until they are given up.
fn attacks() -> Vec<Vec<u8>> {
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let open = |stream: u32| {
        let path = b"/routeguide.RouteGuide/RouteChat";
        let mut block = vec![0x83, 0x86, 0x01, 1, b't', 0x04, path.len() as u8];
        block.extend_from_slice(path);
        block.extend_from_slice(b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc");
        frame(1, END_HEADERS, stream, &block)
    };
    let many = |make: &dyn Fn(u32) -> Vec<u8>| (0..2000).flat_map(|n| make(2 * n + 1)).collect::<Vec<u8>>();
    vec![
        // Rapid reset; resets that the server is made to send; more concurrent calls than allowed.
        many(&|stream| [open(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat()),
        many(&|stream| [open(stream), frame(8, 0, stream, &[0; 4])].concat()),
        many(&open),
        // A header block without an end; floods of PING, SETTINGS, PRIORITY and empty DATA.
        [frame(1, 0, 1, &[0x83]), many(&|_| frame(9, 0, 1, &[0, 1, b'a', 1, b'b']))].concat(),
        many(&|_| frame(6, 0, 0, &[7; 8])),
        many(&|_| frame(4, 0, 0, &[0, 4, 0, 0, 1, 0])),
        many(&|stream| frame(2, 0, stream, &[0, 0, 0, 3, 9])),
        [open(1), many(&|_| frame(0, 0, 1, &[]))].concat(),
        // An incomplete message; DATA after END_STREAM; bytes that are not HTTP/2.
        [open(1), frame(0, 0, 1, &[0, 0, 0x3f, 0, 0])].concat(),
        [open(1), frame(0, END_STREAM, 1, &[]), frame(0, 0, 1, &[1; 100])].concat(),
        vec![0xff; 10_000],
    ]
}

#[tokio::test]
async fn attacks_leak_neither_descriptors_nor_threads_nor_memory() {
    let server = Process::start().await;
    let client = server.client().await;
    look_up(&client).await.expect("an answer");
    let descriptors = server.descriptors();
    let mut settled = None;
    for round in 0..6 {
        let mut open = Vec::new();
        for attack in attacks().iter().cycle().take(110) {
            let mut stream = TcpStream::connect(&server.address).await.expect("it listens");
            // The server may end the connection before everything is sent.
            let _: std::io::Result<()> = soon("the attack", async {
                stream.write_all(PREFACE).await?;
                stream.write_all(&frame(4, 1, 0, &[])).await?;
                stream.write_all(attack).await
            })
            .await;
            open.push(stream);
            soon("an answer between attacks", look_up(&client)).await.expect("an answer");
        }
        assert!(server.descriptors() > descriptors, "round {round}");
        drop(open);
        server.settle(descriptors).await;
        let (memory, threads) = (server.figure("VmRSS"), server.figure("Threads"));
        // In the first rounds the allocator grows its reserve.
        let (first_memory, first_threads) = match round {
            0..3 => *settled.insert((memory, threads)),
            _ => settled.expect("the rounds before"),
        };
        assert!(memory < first_memory + 16 * 1024, "{memory} KiB, and {first_memory} KiB after three rounds");
        assert_eq!(threads, first_threads);
    }
}

/// Asks for all features a thousand times on one connection with closed windows, so that no response can be sent.
async fn ask_and_take_nothing(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let path = b"/routeguide.RouteGuide/ListFeatures";
    let mut block = vec![0x83, 0x86, 0x01, 1, b't', 0x04, path.len() as u8];
    block.extend_from_slice(path);
    block.extend_from_slice(b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc");
    let everywhere = Rectangle {
        lo: Some(Point { latitude: -900_000_000, longitude: -1_800_000_000 }),
        hi: Some(Point { latitude: 900_000_000, longitude: 1_800_000_000 }),
    };
    let everywhere = everywhere.encode_to_vec();
    let message = [&[0, 0, 0, 0, everywhere.len() as u8], &everywhere[..]].concat();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for number in 0..1000 {
        bytes.extend([frame(1, 4, 2 * number + 1, &block), frame(0, 1, 2 * number + 1, &message)].concat());
    }
    bytes.extend(frame(6, 0, 0, b"are they"));
    let (mut from, mut to) = stream.split();
    let asked = async {
        // Reads until the PING after the requests is acknowledged: then all of them have arrived.
        let mut head = [0; 9];
        loop {
            from.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            from.read_exact(&mut vec![0; length as usize]).await?;
            if head[3..5] == [6, 1] {
                return std::io::Result::Ok(());
            }
        }
    };
    let (sent, asked) = soon("ten thousand calls", async { tokio::join!(to.write_all(&bytes), asked) }).await;
    sent.and(asked).expect("it goes on");
    stream
}

#[tokio::test]
async fn memory_of_a_burst_is_returned() {
    /// In KiB, the unit of `/proc`.
    const MIB: usize = 1024;
    let server = Process::start().await;
    look_up(&server.client().await).await.expect("an answer");
    let descriptors = server.descriptors();
    let before = server.figure("VmRSS");
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(ask_and_take_nothing(&server.address).await);
    }
    soon("memory for the answers", async {
        while server.figure("VmRSS") < before + 40 * MIB {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(open);
    server.settle(descriptors).await;
    let gone = std::time::Instant::now();
    // No calls meanwhile: the idle process must return the memory.
    while server.figure("VmRSS") > before + 20 * MIB {
        let now = server.figure("VmRSS");
        assert!(gone.elapsed() < Duration::from_secs(5), "{now} KiB five seconds later, {before} KiB before");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look_up(&server.client().await).await.expect("an answer");
}

#[tokio::test]
async fn server_out_of_descriptors_waits_without_spinning() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", SERVER]);
    let server = Process::run(limited, 0).await;
    let client = server.client().await;
    look_up(&client).await.expect("an answer");
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&server.address).await.expect("the kernel takes it");
        stream.write_all(PREFACE).await.expect("the kernel takes it");
        waiting.push(stream);
    }
    soon("the last descriptor", async {
        while server.descriptors() < 40 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let before = server.ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = server.ticks() - before;
    assert!(spent < 20, "{spent} hundredths of a second");
    look_up(&client).await.expect("open connections are served");
    drop(waiting);
    look_up(&server.client().await).await.expect("new connections are served again");
}
