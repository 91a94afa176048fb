//! Measures how fast the tap forwards bytes, compared with a proxy that only copies, and how fast a saved capture is decoded.
//!
//! ```console
//! $ cargo bench --bench tap
//! ```
//!
//! Both proxies are separate processes, and take turns: copy, tap, copy, tap. The traffic is a stream of gRPC messages of one
//! megabyte each, which the tap decodes meanwhile; its lines are discarded. The names of the captures tell the length of their
//! messages. `read` finds the bytes in the file, `explain` builds the tree of every byte, `lines` prints an outline.

use std::hint::black_box;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use barewire::inspector::capture::pcapng_writer::{PcapngConnection, begin};
use barewire::inspector::{Direction, Schema, capture, lines};
use barewire::services::route_guide::messages::{Point, RouteNote};
use barewire_programs::services::FILE_DESCRIPTOR_SET;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};

/// Number of bytes that pass a proxy in one turn.
const PASSED: usize = 1 << 30;

/// Size of a decoded capture, in bytes.
const CAPTURE: usize = 64 << 20;

const ROUNDS: usize = 5;

fn main() {
    // The copying proxy is this program, started again.
    if std::env::args().nth(1).as_deref() == Some("copy") {
        return runtime().block_on(copy(&std::env::args().nth(2).expect("an address")));
    }
    proxies();
    captures();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads")
}

/// Prints its address as the tap does, and copies.
async fn copy(to: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    eprintln!("listening on {}, forwarding to {to}", listener.local_addr().expect("an address"));
    while let Ok((mut client, _)) = listener.accept().await {
        let mut server = TcpStream::connect(to).await.expect("the server is there");
        tokio::spawn(async move {
            // Buffers as large as the tap's.
            let _ = copy_bidirectional_with_sizes(&mut client, &mut server, 64 << 10, 64 << 10).await;
        });
    }
}

/// A proxy's name, and the function that starts it.
type Way<'a> = (&'a str, Box<dyn Fn() -> Child + 'a>);

fn proxies() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = listener.local_addr().expect("an address").to_string();
        let this = std::env::current_exe().expect("a path");
        let this = this.to_str().expect("a name in UTF-8");
        let tap = ["tap", "--listen", "127.0.0.1:0", "--to", &to];
        let nowhere = Stdio::null;
        let ways: [Way; 4] = [
            ("copy", Box::new(|| start(this, &["copy", &to], nowhere()))),
            (
                "tap, no output",
                Box::new(|| {
                    start(env!("CARGO_BIN_EXE_barewire"), &[&tap[..], &["--show", "none"]].concat(), nowhere())
                }),
            ),
            ("tap", Box::new(|| start(env!("CARGO_BIN_EXE_barewire"), &tap, nowhere()))),
            (
                "tap --pcapng",
                Box::new(|| {
                    let flags = [&tap[..], &["--show", "none", "--pcapng", "/dev/null", "--max-bytes", "100000000000"]];
                    start(env!("CARGO_BIN_EXE_barewire"), &flags.concat(), nowhere())
                }),
            ),
        ];
        let bytes = traffic(1 << 20, 16 << 20);
        let mut figures = vec![Vec::new(); ways.len()];
        for _ in 0..ROUNDS {
            for ((_, start), figures) in ways.iter().zip(&mut figures) {
                let mut child = start();
                figures.push(pass(&mut child, &listener, &bytes).await);
                child.kill().and_then(|()| child.wait()).expect("it ran");
            }
        }
        let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
        for ((name, _), median) in ways.iter().zip(&medians) {
            println!("{name:24} {median:6.0} MB/s  {:.2} of copy", median / medians[0]);
        }
    });
}

