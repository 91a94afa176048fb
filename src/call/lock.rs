//! Locks and wakers, for what a call's task shares with the handler or caller.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Locks what a call shares with its handles. A message whose encoding panicked leaves nothing half-done behind that the
/// next user could trip over, so a poisoned lock is taken all the same.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers the task to wake.
pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Wakes a waker unless it is this task's own. Returns true where it was.
pub(super) fn wake_elsewhere(waker: Option<Waker>, cx: &Context<'_>) -> bool {
    match waker {
        Some(waker) if waker.will_wake(cx.waker()) => true,
        Some(waker) => {
            waker.wake();
            false
        }
        None => false,
    }
}

/// Wakes a waker.
pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
