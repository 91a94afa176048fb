//! Calls from their beginning to their status: streams, deadlines, cancellation, compression.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)] // It also has a `main`.
#[path = "../../examples/proxy.rs"]
mod proxy;

mod cancellation;
mod causes;
mod compression;
mod compression_choice;
mod context_and_options;
mod deadline;
mod fallback;
mod intercepted_clients;
mod intercepted_servers;
mod interception_edges;
mod observed;
mod proxied;
mod streaming;
mod threads;
