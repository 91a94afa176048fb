//! Finds the methods whose handlers compute for long, so that their calls get tasks of their own.
//!
//! A call runs on its connection's task first, and while its handler computes the neighbours wait. It may have been the
//! machine that paused, so once is forgotten after a while; twice within it, and calls get a task at once, but for one in a
//! while that is tried again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of calls until a long one is forgotten.
const A_LONG_CALL: u32 = 64;

/// How a method was seen to run.
#[derive(Default)]
pub(super) struct Pace {
    /// How much the handler is suspected of computing for long. Two connections may count at the same time; nothing hangs on
    /// the exact number.
    suspicion: AtomicU32,
}

impl Pace {
    /// Returns true where the next call should run on a task of its own from its start.
    pub(super) fn spawns(&self) -> bool {
        let suspicion = self.suspicion.load(Ordering::Relaxed);
        if suspicion > 0 {
            self.suspicion.store(suspicion - 1, Ordering::Relaxed);
        }
        suspicion >= 2 * A_LONG_CALL
    }

    /// Returns true where a call took long not many calls ago.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspicion.load(Ordering::Relaxed) > 0
    }

    /// Says that the handler kept its connection busy for too long.
    pub(super) fn took_long(&self) {
        self.suspicion.fetch_add(A_LONG_CALL, Ordering::Relaxed);
    }
}
