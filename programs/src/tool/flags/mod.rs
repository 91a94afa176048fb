//! Groups of flags that several commands share, each with its implementation.

pub(super) mod address;
pub(super) mod conceal;
mod descriptors;
pub(super) mod drawing;
pub(super) mod files;
pub(super) mod keys;
pub(super) mod names;
mod proto;
mod reflection;
pub(super) mod show;
pub(super) mod to_tls;
