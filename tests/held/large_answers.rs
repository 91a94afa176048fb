//! Large answers to tiny requests, which wait for window or for a reader.

use super::attack_bytes::begin;
use super::common::frames::*;
use super::kinds::{chat, each_way, flood, large};
use super::memory_bound::{READS, SHUT, all};
use super::service::SHARED;

#[test]
fn unread_unary_answers_of_a_mib_stay_within_the_limit() {
    all(each_way(large).map(|kind| kind.check_bound(1, 200)));
}

#[test]
fn unread_streams_of_large_messages_stay_within_the_limit() {
    all(each_way(flood).map(|kind| kind.check_bound(1, 200)));
}

#[test]
fn shared_answer_to_all_calls_stays_within_the_limit() {
    all(each_way(chat).map(|kind| kind.check_bound(1, 700)));
}

/// The route guide sends a note of 4 MiB in every RouteChat at its place.
#[cfg(feature = "route-guide")]
#[test]
fn shared_route_guide_note_stays_within_the_limit() {
    use barewire::services::route_guide::messages::RouteNote;
    use barewire::services::route_guide::{Guide, ROUTE_CHAT, router};
    use prost::Message as _;

    use super::common::service::Note;
    use super::memory_bound::Scene;

    let mut scene = Scene::serving(guide(), |_| {});
    let left = RouteNote { message: "n".repeat(SHARED), ..RouteNote::default() };
    scene.left += SHARED;
    let line = scene.connect(&SHUT, READS);
    let leave = begin(0, ROUTE_CHAT.path(), &message(left.encode_to_vec()));
    // The message being received, which counts several times while it grows, and the message being sent.
    let window = wire([window_update(0, 0x7FFF_0000)]);
    let _ = scene.send(line, &window) && scene.send(line, &leave);
    for n in 1..700 {
        if !scene.send(line, &begin(n, ROUTE_CHAT.path(), &message([]))) {
            break;
        }
    }
    all([scene.end("a note of the route guide, no window", 4 * SHARED)]);

    /// The guide, and the echo method for the healthy client.
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
