//! Services that come with the library.

#[cfg(feature = "messages")]
mod descriptors;
#[cfg(feature = "messages")]
pub use descriptors::FILE_DESCRIPTOR_SET;

#[cfg(feature = "messages")]
pub mod reflection;
#[cfg(feature = "route-guide")]
pub mod route_guide;
