//! One RPC on the server, top to bottom: reads its headers, runs its handler, sends its trailers.
//!
//! [`crate::call`] lists the ways in which a call ends. If the handler returns or panics, the deadline passes, or the
//! server shuts down, [`Call::poll_end`] sends the trailers, and no other function does. If the stream was reset (by
//! the peer, or because the peer violated HTTP/2) or the connection was lost, no trailers can be sent.
//!
//! ```text
//!   begin ─┬─▶ Handling ── the handler returns, the deadline passes, the server ends ──▶ Ending ── trailers ──▶ Over
//!          ├─▶ Intercepting ── an interceptor that waits decides ──▶ Handling, Refusing or Ending
//!          ├─▶ Refusing ── the rest of the request has arrived, or took too long ──────▶ Ending
//!          └─▶ Ending       a gRPC request that is refused
//!   any state ── the stream was reset, or the connection is lost ──▶ Over
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Parts;
use http::{Extensions, Method, StatusCode};
use tokio::time::Instant;

use super::admission::CountedCall;
use super::arrival::{Arrival, HttpAnswer, Refused};
use super::interceptor::Interception;
use super::router::{HandlerRun, IncomingCall, Outcome, Route};
use super::shared::{Shared, ShutdownWatch};
use crate::call::body::{Body, Receive};
use crate::call::budget::Charge;
use crate::call::deadline::Deadline;
use crate::call::envelope::CallMetadata;
use crate::call::exchange::{Exchange, respond};
use crate::call::lock::lock;
use crate::call::send::{Gone, SendHalf, StreamGone};
use crate::call::watch::{Ending, Watch, Watchers};
use crate::call::{Context, EndReason};
use crate::limits::REFUSAL_PATIENCE;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::encoding::Encoding;
use crate::wire::request::{GRPC_ACCEPT_ENCODING, RefusedRequest, RequestHeaders};
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
    cost: Charge,
    /// The place of the call among those that the server may run, until it has ended.
    place: Option<CountedCall>,
    /// Reports the end of the call to its observers, if it has any.
    watch: Option<Watch>,
}

