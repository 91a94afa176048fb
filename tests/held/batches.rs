//! Small messages that handlers write endlessly for a client that reads none: the batches of all calls add up.

use super::kinds::{each_way, talk};
use super::law::{SHUT, all};

#[test]
fn a_thousand_that_talk() {
    all(each_way(talk).map(|kind| kind.is_lawful(1, 1000)));
}

/// The connection's window begins at 64 KiB, and the client does not open it further.
#[test]
fn a_thousand_that_talk_into_the_first_window() {
    let mut kind = talk(&[]);
    kind.name += ", the first window";
    all([kind.is_lawful(1, 1000)]);
}

#[test]
fn a_thousand_that_talk_on_each_of_ten_connections() {
    all([talk(&SHUT).is_lawful(10, 1000)]);
}
