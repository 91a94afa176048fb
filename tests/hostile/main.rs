//! Attacks on a server and on a client. An allocator counts the memory, and a healthy peer is served at the same time.

#[path = "../common/mod.rs"]
mod common;

mod clients;
mod many_resets;
mod servers;
mod windows;
