//! Decodes the bytes of two directions into annotated frames.
//!
//! ```text
//! bytes of a direction                    half.rs, resync.rs where a frame has to be looked for
//!   ├ pieces before HTTP/2                opening.rs, opening_state.rs, before.rs: proxy.rs, http1.rs
//!   └ frames of HTTP/2                    http2.rs
//!       ├ header blocks                   blocks.rs, hpack.rs, huffman.rs, hpack_tables.rs; values in headers.rs
//!       └ messages of gRPC                call.rs, grpc.rs, assembly.rs, restore.rs
//!           └ fields of protobuf          protobuf.rs
//! both directions, in their order         conversation.rs, gap.rs for bytes that were not captured
//! ```

pub(super) mod assembly;
mod before;
mod blocks;
pub(super) mod call;
mod context;
pub(super) mod conversation;
mod gap;
mod grpc;
pub(super) mod half;
pub(super) mod headers;
pub(super) mod hpack;
pub(super) mod hpack_error;
mod hpack_tables;
pub(super) mod http1;
pub(super) mod http2;
pub(super) mod huffman;
pub(super) mod opening;
pub(super) mod opening_state;
pub(super) mod protobuf;
mod proxy;
mod restore;
mod resync;
