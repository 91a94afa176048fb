//! Attacks on our server: the bytes that a client sends endlessly, the memory that they cost, and a healthy client meanwhile.
//!
//! Each attack runs on its own thread, whose allocations are counted, so that other tests don't add to them.

use std::time::Duration;

use barewire::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::cpu::cpu_time;
use super::frames::*;
use super::pipe::connected;
use super::server::TestServer;
use super::service::{ECHO, WAIT, note};

pub const MIB: usize = 1 << 20;

/// True if the attacker reads the answers.
#[derive(Clone, Copy, PartialEq)]
pub enum Reads {
    Yes,
    No,
}

/// Sends the greeting and then the results of `attack` for 0, 1, 2, … until `most` bytes were sent, the connection has ended, or
/// nothing moves any more. Between two pieces the healthy client makes a call.
async fn run(
    server: &TestServer,
    healthy: &Client,
    reads: Reads,
    most: usize,
    attack: impl Fn(u32) -> Vec<u8>,
) -> usize {
    // Not a pipe that records writes: the record would count as memory.
    let (near, mut io) = tokio::io::duplex(64 << 10);
    server.arrivals.send(connected(near)).expect("the server listens");
    let greeting = [settings([(INITIAL_WINDOW_SIZE, 0x7FFF_FFFF)]), settings_ack()];
    io.write_all(&[PREFACE, &wire(greeting)].concat()).await.unwrap();
    let mut sent = 0;
    for number in 0.. {
        let piece = attack(number);
        if sent + piece.len() > most || !wrote_all(&mut io, &piece, reads).await {
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

/// Asserts that a healthy client is answered within a second of the test's clock and a second of CPU time.
pub async fn served(healthy: &Client) {
    let begun = cpu_time();
    let answer = tokio::time::timeout(Duration::from_secs(1), healthy.unary(ECHO, note("hello"))).await;
    assert_eq!(answer.expect("in time").expect("an answer").text, "hello");
    let computed = cpu_time() - begun;
    assert!(computed < Duration::from_secs(1), "{computed:?} of CPU time");
}

/// Writes the whole piece. Returns false if the connection has ended or no byte can be written any more.
async fn wrote_all(io: &mut DuplexStream, mut piece: &[u8], reads: Reads) -> bool {
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

/// Runs an attack, and asserts that it allocates at most this much memory beyond a server and a healthy client.
pub fn costs(name: &str, bound: usize, reads: Reads, most: usize, attack: impl Fn(u32) -> Vec<u8>) {
    let mut sent = 0;
    let memory = allocation_counter::measure(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = TestServer::start();
            let healthy = server.client().await;
            sent = run(&server, &healthy, reads, most, &attack).await;
            // Waits until the attacker's memory is released: it has disconnected, and its last frames have arrived.
            tokio::time::sleep(Duration::from_secs(60)).await;
            served(&healthy).await;
        });
    });
    println!("{name}: {sent} bytes sent, {} held at most, {} after", memory.bytes_max, memory.bytes_current);
    assert!(memory.bytes_max as usize <= bound, "{name}: {} bytes after {sent} were sent", memory.bytes_max);
    assert!(memory.bytes_current <= 256 << 10, "{name}: {} bytes are left", memory.bytes_current);
}

/// The stream of the call `of` among the `each` that piece `number` begins.
pub fn id(number: u32, of: u32, each: u32) -> u32 {
    2 * (number * each + of) + 1
}

/// HEADERS of a call of `WAIT` as one block, without the literals of a test: a few bytes.
pub fn opens(stream: u32, flags: u8) -> Frame {
    opens_at(stream, WAIT.path(), flags)
}

/// HEADERS of a call of another method.
pub fn opens_at(stream: u32, path: &str, flags: u8) -> Frame {
    // :method POST, :scheme http, :authority "t", :path, te, content-type.
    let mut block = vec![0x83, 0x86, 0x01, 1, b't', 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x00\x02te\x08trailers\x0f\x10\x10application/grpc");
    raw(HEADERS, END_HEADERS | flags, stream, &block)
}
