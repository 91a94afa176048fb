//! DATA frames with one byte: ten bytes on the wire, and more in memory if each frame is stored separately.

use super::attack_bytes::block;
use super::callers::{RESPONSE, Waits, on_a_client};
use super::common::frames::*;
use super::kinds::crumbling;
use super::memory_bound::{OPEN, SHUT, all};
use super::service::{DROP, ENDED, HOLD, TAKE, WAIT};

#[test]
fn one_byte_frames_in_one_call_stay_within_the_limit() {
    all([
        crumbling(&OPEN, HOLD.path(), 100, 500).check_bound(1, 1),
        crumbling(&OPEN, TAKE.path(), 100, 500).check_bound(1, 1),
        crumbling(&OPEN, WAIT.path(), 100, 500).check_bound(1, 1),
    ]);
}

#[test]
fn one_byte_frames_in_a_thousand_calls_stay_within_the_limit() {
    all([
        crumbling(&OPEN, HOLD.path(), 5, 10).check_bound(1, 1000),
        crumbling(&OPEN, TAKE.path(), 5, 10).check_bound(1, 1000),
        crumbling(&OPEN, WAIT.path(), 5, 10).check_bound(1, 1000),
    ]);
}

#[test]
fn one_byte_frames_without_a_reader_stay_within_the_limit() {
    all([
        crumbling(&OPEN, DROP.path(), 6, 10).check_bound(1, 1000),
        // The handler has ended; its answer and the trailers wait for window.
        crumbling(&SHUT, ENDED.path(), 6, 10).check_bound(1, 1000),
        crumbling(&SHUT, ENDED.path(), 120, 500).check_bound(1, 1),
    ]);
}

#[test]
fn one_byte_frames_in_answers_stay_within_the_limit() {
    let bytes_of = |stream, _| {
        let beginning = [block(stream, 0, RESPONSE), wire([data(stream, prefix(0, 1 << 20))])].concat();
        [beginning, wire(vec![data(stream, b"c"); 60])].concat()
    };
    all([Waits::Nothing, Waits::Messages, Waits::Answer]
        .map(|waits| on_a_client("frames of a byte", 1000, waits, 1, 0, bytes_of)));
}
