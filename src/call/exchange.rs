//! Drives both halves of a streaming call, and the two buffers that its handler or caller holds.
//!
//! ```text
//!   handler or caller            shared, under a lock            the call's task         h2
//!   Outbound::send ───────▶ Batch: messages, one buffer ───▶ Exchange::send ───────▶ SendStream
//!   Inbound::recv  ◀─────── Inbox: a Body               ◀─── Exchange::arrive ◀────── RecvStream
//! ```
//!
//! Only the call's task touches h2. h2 remembers one waker per half, so a second polling task would replace the waker of the
//! first. A turn of the task takes in what has arrived, polls the handler until it waits, and then sends what it has
//! written.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;

use super::batch::SharedBatch;
use super::inbox::SharedInbox;
use super::lock::lock;
use super::send::{SendHalf, StreamGone};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::response::ResponseHeaders;

/// The state that a call's task shares with the handles of a streaming call.
pub(crate) struct Exchange {
    pub(crate) inbox: Option<SharedInbox>,
    pub(crate) batch: Option<SharedBatch>,
    /// Messages taken out of the batch that wait for flow-control window.
    outgoing: Bytes,
    /// True on a client: END_STREAM goes with the last message, the half-close. A server's stream ends with its trailers.
    half_closes: bool,
    is_last: bool,
}

impl Exchange {
    /// Creates the exchange of a client, which half-closes after its last message.
    pub(crate) fn request(inbox: SharedInbox, batch: Option<SharedBatch>) -> Exchange {
        Exchange { inbox: Some(inbox), batch, outgoing: Bytes::new(), half_closes: true, is_last: false }
    }

    /// Creates the exchange of a server, whose stream ends with its trailers.
    pub(crate) fn answer(inbox: Option<SharedInbox>, batch: Option<SharedBatch>) -> Exchange {
        Exchange { inbox, batch, outgoing: Bytes::new(), half_closes: false, is_last: false }
    }

    /// Begins a turn: takes in what has arrived, and wakes a reader in another task.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) {
        if let Some(batch) = &self.batch {
            lock(batch).begin_turn();
        }
        if let Some(inbox) = &self.inbox {
            lock(inbox).arrive(cx);
        }
    }

    /// Ends a turn: sends what was written, as far as the window allows. Returns true if a sender that waited in this
    /// same task can write again and should be polled.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, sending: &mut SendHalf) -> bool {
        let mut has_room = false;
        loop {
            let sent = self.poll_outgoing(cx, sending);
            let Some(batch) = &self.batch else { return false };
            match sent {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(StreamGone)) => {
                    // Closes the batch, or a handler that never waits would go on sending for ever.
                    lock(batch).close(Status::cancelled("the stream was reset or its connection was lost"));
                    return false;
                }
                Poll::Pending => return has_room,
            }
            let mut batch = lock(batch);
            if let Some((metadata, encoding)) = batch.take_headers() {
                // If the stream is gone, the receiving half reports it.
                let _: Result<(), StreamGone> = respond(sending, &metadata, encoding);
            }
            let (next, woken) = batch.next(cx, self.half_closes && !sending.is_closed());
            has_room |= woken;
            match next {
                Some((outgoing, is_last)) => (self.outgoing, self.is_last) = (outgoing, is_last),
                None => return has_room,
            }
        }
    }

    /// Ready when the messages taken out of the batch were sent, or cannot be sent any more.
    pub(crate) fn poll_outgoing(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut SendHalf,
    ) -> Poll<Result<(), StreamGone>> {
        if self.outgoing.is_empty() && !self.is_last {
            return Poll::Ready(Ok(()));
        }
        let sent = sending.poll_data(cx, &mut self.outgoing, self.is_last);
        if sent.is_ready() {
            self.is_last = false;
            self.outgoing = Bytes::new();
        }
        sent
    }

    /// Discards the messages taken out of the batch.
    pub(crate) fn drop_outgoing(&mut self) {
        self.outgoing = Bytes::new();
    }

    /// Ends both directions: later sends fail with `status`, and so do reads, unless the end of the call is known already.
    pub(crate) fn close(&mut self, status: &Status) {
        self.close_inbox(status);
        if let Some(batch) = self.batch.take() {
            lock(&batch).close(status.clone());
        }
    }

    /// Ends both directions of a client's call that the server has ended with OK. Only later sends fail, with `status`.
    pub(crate) fn succeed(&mut self, status: &Status) {
        self.close_inbox(status);
        if let Some(batch) = self.batch.take() {
            lock(&batch).succeed(status.clone());
        }
    }

    fn close_inbox(&mut self, status: &Status) {
        if let Some(inbox) = self.inbox.take() {
            lock(&inbox).close(status.clone());
        }
    }
}

/// Sends the Response-Headers.
pub(crate) fn respond(sending: &mut SendHalf, metadata: &Metadata, encoding: Encoding) -> Result<(), StreamGone> {
    sending.respond(StatusCode::OK, ResponseHeaders::encode(encoding, metadata), false)
}

/// Closes the handles that outlive the call's task.
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.inbox.is_some() || self.batch.is_some() {
            self.close(&Status::cancelled("the call has ended"));
        }
    }
}
