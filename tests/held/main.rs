//! Tests that little traffic takes little memory, whatever a peer does with its streams, and for however long.
//!
//! Each module is one kind of memory that a peer can make a connection hold while it sends almost nothing. [`memory_bound`] is the limit.

#![cfg(all(feature = "inspector", feature = "compression"))] // The attacks contain header blocks and compressed messages.

#[path = "../common/mod.rs"]
mod common;

mod all_kinds;
mod attack_bytes;
mod batches;
mod callers;
mod decompression;
mod idle;
mod kinds;
mod large_answers;
mod line;
mod memory_bound;
mod metadata;
mod service;
mod small_frames;
mod turns;
