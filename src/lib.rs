//! barewire
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod metadata;
pub mod method;
pub mod status;
pub mod wire;

pub use metadata::Metadata;
pub use method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
pub use status::{Code, Status};
