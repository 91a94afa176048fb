//! Server reflection, and the descriptors of the messages in `proto/`.

mod descriptors;
pub mod reflection;

pub use descriptors::FILE_DESCRIPTOR_SET;
