//! Groups of flags that commands share, each with what it makes of them.

pub(super) mod address;
pub(super) mod drawing;
pub(super) mod files;
pub(super) mod keys;
pub(super) mod names;
mod reflection;
pub(super) mod show;
