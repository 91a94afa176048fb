//! What comes in on a stream: DATA to messages, window given back as they are taken, and how it ended.
//!
//! DATA leaves h2 as soon as it arrives, because h2 charges every small unread frame some 240 bytes and ends the connection
//! when that adds up (`data_frame_budget`). It waits in the [`MessageDecoder`], compactly, and its window is returned only
//! when a message is taken out: a reader that stops stops the writer, at the price of one stream window. The one exception
//! is a message that does not fit the window: while somebody waits for the rest of it, the window of the part is returned.
//!
//! RFC 9113 section 5.2 (flow control); PROTOCOL-HTTP2.md, "Responses" (how an answer ends), "Errors" (resets). This file,
//! [`super::send`], [`super::failure`] and the two `connection.rs` are the only ones that name h2's types.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;

use super::Side;
use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::{Compressor, Compressors, restore};
use super::foreign::Foreign;
use super::payload::Payload;
use crate::io::{HeaderBlocks, Witness};
use crate::limits::{BATCH, DECODED_FREELY, MAX_INFORMATIONAL};
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::ProtocolError;
use crate::wire::code_map;
use crate::wire::message::{MessageDecoder, PREFIX_LENGTH, Prefix};
use crate::wire::response::Trailers;

/// Up to this size the window of a unary call's message is not returned by itself: h2 returns it with the stream, which needs
/// no frame for its own window any more. All the streams of a connection together hold no more than its window then, and small
/// unary calls, which are most of all calls, are spared the work.
const LAST_MESSAGE: usize = 16 << 10;

/// The receiving half of a call.
pub(crate) struct Receiving {
    pub(super) side: Side,
    pub(super) phase: Phase,
    pub(super) stream: Option<RecvStream>,
    /// What the connection knows of header blocks, and their limits.
    pub(super) blocks: Arc<HeaderBlocks>,
    /// Informational responses so far.
    informational: u32,
    decoder: MessageDecoder,
    /// Of the bytes in the decoder, counted from the front, those whose window was returned before their message is whole.
    returned: usize,
    /// Of the messages that were taken, the bytes whose window is still to be returned.
    owed: usize,
    /// What the memory of messages is charged to.
    pub(super) budget: Arc<Budget>,
    /// Waits for memory to restore and decode the next message in.
    admission: Option<Box<Admission>>,
    /// What the message that was taken last added to the bytes that came.
    charge: Charge,
    /// On a client, what the initial and the trailing metadata cost.
    pub(super) metadata_charge: [Charge; 2],
    /// What restores messages that are flagged as compressed.
    pub(super) compressor: Option<Arc<dyn Compressor>>,
    /// On a client, what the answer may be compressed with.
    pub(super) compressors: Compressors,
    /// On a client, what an answer that is not gRPC's means.
    pub(super) code_of_http_status: fn(u16) -> Code,
    /// Whether one message is due and the stream will be dropped behind it.
    is_unary: bool,
    /// Whether this side ended the call, over what came or by its deadline.
    failed_here: bool,
    /// On a client, trailers that came in headers of which END_STREAM was not seen, see [`Receiving::begin`].
    pub(super) claimed: Option<Box<Trailers>>,
    /// On a client, the initial metadata, once it has come, and the trailing.
    pub(super) metadata: Option<Box<(Metadata, Metadata)>>,
    /// Stands for the call where calls are counted, and knows the connection's last frames where there is a tap.
    counted: Option<Arc<Counted>>,
}

/// What the calls of a connection hold, to be counted by.
pub(crate) struct Counted(pub(crate) Option<Arc<dyn Witness>>);

/// A failure with what the tap, if there is one, saw before it.
pub(crate) fn witnessed(status: Status, witness: Option<&Arc<dyn Witness>>) -> Status {
    match witness {
        Some(witness) => status.witnessed(|| witness.last_frames()),
        None => status,
    }
}

pub(super) enum Phase {
    /// The client waits for the first HEADERS.
    Head(ResponseFuture),
    /// DATA may come.
    Messages,
    /// DATA may come, but it is not gRPC's.
    Foreign(Box<Foreign>),
    /// Nothing more will come. `Ok` is the half-close of a client, or the trailers of a call that succeeded.
    Ended(Result<(), Status>),
}

