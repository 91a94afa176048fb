//! The messages of `grpc/health/v1/health.proto`.
//!
//! They are written by hand, so that the feature `health` needs neither a compiler of `.proto` files nor a build script. A test
//! compares them with `proto/grpc/health/v1/health.proto`.

use std::collections::BTreeMap;

/// Asks for the status of a service.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HealthCheckRequest {
    /// The full name of the service; empty for the whole server.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// The status of a service.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct HealthCheckResponse {
    /// A [`ServingStatus`], or the number of one that this library does not know.
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub status: i32,
}

/// Asks for the status of every service.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct HealthListRequest {}

/// The status of every service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthListResponse {
    /// The statuses by the services' names.
    #[prost(btree_map = "string, message", tag = "1")]
    pub statuses: BTreeMap<String, HealthCheckResponse>,
}

/// The status of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ServingStatus {
    /// The status has not been determined.
    Unknown = 0,
    /// The service handles calls.
    Serving = 1,
    /// The service does not handle calls at present.
    NotServing = 2,
    /// The server does not know the service. Only Watch sends this status.
    ServiceUnknown = 3,
}

impl From<ServingStatus> for HealthCheckResponse {
    fn from(status: ServingStatus) -> HealthCheckResponse {
        HealthCheckResponse { status: status.into() }
    }
}
