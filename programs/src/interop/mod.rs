//! gRPC's official interop tests: the test service, its client, and the cases that a client goes through with it.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md> says what the service does and what each case
//! asks and expects. [`server`] is the service, [`cases`] are the cases by name, [`orca`] is how a server reports its load
//! (gRFC A51), which two of the cases are about. The programs `interop_server` and `interop_client` have the flags of
//! grpc-go's, so that each can stand in for the other.

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
