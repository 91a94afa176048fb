//! Finds methods whose handlers compute for long, so that their calls get their own tasks.
//!
//! A call runs on its connection's task first, and while its handler computes, the connection's other calls wait. A
//! single long call may be due to a pause of the machine and is forgotten after a while. After two within that time,
//! calls of the method get their own task at once, except for one in a while that tries again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of calls after which a long one is forgotten.
const A_LONG_CALL: u32 = 64;

/// The record of how long a method's handler runs.
#[derive(Default)]
pub(super) struct Pace {
    /// The strength of the suspicion that the handler computes for long. Two connections may update it at the same
    /// time; the exact number does not matter.
    suspicion: AtomicU32,
}

impl Pace {
    /// Returns true if the next call should run on its own task from the start.
    pub(super) fn spawns(&self) -> bool {
        let suspicion = self.suspicion.load(Ordering::Relaxed);
        if suspicion > 0 {
            self.suspicion.store(suspicion - 1, Ordering::Relaxed);
        }
        suspicion >= 2 * A_LONG_CALL
    }

    /// Returns true if a recent call took long.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspicion.load(Ordering::Relaxed) > 0
    }

    /// Records that the handler kept its connection busy for too long.
    pub(super) fn took_long(&self) {
        self.suspicion.fetch_add(A_LONG_CALL, Ordering::Relaxed);
    }
}
