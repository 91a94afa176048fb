//! Decides when a connection is idle for too long or too old, and then ends it (gRFC A9).
//!
//! ```text
//!   open ── idle or old ──▶ leaving ── the last call ended (h2 notices) ──▶ closed
//!                              └─ the grace has passed, or a client without calls did not acknowledge ──▶ closed
//! ```
//!
//! A connection without these limits has no [`Age`], and never reads the clock.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::options::ServerOptions;
use crate::io::{Fault, MAX_AGE, MAX_IDLE, poll_timer};

/// The limits of a connection's life, and its position in it.
pub(super) struct Age {
    max_idle: Option<Duration>,
    grace: Option<Duration>,
    /// Time for a client without calls to acknowledge that the connection ends.
    patience: Duration,
    /// The end of the connection's life, with jitter.
    old_at: Option<Instant>,
    /// Start of the time without calls; `None` while calls are in progress.
    idle_since: Option<Instant>,
    /// The number of calls at the last poll.
    calls: u32,
    /// True once the client was told to leave.
    is_leaving: bool,
    /// The time at which the remaining calls end.
    ends_at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The step that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send GOAWAY with this debug data, and serve the calls in progress and in transit.
    Leave(&'static str),
    /// Close the connection.
    Close(Fault),
}

impl Age {
    /// Begins the life of a connection. Returns `None` if its options limit nothing.
    pub(super) fn new(options: &ServerOptions) -> Option<Box<Age>> {
        if options.max_connection_idle.is_none() && options.max_connection_age.is_none() {
            return None;
        }
        let now = Instant::now();
        Some(Box::new(Age {
            max_idle: options.max_connection_idle,
            grace: options.max_connection_age_grace,
            patience: options.limits.peer_timeout,
            old_at: options.max_connection_age.and_then(|age| now.checked_add(jittered(age, random()))),
            idle_since: None,
            calls: 0,
            is_leaving: false,
            ends_at: None,
            timer: None,
        }))
    }

    /// Polled at the end of each turn. Ready when a step is due. `calls` is the number of calls that have begun so far; a
    /// call that began and ended within the turn ends the idle time too.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, has_calls: bool, calls: u32) -> Poll<Due> {
        if has_calls {
            self.idle_since = None;
        } else if self.idle_since.is_none() || calls != self.calls {
            self.idle_since = Some(Instant::now());
        }
        self.calls = calls;
        let Some((at, due)) = self.next() else { return Poll::Pending };
        ready!(poll_timer(&mut self.timer, at, cx));
        if let Due::Leave(reason) = due {
            let now = Instant::now();
            self.is_leaving = true;
            self.idle_since = self.idle_since.and(Some(now));
            self.ends_at = self.grace.filter(|_| reason == MAX_AGE).and_then(|grace| now.checked_add(grace));
        }
        Poll::Ready(due)
    }

    /// Returns the next step and its time.
    fn next(&self) -> Option<(Instant, Due)> {
        let after = |time: Option<Duration>| self.idle_since?.checked_add(time?);
        let steps = match self.is_leaving {
            false => [(self.old_at, Due::Leave(MAX_AGE)), (after(self.max_idle), Due::Leave(MAX_IDLE))],
            // h2 waits for the acknowledgement of its PING for ever.
            true => {
                [(self.ends_at, Due::Close(Fault::TooOld)), (after(Some(self.patience)), Due::Close(Fault::PingAck))]
            }
        };
        steps.into_iter().filter_map(|(at, due)| Some((at?, due))).min_by_key(|(at, _)| *at)
    }
}

/// Returns an age between nine tenths and eleven tenths of `age`, chosen by a number from 0 to 1 (gRFC A9).
fn jittered(age: Duration, random: f64) -> Duration {
    (age - age / 10).saturating_add((age / 5).mul_f64(random))
}

/// Returns a number from 0 to 1, another one for each connection. The standard library's hash keys are random enough.
fn random() -> f64 {
    f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_a_tenth_either_way() {
        let age = Duration::from_secs(100);
        let ages = [0.0, 0.5, 1.0].map(|random| jittered(age, random).as_secs_f64().round());
        assert_eq!(ages, [90.0, 100.0, 110.0]);
        assert_eq!(jittered(Duration::ZERO, 0.7), Duration::ZERO);
        assert!(jittered(Duration::MAX, 1.0) > Duration::MAX / 10 * 9);
    }

    #[test]
    fn random_numbers_differ_and_cover_the_range() {
        let numbers: Vec<f64> = (0..1000).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..=1.0).contains(number)));
        for part in 0..10 {
            let part = f64::from(part) / 10.0;
            let count = numbers.iter().filter(|number| **number >= part && **number < part + 0.1).count();
            assert!((40..=180).contains(&count), "{count} of 1000 from {part}");
        }
    }

    #[test]
    fn connection_without_limits_has_no_age() {
        assert!(Age::new(&ServerOptions::default()).is_none());
        let options = ServerOptions { max_connection_age_grace: Some(Duration::ZERO), ..ServerOptions::default() };
        assert!(Age::new(&options).is_none(), "a grace needs an age");
    }
}
