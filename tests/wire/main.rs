//! Hand-written frames: each test plays one end of a connection octet by octet and reads the other end's answer.

#[path = "../common/mod.rs"]
mod common;

mod client_bad_answers;
mod client_http_answers;
mod client_wire;
mod h2_limits;
mod hpack_differential;
mod malformed_both_ways;
mod metadata_limits;
mod non_grpc;
mod resets;
mod server_refusals;
mod server_wire;
