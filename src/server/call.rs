//! One RPC on the server, top to bottom: its headers are read, its handler runs, its trailers leave.
//!
//! A call ends once, by one of four causes: the handler returns (or panics), the deadline passes, the server shuts down, or
//! the peer is gone. In the first three cases its trailers leave in [`Call::poll_end`], and nowhere else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};

use super::methods::{Handling, Incoming, Outcome};
use super::router::Route;
use super::shared::{Cut, Shared};
use crate::call::Context;
use crate::call::budget::{Budget, Charge};
use crate::call::deadline::Deadline;
use crate::call::exchange::Exchange;
use crate::call::lock;
use crate::call::receive::Receiving;
use crate::call::send::{Gone, Sending};
use crate::io::Peer;
use crate::limits::REFUSAL_PATIENCE;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::wire::error::ProtocolError;
use crate::wire::request::{GRPC_ACCEPT_ENCODING, Refusal, RequestHeaders};
use crate::wire::response::{ResponseHeaders, Trailers};

/// A call in progress: a future that is ready when the call has ended. It is `Unpin`, so that it can begin on its
/// connection's task and go on, if it has to wait, on one of its own.
pub(super) struct Call {
    work: Work,
    exchange: Exchange,
    deadline: Deadline,
    cut: Cut,
    /// What the call costs by itself, until it has ended.
    _cost: Charge,
}

enum Work {
    /// The handler runs.
    Handling(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// A request that is not gRPC's is read to its end.
    Refusing(Box<Refused>),
    /// The last messages wait for the window, and then the trailers leave.
    Ending {
        last: Bytes,
        trailers: HeaderMap,
    },
    Over,
}

struct Refused {
    receiving: Receiving,
    status: StatusCode,
    error: ProtocolError,
    /// Whether the answer may have a body: one to HEAD may not.
    has_body: bool,
}

/// What ends a call from outside of its handler.
enum Interruption {
    Deadline,
    Cut,
    Gone,
}

impl Call {
    /// A call that has not begun.
    pub(super) fn new(sending: Sending, shared: &Arc<Shared>) -> Call {
        Call {
            work: Work::Over,
            exchange: Exchange::new(sending, false),
            deadline: Deadline::default(),
            cut: Cut::of(shared),
            _cost: Charge::default(),
        }
    }