/// The current work of a call.
enum Work {
    /// An interceptor waits.
    Intercepting(Box<(Interception, Arrival, Option<Refused>)>),
    /// The handler runs.
    Handling(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// A request that is not gRPC is read to its end.
    Refusing(Box<(Body, HttpAnswer)>),
    /// The last messages wait for window; the trailers follow them.
    Ending { last: Bytes, trailers: HeaderMap, ending: Ending },
    /// The call has ended.
    Over,
}

/// An event outside the handler that ends a call.
enum Interruption {
    Deadline,
    Cut,
    Gone(Gone),
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
            cost: Charge::default(),
            place: None,
            watch: None,
        }
    }

    /// Begins the call whose headers have arrived. Returns its route, if it has one. `clock` is the time of this turn of the
    /// connection, once it was read.
    pub(super) fn begin<'a>(
        &mut self,
        cx: &mut TaskContext<'_>,
        clock: &mut Option<Instant>,
        parts: Parts,
        body: Body,
        shared: &'a Shared,
    ) -> Option<&'a Route> {
        let has_body = parts.method != Method::HEAD;
        let link = body.link();
        let connection = link.connection.clone();
        let (context, encoding, admitted) = match RequestHeaders::parse(parts, shared.encodings, link.section_limits())
        {
            Ok(head) => {
                self.deadline = Deadline::after(head.timeout);
                let admitted = match shared.routes.find(head.path()) {
                    Ok(_) if self.deadline.has_passed() => Err(deadline_exceeded()),
                    Ok(route) => shared.call_limit.admit(route.is_exempt).and_then(|place| {
                        self.place = place;
                        self.cost = link.budget.charge_call(head.metadata.memory())?;
                        Ok(route)
                    }),
                    Err(status) => Err(status),
                };
                let RequestHeaders { uri, encoding, accept_encoding, metadata, .. } = head;
                let (deadline, extensions) = (self.deadline.at(), Extensions::new());
                let context = Context { uri, metadata, connection, deadline, accept_encoding, extensions };
                (context, encoding, admitted.map_err(Refused::Grpc))
            }
            Err(refused) => {
                let RefusedRequest { refusal, uri, metadata } = *refused;
                let context = Context { uri, metadata, connection, ..Context::default() };
                (context, Encoding::Identity, Err(Refused::new(refusal, has_body, shared.encodings)))
            }
        };
        if shared.interceptors.is_empty() {
            return self.decide(context, encoding, body, admitted, shared);
        }
        let began = *clock.get_or_insert_with(Instant::now);
        self.intercept(cx, began, Arrival { context, encoding, body }, admitted, shared)
    }

    /// Passes the call to the interceptors, and starts or refuses it unless one waits.
    #[inline(never)] // So that a call without interceptors is not moved for this.
    fn intercept<'a>(
        &mut self,
        cx: &mut TaskContext<'_>,
        began: Instant,
        mut arrival: Arrival,
        mut admitted: Result<&'a Route, Refused>,
        shared: &'a Shared,
    ) -> Option<&'a Route> {
        let watch = self.watch.insert(Watch::new(began, EndReason::ConnectionLost));
        let mut interception = Interception::new(admitted.as_ref().err());
        let answer = interception.poll(cx, &mut arrival.context, watch, &shared.interceptors);
        if interception.limits_time() {
            self.deadline.change(arrival.context.deadline);
        }
        let Poll::Ready(answer) = answer else {
            self.wait(Box::new((interception, arrival, admitted.err())));
            return None;
        };
        let Arrival { context, encoding, body } = arrival;
        if let Err(status) = answer {
            admitted = Err(Refused::answered(admitted, status));
        }
        self.decide(context, encoding, body, admitted, shared)
    }

    /// Waits for an interceptor. A call that waits is charged even if it will be refused; others have been charged.
    fn wait(&mut self, waiting: Box<(Interception, Arrival, Option<Refused>)>) {
        let (_, Arrival { context, body, .. }, refused) = &*waiting;
        if refused.is_some() {
            match body.link().budget.charge_call(context.metadata.memory()) {
                Ok(cost) => self.cost = cost,
                Err(status) => return self.refuse(Refused::Grpc(status), waiting.1.body),
            }
        }
        self.work = Work::Intercepting(waiting);
    }

    fn poll_interceptors(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let (Work::Intercepting(waiting), Some(watch)) = (&mut self.work, &mut self.watch) else {
            return Poll::Ready(());
        };
        let (interception, arrival, _) = &mut **waiting;
        let shared = self.cut.shared().clone();
        // h2 allows only a few small frames to wait.
        arrival.body.arrive(cx);
        let answer = interception.poll(cx, &mut arrival.context, watch, &shared.interceptors);
        self.deadline.change(arrival.context.deadline);
        let Poll::Ready(answer) = answer else { return self.poll_interrupted(cx) };
        let Work::Intercepting(waiting) = std::mem::replace(&mut self.work, Work::Over) else { return Poll::Ready(()) };
        let (_, Arrival { context, encoding, body }, refused) = *waiting;
        let found = || shared.routes.find(context.path()).map_err(Refused::Grpc);
        let admitted = refused.map_or_else(found, Err);
        let admitted = if let Err(status) = answer { Err(Refused::answered(admitted, status)) } else { admitted };
        let _: Option<&Route> = self.decide(context, encoding, body, admitted, &shared);
        Poll::Ready(())
    }

    /// Returns the observers of the call, if it has any.
    fn watchers(&self) -> Option<&Watchers> {
        self.watch.as_ref().map(|watch| &watch.watchers).filter(|watchers| !watchers.is_empty())
    }

    /// Starts the handler, or refuses the call.
    #[inline]
    fn decide<'a>(
        &mut self,
        context: Context,
        encoding: Encoding,
        mut body: Body,
        admitted: Result<&'a Route, Refused>,
        shared: &Shared,
    ) -> Option<&'a Route> {
        let route = match admitted {
            Ok(route) => route,
            Err(refused) => {
                self.refuse(refused, body);
                return None;
            }
        };
        if encoding != Encoding::Identity {
            body.set_compressor(shared.sending.compressors.get(encoding).cloned());
        }
        let mut packing = shared.packing(context.accept_encoding);
        if let Some(watchers) = self.watchers() {
            body.watch(watchers);
            packing.watch(watchers);
        }
        let HandlerRun { future, exchange } = (route.serve)(IncomingCall { body, context, packing });
        self.exchange = exchange;
        self.work = Work::Handling(future);
        Some(route)
    }

    /// Answers a call that gets no handler.
    fn refuse(&mut self, refused: Refused, body: Body) {
        match refused {
            Refused::Grpc(status) => {
                self.leave(Bytes::new(), Encoding::Identity, None, Err(status), EndReason::Refused);
            }
            Refused::Encoding(status, supported) => {
                self.leave(Bytes::new(), Encoding::Identity, None, Err(status), EndReason::Refused);
                if let Work::Ending { trailers, .. } = &mut self.work {
                    trailers.extend(supported.map(|list| (GRPC_ACCEPT_ENCODING, list)));
                }
            }
            Refused::Http(answer) => {
                self.deadline = Deadline::after(Some(REFUSAL_PATIENCE));
                self.work = Work::Refusing(Box::new((body, answer)));
            }
        }
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
            Interruption::Gone(gone) => self.lose(gone),
            Interruption::Deadline => self.interrupt(deadline_exceeded(), EndReason::Deadline),
            Interruption::Cut => self.interrupt(shutting_down(), EndReason::Shutdown),
        }
        Poll::Ready(())
    }

    fn poll_interruption(&mut self, cx: &mut TaskContext<'_>) -> Poll<Interruption> {
        if let Poll::Ready(gone) = self.sending.poll_reset(cx) {
            return Poll::Ready(Interruption::Gone(gone));
        }
        if self.deadline.poll(cx).is_ready() {
            return Poll::Ready(Interruption::Deadline);
        }
        self.cut.poll(cx).map(|()| Interruption::Cut)
    }

    /// Ends the call with the result of its handler: sends the messages written so far, and then the trailers.
    fn end(&mut self, mut outcome: Outcome) {
        if let Some(watchers) = self.watchers() {
            outcome = watchers.check().and(outcome);
        }
        let exchange = self.exchange.as_deref();
        if let Some(inbox) = exchange.and_then(|exchange| exchange.inbox.as_ref()) {
            // h2 discards data that still arrives, and handles that outlive the handler fail.
            lock(inbox).close(Status::cancelled("the call has ended"));
        }
        let batch = exchange.and_then(|exchange| exchange.batch.as_ref());
        let reason = EndReason::Finished;
        match (outcome, batch) {
            (Ok(reply), None) => self.leave(reply.message, reply.encoding, reply.metadata.as_deref(), Ok(()), reason),
            (Err(status), None) => self.leave(Bytes::new(), Encoding::Identity, None, Err(status), reason),
            (outcome, Some(batch)) => {
                let (last, encoding, metadata) = lock(batch).close(Status::cancelled("the call has ended"));
                self.leave(last, encoding, Some(&metadata), outcome.map(drop), reason);
            }
        }
    }

    /// Ends the call from outside its handler: messages that were not sent are dropped.
    fn interrupt(&mut self, status: Status, reason: EndReason) {
        if let Some(exchange) = &mut self.exchange {
            if let Some(batch) = &exchange.batch {
                lock(batch).close(Status::cancelled("the call has ended"));
            }
            exchange.drop_outgoing();
        }
        self.leave(Bytes::new(), Encoding::Identity, None, Err(status), reason);
    }

    /// Ends a call whose stream was reset or whose connection was lost.
    fn lose(&mut self, gone: Gone) {
        self.work = Work::Over;
        if let Some(watch) = &mut self.watch {
            watch.lose(gone);
        }
    }

    /// Chooses between Trailers-Only and Trailers: Trailers-Only if nothing was sent before.
    fn leave(
        &mut self,
        last: Bytes,
        encoding: Encoding,
        metadata: Option<&CallMetadata>,
        mut status: Result<(), Status>,
        reason: EndReason,
    ) {
        let watchers = self.watchers().cloned();
        let initial = metadata.map_or(Metadata::none(), |metadata| &metadata.initial);
        let mut fields = HeaderMap::new();
        if self.sending.awaits_headers() {
            if last.is_empty() && initial.is_empty() {
                fields = ResponseHeaders::encode(Encoding::Identity, initial);
            } else {
                // If the stream is gone, the headers can't be sent, and the call ends.
                let _: Result<(), StreamGone> = match &watchers {
                    None => respond(&mut self.sending, initial, encoding),
                    Some(watchers) => respond(&mut self.sending, &watchers.changed_initial(initial), encoding),
                };
            }
        }
        let trailing = metadata.map(|metadata| &metadata.trailing);
        let changed = watchers.as_ref().map(|watchers| watchers.changed_trailing(&mut status, trailing));
        Trailers::encode(status.as_ref().copied(), &mut fields);
        let trailing = changed.as_ref().or(trailing);
        if let Some(trailing) = trailing {
            trailing.append_to(&mut fields);
        }
        let reported = trailing.filter(|trailing| self.watch.is_some() && !trailing.is_empty());
        let ending = Ending { status, reason, trailing: reported.cloned().map(Box::new) };
        self.work = Work::Ending { last, trailers: fields, ending };
    }

    /// Sends the trailers after the last messages; the only function that does.
    fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Ending { last, .. } = &mut self.work else { return Poll::Ready(()) };
        let has_left = match &mut self.exchange {
            Some(exchange) => exchange.poll_outgoing(cx, &mut self.sending).is_ready(),
            None => true,
        };
        if !has_left || (!last.is_empty() && self.sending.poll_data(cx, last, false).is_pending()) {
            return self.poll_interrupted(cx);
        }
        let Work::Ending { trailers, ending, .. } = std::mem::replace(&mut self.work, Work::Over) else {
            return Poll::Ready(());
        };
        let sent = match self.sending.awaits_headers() {
            true => self.sending.respond(StatusCode::OK, trailers, true),
            false => self.sending.trailers(trailers),
        };
        if let Some(watch) = &mut self.watch {
            match sent.is_err().then(|| self.sending.poll_reset(cx)) {
                // The handler may have returned because its client is gone.
                Some(Poll::Ready(gone)) => watch.lose(gone),
                _ => watch.end(&ending),
            }
        }
        Poll::Ready(())
    }

    /// Answers a request that is not gRPC. Reads it to its end first, so that HTTP/2 reports other errors in it before this
    /// response.
    fn poll_refusal(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Work::Refusing(refused) = &mut self.work else { return Poll::Ready(()) };
        if refused.0.poll_discard(cx).is_pending()
            && let Interruption::Gone(gone) = ready!(self.poll_interruption(cx))
        {
            self.lose(gone);
            return Poll::Ready(());
        }
        let Work::Refusing(refused) = std::mem::replace(&mut self.work, Work::Over) else { return Poll::Ready(()) };
        self.deadline = Deadline::after(Some(REFUSAL_PATIENCE));
        let (last, trailers, ending) = refused.1.respond(&mut self.sending);
        self.work = Work::Ending { last, trailers, ending };
        Poll::Ready(())
    }
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            let turn = match &self.work {
                Work::Intercepting(_) => self.poll_interceptors(cx),
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
