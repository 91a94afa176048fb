//! What comes in on a stream: DATA to messages, window given back as they are taken, and how it ended.
//!
//! DATA leaves h2 as soon as it arrives, because h2 charges every small unread frame some 240 bytes and ends the connection
//! when that adds up (`data_frame_budget`). It waits in the [`MessageDecoder`], compactly, and its window is returned only
//! when a message is taken out: a reader that stops stops the writer, at the price of one stream window. The one exception
//! is a message that does not fit the window: while somebody waits for the rest of it, the window of the part is returned.
//!
//! RFC 9113 section 5.2 (flow control); PROTOCOL-HTTP2.md, "Responses" (how an answer ends), "Errors" (resets). This file,
//! [`super::send`] and the two `connection.rs` are the only ones that name h2's types.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::buf::Take;
use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::{HeaderMap, StatusCode};

use super::Side;
use super::compress::{Compressor, Compressors, restore};
use crate::io::Witness;
use crate::limits::{BATCH, BODY_EXCERPT};
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::code_map::{self, code_of_http2_error};
use crate::wire::http2::Http2Error;
use crate::wire::message::{MessageDecoder, PREFIX_LENGTH};
use crate::wire::response::{GRPC_STATUS, ResponseHead, ResponseHeaders, Trailers};
use crate::wire::{By, ProtocolError, What};

/// Up to this size the window of a unary call's message is not returned by itself: h2 returns it with the stream, which needs
/// no frame for its own window any more. All the streams of a connection together hold no more than its window then, and small
/// unary calls, which are most of all calls, are spared the work.
const LAST_MESSAGE: usize = 16 << 10;

/// The receiving half of a call.
pub(crate) struct Receiving {
    side: Side,
    phase: Phase,
    stream: Option<RecvStream>,
    decoder: MessageDecoder,
    /// Of the bytes in the decoder, counted from the front, those whose window was returned before their message is whole.
    returned: usize,
    /// Of the messages that were taken, the bytes whose window is still to be returned.
    owed: usize,
    /// What restores messages that are flagged as compressed.
    compressor: Option<Arc<dyn Compressor>>,
    /// On a client, what the answer may be compressed with.
    compressors: Compressors,
    /// On a client, what an answer that is not gRPC's means.
    code_of_http_status: fn(u16) -> Code,
    /// Whether one message is due and the stream will be dropped behind it.
    is_unary: bool,
    /// Whether this side ended the call, over what came or by its deadline.
    failed_here: bool,
    /// On a client, trailers that came in headers of which END_STREAM was not seen, see [`Receiving::begin`].
    claimed: Option<Box<Trailers>>,
    /// On a client, the initial metadata, once it has come, and the trailing.
    metadata: Option<Box<(Metadata, Metadata)>>,
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

enum Phase {
    /// The client waits for the first HEADERS.
    Head(ResponseFuture),
    /// DATA may come.
    Messages,
    /// DATA may come, but it is not gRPC's.
    Foreign(Box<Foreign>),
    /// Nothing more will come. `Ok` is the half-close of a client, or the trailers of a call that succeeded.
    Ended(Result<(), Status>),
}

/// An answer that is not gRPC's, and what came of its body.
struct Foreign {
    status: StatusCode,
    content_type: Option<String>,
    body: BytesMut,
}

impl Receiving {
    /// The messages of a request, each of at most `limit` bytes.
    pub(crate) fn request(stream: RecvStream, limit: usize) -> Receiving {
        Receiving::new(Side::Server, Phase::Messages, Some(stream), limit)
    }

    /// The answer to a request, its messages of at most `limit` bytes each, perhaps compressed by one of `compressors`.
    pub(crate) fn response(
        response: ResponseFuture,
        limit: usize,
        compressors: Compressors,
        code_of_http_status: fn(u16) -> Code,
    ) -> Receiving {
        let receiving = Receiving::new(Side::Client, Phase::Head(response), None, limit);
        Receiving { compressors, code_of_http_status, ..receiving }
    }

    /// On a server: the request's messages may be compressed by this.
    pub(crate) fn set_compressor(&mut self, compressor: Option<Arc<dyn Compressor>>) {
        self.compressor = compressor;
    }