    /// Begins the call whose head has arrived. Gives its method, if it has one.
    pub(super) fn begin<'a>(
        &mut self,
        parts: Parts,
        mut receiving: Receiving,
        shared: &'a Shared,
        peer: &Arc<Peer>,
        budget: &Arc<Budget>,
    ) -> Option<&'a Route> {
        let has_body = parts.method != Method::HEAD;
        let head = match RequestHeaders::parse(parts, shared.encodings, receiving.section_limits()) {
            Ok(head) => head,
            Err(Refusal::Http(status, error)) => {
                self.deadline = Deadline::after(Some(REFUSAL_PATIENCE));
                self.work = Work::Refusing(Box::new(Refused { receiving, status, error, has_body }));
                return None;
            }
            Err(Refusal::Grpc(error)) => {
                self.refuse(error, shared.encodings);
                return None;
            }
        };
        self.deadline = Deadline::after(head.timeout);
        let route = match shared.routes.find(head.path()) {
            Ok(route) => route,
            Err(status) => {
                self.end(Err(status));
                return None;
            }
        };
        if self.deadline.has_passed() {
            self.end(Err(deadline_exceeded()));
            return None;
        }
        let RequestHeaders { uri, encoding, accept_encoding, metadata, .. } = head;
        match budget.charge_call(metadata.memory()) {
            Ok(cost) => self._cost = cost,
            Err(status) => {
                self.end(Err(status));
                return None;
            }
        }
        if encoding != Encoding::Identity {
            receiving.set_compressor(shared.sizes.compressors.get(encoding).cloned());
        }
        let context = Context { uri, metadata, peer: peer.clone(), deadline: self.deadline.at(), accept_encoding };
        let packing = shared.packing(accept_encoding);
        let incoming = Incoming { receiving, budget: budget.clone(), context, packing };
        let Handling { future, inbox, batch } = route.serve(incoming);
        self.exchange.inbox = inbox;
        self.exchange.batch = batch;
        self.work = Work::Handling(future);
        Some(route)
    }

    /// A turn of the handler: what has arrived is taken in, the handler runs until it waits, what it has sent leaves.
    fn poll_handler(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Handling(handler) = &mut self.work else { return Poll::Ready(()) };
        loop {
            self.exchange.arrive(cx);
            // A panic is the handler's failure, not the connection's: nothing of the handler is used after it.
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
            if !self.exchange.send(cx) {
                break;
            }
        }
        match self.poll_interruption(cx) {
            Poll::Ready(Interruption::Gone) => self.work = Work::Over,
            Poll::Ready(Interruption::Deadline) => self.interrupt(deadline_exceeded()),
            Poll::Ready(Interruption::Cut) => self.interrupt(shutting_down()),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(())
    }

    fn poll_interruption(&mut self, cx: &mut TaskContext<'_>) -> Poll<Interruption> {
        if self.exchange.sending.poll_reset(cx).is_ready() {
            return Poll::Ready(Interruption::Gone);
        }
        if self.deadline.poll(cx).is_ready() {
            return Poll::Ready(Interruption::Deadline);
        }
        self.cut.poll(cx).map(|()| Interruption::Cut)
    }

    /// The handler has ended: what it has sent will leave, and then the trailers.
    fn end(&mut self, outcome: Outcome) {
        if let Some(inbox) = &self.exchange.inbox {
            // Nobody reads on: what still comes is h2's to throw away, and handles that outlive the handler are told.
            let mut inbox = lock(inbox);
            if !inbox.receiving.has_ended() {
                inbox.fail(Status::cancelled("the call has ended"));
            }
        }
        match outcome {
            Ok(reply) if self.exchange.batch.is_none() => {
                self.leave(reply.message, reply.encoding, reply.metadata.as_deref(), Ok(()));
            }
            outcome => {
                let (last, encoding, metadata) = self.close_batch();
                self.leave(last, encoding, Some(&metadata), outcome.map(drop));
            }
        }
    }

    /// The call ends from outside of its handler: what has not left will not.
    fn interrupt(&mut self, status: Status) {
        self.close_batch();
        self.exchange.outgoing = Bytes::new();
        self.leave(Bytes::new(), Encoding::Identity, None, Err(status));
    }

    /// What was sent and has not left, its encoding, and the initial and trailing metadata of a streaming call.
    fn close_batch(&mut self) -> (Bytes, Encoding, (Metadata, Metadata)) {
        let Some(batch) = &self.exchange.batch else { return Default::default() };
        let mut batch = lock(batch);
        let last = batch.close(Status::cancelled("the call has ended"));
        let metadata = (std::mem::take(&mut batch.headers), std::mem::take(&mut batch.trailers));
        (last, batch.packing.encoding(), metadata)
    }

    /// Chooses between Trailers-Only and Trailers: Trailers-Only where nothing was said before them.
    fn leave(
        &mut self,
        last: Bytes,
        encoding: Encoding,
        metadata: Option<&(Metadata, Metadata)>,
        status: Result<(), Status>,
    ) {
        let headers = metadata.map_or(Metadata::none(), |(headers, _)| headers);
        let mut fields = HeaderMap::new();
        if self.exchange.sending.awaits_headers() {
            if last.is_empty() && headers.is_empty() {
                fields = ResponseHeaders::encode(Encoding::Identity, headers);
            } else {
                // Where the stream is gone there is nobody to tell.
                let _: Result<(), Gone> = self.exchange.respond(headers, encoding);
            }
        }
        Trailers::encode(status.as_ref().copied(), &mut fields);
        if let Some((_, trailers)) = metadata {
            trailers.append_to(&mut fields);
        }
        self.work = Work::Ending { last, trailers: fields };
    }

    /// The one place where trailers leave, after the last messages.
    fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Ending { last, trailers } = &mut self.work else { return Poll::Ready(()) };
        loop {
            if !self.exchange.outgoing.is_empty() && self.exchange.poll_outgoing(cx).is_pending() {
                break;
            }
            if last.is_empty() {
                let trailers = std::mem::take(trailers);
                let _: Result<(), Gone> = match self.exchange.sending.awaits_headers() {
                    true => self.exchange.sending.respond(StatusCode::OK, trailers, true),
                    false => self.exchange.sending.trailers(trailers),
                };
                self.work = Work::Over;
                return Poll::Ready(());
            }
            self.exchange.outgoing = std::mem::take(last);
        }
        match self.poll_interruption(cx) {
            Poll::Ready(Interruption::Gone) => self.work = Work::Over,
            Poll::Ready(Interruption::Deadline) => self.interrupt(deadline_exceeded()),
            Poll::Ready(Interruption::Cut) => self.interrupt(shutting_down()),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(())
    }

    /// A gRPC request that is wrong in its head: Trailers-Only at once.
    fn refuse(&mut self, error: ProtocolError, supported: EncodingSet) {
        let mut fields = ResponseHeaders::encode(Encoding::Identity, Metadata::none());
        if let ProtocolError::UnsupportedRequestEncoding { .. } = error {
            // compression.md: the answer says what would have been understood. Names of encodings are visible ASCII.
            fields.extend(HeaderValue::try_from(supported.to_list()).map(|list| (GRPC_ACCEPT_ENCODING, list)));
        }
        Trailers::encode(Err(&error.into_status()), &mut fields);
        self.work = Work::Ending { last: Bytes::new(), trailers: fields };
    }

    /// A request that is not gRPC's: read to its end, so that whatever else is wrong with it is answered by HTTP/2 first, then
    /// answered in HTTP with a sentence for a person, and in the trailers for a client of gRPC.
    fn poll_refusal(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Refusing(refused) = &mut self.work else { return Poll::Ready(()) };
        if refused.receiving.poll_discard(cx).is_pending() {
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
        let Refused { status, error, has_body, .. } = *refused;
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.append(header::ALLOW, HeaderValue::from_static("POST"));
        }
        let responded = self.exchange.sending.respond(status, headers, !has_body);
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
    Status::deadline_exceeded("the deadline passed before the call was done")
}

fn shutting_down() -> Status {
    Status::unavailable("the server is shutting down")
}