impl Receiving {
    /// The messages of a request, each of at most `limit` bytes.
    pub(crate) fn request(
        stream: RecvStream,
        limit: usize,
        budget: Arc<Budget>,
        blocks: Arc<HeaderBlocks>,
    ) -> Receiving {
        Receiving::new(Side::Server, Phase::Messages, Some(stream), limit, budget, blocks)
    }

    /// The answer to a request, its messages of at most `limit` bytes each, perhaps compressed by one of `compressors`.
    pub(crate) fn response(
        response: ResponseFuture,
        limit: usize,
        budget: Arc<Budget>,
        compressors: Compressors,
        code_of_http_status: fn(u16) -> Code,
        blocks: Arc<HeaderBlocks>,
    ) -> Receiving {
        let receiving = Receiving::new(Side::Client, Phase::Head(response), None, limit, budget, blocks);
        Receiving { compressors, code_of_http_status, ..receiving }
    }

    /// On a server: the request's messages may be compressed by this.
    pub(crate) fn set_compressor(&mut self, compressor: Option<Arc<dyn Compressor>>) {
        self.compressor = compressor;
    }

    fn new(
        side: Side,
        phase: Phase,
        stream: Option<RecvStream>,
        limit: usize,
        budget: Arc<Budget>,
        blocks: Arc<HeaderBlocks>,
    ) -> Receiving {
        Receiving {
            side,
            phase,
            stream,
            blocks,
            informational: 0,
            decoder: MessageDecoder::new(limit),
            returned: 0,
            owed: 0,
            budget,
            admission: None,
            charge: Charge::default(),
            metadata_charge: Default::default(),
            compressor: None,
            compressors: Compressors::none(),
            code_of_http_status: code_map::code_of_http_status,
            is_unary: false,
            failed_here: false,
            claimed: None,
            metadata: None,
            counted: None,
        }
    }

    /// Holds what stands for the call where calls are counted.
    pub(crate) fn count(&mut self, counted: Option<Arc<Counted>>) {
        self.counted = counted;
    }

    /// What the memory of the call is charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Says that one message is due, and that the stream will be dropped behind it.
    pub(crate) fn expect_one(&mut self) {
        self.is_unary = true;
    }

    /// The initial metadata of the answer, once it has come.
    pub(crate) fn headers(&self) -> Option<&Metadata> {
        self.metadata.as_deref().map(|(headers, _)| headers)
    }

    /// The trailing metadata of the answer, once it has come.
    pub(crate) fn trailers(&self) -> Option<&Metadata> {
        self.metadata.as_deref().map(|(_, trailers)| trailers)
    }

