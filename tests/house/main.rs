//! Checks the source: layers, imports, and the index of gRPC's rules. These tests make no calls.

mod layering;
mod rules_index;
