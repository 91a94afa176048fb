//! One RPC on one HTTP/2 stream: what both sides share.
//!
//! All four kinds of call are one shape: some messages one way, some the other, and trailers.
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
//! A call ends once, by one of four causes:
//!
//! | cause | server | client |
//! |---|---|---|
//! | the handler returns | its result becomes the trailers | reads them |
//! | the deadline passes | drops the handler, sends trailers with DEADLINE_EXCEEDED | DEADLINE_EXCEEDED, RST_STREAM CANCEL |
//! | one side resets the stream | drops the handler | a status by the table of codes |
//! | the connection ends | drops the handler | UNAVAILABLE |
//!
//! Between the handler and the stream there is no task and no queue of messages. `body` owns what comes in: DATA is
//! taken out of h2 as it arrives and kept compactly, while flow-control window is returned as messages are taken out; `answer`
//! wraps it on a client. `send` owns h2's sending half. `exchange` drives the two for streaming calls, whose handler or caller
//! holds only the buffers: an [`Inbound`] and an [`Outbound`] (`typed`). `unary` is for one message by itself.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod compress;
pub(crate) mod deadline;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod failure;
mod foreign;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod lock;
pub(crate) mod payload;
pub(crate) mod send;
pub(crate) mod typed;
pub(crate) mod unary;

pub use compress::{Compressor, Compressors, DecompressError};
pub use envelope::{Context, Request, Response};
pub use typed::{Inbound, Outbound};
