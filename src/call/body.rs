//! The receiving half of a stream: takes DATA in, hands messages out, returns flow-control window, and records how it ended.
//!
//! ```text
//!            DATA                            END_STREAM
//!   Open ───────────▶ Open        Open ──────────────────────▶ HalfClose   on a server
//!                                 Open ─── trailers, OK ─────▶ Trailers    on a client
//!                                 Open ─── anything else ────▶ Failed
//! ```
//!
//! A body ends once. Messages that arrived before its end can still be read, unless this side failed the call.
//!
//! DATA is taken out of h2 as soon as it arrives, because h2 charges every small unread frame some 240 bytes and ends the
//! connection when that adds up (`data_frame_budget`). The [`MessageDecoder`] buffers it compactly. Its window is
//! returned only when a message is taken out: a reader that stops therefore stops the writer, and holds at most one
//! stream window. The exception is a message larger than the window: while the reader waits for it, the window of the
//! part is returned.
//!
//! RFC 9113 section 5.2 (flow control); PROTOCOL-HTTP2.md, "Requests".

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;

use super::budget::{Admission, Charge, Kind, poll_memory};
use super::compress::{Compressor, restore};
use super::failure::{check_section, status_of_stream};
use super::link::Link;
use super::payload::Payload;
use super::watch::Watchers;
use crate::limits::{BATCH, DECODED_FREELY};
use crate::status::Status;
use crate::wire::message::{MessageDecoder, PREFIX_LENGTH, Prefix};
use crate::wire::section::Section;

/// Unary messages up to this size skip WINDOW_UPDATE: dropping the stream releases their window, and the stream's own window
/// then needs no frame. All streams of a connection together hold no more than the connection's window. Most calls are small
/// and unary, and this saves them the work.
const LAST_MESSAGE: usize = 16 << 10;

/// The messages received on a stream, and how the stream ended.
pub(crate) struct Body {
    pub(super) link: Arc<Link>,
    /// `None` once the body has failed or its reader has gone.
    stream: Option<RecvStream>,
    decoder: MessageDecoder,
    /// Decompresses messages that are flagged as compressed.
    compressor: Option<Arc<dyn Compressor>>,
    /// The observers of the call.
    pub(super) watchers: Watchers,
    /// Bytes at the front of the decoder whose window was returned before their message was complete.
    returned: usize,
    /// Bytes of messages already taken out whose window is still to be returned.
    owed: usize,
    /// Waits for memory to decompress and decode the next message.
    admission: Option<Box<Admission>>,
    /// The charge for the bytes by which the last message grew when it was decompressed and decoded.
    charge: Charge,
    end: End,
    /// True if exactly one message is expected and the stream is dropped after it.
    is_unary: bool,
    /// True if this side ended the call, over a received message or its deadline: the peer does not know it yet.
    failed_here: bool,
}

/// The way in which a body ended.
enum End {
    /// The body has not ended.
    Open,
    /// The client has half-closed the stream.
    HalfClose,
    /// The server's trailers report success.
    Trailers,
    /// The call failed; every further read returns this status.
    Failed(Status),
}

/// The next event that h2 reports for a body.
pub(super) enum Next {
    Data(Bytes),
    /// END_STREAM, with or without trailers.
    End(HeaderMap),
    Failed(h2::Error),
}

/// A source of messages: the body of a request, or the response that wraps a body.
pub(crate) trait Receive {
    /// The body.
    fn body(&mut self) -> &mut Body;

    /// Takes the next event: the head of a response, a DATA frame, or the end. Must not be polled after the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the stream and all received data: nothing will read it.
    fn abandon(&mut self) {
        self.body().abandon();
    }

    /// Ends the call from this side: every further read returns `status`.
    fn fail(&mut self, status: Status) {
        self.body().fail(status);
        self.abandon();
    }

    /// Takes all events that have arrived. Returns true if there were any.
    fn arrive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut arrived = false;
        while !self.body().has_ended() && self.poll_next(cx).is_ready() {
            arrived = true;
        }
        arrived
    }

    /// Waits for the next message and decodes it with `read`, which is passed true if the message was compressed.
    /// Returns `None` after the last message of a call that ended well. An error of `read` fails the call.
    fn poll_message<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl Fn(bool, &mut Payload<'_>) -> Result<T, Status>,
    ) -> Poll<Result<Option<T>, Status>> {
        loop {
            let body = self.body();
            // Most messages arrive whole in one frame, and an empty decoder need not be asked first.
            let has_nothing = body.decoder.unfinished() == 0 && !body.has_ended();
            if !has_nothing && let Some(next) = ready!(body.poll_take(cx, &read)) {
                return Poll::Ready(next);
            }
            ready!(self.poll_next(cx));
        }
    }
}

impl Receive for Body {
    fn body(&mut self) -> &mut Body {
        self
    }

    fn abandon(&mut self) {
        Body::abandon(self);
    }

