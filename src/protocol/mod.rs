//! The terms of the gRPC and HTTP/2 documents as plain types: error codes, frames, lists of fields, and every violation of the
//! protocol. This module does not depend on calls, metadata or statuses; [`wire`](crate::wire) re-exports it.
//!
//! ```text
//! error → code_map → http2      every ProtocolError, with its code by the three tables
//!   ↓ section                   the list of fields that was too large
//! cause → error, http2          the reason of a failed call, and the side that caused it
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
