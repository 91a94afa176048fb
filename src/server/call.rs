//! One RPC on the server, top to bottom: reads its headers, runs its handler, sends its trailers.
//!
//! [`crate::call`] lists the ways in which a call ends. If the handler returns or panics, the deadline passes, or the
//! server shuts down, [`Call::poll_end`] sends the trailers, and no other function does. If the stream was reset (by
//! the peer, or because the peer violated HTTP/2) or the connection was lost, no trailers can be sent.
//!
//! ```text
//!   begin ─┬─▶ Handling ── the handler returns, the deadline passes, the server ends ──▶ Ending ── trailers ──▶ Over
//!          ├─▶ Refusing ── the rest of the request has arrived, or took too long ──────▶ Ending
//!          └─▶ Ending       a gRPC request with invalid headers
//!   any state ── the stream was reset, or the connection is lost ──▶ Over
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Extensions, Method, StatusCode};

use super::router::{HandlerRun, IncomingCall, Outcome, Route};
use super::shared::{Shared, ShutdownWatch};
use crate::call::Context;
use crate::call::body::Body;
use crate::call::budget::Charge;
use crate::call::deadline::Deadline;
use crate::call::envelope::CallMetadata;
use crate::call::exchange::{Exchange, respond};
use crate::call::lock::lock;
use crate::call::send::{SendHalf, StreamGone};
use crate::limits::REFUSAL_PATIENCE;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::error::ProtocolError;
use crate::wire::request::{GRPC_ACCEPT_ENCODING, Refusal, RequestHeaders};
use crate::wire::response::{ResponseHeaders, Trailers};

/// A call in progress: a future that is ready when the call has ended. It is `Unpin`, so that it can begin on its
/// connection's task and move to a task of its own if it has to wait.
pub(super) struct Call {
    work: Work,
    sending: SendHalf,
    /// Shared with the handler of a streaming call.
    exchange: Option<Box<Exchange>>,
    deadline: Deadline,
    cut: ShutdownWatch,
    /// The charge for the fixed cost of the call, until it has ended.
    _cost: Charge,
}

/// The current work of a call.
enum Work {
    /// The handler runs.
    Handling(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// A request that is not gRPC is read to its end.
    Refusing(Box<HttpRefusal>),
    /// The last messages wait for window; the trailers follow them.
    Ending { last: Bytes, trailers: HeaderMap },
    /// The call has ended.
    Over,
}

struct HttpRefusal {
    body: Body,
    status: StatusCode,
    error: ProtocolError,
    /// False for a response to HEAD, which may not have a body.
    has_body: bool,
}

/// An event outside the handler that ends a call.
enum Interruption {
    Deadline,
    Cut,
    Gone,
}

impl Call {
    /// Creates a call that has not begun.
    pub(super) fn new(sending: SendHalf, shared: &Arc<Shared>) -> Call {
        Call {
            work: Work::Over,
            sending,
            exchange: None,
            deadline: Deadline::default(),
            cut: ShutdownWatch::of(shared),
            _cost: Charge::default(),
        }
    }

