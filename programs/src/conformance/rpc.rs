//! What `grpc-status-details-bin` carries. Of the details it has only their names are needed, in the descriptor set.

#![allow(missing_docs, dead_code)]

include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
