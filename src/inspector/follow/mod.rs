//! State of a connection, frame by frame: its calls, its flow-control windows, and filters on frames.

pub(super) mod calls;
pub(super) mod filter;
pub(super) mod windows;
