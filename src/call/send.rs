//! The sending half of a stream in h2: headers, DATA as the window allows, trailers, resets.
//!
//! h2 is given no more data than the peer's flow-control window allows, so that h2 never holds data that waits for window.
//! Waiting data stays in this module, where the deadline can end it and trailers can still be sent (HEADERS need no window,
//! RFC 9113 section 5.2.1). The exception is the single message of a client's unary call, which is given to h2 whole.
//!
//! h2 remembers one waker for the whole sending half: a single task must poll [`SendHalf::poll_data`] and
//! [`SendHalf::poll_reset`].

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, StatusCode};

use super::budget::{Admission, Budget, Kind};
use super::piece::Piece;
use crate::limits::PIECE;
use crate::wire::http2::Http2Error;

/// The sending half of a call.
pub(crate) enum SendHalf {
    /// The response of a server whose headers have not been sent.
    Response(SendResponse<Piece>, Arc<Budget>),
    /// Headers have been sent.
    Stream(Stream),
    /// END_STREAM or RST_STREAM has been sent, or the stream is gone.
    Closed,
}

/// A stream whose headers have been sent.
pub(crate) struct Stream {
    stream: SendStream<Piece>,
    /// Counts the bytes that h2 holds.
    budget: Arc<Budget>,
    /// Waits until h2 holds less.
    admission: Option<Box<Admission>>,
}

impl Stream {
    /// Ready when h2 may be given more data.
    #[inline]
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.admission.is_none() && self.budget.has_room(Kind::Unsent) {
            return Poll::Ready(());
        }
        let admission =
            self.admission.get_or_insert_with(|| Box::new(Admission::new(self.budget.clone(), Kind::Unsent)));
        ready!(admission.poll_room(cx, false));
        self.admission = None;
        Poll::Ready(())
    }
}

/// The error of sending on a stream that was reset or whose connection has ended. The receiving half knows the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamGone;

/// The way in which a stream was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// RST_STREAM, or GOAWAY with an error.
    Reset(Http2Error),
    /// The connection was lost.
    Connection,
}

impl SendHalf {
    /// Creates the sending half of a stream whose headers have been sent. The data that h2 holds is charged to `budget`.
    pub(crate) fn stream(stream: SendStream<Piece>, budget: Arc<Budget>) -> SendHalf {
        SendHalf::Stream(Stream { stream, budget, admission: None })
    }

    /// Returns true if the headers of the response have not been sent.
    pub(crate) fn awaits_headers(&self) -> bool {
        matches!(self, SendHalf::Response(..))
    }

    /// Returns true if this side has ended the stream.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, SendHalf::Closed)
    }

    /// Sends the headers of the response, with END_STREAM if nothing follows them.
    pub(crate) fn respond(
        &mut self,
        status: StatusCode,
        headers: HeaderMap,
        end_stream: bool,
    ) -> Result<(), StreamGone> {
        let SendHalf::Response(respond, budget) = self else { return Err(StreamGone) };
        let mut head = http::Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        match respond.send_response(head, end_stream) {
            Ok(_) if end_stream => *self = SendHalf::Closed,
            Ok(stream) => *self = SendHalf::stream(stream, budget.clone()),
            Err(_) => return Err(StreamGone),
        }
        Ok(())
    }

    /// Sends `data` as the window allows; ready when h2 has taken all of it. `end_stream` is set on the last piece,
    /// which may be empty.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        end_stream: bool,
    ) -> Poll<Result<(), StreamGone>> {
        let SendHalf::Stream(out) = self else { return Poll::Ready(Err(StreamGone)) };
        while !data.is_empty() {
            ready!(out.poll_room(cx));
            let stream = &mut out.stream;
            stream.reserve_capacity(data.len());
            let mut room = stream.capacity();
            while room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(capacity)) => room = capacity,
                    _ => return Poll::Ready(Err(StreamGone)),
                }
            }
            let piece = Piece::new(data.split_to(room.min(data.len()).min(PIECE)), &out.budget);
            if data.is_empty() {
                return Poll::Ready(self.send_piece(piece, end_stream));
            }
            if stream.send_data(piece, false).is_err() {
                return Poll::Ready(Err(StreamGone));
            }
        }
        Poll::Ready(if end_stream { self.send_now(Bytes::new(), true) } else { Ok(()) })
    }

    /// Sends `data` without waiting for window; h2 holds the part that has to wait.
    pub(crate) fn send_now(&mut self, data: Bytes, end_stream: bool) -> Result<(), StreamGone> {
        self.send_piece(Piece::uncounted(data), end_stream)
    }

    fn send_piece(&mut self, piece: Piece, end_stream: bool) -> Result<(), StreamGone> {
        let SendHalf::Stream(Stream { stream, .. }) = self else { return Err(StreamGone) };
        let sent = stream.send_data(piece, end_stream);
        if end_stream {
            *self = SendHalf::Closed;
        }
        sent.map_err(|_| StreamGone)
    }

    /// Sends the trailers, which end the stream.
    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), StreamGone> {
        let SendHalf::Stream(Stream { stream, .. }) = self else { return Err(StreamGone) };
        stream.send_trailers(trailers).map_err(|_| StreamGone)?;
        *self = SendHalf::Closed;
        Ok(())
    }

    /// Resets the stream; data that h2 still holds is dropped.
    pub(crate) fn reset(&mut self, error: Http2Error) {
        match self {
            SendHalf::Response(respond, _) => respond.send_reset(error.0.into()),
            SendHalf::Stream(Stream { stream, .. }) => stream.send_reset(error.0.into()),
            SendHalf::Closed => {}
        }
        *self = SendHalf::Closed;
    }

    /// Ready when the peer has reset the stream or the connection has ended.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let reset = match self {
            SendHalf::Response(respond, _) => respond.poll_reset(cx),
            SendHalf::Stream(Stream { stream, .. }) => stream.poll_reset(cx),
            SendHalf::Closed => return Poll::Pending,
        };
        reset.map(|reset| reset.map_or(Gone::Connection, |reason| Gone::Reset(Http2Error(reason.into()))))
    }
}
