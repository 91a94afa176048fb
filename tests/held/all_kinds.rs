//! All attacks at once, each of them small: the limit applies to their sum.

use super::attack_bytes::{amplified, ask, begin, block, crumbs, head, open, parts};
use super::common::attack::id;
use super::common::frames::*;
use super::kinds::Kind;
use super::memory_bound::{MIB, SHUT, all};
use super::service::{ENDED, FLOOD, HOLD, LARGE, TAKE_PARTS, TALK};

/// Streams of all kinds in turn.
fn everything() -> Kind {
    Kind::new("all kinds at once", &SHUT, |n| match n % 7 {
        // Encoded answers of 100 KB, and a stream of large ones.
        0 => ask(n, LARGE.path(), &number(100_000)),
        1 if n % 210 == 1 => ask(n, FLOOD.path(), &number(1)),
        // Batches.
        1 | 2 => open(n, TALK.path()),
        // Structures of two bytes.
        3 => begin(n, TAKE_PARTS.path(), &message(parts(1000))),
        // Fields of one byte; the fifth call adds their entry to the table.
        4 => block(id(n, 0, 1), 0, &[head(HOLD.path()), amplified(n == 4, 1, 1000)].concat()),
        // Frames of a byte, for a handler that takes nothing and for one that has ended.
        5 => [open(n, HOLD.path()), crumbs(n, &[b'c'; 100])].concat(),
        _ => [open(n, ENDED.path()), crumbs(n, &[b'c'; 100])].concat(),
    })
    .with_message(3 * MIB)
}

#[test]
fn all_attacks_together_stay_within_the_limit() {
    all([everything().check_bound(1, 1000), everything().dribbled().check_bound(3, 1000)]);
}
