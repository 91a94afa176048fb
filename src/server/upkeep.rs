//! Decides after each turn of a connection whether it may go on: its client's PINGs (gRFC A8), its idle time and its age (gRFC A9).

use std::task::{Context, Poll};

use super::age::{Age, Due};
use super::pings::PingStrikes;
use super::shared::Shared;
use crate::io::{ConnectionInfo, Fault, Pings};

/// The limits of one connection.
pub(super) struct Upkeep {
    strikes: PingStrikes,
    /// `None` if the connection may be idle and old, or if it ends anyway.
    age: Option<Box<Age>>,
}

impl Upkeep {
    pub(super) fn new(shared: &Shared) -> Upkeep {
        Upkeep { strikes: PingStrikes::default(), age: Age::new(&shared.options) }
    }

    /// Stops the clocks of idle time and age, because the server shuts down.
    pub(super) fn stop_age(&mut self) {
        self.age = None;
    }

    /// Returns true if [`Upkeep::poll`] has something to do after a turn with these PINGs.
    pub(super) fn is_needed(&self, pings: Option<Pings>) -> bool {
        pings.is_some() || self.age.is_some()
    }

    /// Ready when the connection must end, or when its client must leave. `calls` is the number of calls that have begun so far.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        pings: Option<Pings>,
        (has_calls, calls): (bool, u32),
        shared: &Shared,
        connection: &ConnectionInfo,
    ) -> Poll<Due> {
        if let Some(too_many) = pings.and_then(|pings| self.strikes.count(pings, has_calls, &shared.options)) {
            if let Some(report) = &shared.hooks.on_too_many_pings {
                report(connection, &too_many);
            }
            return Poll::Ready(Due::Close(Fault::TooManyPings));
        }
        self.age.as_mut().map_or(Poll::Pending, |age| age.poll(cx, has_calls, calls))
    }
}
