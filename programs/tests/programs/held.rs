//! Memory limits of a whole server process, attacked over sockets, as the kernel measures them.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use barewire::Client;
use barewire::services::route_guide::messages::{Point, RouteNote};
use barewire::services::route_guide::{GET_FEATURE, RECORD_ROUTE, ROUTE_CHAT};
use barewire::transport::tcp;

use super::common::attack::id;
use super::common::frames::*;

use super::attack_bytes::{TINY, amplified, begin, block, head};
use super::memory_bound::{ALLOWED, MIB, OPEN, SHUT};

/// Allowance for memory of the allocator and the kernel.
const BESIDE: usize = 20 * MIB;
const PATIENCE: Duration = Duration::from_secs(60);

struct Process {
    child: Child,
    address: String,
    _stderr: BufReader<tokio::process::ChildStderr>,
}

impl Process {
    async fn start() -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_route_guide_server"));
        command.args(["-host", "127.0.0.1", "-port", "0"]);
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, stderr.read_line(&mut line)).await.expect("in time").expect("a line");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Process { child, address, _stderr: stderr }
    }

    /// Returns a figure of `/proc/PID/status`, in bytes.
    fn figure(&self, name: &str) -> usize {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux has it");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        let kib = line.trim_start_matches(':').split_whitespace().next().expect("a number");
        kib.parse::<usize>().expect("a number") << 10
    }

    /// Waits until memory stops growing; returns the maximum.
    async fn settled(&self) -> usize {
        let mut most = self.figure("VmHWM");
        let mut still = 0;
        while still < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.figure("VmHWM");
            still = if now > most { 0 } else { still + 1 };
            most = now;
        }
        most
    }

    async fn client(&self) -> Client {
        Client::connect(tcp::connect(&*self.address)).await.expect("it connects")
    }

    /// Leaves this many notes of 1 KB at one place.
    async fn leave(&self, notes: usize) {
        let note = RouteNote { message: "n".repeat(1000), ..RouteNote::default() };
        for _ in 0..notes {
            let (mut out, mut answers) = self.client().await.bidi_streaming(ROUTE_CHAT).await.expect("it begins");
            out.send(&note).await.expect("it is sent");
            drop(out);
            while answers.recv().await.expect("an answer").is_some() {}
        }
    }

    async fn serves(&self) {
        let client = self.client().await;
        let call = tokio::time::timeout(PATIENCE, client.unary(GET_FEATURE, Point::default()));
        call.await.expect("in time").expect("an answer");
    }
}

/// Connects and sends the attack, as far as the server accepts it. Reads and discards the responses. Returns a guard that keeps
/// the connection open, and the number of bytes sent.
async fn attack(address: &str, own: &[(u16, u32)], said: Vec<Vec<u8>>) -> (impl Sized, usize) {
    let (mut from, mut to) = TcpStream::connect(address).await.expect("it listens").into_split();
    let reader = tokio::spawn(async move {
        let mut space = vec![0; 64 << 10];
        while from.read(&mut space).await.is_ok_and(|count| count > 0) {}
    });
    let greeting = [Frame::Settings { ack: false, values: own.to_vec() }, settings_ack()];
    let mut sent = 0;
    for piece in [vec![[PREFACE, &wire(greeting)].concat()], said].concat() {
        sent += piece.len();
        // A server under back-pressure accepts no more, or has ended the connection.
        if !matches!(tokio::time::timeout(Duration::from_secs(2), to.write_all(&piece)).await, Ok(Ok(()))) {
            break;
        }
    }
    ((to, reader), sent)
}

async fn check_bound(
    server: Process,
    name: &str,
    connections: usize,
    own: &[(u16, u32)],
    said: impl Fn() -> Vec<Vec<u8>>,
) {
    server.serves().await;
    let start = server.settled().await;
    let (mut held, mut sent) = (Vec::new(), 0);
    for _ in 0..connections {
        let (line, count) = attack(&server.address, own, said()).await;
        held.push(line);
        sent += count;
    }
    let most = server.settled().await;
    server.serves().await;
    let allowed = start + sent + connections * ALLOWED + BESIDE;
    println!("{name}: {} KiB sent, {} KiB at most, {} KiB allowed", sent >> 10, most >> 10, allowed >> 10);
    assert!(most <= allowed, "{name}: {most} bytes in memory for {sent} sent, {allowed} allowed");
    drop(held);
}

/// A hundred notes of 1 KB at one place, and then a thousand calls that ask for them without a flow-control window.
#[tokio::test]
async fn batches() {
    let server = Process::start().await;
    server.leave(100).await;
    check_bound(server, "batches of a program", 10, &SHUT, || {
        (0..1000).map(|n| begin(n, ROUTE_CHAT.path(), &message([]))).collect()
    })
    .await;
}

#[tokio::test]
async fn metadata() {
    check_bound(Process::start().await, "tiny fields in headers of a program", 4, &OPEN, || {
        let path = RECORD_ROUTE.path();
        (0..1000).map(|n| block(id(n, 0, 1), 0, &[head(path), amplified(n == 0, 1, TINY)].concat())).collect()
    })
    .await;
}
