//! Locks and wakers for the state that a call's task shares with the handler or caller.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Locks the state that a call shares with its handles. Ignores poisoning: a message whose encoding panicked leaves
/// nothing half done behind.
pub(crate) fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores the waker of the current task.
pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Wakes a waker unless it belongs to the current task. Returns true if it does.
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
