//! The messages of a request or of an answer: DATA in, flow-control window back, and how it ended.
//!
//! ```text
//!            DATA                            END_STREAM
//!   Open ───────────▶ Open        Open ──────────────────────▶ HalfClose   on a server
//!                                 Open ─── trailers, OK ─────▶ Trailers    on a client
//!                                 Open ─── anything else ────▶ Failed
//! ```
//!
//! A body ends once; what came before its end can be read after it, and a failure of this side throws it away.
//!
//! DATA leaves h2 as soon as it arrives, because h2 charges every small unread frame some 240 bytes and ends the connection
//! when that adds up (`data_frame_budget`). It waits in the [`MessageDecoder`], compactly, and its window is returned only
//! when a message is taken out: a reader that stops stops the writer, at the price of one stream window. The one exception
//! is a message that does not fit the window: while somebody waits for the rest of it, the window of the part is returned.
//!
//! RFC 9113 section 5.2 (flow control); PROTOCOL-HTTP2.md, "Requests".

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;

use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::{Compressor, restore};
use super::failure::{check_section, status_of_stream};
use super::link::Link;
use super::payload::Payload;
use crate::limits::{BATCH, DECODED_FREELY};
use crate::status::Status;
use crate::wire::message::{MessageDecoder, PREFIX_LENGTH, Prefix};
use crate::wire::section::Section;

/// Up to this size the window of a unary call's message is not returned by itself: h2 returns it with the stream, which needs
/// no frame for its own window any more. All the streams of a connection together hold no more than its window then, and small
/// unary calls, which are most of all calls, are spared the work.
const LAST_MESSAGE: usize = 16 << 10;

/// The messages that come in on a stream, and their end.
pub(crate) struct Body {
    pub(super) link: Arc<Link>,
    /// Present until the body has failed, or nobody reads on.
    stream: Option<RecvStream>,
    decoder: MessageDecoder,
    /// Restores messages that are flagged as compressed.
    compressor: Option<Arc<dyn Compressor>>,
    /// Of the bytes in the decoder, counted from the front, those whose window was returned before their message is whole.
    returned: usize,
    /// Of the messages that were taken, the bytes whose window is still to be returned.
    owed: usize,
    /// Waits for memory to restore and decode the next message in.
    admission: Option<Box<Admission>>,
    /// Charges what the message that was taken last added to the bytes that came.
    charge: Charge,
    end: End,
    /// One message is due, and the stream will be dropped behind it.
    is_unary: bool,
    /// This side ended the call, over what came or by its deadline: the peer does not know it yet.
    failed_here: bool,
}

/// How a body ended.
enum End {
    /// It has not.
    Open,
    /// A client has sent its last.
    HalfClose,
    /// A server's trailers say that the call succeeded.
    Trailers,
    /// The call failed; every further read says so.
    Failed(Status),
}

/// What h2 has next for a body.
pub(super) enum Next {
    Data(Bytes),
    /// END_STREAM came, with trailers or without.
    End(HeaderMap),
    Failed(h2::Error),
}

/// What messages are read from: the body of a request, or an answer around its body.
pub(crate) trait Receive {
    /// The body.
    fn body(&mut self) -> &mut Body;

    /// Takes what comes next: the head of an answer, a DATA frame, or the end. Must not be polled after the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Lets go of the stream and of all that was received: nobody will read it.
    fn abandon(&mut self) {
        self.body().abandon();
    }

    /// Ends the call from this side: every further read gives `status`.
    fn fail(&mut self, status: Status) {
        self.body().fail(status);
        self.abandon();
    }

