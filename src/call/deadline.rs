//! The deadline of a call: the moment after which nobody waits for its answer. It covers the whole call, from its first
//! header to its status.
//!
//! <https://grpc.io/docs/guides/deadlines/>. A deadline travels as `grpc-timeout` ([`crate::wire::timeout`]).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A moment, or never. The timer is armed at the first poll: a call that ends before it has to wait needs none.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The deadline of a call that begins now. A time too long to be counted is none.
    pub(crate) fn after(timeout: Option<Duration>) -> Deadline {
        Deadline { at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)), timer: None }
    }

    pub(crate) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Whether it has passed. Costs a look at the clock where there is a deadline.
    pub(crate) fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Ready when it has passed; never without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.at {
            Some(at) => self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at))).as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
