//! Tests the memory that an idle connection holds.

use std::time::Duration;

use super::attack_bytes::{TINY, ask, open};
use super::common::attack::id;
use super::common::frames::*;
use super::kinds::{Kind, in_headers, talk};
use super::memory_bound::{OPEN, READS, SHUT, Scene};
use super::service::{ECHO, HOLD, TAKE};

/// The most bytes an idle connection may hold.
const KEPT: i64 = 1 << 20;

/// Returns the bytes held by a connection after `CALLS` calls on it, all of which have ended.
fn kept(name: &str, kind: &Kind, is_reset: bool) -> i64 {
    const CALLS: u32 = 1000;
    let mut scene = Scene::start();
    kind.play(&mut scene, 1, CALLS);
    if is_reset {
        let resets = wire((0..CALLS).map(|n| reset(id(n, 0, 1), Http2Error::CANCEL)));
        assert!(scene.send(0, &resets), "{name}");
    }
    // Long enough for h2 to forget the streams that were reset.
    scene.pass(Duration::from_secs(30));
    scene.serve();
    println!("idle after {name}: {} KiB kept", scene.held() >> 10);
    scene.held()
}

#[test]
fn idle_connection_holds_little_after_a_burst() {
    let bytes_of = text("hello");
    let echo = Kind::new("", &OPEN, move |n| ask(n, ECHO.path(), &bytes_of)).reads(READS);
    let take = Kind::new("", &OPEN, |n| [open(n, TAKE.path()), wire([data(id(n, 0, 1), text("hello"))])].concat());
    let kept = [
        kept("a thousand unary calls", &echo, false),
        kept("a thousand calls that were reset", &take, true),
        kept("a thousand batches that were reset", &talk(&SHUT), true),
        kept("tiny fields in headers, reset", &in_headers(HOLD.path(), 1, TINY), true),
    ];
    assert!(kept.iter().all(|kept| *kept <= KEPT), "{kept:?}");
}
