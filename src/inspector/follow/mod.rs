//! What goes on in a connection, frame by frame: its calls, its windows, and which of its frames are asked for.

pub(super) mod calls;
pub(super) mod filter;
pub(super) mod windows;
