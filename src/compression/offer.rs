//! What the module of each algorithm offers, and the size from which it works faster.

use std::sync::Arc;

use crate::call::Compressor;

/// From this size on, in bytes, a message is compressed at a faster level, unless one was chosen: a message of 64 MiB would take
/// seconds otherwise.
pub const LARGE: usize = 1 << 20;

/// What a module of an algorithm has to offer: one where its feature is on, none where it is off.
pub(super) type Constructors<const N: usize> = [fn() -> Arc<dyn Compressor>; N];
