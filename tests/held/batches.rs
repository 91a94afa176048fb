//! Small messages that handlers send endlessly to a client that reads none: the batches of all calls add up.

use super::kinds::{each_way, talk};
use super::memory_bound::{SHUT, all};

#[test]
fn unread_small_messages_of_a_thousand_calls_stay_within_the_limit() {
    all(each_way(talk).map(|kind| kind.check_bound(1, 1000)));
}

/// The connection's window begins at 64 KiB, and the client does not open it further.
#[test]
fn unread_small_messages_within_the_first_window_stay_within_the_limit() {
    let mut kind = talk(&[]);
    kind.name += ", the first window";
    all([kind.check_bound(1, 1000)]);
}

#[test]
fn unread_small_messages_on_ten_connections_stay_within_the_limit() {
    all([talk(&SHUT).check_bound(10, 1000)]);
}
