//! Services that come with the library.

/// The serialized `google.protobuf.FileDescriptorSet` of `proto/`: packages, messages, fields and methods with their names.
#[cfg(feature = "messages")]
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(feature = "route-guide")]
pub mod route_guide;
