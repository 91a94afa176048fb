//! Services that come with the library.

#[cfg(feature = "health")]
pub mod health;
#[cfg(feature = "reflection")]
pub mod reflection;
#[cfg(feature = "route-guide")]
pub mod route_guide;