    /// Reads the body of a request. A client's last DATA frame carries its half-close, so h2 need not be polled again for
    /// it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_stream(cx)) {
            Next::Data(data) => {
                let has_ended = self.stream.as_ref().is_some_and(RecvStream::is_end_stream);
                self.decoder.push(data);
                if has_ended {
                    self.end = End::HalfClose;
                }
            }
            // gRPC does not use trailers of a request: they are read and dropped.
            Next::End(trailers) => match self.check(Section::RequestTrailers, &trailers) {
                Ok(()) => self.end = End::HalfClose,
                Err(status) => self.end_with(Err(status)),
            },
            Next::Failed(error) => self.end_with(Err(self.status_of(&error, Section::RequestTrailers))),
        }
        Poll::Ready(())
    }
}

impl Body {
    /// Creates the body of a stream, whose messages have at most `limit` bytes each. A response sets its stream later.
    pub(crate) fn new(stream: Option<RecvStream>, limit: usize, link: Arc<Link>) -> Body {
        Body {
            link,
            stream,
            decoder: MessageDecoder::new(limit),
            compressor: None,
            watchers: Watchers::None,
            returned: 0,
            owed: 0,
            admission: None,
            charge: Charge::default(),
            end: End::Open,
            is_unary: false,
            failed_here: false,
        }
    }

    /// The connection.
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Drops everything but the connection.
    pub(crate) fn into_link(self) -> Arc<Link> {
        self.link
    }

    /// Sets the stream of a response, which arrives with its headers.
    pub(super) fn set_stream(&mut self, stream: RecvStream) {
        self.stream = Some(stream);
    }

    /// Sets the compressor for messages that are flagged as compressed.
    pub(crate) fn set_compressor(&mut self, compressor: Option<Arc<dyn Compressor>>) {
        self.compressor = compressor;
    }

    /// Reports the messages to these observers.
    pub(crate) fn watch(&mut self, watchers: &Watchers) {
        self.watchers = watchers.clone();
    }

    /// Expects a single message, after which the stream is dropped.
    pub(crate) fn expect_one(&mut self) {
        self.is_unary = true;
    }

    /// Returns true if the body has ended: no more data will arrive.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Returns true if data of messages waits to be read.
    pub(crate) fn has_messages(&self) -> bool {
        self.decoder.unfinished() > 0
    }

    /// Returns the status with which the call failed, if it did.
    pub(crate) fn failure(&self) -> Option<Status> {
        match &self.end {
            End::Failed(status) => Some(status.clone()),
            _ => None,
        }
    }

    /// Returns true if the call failed on this side: the peer does not know it yet.
    pub(crate) fn failed_here(&self) -> bool {
        self.failed_here
    }

    /// Fails the call on this side, see [`Receive::fail`].
    pub(super) fn fail(&mut self, status: Status) {
        self.failed_here = true;
        self.end_with(Err(status));
        self.abandon();
    }

    /// Ends the body as the peer or the connection ended it.
    pub(crate) fn end_with(&mut self, end: Result<(), Status>) {
        self.end = match end {
            Ok(()) => End::Trailers,
            Err(status) => End::Failed(self.link.witnessed(status)),
        };
    }

    fn abandon(&mut self) {
        if !self.has_ended() {
            self.end = End::HalfClose;
        }
        self.stream = None;
        self.decoder = MessageDecoder::new(0);
    }

