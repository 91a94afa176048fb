//! Server reflection: its messages and its method, in both versions that servers have.
//!
//! [GRPC Server Reflection Protocol](https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). The two versions
//! differ by the package in the path and by nothing else, so they share the messages.

use barewire::{BidiStreaming, Method};
use messages::{ServerReflectionRequest, ServerReflectionResponse};

/// The messages of `proto/grpc/reflection/v1/reflection.proto`, which documents them.
#[allow(missing_docs)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/grpc.reflection.v1.rs"));
}

/// Questions about what a server serves, and their answers.
pub const SERVER_REFLECTION_INFO: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
/// The same, as servers have it that are older than the first version.
pub const SERVER_REFLECTION_INFO_V1ALPHA: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
