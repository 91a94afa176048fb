//! The message in `grpc-status-details-bin`. Packing details into it only needs their type names, from the descriptor set.

#![allow(missing_docs, dead_code)]

include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
