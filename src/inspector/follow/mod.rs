//! State of a connection, frame by frame: its calls, its flow-control windows, the waits for them, and filters on frames.

pub(super) mod borders;
pub(super) mod calls;
pub(super) mod ending;
pub(super) mod filter;
pub(super) mod stall;
pub(super) mod stalls;
pub(super) mod windows;
