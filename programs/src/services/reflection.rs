//! Server reflection: the messages and the method, in both versions that servers implement.
//!
//! [GRPC Server Reflection Protocol](https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). The two versions
//! differ only by the package in the path, so they share the messages.

use barewire::{BidiStreaming, Method};
use messages::{ServerReflectionRequest, ServerReflectionResponse};

/// The messages of `proto/grpc/reflection/v1/reflection.proto`, which has their documentation.
#[allow(missing_docs)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/grpc.reflection.v1.rs"));
}

/// Asks what a server serves.
pub const SERVER_REFLECTION_INFO: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
/// The same in version v1alpha, which older servers implement.
pub const SERVER_REFLECTION_INFO_V1ALPHA: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
