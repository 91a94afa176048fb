//! Both halves of a streaming call, driven together, and the two buffers that its handler or caller holds.
//!
//! ```text
//!   handler or caller            shared, under a lock            the call's task         h2
//!   Outbound::send ───────▶ Batch: messages, one buffer ───▶ Exchange::send ───────▶ SendStream
//!   Inbound::recv  ◀─────── Inbox: a Body               ◀─── Exchange::arrive ◀────── RecvStream
//! ```
//!
//! Only the call's task touches h2, because h2 keeps one waker a half and a second task polling it would silence the first.
//! It takes what has arrived, lets the handler run until that has to wait, and then sends what the handler has written.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;

use super::batch::SharedBatch;
use super::inbox::SharedInbox;
use super::lock::lock;
use super::send::{Gone, Sending};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::response::ResponseHeaders;

/// What a call's task shares with the handles of a streaming call.
pub(crate) struct Exchange {
    pub(crate) inbox: Option<SharedInbox>,
    pub(crate) batch: Option<SharedBatch>,
    /// Taken out of the batch, waiting for window.
    outgoing: Bytes,
    /// END_STREAM goes with the last of it: a client's half-close. A server's stream ends with its trailers.
    half_closes: bool,
    is_last: bool,
}

impl Exchange {
    /// Creates the exchange of a client, which half-closes behind its last message.
    pub(crate) fn request(inbox: SharedInbox, batch: Option<SharedBatch>) -> Exchange {
        Exchange { inbox: Some(inbox), batch, outgoing: Bytes::new(), half_closes: true, is_last: false }
    }

    /// Creates the exchange of a server, whose stream ends with its trailers.
    pub(crate) fn answer(inbox: Option<SharedInbox>, batch: Option<SharedBatch>) -> Exchange {
        Exchange { inbox, batch, outgoing: Bytes::new(), half_closes: false, is_last: false }
    }

    /// Begins a turn: takes in what has arrived, and wakes a reader that lives in another task.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) {
        if let Some(batch) = &self.batch {
            lock(batch).begin_turn();
        }
        if let Some(inbox) = &self.inbox {
            lock(inbox).arrive(cx);
        }
    }

    /// Ends a turn: sends what was written, as far as the window goes. Returns true when a sender that waited in this very task
    /// has room again, and should be polled.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> bool {
        let mut has_room = false;
        loop {
            let sent = self.poll_outgoing(cx, sending);
            let Some(batch) = &self.batch else { return false };
            match sent {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Gone)) => {
                    // A sender that never waits has to be told, or its handler would go on for ever.
                    lock(batch).close(Status::cancelled("the stream was reset or its connection was lost"));
                    return false;
                }
                Poll::Pending => return has_room,
            }
            let mut batch = lock(batch);
            if let Some((metadata, encoding)) = batch.take_headers() {
                // Where the stream is gone, the receiving half says so.
                let _: Result<(), Gone> = respond(sending, &metadata, encoding);
            }
            let (next, woken) = batch.next(cx, self.half_closes && !sending.is_closed());
            has_room |= woken;
            match next {
                Some((outgoing, is_last)) => (self.outgoing, self.is_last) = (outgoing, is_last),
                None => return has_room,
            }
        }
    }

    /// Ready when what was taken out of the batch has gone, or can go nowhere any more.
    pub(crate) fn poll_outgoing(&mut self, cx: &mut Context<'_>, sending: &mut Sending) -> Poll<Result<(), Gone>> {
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

    /// Throws away what was taken out of the batch.
    pub(crate) fn drop_outgoing(&mut self) {
        self.outgoing = Bytes::new();
    }

    /// Ends both directions: what is still sent fails with `status`, and what is read as well, unless its end is known.
    pub(crate) fn close(&mut self, status: &Status) {
        if let Some(inbox) = self.inbox.take() {
            lock(&inbox).close(status.clone());
        }
        if let Some(batch) = self.batch.take() {
            lock(&batch).close(status.clone());
        }
    }
}

/// Sends the Response-Headers.
pub(crate) fn respond(sending: &mut Sending, metadata: &Metadata, encoding: Encoding) -> Result<(), Gone> {
    sending.respond(StatusCode::OK, ResponseHeaders::encode(encoding, metadata), false)
}

/// The call's task has ended: nothing more will move, and handles that outlive it are told so.
impl Drop for Exchange {
    fn drop(&mut self) {
        if self.inbox.is_some() || self.batch.is_some() {
            self.close(&Status::cancelled("the call has ended"));
        }
    }
}