    fn new(side: Side, phase: Phase, stream: Option<RecvStream>, limit: usize) -> Receiving {
        Receiving {
            side,
            phase,
            stream,
            decoder: MessageDecoder::new(limit),
            returned: 0,
            owed: 0,
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

    fn over(&mut self, end: Result<(), Status>) {
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
        read: impl Fn(bool, Take<&mut Bytes>) -> Result<T, Status>,
    ) -> Poll<Result<Option<T>, Status>> {
        loop {
            // Most often the whole message comes in one frame, and has to come first.
            let has_nothing = self.decoder.unfinished() == 0 && !self.has_ended();
            if !has_nothing && let Some(next) = self.take(&read) {
                return Poll::Ready(next);
            }
            ready!(self.poll_once(cx));
        }
    }

    /// The next message out of what has arrived, see [`Receiving::poll_message`]; `None` where it has not arrived yet, and then
    /// the caller must poll again when something has.
    pub(crate) fn take<T>(
        &mut self,
        read: impl FnOnce(bool, Take<&mut Bytes>) -> Result<T, Status>,
    ) -> Option<Result<Option<T>, Status>> {
        let (compressor, limit) = (self.compressor.as_ref(), self.decoder.limit());
        let next = self.decoder.next_with(|prefix, mut payload| {
            let message = if prefix.compressed {
                let payload = payload.copy_to_bytes(payload.remaining());
                restore(compressor, &payload, limit).and_then(|mut restored| {
                    let length = restored.len();
                    read(true, (&mut restored).take(length))
                })
            } else {
                read(false, payload)
            };
            (PREFIX_LENGTH + prefix.length as usize, message)
        });
        match next {
            Ok(Some((taken, message))) => {
                self.return_window(taken);
                Some(message.map(Some).map_err(|status| self.refuse(status)))
            }
            Ok(None) => match &self.phase {
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
            },
            Err(error) => Some(Err(self.refuse(error))),
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
                _ => Err(status_of(&error, self.side)),
            },
            None if self.side == Side::Server => Ok(()),
            None => match ready!(stream.poll_trailers(cx)) {
                Ok(trailers) => self.end(trailers.unwrap_or_default()),
                Err(error) => Err(status_of(&error, self.side)),
            },
        };
        self.over(end);
        Poll::Ready(())
    }

    /// The first HEADERS have come.
    ///
    /// When the connection is lost right behind Trailers-Only, h2 does not say any more that they had END_STREAM. A status may
    /// stand in headers with END_STREAM only, so one that is followed by nothing but the loss is taken for what it is.
    fn begin(&mut self, head: Result<http::Response<RecvStream>, h2::Error>) {
        let (parts, stream) = match head {
            Ok(response) => response.into_parts(),
            Err(error) => return self.fail(status_of(&error, self.side)),
        };
        let end_stream = stream.is_end_stream();
        let phase = match ResponseHead::parse(parts.status, parts.headers, end_stream, self.compressors.encodings()) {
            Ok(ResponseHead::Headers(ResponseHeaders { encoding, metadata, has_status, .. })) => {
                self.claimed = has_status.then(|| Box::new(Trailers::parse(metadata.received().clone())));
                self.compressor = self.compressors.get(encoding).cloned();
                self.metadata = Some(Box::new((metadata, Metadata::new())));
                Phase::Messages
            }
            Ok(ResponseHead::TrailersOnly(trailers)) => {
                // Trailers-Only: its metadata is trailing, and there is none before.
                self.metadata = Some(Box::new((Metadata::new(), trailers.metadata)));
                Phase::Ended(trailers.status)
            }
            Ok(ResponseHead::NotGrpc { status, content_type }) if end_stream => {
                Phase::Ended(Err(self.not_grpc(Foreign { status, content_type, body: BytesMut::new() })))
            }
            Ok(ResponseHead::NotGrpc { status, content_type }) => {
                Phase::Foreign(Box::new(Foreign { status, content_type, body: BytesMut::new() }))
            }
            Err(error) => return self.fail(error.into_status()),
        };
        match phase {
            Phase::Ended(end) => self.over(end),
            phase => self.phase = phase,
        }
        self.stream = Some(stream);
    }

    fn arrived(&mut self, data: Bytes) {
        self.claimed = None;
        let Phase::Foreign(foreign) = &mut self.phase else { return self.decoder.push(data) };
        foreign.body.extend_from_slice(&data);
        let enough = foreign.body.len() >= BODY_EXCERPT;
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

    /// What the trailers, or their absence, make of the call. A status in them wins over what the HTTP status would mean
    /// (http-grpc-status-mapping.md), but for a success whose messages, not being gRPC's, were read by nobody.
    fn end(&mut self, trailers: HeaderMap) -> Result<(), Status> {
        if let Phase::Foreign(foreign) = &mut self.phase
            && trailers.get(GRPC_STATUS).is_none_or(|status| is_zero(status.as_bytes()) && !foreign.body.is_empty())
        {
            let Foreign { status, content_type, body } = &mut **foreign;
            let (content_type, body) = (content_type.take(), std::mem::take(body));
            let foreign = Foreign { status: *status, content_type, body };
            return Err(self.not_grpc(foreign));
        }
        let trailers = Trailers::parse(trailers);
        self.metadata.get_or_insert_default().1 = trailers.metadata;
        trailers.status
    }

    fn not_grpc(&self, answer: Foreign) -> Status {
        let Foreign { status, content_type, body } = answer;
        let body = String::from_utf8_lossy(body.get(..BODY_EXCERPT).unwrap_or(&body)).into_owned();
        let code = (self.code_of_http_status)(status.as_u16());
        let error = ProtocolError::NotGrpc { status: status.as_u16(), content_type, body };
        Status::new(code, error.to_string()).caused(By::Peer, What::Protocol(error))
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

/// The number of OK, however many zeros a peer writes it with.
fn is_zero(status: &[u8]) -> bool {
    status.iter().all(|digit| *digit == b'0')
}

fn release(stream: &mut RecvStream, count: usize) {
    if count > 0 {
        // An error says that the stream is closed, and then its window is nobody's concern.
        let _: Result<(), h2::Error> = stream.flow_control().release_capacity(count);
    }
}

/// What an error of the stream or of its connection means for the call (PROTOCOL-HTTP2.md, "Errors"): a reset has its code
/// by the table; a lost connection is UNAVAILABLE to a client and CANCELLED to a server.
pub(crate) fn status_of(error: &h2::Error, side: Side) -> Status {
    let by = if error.is_remote() { By::Peer } else { By::Us };
    let reason = error.reason().map(|reason| Http2Error(reason.into()));
    match reason {
        Some(reason) if error.is_reset() => {
            Status::new(code_of_http2_error(reason), reset_message(error, reason, side)).caused(by, What::Reset(reason))
        }
        Some(reason) if error.is_go_away() => {
            let what = What::GoAway { error: reason, debug: debug_data(error) };
            Status::new(lost(side), format!("the connection ended with GOAWAY {reason}")).caused(by, what)
        }
        _ => {
            let kind = error.get_io().map_or(io::ErrorKind::Other, io::Error::kind);
            let message = match kind {
                io::ErrorKind::TimedOut => format!("the connection was lost: {error}").into(),
                _ => Cow::Borrowed("the connection was lost"),
            };
            let (by, what) = What::of_io(io::Error::new(kind, error.to_string()));
            Status::new(lost(side), message).caused(by, what)
        }
    }
}

/// GOAWAY's debug data. h2 has no function that gives them, but prints them, escaped, in parentheses at the end.
fn debug_data(error: &h2::Error) -> String {
    let words = error.to_string();
    let data = words.split_once(" (b\"").and_then(|(_, data)| data.strip_suffix("\")")).unwrap_or_default();
    data.chars().take(BODY_EXCERPT).collect()
}

fn lost(side: Side) -> Code {
    match side {
        Side::Client => Code::Unavailable,
        Side::Server => Code::Cancelled,
    }
}

fn reset_message(error: &h2::Error, reason: Http2Error, side: Side) -> String {
    let peer = if side == Side::Client { "server" } else { "client" };
    match error.is_remote() {
        true => format!("the {peer} reset the stream with {reason}"),
        false => format!("the stream was reset with {reason}, as the {peer} broke a rule of HTTP/2"),
    }
}
