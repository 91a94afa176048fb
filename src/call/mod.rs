//! One RPC on one HTTP/2 stream: the code that client and server share.
//!
//! All four kinds of call have the same shape: messages in each direction, then trailers from the server.
//!
//! ```text
//!            client                                        server
//!   HEADERS  Request-Headers  ──────────────────────────▶  the call begins
//!   DATA     messages         ──────────────────────────▶  Body ─▶ handler     
//!   END_STREAM on the last    ──────────────────────────▶  the half-close: recv() gives None
//!            the call has headers  ◀──────────────────────  HEADERS  Response-Headers, before the first message
//!            messages  ◀── Body ◀─────────────────────────  DATA     messages
//!            the call has ended  ◀────────────────────────  HEADERS  Trailers with END_STREAM
//! ```
//!
//! A call ends exactly once, in one of these ways (the only list of them):
//!
//! | cause | server | client |
//! |---|---|---|
//! | the handler returns | sends its result as trailers | reads the status from the trailers |
//! | the handler panics | sends trailers with UNKNOWN | reads UNKNOWN from the trailers |
//! | the deadline passes | drops the handler, sends trailers: DEADLINE_EXCEEDED | DEADLINE_EXCEEDED, RST_STREAM CANCEL |
//! | the caller cancels, by dropping its handles | drops the handler on RST_STREAM CANCEL | sends RST_STREAM CANCEL |
//! | a side resets the stream over an error | drops the handler | the status code that gRPC maps the reset's error code to |
//! | the connection is lost | drops the handler | UNAVAILABLE |
//! | the server shuts down and its shutdown timeout passes | drops the handler, sends trailers with UNAVAILABLE | reads UNAVAILABLE |
//!
//! On a server a request can also fail before its handler runs: it is malformed, its method is unknown, or the connection
//! has no memory for it. The server then answers with trailers only. On a client a response can break the protocol or a limit:
//! the client then fails the call with its own status and sends RST_STREAM CANCEL.
//!
//! No task and no queue of messages stands between the handler and the stream. `body` owns the receiving half: it takes DATA
//! out of h2 as it arrives, buffers it compactly, and returns flow-control window as messages are taken out. `answer` wraps
//! a body on a client. `send` owns the sending half. `exchange` drives both halves of a streaming call, whose handler or
//! caller holds only the buffers: an [`Inbound`] and an [`Outbound`] (`typed`). `unary` reads and writes single messages.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod compress;
pub(crate) mod context;
pub(crate) mod deadline;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod failure;
mod foreign;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod lock;
mod observer;
pub(crate) mod payload;
pub(crate) mod piece;
mod raw;
pub(crate) mod send;
pub(crate) mod typed;
pub(crate) mod unary;
pub(crate) mod watch;

pub use compress::{Compressor, Compressors, DecompressError};
pub use context::Context;
pub use envelope::{Request, Response};
pub use observer::{CallEnd, CallObserver, EndReason, MessageInfo};
pub use raw::Raw;
pub use typed::{Inbound, Outbound};
