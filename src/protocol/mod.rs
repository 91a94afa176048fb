//! What the documents of gRPC and HTTP/2 name, as plain types: error codes, frames, lists of fields, and every way a peer can be
//! wrong. Nothing here knows a call, its metadata or its status; [`wire`](crate::wire) gives these modules out.
//!
//! ```text
//! error → code_map → http2      every ProtocolError, with its code by the three tables
//!   ↓ section                   the list of fields that was too large
//! cause → error, http2          why a call failed, and whose doing it was
//! binary                        the values of -bin keys
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod binary;
pub mod cause;
pub mod code_map;
pub mod error;
pub mod http2;
pub mod section;

pub use cause::{By, Cause, What};
pub use error::ProtocolError;
pub use section::Section;
