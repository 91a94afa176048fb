//! The source held to its own rules: layers, imports, and the index of gRPC's rules. No test here makes a call.

mod layering;
mod rules_index;
