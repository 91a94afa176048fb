//! Tests fairness: a call waits for a few turns of other calls, not until all earlier ones have ended.
//!
//! Counts the handlers that ran, and does not measure time.

use std::sync::atomic::Ordering;

use super::attack_bytes::ask;
use super::common::frames::*;
use super::memory_bound::{OPEN, READS, Scene};
use super::service::{WORK, counted};

/// The number of calls that wait on each connection.
const CALLS: u32 = 1000;
/// The work of a handler: some 100 µs without optimisation.
const LONG: u64 = 5_000;

/// Returns the most handlers of other calls that run between a call and its answer, while each connection has a thousand waiting.
fn others_first(connections: u32) -> usize {
    let (router, runs) = counted();
    let mut scene = Scene::serving(router, |_| {});
    scene.piece = 1 << 20;
    let burst: Vec<u8> = (0..CALLS).flat_map(|n| ask(n, WORK.path(), &number(LONG))).collect();
    let lines: Vec<usize> = (0..connections).map(|_| scene.connect(&OPEN, READS)).collect();
    for line in &lines {
        assert!(scene.send(*line, &wire([window_update(0, 0x7FFF_0000)])));
    }
    lines.iter().for_each(|line| scene.line(*line).put(&burst));
    // Makes one call after another, until all other tasks are idle.
    let (mut before, mut waited) = (0, Vec::new());
    loop {
        scene.serve();
        let now = runs.load(Ordering::SeqCst);
        if now == before {
            break;
        }
        waited.push(now - before);
        before = now;
    }
    println!("turns: calls were answered when {waited:?} of {} others had run", connections * CALLS);
    assert_eq!(before, (connections * CALLS) as usize, "every call is served");
    waited.into_iter().max().unwrap_or_default()
}

/// A call crosses five tasks. Before each, every connection may have a turn of 64 calls, and run as many with their own tasks.
fn bound(connections: usize) -> usize {
    connections * 5 * 128
}

#[test]
fn call_beside_twenty_busy_connections_waits_a_few_turns() {
    let first = others_first(20);
    assert!(first <= bound(20), "{first} handlers ran first");
}
