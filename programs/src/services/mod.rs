//! Server reflection, and the names of the messages in `proto/`.

mod descriptors;
pub mod reflection;

pub use descriptors::FILE_DESCRIPTOR_SET;