fn start(program: &str, flags: &[&str], stdout: Stdio) -> Child {
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// Returns the throughput of a proxy that has just started, in MB/s.
async fn pass(child: &mut Child, listener: &TcpListener, bytes: &[u8]) -> f64 {
    let stderr = tokio::process::ChildStderr::from_std(child.stderr.take().expect("a pipe")).expect("a pipe");
    let mut line = String::new();
    BufReader::new(stderr).read_line(&mut line).await.expect("a line");
    let address = line.split([' ', ',']).nth(2).expect("an address").to_owned();
    let client = TcpStream::connect(&address).await.expect("it listens");
    let (mut server, _) = listener.accept().await.expect("it connects");
    let owned = bytes.to_vec();
    let began = Instant::now();
    let writing = tokio::spawn(async move {
        let mut client = client;
        for _ in 0..PASSED / owned.len() {
            client.write_all(&owned).await.expect("it is read");
        }
        client.shutdown().await.expect("it is open");
        client
    });
    let (mut buffer, mut received) = (vec![0; 256 << 10], 0);
    while let Ok(read @ 1..) = server.read(&mut buffer).await {
        received += read;
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(writing.await.expect("it ends"));
    received as f64 / 1e6 / seconds
}

fn captures() {
    let schema = Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).expect("it was compiled in");
    for (name, length) in [("80 bytes", 80), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let file = saved(&traffic(length, CAPTURE));
        let rate = |since: Instant| file.len() as f64 / 1e6 / since.elapsed().as_secs_f64();
        let (mut read, mut explain, mut printed) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let capture = capture::read(&file).expect("it was written here");
            read.push(rate(began));
            for (figures, print) in [(&mut explain, false), (&mut printed, true)] {
                let began = Instant::now();
                let capture = black_box(capture::read(&file).expect("it was written here"));
                for connection in &capture.connections {
                    let mut conversation = connection.begin(schema.clone());
                    for chunk in &connection.chunks {
                        chunk.push_into(&mut conversation);
                        for frame in conversation.take_frames() {
                            if print {
                                std::io::sink().write_all(lines(&frame).as_bytes()).expect("a sink");
                            }
                            black_box(frame);
                        }
                    }
                }
                figures.push(rate(began));
            }
            drop(capture);
        }
        let [read, explain, printed] = [read, explain, printed].map(|mut figures| median(&mut figures));
        println!("messages of {name:12} read {read:6.0} MB/s  explain {explain:6.0} MB/s  lines {printed:6.0} MB/s");
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Returns a capture of the server's bytes, in packets as a fast network has them.
fn saved(bytes: &[u8]) -> Vec<u8> {
    let (client, server) = ("127.0.0.1:40000".parse().expect("one"), "127.0.0.1:50051".parse().expect("one"));
    let mut file = begin("the bench");
    let mut connection = PcapngConnection::new(client, server, SystemTime::UNIX_EPOCH);
    connection.open(Duration::ZERO, "", &mut file);
    for packet in bytes.chunks(1448) {
        connection.bytes(Duration::ZERO, Direction::ToServer, packet, &mut file);
    }
    file
}

/// Returns about `total` bytes of a call that sends notes of `length` bytes each, in DATA frames of 16 KiB.
fn traffic(length: usize, total: usize) -> Vec<u8> {
    let location = Some(Point { latitude: 409_146_138, longitude: -746_188_906 });
    let note = RouteNote { location, message: "x".repeat(length.saturating_sub(21)) }.encode_to_vec();
    let message = [&[0][..], &(note.len() as u32).to_be_bytes(), &note].concat();
    let path = b"/routeguide.RouteGuide/RouteChat";
    let block = [&[0x83, 0x04, path.len() as u8][..], path].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let frame = |bytes: &mut Vec<u8>, kind: u8, flags: u8, payload: &[u8]| {
        bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.extend(payload);
    };
    frame(&mut bytes, 1, 4, &block);
    let messages: Vec<u8> = message.iter().copied().cycle().take(message.len() * (total / message.len())).collect();
    messages.chunks(16 << 10).for_each(|data| frame(&mut bytes, 0, 0, data));
    bytes
}
