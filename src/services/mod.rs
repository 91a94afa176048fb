//! Services that come with the library.

#[cfg(feature = "route-guide")]
pub mod route_guide;
