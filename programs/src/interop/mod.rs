//! gRPC's official interop tests: the test service, its client, and the test cases.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md> specifies the service and the steps and results
//! of each case. [`server`] is the service, [`cases`] has the cases by name, [`orca`] implements load reports (gRFC A51), which
//! two of the cases test. The programs `interop_server` and `interop_client` have the flags of grpc-go's, so that each can
//! replace the other.

pub mod cases;
mod client;
mod further;
pub mod messages;
mod methods;
pub mod orca;
mod payload;
pub mod server;

pub use client::TestServiceClient;
pub use methods::{
    ECHO_INITIAL, ECHO_TRAILING, EMPTY_CALL, FULL_DUPLEX_CALL, HALF_DUPLEX_CALL, STREAMING_INPUT_CALL,
    STREAMING_OUTPUT_CALL, UNARY_CALL, UNIMPLEMENTED_CALL, UNIMPLEMENTED_SERVICE_CALL,
};
pub use server::{TestServer, router};
