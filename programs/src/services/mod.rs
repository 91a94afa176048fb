//! The descriptors of the messages in `proto/`.

mod descriptors;

pub use descriptors::FILE_DESCRIPTOR_SET;
