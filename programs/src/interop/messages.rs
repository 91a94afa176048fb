//! The messages of `proto/grpc/testing`, which has their documentation.

#![allow(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/grpc.testing.rs"));
