//! The memory bound that every attack is checked against: **a connection holds at most the bytes its peer sent plus 16 MiB**.
//!
//! One message being received and one being sent do not count. When the peer disconnects, its memory is released. A healthy
//! client on another connection is served the whole time.
//!
//! A [`Scene`] runs the attacked side on one thread and counts its allocations, turn by turn. The bound must hold at every moment,
//! for the bytes sent until then. The attacker's own memory is not counted.

use std::any::Any;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use barewire::server::Routes;
use barewire::{Client, ClientOptions, Server, ServerOptions};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::common::cpu::cpu_time;
use super::common::frames::*;
use super::common::pipe::{PipeConnector, PipeListener, connected};
use super::common::service::note;
use super::line::Line;
use super::service::{self, ECHO};

pub const MIB: usize = 1 << 20;

/// The bytes that a connection may hold in addition to those its peer sent.
pub const ALLOWED: usize = 16 * MIB;

/// The bytes that may remain after the peer disconnected: buffers that a thread keeps for reuse, tables that do not shrink.
const LEFT: usize = 256 << 10;

/// The most bytes to send at once.
const PIECE: usize = 64 << 10;

/// The memory at which an attack has succeeded and is stopped.
const ENOUGH: usize = 256 * MIB;

/// A window that never closes.
pub const OPEN: [(u16, u32); 1] = [(INITIAL_WINDOW_SIZE, 0x7FFF_FFFF)];
/// A window that never opens.
pub const SHUT: [(u16, u32); 1] = [(INITIAL_WINDOW_SIZE, 0)];

/// The limit of an attacker that reads everything.
pub const READS: usize = usize::MAX;
/// The limit of an attacker that reads nothing; the bytes in the socket's buffer count as read.
pub const UNREAD: usize = 64 << 10;

pub type Outcome = Result<(), String>;

/// The side under attack, and the attackers' lines to it.
pub struct Scene {
    runtime: Runtime,
    arrivals: mpsc::UnboundedSender<barewire::io::ByteStream>,
    healthy: Option<Client>,
    lines: Vec<Line>,
    /// The bytes allocated now.
    held: i64,
    /// The bytes that were allocated before the attackers connected.
    base: i64,
    before: i64,
    /// The most bytes held so far, and the most held beyond the bytes sent at that moment.
    most: i64,
    excess: i64,
    /// Failures other than those about memory.
    failures: Vec<String>,
    /// The handles to drop once the attackers have disconnected.
    kept: Vec<Box<dyn Any>>,
    /// The CPU time of the attacked side, which is alone on its thread.
    pub busy: Duration,
    /// The bytes that may be sent at once.
    pub piece: usize,
    /// The bytes that the service may keep after the attackers disconnected.
    pub left: usize,
}

impl Scene {
    /// Starts a server of [`service`] with a healthy client.
    pub fn start() -> Scene {
        Scene::serving(service::router(), |options| options.compressors = barewire::compression::all())
    }

    /// Starts a server with these routes and changed options.
    pub fn serving(routes: impl Into<Routes>, change: impl FnOnce(&mut ServerOptions)) -> Scene {
        let mut options = ServerOptions::default();
        change(&mut options);
        let server = Server::new(routes).with_options(options);
        let mut scene = Scene::empty();
        let (arrivals, incoming) = mpsc::unbounded_channel();
        scene.arrivals = arrivals.clone();
        scene.healthy = Some(scene.step(async move {
            tokio::spawn(server.serve(PipeListener(incoming)));
            let (near, far) = tokio::io::duplex(64 << 10);
            arrivals.send(connected(near)).expect("the server listens");
            Client::connect(PipeConnector::new(far)).await.expect("it connects")
        }));
        scene.serve();
        scene.rest();
        scene.before = scene.held;
        scene
    }

    /// Creates a scene without a server, for attacks on clients.
    pub fn empty() -> Scene {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (arrivals, _) = mpsc::unbounded_channel();
        Scene {
            runtime,
            arrivals,
            healthy: None,
            lines: Vec::new(),
            held: 0,
            base: 0,
            before: 0,
            most: 0,
            excess: 0,
            failures: Vec::new(),
            kept: Vec::new(),
            busy: Duration::ZERO,
            piece: PIECE,
            left: LEFT,
        }
    }

