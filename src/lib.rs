//! barewire
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod call;
pub mod client;
pub mod io;
pub mod metadata;
pub mod method;
pub mod server;
pub mod status;
pub mod wire;

pub use call::{Context, Inbound, Outbound, Request, Response};
pub use client::{CallOptions, Client, ClientOptions};
pub use metadata::Metadata;
pub use method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
pub use server::{Router, Server, ServerOptions};
pub use status::{Code, Status};
