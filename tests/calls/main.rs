//! Calls from their beginning to their status: streams, deadlines, cancellation, compression.

#[path = "../common/mod.rs"]
mod common;

mod cancellation;
mod causes;
mod compression;
mod compression_choice;
mod context_and_options;
mod deadline;
mod intercepted_clients;
mod intercepted_servers;
mod interception_edges;
mod observed;
mod streaming;
mod threads;
