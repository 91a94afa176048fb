//! The inspector: explains every byte of a gRPC connection.
//!
//! Pure functions over bytes, without I/O, async or an HTTP/2 library. The code follows the specifications alone and is
//! therefore an independent check of the bytes that this library and h2 write.
//!
//! ```text
//! bytes of two directions
//!   └ decode/    frames of HTTP/2           RFC 9113
//!       │          ├ header blocks          RFC 7541
//!       │          └ messages of gRPC       PROTOCOL-HTTP2.md
//!       │              └ fields of protobuf protobuf.dev, "Encoding", names from a schema
//!       └ follow/  state over frames: calls, windows, filters
//!           ├ lint/  rules for the bytes of a connection
//!           └ show/  every byte, outlines, JSON, drawings, a line for each call or finding
//!
//! model/    used by all: a frame, its tree of annotations, the schema, the limits, redaction
//! capture/  input: files of bytes with their times
//! write/    separate: frames by hand
//! ```
//!
//! A folder uses only the folders listed before it, and imports form no cycle; a test checks both.
//!
//! **Invariant:** every byte belongs to exactly one leaf, and the leaves tile the input exactly, for valid, broken and
//! truncated input alike ([`Conversation::check`] checks a conversation). Nothing here panics, and memory is bounded by
//! [`Limits`].
//!
//! ```
//! use barewire::inspector::{Conversation, Direction, PrintOptions, Schema, print};
//!
//! let mut conversation = Conversation::new(Schema::new());
//! conversation.push(Direction::ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
//! conversation.push(Direction::ToServer, &[0, 0, 0, 4, 0, 0, 0, 0, 0]);
//! conversation.finish();
//! conversation.check().unwrap();
//! println!("{}", print(conversation.frames(), &PrintOptions::default()));
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod capture;
mod decode;
mod follow;
mod lint;
mod model;
mod show;
pub mod write;

#[cfg(test)]
mod tests;

pub use decode::conversation::Conversation;
pub use decode::hpack::{Block, Decoder};
pub use decode::hpack_error::HpackError;
pub use follow::calls::{CallStatus, CallSummary, Calls, Traffic};
pub use follow::ending::CallEnd;
pub use follow::filter::{Filter, FilterError, Sieve};
pub use follow::stall::{Stall, StallEnd, Unsent, UsedUp};
pub use lint::{Finding, Lint, LintRule, Severity};
pub use model::annotation::{Annotation, Document, Form, Layer, Part, Rule};
pub use model::descriptor::SchemaError;
pub use model::fields::{FieldError, Fields, Payload, RawField, WireType};
pub use model::frame::{Direction, Frame, FrameKind, HeaderField, Meaning, Message, Preamble, Restored};
pub use model::limits::{LIMIT_NAMES, Limits};
pub use model::redaction::Redaction;
pub use model::schema::{CallKind, FieldType, MethodTypes, Schema, SchemaField};
pub use model::text::Text;
pub use model::tree::{Gap, Node, Nodes, Tree, check_tiling};
pub use show::call_lines::CallLines;
pub use show::explain::{Explanation, explain, explanations};
pub use show::flow::{Flow, WindowPoint, WindowSeries};
pub use show::hpack_costs::{BlockCost, HeaderCost, HpackView, TableEntry};
pub use show::json::{Endpoints, JsonLines};
pub use show::ladder::{Ladder, LadderText, Step};
pub use show::line::{lines, outline};
pub use show::names::{VIEWS, view};
pub use show::print::{PrintOptions, legend, print, print_frame};
pub use show::view::View;

pub use crate::wire::http2::{FrameHeader, FrameType};