    /// Takes the initial and the trailing metadata of an answer that has ended.
    pub(crate) fn take_metadata(&mut self) -> Option<Box<(Metadata, Metadata)>> {
        self.metadata.take()
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Why the call failed, if it did.
    pub(crate) fn failure(&self) -> Option<Status> {
        match &self.phase {
            Phase::Ended(Err(status)) => Some(status.clone()),
            _ => None,
        }
    }

    /// Whether it failed on this side: the peer does not know it yet.
    pub(crate) fn failed_here(&self) -> bool {
        self.failed_here
    }

    /// Ends the call from this side: every further read gives `status`.
    pub(crate) fn fail(&mut self, status: Status) {
        self.failed_here = true;
        self.over(Err(status));
        self.abandon();
    }

    pub(super) fn over(&mut self, end: Result<(), Status>) {
        let witness = self.counted.as_ref().and_then(|counted| counted.0.as_ref());
        self.phase = Phase::Ended(end.map_err(|status| witnessed(status, witness)));
    }

    /// Lets go of the stream and of all that was received: nobody will read it.
    pub(crate) fn abandon(&mut self) {
        if !self.has_ended() {
            self.phase = Phase::Ended(Ok(()));
        }
        self.stream = None;
        self.decoder = MessageDecoder::new(0);
    }

    /// The next message, as `read` reads it where it lies, told whether it was compressed: `None` after the last, when the
    /// call has ended well. An error of `read` fails the call.
    pub(crate) fn poll_message<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl Fn(bool, &mut Payload<'_>) -> Result<T, Status>,
    ) -> Poll<Result<Option<T>, Status>> {
        loop {
            // Most often the whole message comes in one frame, and has to come first.
            let has_nothing = self.decoder.unfinished() == 0 && !self.has_ended();
            if !has_nothing && let Some(next) = ready!(self.poll_take(cx, &read)) {
                return Poll::Ready(next);
            }
            ready!(self.poll_once(cx));
        }
    }

    /// The next message out of what has arrived, see [`Receiving::poll_message`]; `None` where it has not arrived yet, and then
    /// the caller must poll again when something has. Pending while the connection has no memory to restore and decode it in.
    pub(crate) fn poll_take<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(bool, &mut Payload<'_>) -> Result<T, Status>,
    ) -> Poll<Option<Result<Option<T>, Status>>> {
        let (budget, admission) = (&self.budget, &mut self.admission);
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
                    added => self.budget.charge(Kind::Received, added),
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

    /// What there is to say when no message is left: how the call ended, or nothing yet.
    fn take_end<T>(&mut self) -> Option<Result<Option<T>, Status>> {
        match &self.phase {
            // What the peer itself says of the call's end is worth more than where its messages broke off.
            Phase::Ended(Err(status)) => Some(Err(status.clone())),
            Phase::Ended(Ok(())) => Some(match self.decoder.finish() {
                Ok(()) => Ok(None),
                Err(error) => Err(self.refuse(error)),
            }),
            _ => {
                self.return_window_of_part();
                None
            }
        }
    }

    /// Takes in what has arrived; tells whether anything has.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) -> bool {
        let mut arrived = false;
        while !self.has_ended() && self.poll_once(cx).is_ready() {
            arrived = true;
        }
        arrived
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

    fn refuse(&mut self, error: impl Into<Status>) -> Status {
        self.fail(error.into());
        self.failure().unwrap_or_else(|| Status::internal("a call that failed has a status"))
    }

    /// One step: the head, a DATA frame, the trailers.
    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Phase::Head(response) = &mut self.phase {
            if self.blocks.has_informational() {
                // Polled for the answer, h2 drops them uncounted.
                while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                    self.informational += 1;
                    if self.informational > MAX_INFORMATIONAL {
                        let error = ProtocolError::TooManyInformational { limit: MAX_INFORMATIONAL };
                        self.fail(error.into_status());
                        return Poll::Ready(());
                    }
                }
            }
            let head = ready!(Pin::new(response).poll(cx));
            self.begin(head);
            return Poll::Ready(());
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        let end = match ready!(stream.poll_data(cx)) {
            Some(Ok(data)) => {
                // A client's last DATA frame carries its half-close: no need to ask again.
                let ended = self.side == Side::Server && stream.is_end_stream();
                self.arrived(data);
                if ended {
                    self.phase = Phase::Ended(Ok(()));
                }
                return Poll::Ready(());
            }
            Some(Err(error)) => match self.claimed.take() {
                Some(trailers) if !error.is_reset() => {
                    self.metadata = Some(Box::new((Metadata::new(), trailers.metadata)));
                    trailers.status
                }
                _ => Err(self.status_of(&error)),
            },
            None => match ready!(stream.poll_trailers(cx)) {
                Ok(trailers) => self.end(trailers.unwrap_or_default()),
                Err(error) => Err(self.status_of(&error)),
            },
        };
        self.over(end);
        Poll::Ready(())
    }

    fn arrived(&mut self, data: Bytes) {
        self.claimed = None;
        let Phase::Foreign(foreign) = &mut self.phase else { return self.decoder.push(data) };
        let enough = foreign.push(&data);
        if let Some(stream) = &mut self.stream {
            release(stream, data.len());
        }
        if enough {
            self.failed_here = true;
            let end = self.end(HeaderMap::new());
            self.over(end);
            self.stream = None;
        }
    }

    /// A message of `taken` bytes, prefix included, was taken: what of its window was not returned early is returned now, or
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

    /// Somebody waits for the rest of a message: without this, one larger than the window would never come.
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
