//! The descriptors of `proto/`, for programs that explain bytes or serve reflection.

/// A serialized `google.protobuf.FileDescriptorSet` of `proto/`: packages, messages, fields and methods with their names.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
