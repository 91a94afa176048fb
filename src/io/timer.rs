//! A timer whose time changes often, and is rarely reached.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Ready at `at`. The timer is started when it is first needed, and set again only to an earlier time or when it fired too
/// early: a time that keeps moving away costs nothing.
pub(crate) fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    loop {
        let set = timer.deadline();
        if set > at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        if set >= at {
            return Poll::Ready(());
        }
        timer.as_mut().reset(at);
    }
}
