//! DATA frames of one byte: ten on the wire, and more than that wherever a frame is kept as a frame.

use super::common::attack::id;
use super::common::frames::*;
use super::kinds::{Kind, crumbs, open};
use super::law::{OPEN, SHUT, all};
use super::service::{DROP, ENDED, HOLD, TAKE, WAIT};

/// The beginning of a message that never becomes whole, a byte a frame, round after round.
fn crumbling(name: &'static str, own: &[(u16, u32)], path: &'static str, rounds: u32, each: usize) -> Kind {
    Kind::new(name, own, move |n| [open(n, path), wire([data(id(n, 0, 1), prefix(0, 1 << 20))])].concat())
        .then(rounds, move |n| crumbs(n, &vec![b'c'; each]))
}

#[test]
fn frames_of_a_byte_in_one_call() {
    all([
        crumbling("frames of a byte, not taken", &OPEN, HOLD.path(), 100, 500).is_lawful(1, 1),
        crumbling("frames of a byte, waited for", &OPEN, TAKE.path(), 100, 500).is_lawful(1, 1),
        crumbling("frames of a byte, unary", &OPEN, WAIT.path(), 100, 500).is_lawful(1, 1),
    ]);
}

#[test]
fn frames_of_a_byte_in_a_thousand_calls() {
    all([
        crumbling("frames of a byte, not taken", &OPEN, HOLD.path(), 5, 10).is_lawful(1, 1000),
        crumbling("frames of a byte, waited for", &OPEN, TAKE.path(), 5, 10).is_lawful(1, 1000),
        crumbling("frames of a byte, unary", &OPEN, WAIT.path(), 5, 10).is_lawful(1, 1000),
    ]);
}

#[test]
fn frames_of_a_byte_for_nobody() {
    all([
        crumbling("frames of a byte, dropped", &OPEN, DROP.path(), 6, 10).is_lawful(1, 1000),
        // The handler has ended; its answer and the trailers behind it wait for window.
        crumbling("frames of a byte, ended", &SHUT, ENDED.path(), 6, 10).is_lawful(1, 1000),
        crumbling("frames of a byte, ended, one call", &SHUT, ENDED.path(), 120, 500).is_lawful(1, 1),
    ]);
}
