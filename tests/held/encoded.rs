//! Large answers that wait for a window, or for a reader: a few bytes ask for each.

use super::common::frames::*;
use super::kinds::{Kind, ask, begin};
use super::law::{MIB, OPEN, Outcome, READS, SHUT, UNREAD, all};
use super::service::{CHAT, FLOOD, LARGE, SHARED};

/// A unary answer of 1 MiB each.
fn large(name: &'static str, own: &[(u16, u32)]) -> Kind {
    Kind::new(name, own, |n| ask(n, LARGE.path(), &number(MIB as u64))).with_message(3 * MIB)
}

/// Messages of 1 MiB without end.
fn flood(name: &'static str, own: &[(u16, u32)]) -> Kind {
    Kind::new(name, own, |n| ask(n, FLOOD.path(), &number(1))).with_message(2 * MIB)
}

/// Each call is answered with the same message of 4 MiB.
fn chat(name: &'static str, own: &[(u16, u32)]) -> Kind {
    Kind::new(name, own, |n| begin(n, CHAT.path(), &number(1))).with_message(2 * SHARED)
}

fn each_way(kind: fn(&'static str, &[(u16, u32)]) -> Kind, names: [&'static str; 3], streams: u32) -> [Outcome; 3] {
    [
        kind(names[0], &SHUT).is_lawful(1, streams),
        kind(names[1], &OPEN).after(wire([window_update(0, 0x7FFF_0000)])).reads(UNREAD).is_lawful(1, streams),
        kind(names[2], &SHUT).dribbled(names[2]).is_lawful(1, streams),
    ]
}

#[test]
fn unary_answers_of_a_mib() {
    let names = ["unary answers, no window", "unary answers, no reader", "unary answers, byte by byte"];
    all(each_way(large, names, 200));
}

#[test]
fn streams_of_large_messages() {
    let names = ["large messages, no window", "large messages, no reader", "large messages, byte by byte"];
    all(each_way(flood, names, 200));
}

#[test]
fn one_message_that_all_calls_are_answered_with() {
    let names = ["a shared note, no window", "a shared note, no reader", "a shared note, byte by byte"];
    all(each_way(chat, names, 700));
}

/// The route guide: whoever leaves a note of 4 MiB has it in every RouteChat at its place.
#[cfg(feature = "route-guide")]
#[test]
fn a_note_of_the_route_guide() {
    use barewire::services::route_guide::messages::RouteNote;
    use barewire::services::route_guide::{Guide, ROUTE_CHAT, router};
    use prost::Message as _;

    use super::common::service::Note;
    use super::law::Scene;

    let mut scene = Scene::serving(guide(), |_| {});
    let left = RouteNote { message: "n".repeat(SHARED), ..RouteNote::default() };
    scene.left += SHARED;
    let line = scene.connect(&SHUT, READS);
    let leave = begin(0, ROUTE_CHAT.path(), &message(left.encode_to_vec()));
    // The one message that is received, as often as it is counted while it grows, and the one that is sent.
    let window = wire([window_update(0, 0x7FFF_0000)]);
    let _ = scene.say(line, &window) && scene.say(line, &leave);
    for n in 1..700 {
        if !scene.say(line, &begin(n, ROUTE_CHAT.path(), &message([]))) {
            break;
        }
    }
    all([scene.end("a note of the route guide, no window", 4 * SHARED)]);

    /// The guide, and the echo of the healthy client.
    fn guide() -> barewire::server::Routes {
        struct Echo;
        impl Echo {
            async fn echo(
                &self,
                request: barewire::Request<Note>,
            ) -> Result<barewire::Response<Note>, barewire::Status> {
                Ok(request.into_message().into())
            }
        }
        let echo = barewire::Router::new(Echo).unary(super::service::ECHO, Echo::echo);
        router(Guide::default()).merge(echo).into()
    }
}
