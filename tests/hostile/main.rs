//! Attacks on a server and on a client: memory counted by an allocator, and a healthy peer served beside them.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod many_resets;
mod servers;
mod windows;