    /// Runs until the future is ready, and counts the memory.
    pub fn step<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut output = None;
        let begun = Instant::now();
        let memory = allocation_counter::measure(|| output = Some(self.runtime.block_on(future)));
        self.busy += begun.elapsed();
        let most = self.held + memory.bytes_max as i64 - self.base;
        self.held += memory.bytes_current;
        self.most = self.most.max(most);
        self.excess = self.excess.max(most - self.sent() as i64);
        output.expect("it ran")
    }

    /// Advances the clock, once all tasks are idle.
    pub fn pass(&mut self, time: Duration) {
        self.step(async move { tokio::time::sleep(time).await });
    }

    /// Waits until everything is idle. The memory held then does not count against the attackers.
    pub fn rest(&mut self) {
        self.pass(Duration::from_millis(1));
        (self.base, self.most, self.excess) = (self.held, 0, 0);
    }

    /// Connects an attacker to the server, with these SETTINGS; it reads `room` bytes of the answers.
    pub fn connect(&mut self, own: &[(u16, u32)], room: usize) -> usize {
        let (line, end) = Line::new(self.piece, room);
        self.lines.push(line);
        self.arrivals.send(connected(end)).expect("the server listens");
        let greeting = [Frame::Settings { ack: false, values: own.to_vec() }, settings_ack()];
        let number = self.lines.len() - 1;
        self.send(number, &[PREFACE, &wire(greeting)].concat());
        number
    }

    /// Connects our client to an attacker.
    pub fn client(&mut self, options: ClientOptions, own: &[(u16, u32)]) -> (Arc<Client>, usize) {
        let (line, end) = Line::new(PIECE, READS);
        line.put(&wire([Frame::Settings { ack: false, values: own.to_vec() }, settings_ack()]));
        self.lines.push(line);
        let client = self.step(Client::connect_with(PipeConnector::new(end), options)).expect("it connects");
        (Arc::new(client), self.lines.len() - 1)
    }

    /// Holds on to something until the attackers have gone.
    pub fn keep(&mut self, thing: impl Any) {
        self.kept.push(Box::new(thing));
    }

    pub fn line(&self, number: usize) -> &Line {
        &self.lines[number]
    }

    /// Sends all bytes. Returns false if the connection has ended, if no byte can be sent any more, or at [`ENOUGH`].
    pub fn send(&mut self, line: usize, bytes: &[u8]) -> bool {
        let line = self.lines[line].clone();
        let most = self.piece;
        bytes.chunks(most).all(|piece| {
            if self.held - self.base > ENOUGH as i64 || line.has_ended() {
                return false;
            }
            line.put(piece);
            self.step(async {
                tokio::select! {
                    biased;
                    taken = poll_fn(|cx| line.poll_taken(cx)) => taken,
                    () = tokio::time::sleep(Duration::from_millis(1)) => false,
                }
            })
        })
    }

    /// Checks that the healthy client gets its answer within a second of the test's clock and five seconds of CPU time.
    pub fn serve(&mut self) {
        let Some(healthy) = self.healthy.clone() else { return };
        let begun = cpu_time();
        let answer = async move {
            let answer = tokio::time::timeout(Duration::from_secs(1), healthy.unary(ECHO, note("hello"))).await;
            answer.map(|answer| answer.map(|note| note.text.clone()))
        };
        let answer = self.step(answer);
        let computed = cpu_time() - begun;
        match answer {
            Ok(Ok(text)) if text == "hello" && computed < Duration::from_secs(5) => {}
            answer => self.failures.push(format!("the healthy client had {answer:?} after {computed:?} of CPU time")),
        }
    }

    /// Returns the number of bytes that the attackers have sent.
    pub fn sent(&self) -> usize {
        self.lines.iter().map(Line::sent).sum()
    }

    /// Returns the number of bytes held beyond those from before the attack.
    pub fn held(&self) -> i64 {
        self.held - self.base
    }

    /// Disconnects the attackers and returns whether the bound held. `message` is the size of the message that each connection may
    /// hold in addition.
    pub fn end(mut self, name: &str, message: usize) -> Outcome {
        self.pass(Duration::from_millis(1));
        self.serve();
        let (sent, most, excess, connections) = (self.sent(), self.most, self.excess, self.lines.len());
        let is_cut = self.held() > ENOUGH as i64;
        self.lines.iter().for_each(Line::close);
        let kept = std::mem::take(&mut self.kept);
        self.step(async move {
            drop(kept);
            tokio::time::sleep(Duration::from_secs(60)).await;
        });
        self.serve();
        let after = self.held - self.before;
        let left = self.left as i64;
        let allowed = connections * (ALLOWED + message);
        let is_bounded = excess <= allowed as i64;
        println!(
            "{name}: {} KiB sent, {} KiB held at most{}, {} KiB beyond what was sent of {} KiB allowed, {} KiB after: {}",
            sent >> 10,
            most >> 10,
            if is_cut { " (cut off)" } else { "" },
            excess >> 10,
            allowed >> 10,
            after >> 10,
            if is_bounded && after <= left && self.failures.is_empty() { "bounded" } else { "OVER THE BOUND" },
        );
        let mut failures = std::mem::take(&mut self.failures);
        if !is_bounded {
            failures.push(format!("{excess} bytes are held beyond the {sent} that were sent, and {allowed} may be"));
        }
        if after > left {
            failures.push(format!("{after} bytes are left when the attacker is gone"));
        }
        if failures.is_empty() { Ok(()) } else { Err(format!("{name}: {}", failures.join("; "))) }
    }
}

/// Asserts that every outcome is a success.
pub fn all(outcomes: impl IntoIterator<Item = Outcome>) {
    let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
