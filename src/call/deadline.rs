//! The deadline of a call: the time after which the caller no longer waits. It covers the whole call, from its headers
//! to its status.
//!
//! <https://grpc.io/docs/guides/deadlines/>. A deadline travels as `grpc-timeout` ([`crate::wire::timeout`]).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A point in time, or never. The timer is started at the first poll: a call that ends without waiting does not need it.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Creates the deadline of a call that begins now. A timeout too long to represent means no deadline.
    pub(crate) fn after(timeout: Option<Duration>) -> Deadline {
        Deadline { at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)), timer: None }
    }

    /// Replaces the point in time.
    pub(crate) fn change(&mut self, at: Option<Instant>) {
        if self.at != at {
            *self = Deadline { at, timer: None };
        }
    }

    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Returns true if the deadline has passed. Reads the clock if there is a deadline.
    pub(crate) fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Ready when the deadline has passed; never ready without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.at {
            Some(at) => self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at))).as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
