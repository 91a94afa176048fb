//! Small messages that handlers write without end for a client that reads none: what each call gathers adds up.

use super::common::frames::*;
use super::kinds::{Kind, open};
use super::law::{OPEN, READS, SHUT, UNREAD, all};
use super::service::TALK;

fn talk(name: &'static str, own: &[(u16, u32)], room: usize) -> Kind {
    Kind::new(name, own, |n| open(n, TALK.path())).reads(room)
}

#[test]
fn a_thousand_that_talk() {
    all([
        talk("talk, no window", &SHUT, READS).is_lawful(1, 1000),
        // The connection's window of 64 KiB, and never more.
        talk("talk, the first window", &[], READS).is_lawful(1, 1000),
        talk("talk, no reader", &OPEN, UNREAD).after(wire([window_update(0, 0x7FFF_0000)])).is_lawful(1, 1000),
        talk("talk", &SHUT, READS).dribbled("talk, byte by byte").is_lawful(1, 1000),
    ]);
}

#[test]
fn a_thousand_that_talk_on_each_of_ten_connections() {
    all([talk("talk, no window", &SHUT, READS).is_lawful(10, 1000)]);
}
