//! Header blocks that HPACK expands: a byte refers to an entry of the table, and each reference is a field in memory.

use super::attack_bytes::{FULL, TINY, amplified, block};
use super::callers::{RESPONSE, Waits, on_a_client};
use super::common::frames::*;
use super::kinds::{in_headers, in_trailers};
use super::memory_bound::all;
use super::service::{DROP, HOLD, WAIT};

#[test]
fn expanded_request_headers_stay_within_the_limit() {
    all([
        in_headers(HOLD.path(), 1, TINY).check_bound(1, 300),
        in_headers(HOLD.path(), 1, TINY).check_bound(3, 200),
        in_headers(WAIT.path(), 1, TINY).check_bound(1, 300),
        in_headers(HOLD.path(), 4000, FULL).check_bound(1, 1000),
    ]);
}

#[test]
fn expanded_request_trailers_stay_within_the_limit() {
    // Optionally after an empty message that the handler does not take.
    let waiting: &[u8] = &[0, 0, 0, 0, 0];
    all([
        in_trailers(HOLD.path(), waiting, 1, TINY).check_bound(1, 300),
        in_trailers(DROP.path(), b"", 1, TINY).check_bound(1, 300),
        in_trailers(WAIT.path(), waiting, 1, TINY).check_bound(1, 300),
        in_trailers(HOLD.path(), waiting, 4000, FULL).check_bound(1, 1000),
    ]);
}

#[test]
fn expanded_initial_metadata_stays_within_the_limit() {
    let bytes_of = |stream, is_first| block(stream, 0, &[RESPONSE, &amplified(is_first, 1, TINY)].concat());
    let large = |stream, is_first| block(stream, 0, &[RESPONSE, &amplified(is_first, 4000, FULL)].concat());
    all([
        on_a_client("tiny fields in initial metadata", 300, Waits::Nothing, 1, 0, bytes_of),
        on_a_client("tiny fields in initial metadata", 300, Waits::Messages, 1, 0, bytes_of),
        on_a_client("large fields in initial metadata", 300, Waits::Messages, 1, 0, large),
    ]);
}

#[test]
fn expanded_trailing_metadata_stays_within_the_limit() {
    let status = b"\x00\x0bgrpc-status\x010";
    let bytes_of = |stream, is_first| {
        let trailers = block(stream, END_STREAM, &[&status[..], &amplified(is_first, 1, TINY)].concat());
        [block(stream, 0, RESPONSE), wire([data(stream, message([]))]), trailers].concat()
    };
    all([on_a_client("tiny fields in trailing metadata", 300, Waits::Nothing, 1, 0, bytes_of)]);
}

#[test]
fn expanded_informational_responses_stay_within_the_limit() {
    // `:status` 103, which the caller does not read.
    let bytes_of = |stream, is_first| block(stream, 0, &[&b"\x08\x03103"[..], &amplified(is_first, 1, TINY)].concat());
    all([
        on_a_client("tiny fields in 1xx", 100, Waits::Nothing, 5, 0, bytes_of),
        on_a_client("tiny fields in 1xx", 100, Waits::Messages, 5, 0, bytes_of),
    ]);
}