    /// Takes in what has arrived. Returns true where anything has.
    fn arrive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut arrived = false;
        while !self.body().has_ended() && self.poll_next(cx).is_ready() {
            arrived = true;
        }
        arrived
    }

    /// Waits for the next message, as `read` reads it where it lies, told whether it was compressed: `None` after the last, when
    /// the call has ended well. An error of `read` fails the call.
    fn poll_message<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl Fn(bool, &mut Payload<'_>) -> Result<T, Status>,
    ) -> Poll<Result<Option<T>, Status>> {
        loop {
            let body = self.body();
            // Most often the whole message comes in one frame, and has to come first.
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

    /// The body of a request. A client's last DATA frame carries its half-close: no need to ask h2 again.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_stream(cx)) {
            Next::Data(data) => {
                let has_ended = self.stream.as_ref().is_some_and(RecvStream::is_end_stream);
                self.decoder.push(data);
                if has_ended {
                    self.end = End::HalfClose;
                }
            }
            // gRPC has no use for trailers of a request: they are taken out of h2 and dropped.
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
    /// Creates the body of a stream, whose messages have at most `limit` bytes each. An answer has its stream later.
    pub(crate) fn new(stream: Option<RecvStream>, limit: usize, link: Arc<Link>) -> Body {
        Body {
            link,
            stream,
            decoder: MessageDecoder::new(limit),
            compressor: None,
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

    /// Lets go of all but the connection.
    pub(crate) fn into_link(self) -> Arc<Link> {
        self.link
    }

    /// The stream of an answer has come with its head.
    pub(super) fn set_stream(&mut self, stream: RecvStream) {
        self.stream = Some(stream);
    }

    /// Has messages that are flagged as compressed restored by this.
    pub(crate) fn set_compressor(&mut self, compressor: Option<Arc<dyn Compressor>>) {
        self.compressor = compressor;
    }

    /// Says that one message is due, and that the stream will be dropped behind it.
    pub(crate) fn expect_one(&mut self) {
        self.is_unary = true;
    }

    /// Returns true when nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Returns why the call failed, if it did.
    pub(crate) fn failure(&self) -> Option<Status> {
        match &self.end {
            End::Failed(status) => Some(status.clone()),
            _ => None,
        }
    }

    /// Returns true where the call failed on this side: the peer does not know it yet.
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
    pub(super) fn end_with(&mut self, end: Result<(), Status>) {
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

    /// Asks h2 for what comes next. Its end comes once.
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

    /// Adds DATA that is gRPC's.
    pub(super) fn push(&mut self, data: Bytes) {
        self.decoder.push(data);
    }

    /// Drops DATA and returns its window.
    pub(super) fn drop_data(&mut self, data: &Bytes) {
        if let Some(stream) = &mut self.stream {
            release(stream, data.len());
        }
    }

    /// Checks a section that came on the stream.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED where it is over the limits.
    pub(super) fn check(&self, section: Section, fields: &HeaderMap) -> Result<(), Status> {
        check_section(&self.link, section, 0, fields, self.stream_id())
    }

    /// Returns what an error of the stream means for the call. `section` is the one that would have come next.
    pub(super) fn status_of(&self, error: &h2::Error, section: Section) -> Status {
        status_of_stream(error, &self.link, section, self.stream_id())
    }

    fn stream_id(&self) -> u32 {
        self.stream.as_ref().map_or(0, |stream| stream.stream_id().into())
    }

    /// Takes the next message out of what has arrived, see [`Receive::poll_message`]; `None` where it has not arrived yet, and
    /// then the caller must poll again when something has. Pending while the connection has no memory to restore and decode it
    /// in.
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
        let (compressor, limit) = (self.compressor.as_ref(), self.decoder.limit());
        let next = self.decoder.next_when(admit, |prefix, mut payload| {
            let length = prefix.length as usize;
            let (message, added) = if prefix.compressed {
                let compressed = payload.copy_to_bytes(payload.remaining());
                match restore(compressor, &compressed, limit) {
                    Ok(mut restored) => {
                        let whole = restored.len();
                        let mut payload = Payload::new((&mut restored).take(whole));
                        let message = budget.count_restored(length, whole).and_then(|()| read(true, &mut payload));
                        (message, whole.max(payload.elements_cost()).saturating_sub(length))
                    }
                    Err(status) => (Err(status), 0),
                }
            } else {
                let mut payload = Payload::new(payload);
                let message = read(false, &mut payload);
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

    /// Takes what the last message added to the bytes that came. It is charged until this is dropped.
    pub(crate) fn take_charge(&mut self) -> Charge {
        std::mem::take(&mut self.charge)
    }

    /// Says how the call ended, when no message is left; nothing where it has not.
    fn take_end<T>(&mut self) -> Option<Result<Option<T>, Status>> {
        match &self.end {
            // What the peer itself says of the call's end is worth more than where its messages broke off.
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

    /// Throws away what has arrived and what still arrives, and returns its window: nobody will read it.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>) {
        let held = self.decoder.unfinished().saturating_sub(self.returned) + std::mem::take(&mut self.owed);
        self.returned = 0;
        self.decoder = MessageDecoder::new(0);
        if let Some(stream) = &mut self.stream {
            release(stream, held);
        }
        let _: Poll<()> = self.poll_discard(cx);
    }

    /// Reads the rest of a request that is not going to be answered by a handler, and throws it away.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(stream) = &mut self.stream {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => release(stream, data.len()),
                _ => self.stream = None,
            }
        }
        Poll::Ready(())
    }

    /// Returns the window of a message of `taken` bytes, prefix included, that was taken: what was not returned early, now or
    /// together with that of the messages behind it that are here already, when half of these have been taken. Each return
    /// costs as much as a small message.
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

    /// Returns the window of a part, as somebody waits for the rest of a message: without this, one larger than the window
    /// would never come.
    fn return_window_of_part(&mut self) {
        let part = self.decoder.unfinished().saturating_sub(self.returned);
        self.returned += part;
        self.return_owed(part);
    }

    /// Returns the window that is owed, and `more`.
    fn return_owed(&mut self, more: usize) {
        let due = std::mem::take(&mut self.owed) + more;
        if let Some(stream) = &mut self.stream {
            release(stream, due);
        }
    }
}

/// Polls for memory to restore and decode a message in. A message that waits has an admission of its own.
fn poll_memory(
    budget: &Arc<Budget>,
    admission: &mut Option<Box<Admission>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Status>> {
    if admission.is_none() && budget.has_room(Kind::Received) {
        return Poll::Ready(Ok(()));
    }
    let waits = admission.get_or_insert_with(|| Box::new(Admission::new(budget.clone(), Kind::Received)));
    let admitted = ready!(waits.poll(cx, false));
    *admission = None;
    Poll::Ready(admitted)
}

fn release(stream: &mut RecvStream, count: usize) {
    if count > 0 {
        // An error says that the stream is closed, and then its window is nobody's concern.
        let _: Result<(), h2::Error> = stream.flow_control().release_capacity(count);
    }
}
