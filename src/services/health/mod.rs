//! gRPC's health service, `grpc.health.v1.Health`: probes and load balancers ask it whether they may send calls here.
//!
//! [`Health`] is a handle: clones share the statuses, and any part of the program may set one.
//!
//! ```
//! use barewire::services::health::messages::{HealthCheckRequest, ServingStatus};
//! use barewire::services::health::{CHECK, Health, WATCH};
//! use barewire::{Client, Code, Router, Server, transport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::new();
//! health.set("words.Words", ServingStatus::NotServing);
//!
//! let (listener, connector) = transport::memory::pair();
//! tokio::spawn(Server::new(Router::new(()).merge(health.router())).serve(listener));
//! let client = Client::connect(connector).await?;
//! let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
//! assert_eq!(client.unary(CHECK, ask("")).await?.status(), ServingStatus::Serving);
//! assert_eq!(client.unary(CHECK, ask("words.Verbs")).await.unwrap_err().code(), Code::NotFound);
//!
//! let mut words = client.server_streaming(WATCH, ask("words.Words")).await?;
//! assert_eq!(words.recv().await?.unwrap().status(), ServingStatus::NotServing);
//! health.set("words.Words", ServingStatus::Serving);
//! assert_eq!(words.recv().await?.unwrap().status(), ServingStatus::Serving);
//! # Ok(())
//! # }
//! ```
//!
//! The protocol: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. Where that leaves a choice, this module
//! does what grpc-go's `health.Server` does.

pub mod messages;
mod service;

pub use service::{Health, MAX_LISTED};

use crate::{Method, ServerStreaming, Unary};
use messages::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};

/// Unary: the current status of a service; NOT_FOUND if the server does not know it.
pub const CHECK: Method<HealthCheckRequest, HealthCheckResponse, Unary> = Method::new("/grpc.health.v1.Health/Check");
/// Unary: the current status of every service.
pub const LIST: Method<HealthListRequest, HealthListResponse, Unary> = Method::new("/grpc.health.v1.Health/List");
/// Server streaming: the current status of a service, and then each change.
pub const WATCH: Method<HealthCheckRequest, HealthCheckResponse, ServerStreaming> =
    Method::new("/grpc.health.v1.Health/Watch");
