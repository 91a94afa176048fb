//! h2's sending half of a call: headers, DATA as the window allows, trailers, resets.
//!
//! Nothing is given to h2 that the peer's flow-control window has no room for, so that h2 never holds data that waits: what
//! waits stays on this side, where the deadline can end it and trailers can still leave (HEADERS need no window, RFC 9113
//! section 5.2.1). The exception is a client's single message of a unary call, which leaves whole.
//!
//! What h2 has taken and not written is bounded for the connection as a whole, see [`super::piece`].
//!
//! h2 keeps one waker for the whole sending half: [`Sending::poll_data`] and [`Sending::poll_reset`] must be polled by one
//! task.

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
pub(crate) enum Sending {
    /// A server that has not sent its headers.
    Response(SendResponse<Piece>, Arc<Budget>),
    /// Headers have been sent.
    Stream(SendStream<Piece>, Admission),
    /// END_STREAM or RST_STREAM has been sent, or the stream is gone.
    Closed,
}

/// The stream can take nothing more: it was reset, or its connection has ended. What happened is known by the receiving
/// half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Sending {
    /// Headers have been sent on this stream; what h2 holds of it is charged to `budget`.
    pub(crate) fn stream(stream: SendStream<Piece>, budget: Arc<Budget>) -> Sending {
        Sending::Stream(stream, Admission::new(budget, Kind::Unsent))
    }

    /// Whether the headers of the response are still to be sent.
    pub(crate) fn awaits_headers(&self) -> bool {
        matches!(self, Sending::Response(..))
    }

    /// Whether this side has sent its last.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Sending::Closed)
    }

    /// Sends the headers of the response, with END_STREAM if they are all of it.
    pub(crate) fn respond(&mut self, status: StatusCode, headers: HeaderMap, end_stream: bool) -> Result<(), Gone> {
        let Sending::Response(respond, budget) = self else { return Err(Gone) };
        let mut head = http::Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        match respond.send_response(head, end_stream) {
            Ok(_) if end_stream => *self = Sending::Closed,
            Ok(stream) => *self = Sending::stream(stream, budget.clone()),
            Err(_) => return Err(Gone),
        }
        Ok(())
    }

    /// Sends `data` as the window opens; ready when all of it was taken. `end_stream` goes on the last piece, an empty one if
    /// need be.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        end_stream: bool,
    ) -> Poll<Result<(), Gone>> {
        let Sending::Stream(stream, unsent) = self else { return Poll::Ready(Err(Gone)) };
        while !data.is_empty() {
            ready!(unsent.poll_room(cx, false));
            stream.reserve_capacity(data.len());
            let mut room = stream.capacity();
            while room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(capacity)) => room = capacity,
                    _ => return Poll::Ready(Err(Gone)),
                }
            }
            let piece = Piece::new(data.split_to(room.min(data.len()).min(PIECE)), unsent.budget());
            if data.is_empty() {
                return Poll::Ready(self.send_piece(piece, end_stream));
            }
            if stream.send_data(piece, false).is_err() {
                return Poll::Ready(Err(Gone));
            }
        }
        Poll::Ready(if end_stream { self.send_now(Bytes::new(), true) } else { Ok(()) })
    }

    /// Sends `data` whether the window has room for it or not; h2 holds what has to wait.
    pub(crate) fn send_now(&mut self, data: Bytes, end_stream: bool) -> Result<(), Gone> {
        self.send_piece(Piece::uncounted(data), end_stream)
    }

    fn send_piece(&mut self, piece: Piece, end_stream: bool) -> Result<(), Gone> {
        let Sending::Stream(stream, _) = self else { return Err(Gone) };
        let sent = stream.send_data(piece, end_stream);
        if end_stream {
            *self = Sending::Closed;
        }
        sent.map_err(|_| Gone)
    }

    /// Sends the trailers, which end the stream.
    pub(crate) fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        let Sending::Stream(stream, _) = self else { return Err(Gone) };
        let sent = stream.send_trailers(trailers);
        *self = Sending::Closed;
        sent.map_err(|_| Gone)
    }

    /// Ends the stream at once; what h2 still holds of it is dropped.
    pub(crate) fn reset(&mut self, error: Http2Error) {
        match self {
            Sending::Response(respond, _) => respond.send_reset(error.0.into()),
            Sending::Stream(stream, _) => stream.send_reset(error.0.into()),
            Sending::Closed => {}
        }
        *self = Sending::Closed;
    }

    /// Ready when the peer has reset the stream or the connection has ended.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Sending::Response(respond, _) => respond.poll_reset(cx).map(drop),
            Sending::Stream(stream, _) => stream.poll_reset(cx).map(drop),
            Sending::Closed => Poll::Pending,
        }
    }
}
