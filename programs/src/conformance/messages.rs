//! The messages of `proto/connectrpc/conformance`, which has their documentation.

#![allow(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/connectrpc.conformance.v1.rs"));
