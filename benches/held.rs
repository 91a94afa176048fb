//! Measures the memory that each kind of waiting call holds on a server, by counting allocations, and its CPU time.
//!
//! `cargo bench --bench held`. Each line is one connection; `tests/held` checks that it holds at most the bytes sent plus 16
//! MiB. Seconds are CPU time of one thread, for the library and the handlers together.

#[allow(dead_code)]
#[path = "../tests/held/attack_bytes.rs"]
mod attack_bytes;
#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code)] // The tests use the rest.
#[path = "../tests/held/kinds.rs"]
mod kinds;
#[path = "../tests/held/line.rs"]
mod line;
#[allow(dead_code)]
#[path = "../tests/held/memory_bound.rs"]
mod memory_bound;
#[allow(dead_code)]
#[path = "../tests/held/service.rs"]
mod service;

use std::time::Duration;

use barewire::wire::encoding::Encoding;

use kinds::*;
use memory_bound::{MIB, OPEN, SHUT, Scene};
use service::{DROP, ENDED, HOLD, TAKE, WAIT};

fn main() {
    println!(
        "{:<44} {:>7} {:>9} {:>9} {:>10} {:>9}",
        "kind", "streams", "KiB sent", "KiB held", "KiB/stream", "s/MB sent"
    );
    let idle = Kind::new("calls that wait", &OPEN, |n| attack_bytes::open(n, HOLD.path()));
    let answered = Kind::new("unary calls, answered", &OPEN, |n| {
        attack_bytes::ask(n, service::ECHO.path(), &common::frames::text("hello"))
    });
    print(&idle, 1000);
    print(&answered, 1000);
    print(&talk(&SHUT), 1000);
    print(&large(&SHUT), 100);
    print(&flood(&SHUT), 100);
    print(&chat(&SHUT), 50);
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Brotli] {
        print(&texts(WAIT.path(), encoding).half_closed(), 50);
    }
    print(&texts(HOLD.path(), Encoding::Gzip), 1000);
    print(&structures(false), 500);
    print(&compressed_structures(false), 50);
    print(&in_headers(HOLD.path(), 1, attack_bytes::TINY), 1000);
    print(&in_headers(HOLD.path(), 4000, attack_bytes::FULL), 1000);
    print(&in_trailers(HOLD.path(), &[0; 5], 1, attack_bytes::TINY), 1000);
    for path in [HOLD.path(), TAKE.path(), DROP.path()] {
        print(&crumbling(&OPEN, path, 10, 10), 1000);
    }
    print(&crumbling(&SHUT, ENDED.path(), 10, 10), 1000);
}

/// Returns the memory of a connection with this many streams of this kind, once all are idle.
fn print(kind: &Kind, streams: u32) {
    let mut scene = Scene::start();
    scene.busy = Duration::ZERO;
    kind.play(&mut scene, 1, streams);
    scene.pass(Duration::from_millis(1));
    let (sent, held) = (scene.sent(), scene.held().max(0) as usize);
    println!(
        "{:<44} {streams:>7} {:>9} {:>9} {:>10.1} {:>9.2}",
        kind.name,
        sent >> 10,
        held >> 10,
        held as f64 / 1024.0 / f64::from(streams),
        scene.busy.as_secs_f64() / (sent as f64 / MIB as f64),
    );
}
