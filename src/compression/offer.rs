//! The constructors of each algorithm, and the size from which a faster level is used.

use std::sync::Arc;

use crate::call::Compressor;

/// Messages of at least this size, in bytes, are compressed at a faster level, unless a level was chosen: a message of
/// 64 MiB would take seconds otherwise.
pub const LARGE: usize = 1 << 20;

/// The constructors of an algorithm's module: one if its feature is on, none if it is off.
pub(super) type Constructors<const N: usize> = [fn() -> Arc<dyn Compressor>; N];