    /// Begins the call whose headers have arrived. Returns its route, if it has one.
    pub(super) fn begin<'a>(&mut self, parts: Parts, mut body: Body, shared: &'a Shared) -> Option<&'a Route> {
        let has_body = parts.method != Method::HEAD;
        let link = body.link();
        let head = match RequestHeaders::parse(parts, shared.encodings, link.section_limits()) {
            Ok(head) => head,
            Err(Refusal::Http(status, error)) => {
                self.deadline = Deadline::after(Some(REFUSAL_PATIENCE));
                self.work = Work::Refusing(Box::new(HttpRefusal { body, status, error, has_body }));
                return None;
            }
            Err(Refusal::Grpc(error)) => {
                self.refuse(error, shared);
                return None;
            }
        };
        self.deadline = Deadline::after(head.timeout);
        let admitted = match shared.routes.find(head.path()) {
            Ok(_) if self.deadline.has_passed() => Err(deadline_exceeded()),
            Ok(route) => link.budget.charge_call(head.metadata.memory()).map(|cost| (route, cost)),
            Err(status) => Err(status),
        };
        let route = match admitted {
            Ok((route, cost)) => {
                self._cost = cost;
                route
            }
            Err(status) => {
                self.leave(Bytes::new(), Encoding::Identity, None, Err(status));
                return None;
            }
        };
        let RequestHeaders { uri, encoding, accept_encoding, metadata, .. } = head;
        let connection = link.connection.clone();
        if encoding != Encoding::Identity {
            body.set_compressor(shared.sending.compressors.get(encoding).cloned());
        }
        let deadline = self.deadline.at();
        let context = Context { uri, metadata, connection, deadline, accept_encoding, extensions: Extensions::new() };
        let HandlerRun { future, exchange } =
            route.serve(IncomingCall { body, context, packing: shared.packing(accept_encoding) });
        self.exchange = exchange;
        self.work = Work::Handling(future);
        Some(route)
    }

    /// Runs a turn of the handler: takes in what has arrived, polls the handler until it waits, and sends what it has
    /// written.
    fn poll_handler(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Handling(handler) = &mut self.work else { return Poll::Ready(()) };
        loop {
            if let Some(exchange) = &mut self.exchange {
                exchange.arrive(cx);
            }
            // A panic fails this call, not the connection; the handler is not used after it.
            match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
                Ok(Poll::Ready(outcome)) => {
                    self.end(outcome);
                    return Poll::Ready(());
                }
                Ok(Poll::Pending) => {}
                Err(_) => {
                    self.end(Err(Status::unknown("the handler panicked")));
                    return Poll::Ready(());
                }
            }
            let has_room = self.exchange.as_mut().is_some_and(|exchange| exchange.send(cx, &mut self.sending));
            if !has_room {
                break;
            }
        }
        self.poll_interrupted(cx)
    }

    /// Ready when an event outside the handler has ended the call.
    fn poll_interrupted(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        match ready!(self.poll_interruption(cx)) {
            Interruption::Gone => self.work = Work::Over,
            Interruption::Deadline => self.interrupt(deadline_exceeded()),
            Interruption::Cut => self.interrupt(shutting_down()),
        }
        Poll::Ready(())
    }

    fn poll_interruption(&mut self, cx: &mut TaskContext<'_>) -> Poll<Interruption> {
        if self.sending.poll_reset(cx).is_ready() {
            return Poll::Ready(Interruption::Gone);
        }
        if self.deadline.poll(cx).is_ready() {
            return Poll::Ready(Interruption::Deadline);
        }
        self.cut.poll(cx).map(|()| Interruption::Cut)
    }

    /// Ends the call with the result of its handler: sends the messages written so far, and then the trailers.
    fn end(&mut self, outcome: Outcome) {
        let exchange = self.exchange.as_deref();
        if let Some(inbox) = exchange.and_then(|exchange| exchange.inbox.as_ref()) {
            // h2 discards data that still arrives, and handles that outlive the handler fail.
            lock(inbox).close(Status::cancelled("the call has ended"));
        }
        let batch = exchange.and_then(|exchange| exchange.batch.as_ref());
        match (outcome, batch) {
            (Ok(reply), None) => self.leave(reply.message, reply.encoding, reply.metadata.as_deref(), Ok(())),
            (Err(status), None) => self.leave(Bytes::new(), Encoding::Identity, None, Err(status)),
            (outcome, Some(batch)) => {
                let (last, encoding, metadata) = lock(batch).close(Status::cancelled("the call has ended"));
                self.leave(last, encoding, Some(&metadata), outcome.map(drop));
            }
        }
    }

    /// Ends the call from outside its handler: messages that were not sent are dropped.
    fn interrupt(&mut self, status: Status) {
        if let Some(exchange) = &mut self.exchange {
            if let Some(batch) = &exchange.batch {
                lock(batch).close(Status::cancelled("the call has ended"));
            }
            exchange.drop_outgoing();
        }
        self.leave(Bytes::new(), Encoding::Identity, None, Err(status));
    }

    /// Chooses between Trailers-Only and Trailers: Trailers-Only if nothing was sent before.
    fn leave(&mut self, last: Bytes, encoding: Encoding, metadata: Option<&CallMetadata>, status: Result<(), Status>) {
        let initial = metadata.map_or(Metadata::none(), |metadata| &metadata.initial);
        let mut fields = HeaderMap::new();
        if self.sending.awaits_headers() {
            if last.is_empty() && initial.is_empty() {
                fields = ResponseHeaders::encode(Encoding::Identity, initial);
            } else {
                // If the stream is gone, the headers can't be sent, and the call ends.
                let _: Result<(), StreamGone> = respond(&mut self.sending, initial, encoding);
            }
        }
        Trailers::encode(status.as_ref().copied(), &mut fields);
        if let Some(metadata) = metadata {
            metadata.trailing.append_to(&mut fields);
        }
        self.work = Work::Ending { last, trailers: fields };
    }

    /// Sends the trailers after the last messages; the only function that does.
    fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Ending { last, trailers } = &mut self.work else { return Poll::Ready(()) };
        let has_left = match &mut self.exchange {
            Some(exchange) => exchange.poll_outgoing(cx, &mut self.sending).is_ready(),
            None => true,
        };
        if !has_left || (!last.is_empty() && self.sending.poll_data(cx, last, false).is_pending()) {
            return self.poll_interrupted(cx);
        }
        let trailers = std::mem::take(trailers);
        let _: Result<(), StreamGone> = match self.sending.awaits_headers() {
            true => self.sending.respond(StatusCode::OK, trailers, true),
            false => self.sending.trailers(trailers),
        };
        self.work = Work::Over;
        Poll::Ready(())
    }

    /// Refuses a gRPC request whose headers are invalid, with Trailers-Only.
    fn refuse(&mut self, error: ProtocolError, shared: &Shared) {
        let is_encoding = matches!(error, ProtocolError::UnsupportedRequestEncoding { .. });
        self.leave(Bytes::new(), Encoding::Identity, None, Err(error.into_status()));
        if let (Work::Ending { trailers, .. }, true) = (&mut self.work, is_encoding) {
            // compression.md: the response lists the supported encodings. Their names are visible ASCII.
            let supported = HeaderValue::try_from(shared.encodings.to_list());
            trailers.extend(supported.map(|list| (GRPC_ACCEPT_ENCODING, list)));
        }
    }

    /// Answers a request that is not gRPC. Reads it to its end first, so that HTTP/2 reports other errors in it before this
    /// response. The body is a sentence for a person, and the trailers are for a gRPC client.
    fn poll_refusal(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Refusing(refused) = &mut self.work else { return Poll::Ready(()) };
        if refused.body.poll_discard(cx).is_pending() {
            match self.poll_interruption(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Interruption::Gone) => {
                    self.work = Work::Over;
                    return Poll::Ready(());
                }
                Poll::Ready(_) => {}
            }
        }
        let Work::Refusing(refused) = std::mem::replace(&mut self.work, Work::Over) else { return Poll::Ready(()) };
        self.deadline = Deadline::after(Some(REFUSAL_PATIENCE));
        let HttpRefusal { status, error, has_body, .. } = *refused;
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.append(header::ALLOW, HeaderValue::from_static("POST"));
        }
        let responded = self.sending.respond(status, headers, !has_body);
        if responded.is_ok() && has_body {
            let last = Bytes::from(format!("{error}\n"));
            let mut trailers = HeaderMap::new();
            Trailers::encode(Err(&error.into_status()), &mut trailers);
            self.work = Work::Ending { last, trailers };
        }
        Poll::Ready(())
    }
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            let turn = match &self.work {
                Work::Handling(_) => self.poll_handler(cx),
                Work::Refusing(_) => self.poll_refusal(cx),
                Work::Ending { .. } => self.poll_end(cx),
                Work::Over => return Poll::Ready(()),
            };
            if turn.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("deadline exceeded before the call completed")
}

fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down")
}
