//! The inspector: what the bytes of a gRPC connection mean, each of them.
//!
//! Pure functions over bytes: no I/O, no async, no HTTP/2 library. It is a second opinion on what the core and h2 put
//! on the wire, written from the specifications alone.
//!
//! ```text
//! bytes of two directions                                          conversation.rs
//!   └ frames of HTTP/2            RFC 9113                         http2.rs
//!       ├ header blocks           RFC 7541                         hpack.rs, huffman.rs, hpack_tables.rs
//!       └ messages of gRPC        PROTOCOL-HTTP2.md                grpc.rs
//!           └ fields of protobuf  protobuf.dev, "Encoding"         protobuf.rs, fields.rs, names from schema.rs
//! a tree of annotations for every frame                            annotation.rs, tree.rs
//!   ├ what is not on the wire as it is: compressed messages        restore.rs
//!   ├ text for a person: every byte, or the outline                print.rs, line.rs, explain.rs
//!   └ JSON lines, without what is secret                           json.rs, redaction.rs
//! the frames of a connection, one after the other                  view.rs
//!   ├ a line for each call; which of them are shown                calls.rs, filter.rs
//!   ├ drawings: ladder, flow control, header compression           views/, windows.rs
//!   └ the rules that a wire can break                              lint/
//! ```
//!
//! **The law:** every byte belongs to exactly one leaf, and the leaves tile the input exactly, for valid, broken and
//! truncated input alike ([`Conversation::check`] holds it against a conversation). Nothing here panics, and memory is
//! bounded by [`Limits`].
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

mod annotation;
mod assembly;
mod call;
mod calls;
pub mod capture;
mod conversation;
mod explain;
mod fields;
mod filter;
mod frame;
mod grpc;
mod half;
mod headers;
mod hpack;
mod hpack_tables;
mod http2;
mod huffman;
mod json;
mod limits;
mod line;
mod lint;
mod loss;
mod print;
mod protobuf;
mod redaction;
mod restore;
mod schema;
mod text;
mod tree;
mod view;
mod views;
mod windows;
pub mod write;

#[cfg(test)]
mod tests;

pub use annotation::{Annotation, Document, Form, Layer, Part, Rule};
pub use calls::{CallEnd, CallLines, CallStatus, CallSummary, Calls, Traffic};
pub use conversation::Conversation;
pub use explain::{Explanation, explain, explanations};
pub use fields::{FieldError, Fields, Payload, RawField, WireType};
pub use filter::{Filter, FilterError, Sieve};
pub use frame::{Direction, Frame, FrameKind, Meaning, Message, Restored};
pub use hpack::{Block, Decoder, HeaderField, HpackError};
pub use http2::{ErrorCode, FrameHeader, FrameType};
pub use json::{Endpoints, JsonLines};
pub use limits::Limits;
pub use line::{lines, outline};
pub use lint::{Finding, Lint, LintRule, Severity};
pub use print::{PrintOptions, legend, print, print_frame};
pub use redaction::Redaction;
pub use schema::{CallKind, FieldType, MethodTypes, Schema, SchemaError, SchemaField};
pub use text::Text;
pub use tree::{Gap, Node, Nodes, Tree, check_tiling};
pub use view::{VIEWS, View, view};
pub use views::{
    BlockCost, Flow, HeaderCost, HpackView, Ladder, LadderText, Stall, Step, TableEntry, WindowPoint, WindowSeries,
};
