//! Connections: handshakes, flow control, keepalive, GOAWAY and shutdown.

#[path = "../common/mod.rs"]
mod common;

mod age;
mod client_goaway;
mod connection;
mod flow_control;
mod flow_control_client;
mod limits;
mod memory;
mod pings;
mod shutdown;
mod slow_peers;