    /// Polls h2 for the next event. The end is reported once.
    pub(super) fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Next::End(HeaderMap::new())) };
        Poll::Ready(match ready!(stream.poll_data(cx)) {
            Some(Ok(data)) => Next::Data(data),
            Some(Err(error)) => Next::Failed(error),
            None => match ready!(stream.poll_trailers(cx)) {
                Ok(trailers) => Next::End(trailers.unwrap_or_default()),
                Err(error) => Next::Failed(error),
            },
        })
    }

    /// Adds DATA that carries gRPC messages.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.decoder.push(data);
    }

    /// Drops DATA and returns its window.
    pub(super) fn drop_data(&mut self, data: &Bytes) {
        if let Some(stream) = &mut self.stream {
            release(stream, data.len());
        }
    }

    /// Checks a header list or trailers received on the stream.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if it exceeds the limits of metadata.
    pub(super) fn check(&self, section: Section, fields: &HeaderMap) -> Result<(), Status> {
        check_section(&self.link, section, 0, fields, self.stream_id())
    }

    /// Converts an error of the stream into the call's status. `section` is the one that would have come next.
    pub(super) fn status_of(&self, error: &h2::Error, section: Section) -> Status {
        status_of_stream(error, &self.link, section, self.stream_id())
    }

    fn stream_id(&self) -> u32 {
        self.stream.as_ref().map_or(0, |stream| stream.stream_id().into())
    }

    /// Takes the next message out of the data that has arrived, see [`Receive::poll_message`]. Returns `None` if no
    /// whole message has arrived; the caller must then poll again when more data has. Pending while the connection
    /// lacks memory to decompress and decode the message.
    pub(crate) fn poll_take<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(bool, &mut Payload<'_>) -> Result<T, Status>,
    ) -> Poll<Option<Result<Option<T>, Status>>> {
        let (budget, admission) = (&self.link.budget, &mut self.admission);
        let mut admitted = Poll::Ready(Ok(()));
        let admit = |prefix: Prefix| {
            if prefix.compressed || prefix.length as usize > DECODED_FREELY {
                admitted = poll_memory(budget, admission, cx);
            }
            matches!(admitted, Poll::Ready(Ok(())))
        };
        let (compressor, limit, watchers) = (self.compressor.as_ref(), self.decoder.limit(), &self.watchers);
        let next = self.decoder.next_when(admit, |prefix, mut payload| {
            let length = prefix.length as usize;
            let (message, added) = if prefix.compressed {
                let compressed = payload.copy_to_bytes(payload.remaining());
                match restore(compressor, &compressed, limit) {
                    Ok(mut restored) => {
                        let whole = restored.len();
                        let mut payload = Payload::new((&mut restored).take(whole));
                        let counted = budget.count_restored(length, whole);
                        let seen = counted.and_then(|()| watchers.received(whole, length, true));
                        let message = seen.and_then(|()| read(true, &mut payload));
                        (message, whole.max(payload.elements_cost()).saturating_sub(length))
                    }
                    Err(status) => (Err(status), 0),
                }
            } else {
                let mut payload = Payload::new(payload);
                let message = match watchers.received(length, length, false) {
                    Ok(()) => read(false, &mut payload),
                    Err(status) => Err(status),
                };
                (message, if length > DECODED_FREELY { payload.elements_cost().saturating_sub(length) } else { 0 })
            };
            (PREFIX_LENGTH + length, message, added)
        });
        match next {
            Ok(Some((taken, message, added))) => {
                self.charge = match added {
                    0 => Charge::default(),
                    added => self.link.budget.charge(Kind::Received, added),
                };
                self.return_window(taken);
                Poll::Ready(Some(message.map(Some).map_err(|status| self.refuse(status))))
            }
            Ok(None) => match admitted {
                Poll::Ready(Ok(())) => Poll::Ready(self.take_end()),
                Poll::Ready(Err(status)) => Poll::Ready(Some(Err(self.refuse(status)))),
                Poll::Pending => Poll::Pending,
            },
            Err(error) => Poll::Ready(Some(Err(self.refuse(error)))),
        }
    }

    /// Takes the charge for the bytes by which the last message grew. They stay charged until it is dropped.
    pub(crate) fn take_charge(&mut self) -> Charge {
        std::mem::take(&mut self.charge)
    }

    /// Returns how the call ended, once no message is left; `None` if it has not ended.
    fn take_end<T>(&mut self) -> Option<Result<Option<T>, Status>> {
        match &self.end {
            // The peer's own status explains more than the point where its messages broke off.
            End::Failed(status) => Some(Err(status.clone())),
            End::HalfClose | End::Trailers => Some(match self.decoder.finish() {
                Ok(()) => Ok(None),
                Err(error) => Err(self.refuse(error)),
            }),
            End::Open => {
                self.return_window_of_part();
                None
            }
        }
    }

    fn refuse(&mut self, error: impl Into<Status>) -> Status {
        self.fail(error.into());
        self.failure().unwrap_or_else(|| Status::internal("a call that failed has a status"))
    }

    /// Discards data that has arrived or still arrives, and returns its window: nothing will read it.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>) {
        let held = self.decoder.unfinished().saturating_sub(self.returned) + std::mem::take(&mut self.owed);
        self.returned = 0;
        self.decoder = MessageDecoder::new(0);
        if let Some(stream) = &mut self.stream {
            release(stream, held);
        }
        let _: Poll<()> = self.poll_discard(cx);
    }

    /// Reads and discards the rest of a request that no handler will answer.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(stream) = &mut self.stream {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => release(stream, data.len()),
                _ => self.stream = None,
            }
        }
        Poll::Ready(())
    }

    /// Returns the window of a message of `taken` bytes, prefix included, except for the part that was returned early.
    /// The window of several buffered messages is returned together, once half of them have been taken, because each
    /// return costs as much work as a small message.
    fn return_window(&mut self, taken: usize) {
        let early = self.returned.min(taken);
        self.returned -= early;
        if self.is_unary && self.has_ended() && taken <= LAST_MESSAGE {
            return;
        }
        self.owed += taken - early;
        if self.owed >= self.decoder.buffered().min(BATCH) {
            self.return_owed(0);
        }
    }

    /// Returns the window of an incomplete message, as its reader waits for the rest: otherwise a message larger than
    /// the window would never arrive.
    fn return_window_of_part(&mut self) {
        let part = self.decoder.unfinished().saturating_sub(self.returned);
        self.returned += part;
        self.return_owed(part);
    }

    /// Returns the window still owed, and `more` bytes.
    fn return_owed(&mut self, more: usize) {
        let due = std::mem::take(&mut self.owed) + more;
        if let Some(stream) = &mut self.stream {
            release(stream, due);
        }
    }
}

fn release(stream: &mut RecvStream, count: usize) {
    if count > 0 {
        // Fails only if the stream is closed, and then its window does not matter.
        let _: Result<(), h2::Error> = stream.flow_control().release_capacity(count);
    }
}
