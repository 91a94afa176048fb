//! Makes calls of all four kinds for any time, with disturbances: cancellations, short deadlines, connections that are dropped
//! during calls and replaced. Memory, descriptors and tasks must not grow.
//!
//! `cargo bench --bench soak -- --seconds 600`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use barewire::services::route_guide::messages::{Point, Rectangle, RouteNote};
use barewire::services::route_guide::{
    Features, GET_FEATURE, Guide, LIST_FEATURES, Notes, RECORD_ROUTE, ROUTE_CHAT, router,
};
use barewire::transport::tcp;
use barewire::{CallOptions, Client, Code, Server, Status};
use tokio::runtime::Handle;

/// The number of concurrent clients, each on a connection of its own.
const CLIENTS: u64 = 8;

/// The number of lines of the table.
const LINES: u32 = 20;

type Counts = Arc<Mutex<BTreeMap<i32, u64>>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let seconds = match (arguments.next().as_deref(), arguments.next().map(|value| value.parse::<u64>())) {
        (None, _) => 10,
        (Some("--seconds"), Some(Ok(seconds))) if seconds > 0 => seconds,
        _ => {
            eprintln!("soak: the only flag is --seconds N, for how long it runs");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    runtime.block_on(soak(Duration::from_secs(seconds)))
}

async fn soak(length: Duration) -> ExitCode {
    let listener = tcp::listen("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    // The guide's store of notes soon reaches its limit, and is not measured here.
    let guide = Guide::new(Features::published()).with_notes(Notes::with_limit(64 << 10));
    tokio::spawn(Server::new(router(guide)).serve(listener));
    let counts = Counts::default();
    for seed in 0..CLIENTS {
        tokio::spawn(disturb(address.clone(), seed, counts.clone()));
    }
    println!("{:>8} {:>10} {:>10} {:>6} {:>6}  status: calls", "seconds", "calls", "KiB", "fds", "tasks");
    let begun = Instant::now();
    let mut memory = Vec::new();
    for line in 1..=LINES {
        tokio::time::sleep_until((begun + length * line / LINES).into()).await;
        let by_code = counts.lock().expect("the lock is not poisoned").clone();
        let codes: Vec<String> = by_code.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        memory.push(resident());
        let (calls, tasks) = (by_code.values().sum::<u64>(), Handle::current().metrics().num_alive_tasks());
        let elapsed = begun.elapsed().as_secs();
        println!("{elapsed:>8} {calls:>10} {:>10} {:>6} {tasks:>6}  {}", resident(), descriptors(), codes.join(", "));
    }
    let mean = |lines: &[u64]| lines.iter().sum::<u64>() / lines.len() as u64;
    let fifth = memory.len() / 5;
    let (early, late) = (mean(&memory[fifth..2 * fifth]), mean(&memory[4 * fifth..]));
    let is_flat = late <= early + early / 20 + 2048;
    println!(
        "memory: {early} KiB in the second fifth, {late} KiB in the last: {}",
        if is_flat { "flat" } else { "GROWS" }
    );
    if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes calls endlessly, on a connection that is dropped during a call now and then.
async fn disturb(address: String, seed: u64, counts: Counts) {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut roll = move |end: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    loop {
        let Ok(client) = Client::connect(tcp::connect(&*address)).await else { continue };
        for _ in 0..1 + roll(500) {
            let options = match roll(10) {
                0 => CallOptions::new().timeout(Duration::from_micros(roll(300))),
                _ => CallOptions::new(),
            };
            let client = client.with(options);
            let outcome = match (roll(4), roll(8)) {
                // One caller in eight cancels before the end.
                (kind, 0) => {
                    let left = tokio::time::timeout(Duration::from_micros(roll(500)), call(&client, kind));
                    left.await.unwrap_or_else(|_| Err(Status::cancelled("the caller has gone")))
                }
                (kind, _) => call(&client, kind).await,
            };
            let code = outcome.as_ref().map_or_else(Status::number, |()| Code::Ok.number());
            *counts.lock().expect("the lock is not poisoned").entry(code).or_default() += 1;
        }
        // Drops the connection while calls are in progress.
        let going: Vec<_> = (0..4)
            .map(|kind| {
                tokio::spawn({
                    let client = client.clone();
                    async move { call(&client, kind).await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        going.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn call(client: &Client, kind: u64) -> Result<(), Status> {
    let point = Point { latitude: 409_146_138, longitude: -746_188_906 };
    match kind {
        0 => client.unary(GET_FEATURE, point).await.map(drop),
        1 => {
            let lo = Point { latitude: 400_000_000, longitude: -750_000_000 };
            let hi = Point { latitude: 420_000_000, longitude: -730_000_000 };
            let mut features = client.server_streaming(LIST_FEATURES, Rectangle { lo: Some(lo), hi: Some(hi) }).await?;
            while features.recv().await?.is_some() {}
            Ok(())
        }
        2 => {
            let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await?;
            for _ in 0..50 {
                if points.send(&point).await.is_err() {
                    break;
                }
            }
            drop(points);
            summary.await.map(drop)
        }
        _ => {
            let (mut out, mut notes) = client.bidi_streaming(ROUTE_CHAT).await?;
            // The guide answers with all earlier notes at the same place, usually more than are read here.
            out.send(RouteNote { location: None, message: String::new() }).await?;
            drop(out);
            for _ in 0..10 {
                if notes.recv().await?.is_none() {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// Returns the resident memory in KiB, from `/proc/self/statm`; 0 if that can't be read.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
