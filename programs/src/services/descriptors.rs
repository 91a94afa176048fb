//! The names of what stands in `proto/`, for whoever explains bytes or answers reflection.

/// The serialized `google.protobuf.FileDescriptorSet` of `proto/`: packages, messages, fields and methods with their names.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
