//! gRPC's server reflection, `grpc.reflection.v1.ServerReflection` and its predecessor `v1alpha`: clients such as grpcurl ask
//! a server for its services and their messages, and need no `.proto` files.
//!
//! [`Reflection`] answers from descriptor sets, which every compiler of `.proto` files can write:
//!
//! ```sh
//! protoc --include_imports --descriptor_set_out=words.bin words.proto
//! ```
//!
//! ```
//! # fn example(words: barewire::Router<()>) -> Result<(), Box<dyn std::error::Error>> {
//! # const WORDS: &[u8] = &[];
//! use barewire::Server;
//! use barewire::services::reflection::Reflection;
//!
//! // const WORDS: &[u8] = include_bytes!("words.bin");
//! let server = Server::new(Reflection::new().add_descriptor_set(WORDS)?.attach(words));
//! # Ok(())
//! # }
//! # example(barewire::Router::new(())).unwrap();
//! ```
//!
//! The protocol: <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>. Where that leaves a choice, this module
//! does what grpc-go does.

mod error;
mod files;
pub mod messages;
mod service;

pub use error::DescriptorError;
pub use service::Reflection;

use crate::{BidiStreaming, Method};
use messages::{ServerReflectionRequest, ServerReflectionResponse};

/// Bidirectional streaming: answers each question about the server.
pub const SERVER_REFLECTION_INFO: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
/// The same method in version v1alpha, which older clients and servers use.
pub const SERVER_REFLECTION_INFO_V1ALPHA: Method<ServerReflectionRequest, ServerReflectionResponse, BidiStreaming> =
    Method::new("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
