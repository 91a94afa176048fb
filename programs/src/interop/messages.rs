//! The messages of `proto/grpc/testing`, which documents them.

#![allow(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));
