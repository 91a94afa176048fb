//! The observers of a call: [`Watchers`] passes the events to them, and [`Watch`] sees to it that each call ends once.
//!
//! A call without observers carries an empty [`Watchers`], which costs a comparison per message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::lock::lock;
use super::observer::{CallEnd, CallObserver, EndReason, MessageInfo};
use super::send::Gone;
use crate::io::ConnectionInfo;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::What;
use crate::wire::http2::Http2Error;

/// One observer.
pub(crate) struct Slot<T: ?Sized> {
    panicked: AtomicBool,
    observer: Mutex<T>,
}

pub(crate) type Observer = Arc<Slot<dyn Attached>>;

/// An observer until its last event. The handles of a call may outlive the call, and share its [`Watchers`]: so the observer is
/// dropped here, not with the last of them, and sees no event of a handle that was left over.
pub(crate) trait Attached: Send {
    fn observer(&mut self) -> Option<&mut dyn CallObserver>;

    fn detach(&mut self);
}

impl<T: CallObserver> Attached for Option<T> {
    fn observer(&mut self) -> Option<&mut dyn CallObserver> {
        self.as_mut().map(|observer| observer as &mut dyn CallObserver)
    }

    fn detach(&mut self) {
        *self = None;
    }
}

/// The observers of a call, in the order in which they were attached. Shared by the parts of the call that see its events.
#[derive(Clone, Default)]
pub(crate) enum Watchers {
    #[default]
    None,
    One(Observer),
    Several(Arc<Vec<Observer>>),
}

impl Watchers {
    /// Adds an observer behind the others.
    pub(crate) fn add(&mut self, observer: impl CallObserver) {
        let added: Observer = Arc::new(Slot { panicked: AtomicBool::new(false), observer: Mutex::new(Some(observer)) });
        *self = match std::mem::take(self) {
            Watchers::None => Watchers::One(added),
            Watchers::One(first) => Watchers::Several(Arc::new(vec![first, added])),
            Watchers::Several(mut several) => {
                Arc::make_mut(&mut several).push(added);
                Watchers::Several(several)
            }
        };
    }

    /// Returns true if the call has no observer.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Watchers::None)
    }

    fn all(&self) -> &[Observer] {
        match self {
            Watchers::None => &[],
            Watchers::One(one) => std::slice::from_ref(one),
            Watchers::Several(several) => several,
        }
    }

    /// Returns INTERNAL if an observer has panicked.
    pub(crate) fn check(&self) -> Result<(), Status> {
        match self.all().iter().any(|slot| slot.panicked.load(Ordering::Relaxed)) {
            true => Err(panicked()),
            false => Ok(()),
        }
    }

    /// The call was sent on a connection.
    pub(crate) fn attempt(&self, connection: &ConnectionInfo, number: u32) {
        for slot in self.all().iter().rev() {
            slot.see(|observer| observer.attempt(connection, number));
        }
    }

    /// Initial metadata has arrived.
    ///
    /// # Errors
    ///
    /// INTERNAL if an observer panics.
    pub(crate) fn initial_received(&self, metadata: &mut Metadata) -> Result<(), Status> {
        for slot in self.all() {
            slot.see(|observer| observer.initial_metadata(metadata));
        }
        self.check()
    }

    /// Initial metadata is about to be sent.
    pub(crate) fn initial_sent(&self, metadata: &mut Metadata) {
        for slot in self.all().iter().rev() {
            slot.see(|observer| observer.initial_metadata(metadata));
        }
    }

    /// A message was received. Errors as [`Watchers::initial_received`].
    #[inline]
    pub(crate) fn received(&self, size: usize, wire_size: usize, compressed: bool) -> Result<(), Status> {
        if self.is_empty() { Ok(()) } else { self.see_received(MessageInfo { size, wire_size, compressed }) }
    }

    #[inline(never)]
    fn see_received(&self, message: MessageInfo) -> Result<(), Status> {
        for slot in self.all() {
            slot.see(|observer| observer.message_received(&message));
        }
        self.check()
    }

    /// A message was encoded. Errors as [`Watchers::initial_received`].
    #[inline]
    pub(crate) fn sent(&self, size: usize, wire_size: usize, compressed: bool) -> Result<(), Status> {
        if self.is_empty() { Ok(()) } else { self.see_sent(MessageInfo { size, wire_size, compressed }) }
    }

    #[inline(never)]
    fn see_sent(&self, message: MessageInfo) -> Result<(), Status> {
        for slot in self.all().iter().rev() {
            slot.see(|observer| observer.message_sent(&message));
        }
        self.check()
    }

    /// Returns the initial metadata to send, as the observers have changed it.
    pub(crate) fn changed_initial(&self, metadata: &Metadata) -> Metadata {
        let mut metadata = metadata.clone();
        self.initial_sent(&mut metadata);
        metadata
    }

    /// Returns the trailing metadata to send with this status, as the observers have changed it. If one has panicked since the
    /// handler returned, OK becomes INTERNAL.
    pub(crate) fn changed_trailing(&self, status: &mut Result<(), Status>, metadata: Option<&Metadata>) -> Metadata {
        let mut metadata = metadata.cloned().unwrap_or_default();
        for slot in self.all().iter().rev() {
            slot.see(|observer| observer.trailing_metadata(status.as_ref().copied(), &mut metadata));
            if status.is_ok() {
                *status = self.check();
            }
        }
        metadata
    }

    fn end(&self, end: &CallEnd<'_>) {
        for slot in self.all().iter().rev() {
            slot.see(|observer| observer.end(end));
            slot.detach();
        }
    }
}

impl Slot<dyn Attached> {
    /// Passes an event on. An observer that panics sees no further event.
    fn see(&self, event: impl FnOnce(&mut dyn CallObserver)) {
        if self.panicked.load(Ordering::Relaxed) {
            return;
        }
        let seen = catch_unwind(AssertUnwindSafe(|| {
            if let Some(observer) = lock(&self.observer).observer() {
                event(observer);
            }
        }));
        if seen.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }

    /// Drops the observer.
    fn detach(&self) {
        // A panic in the observer's drop must not reach the task of the connection.
        let _: Result<(), _> = catch_unwind(AssertUnwindSafe(|| lock(&self.observer).detach()));
    }
}

/// Returns the status of a call whose interceptor or observer panicked.
pub(crate) fn panicked() -> Status {
    Status::internal("an interceptor panicked")
}

/// The end of a call.
pub(crate) struct Ending {
    pub(crate) status: Result<(), Status>,
    pub(crate) reason: EndReason,
    /// The trailing metadata, unless it is empty.
    pub(crate) trailing: Option<Box<Metadata>>,
}

/// A function that is called at the end of a call.
type Report = Box<dyn FnOnce(&CallEnd<'_>) + Send>;

/// The functions to call at the end of a call.
enum Reports {
    None,
    One(Report),
    Several(Vec<Report>),
}

/// The observers of one call, and the functions to call at its end. Reports the end once: also if the call is dropped.
pub(crate) struct Watch {
    /// The observers.
    pub(crate) watchers: Watchers,
    reports: Reports,
    began: Instant,
    /// The reason to report if the call is dropped.
    if_dropped: EndReason,
    /// On a client: true if an interceptor refused the call, with a status that may come from another call.
    refused: bool,
}

impl Watch {
    /// Begins to watch a call that began at this time.
    pub(crate) fn new(began: Instant, if_dropped: EndReason) -> Watch {
        Watch { watchers: Watchers::None, reports: Reports::None, began, if_dropped, refused: false }
    }

    /// Adds a function to call at the end.
    pub(crate) fn add_report(&mut self, report: impl FnOnce(&CallEnd<'_>) + Send + 'static) {
        let report: Report = Box::new(report);
        self.reports = match std::mem::replace(&mut self.reports, Reports::None) {
            Reports::None => Reports::One(report),
            Reports::One(first) => Reports::Several(vec![first, report]),
            Reports::Several(mut several) => {
                several.push(report);
                Reports::Several(several)
            }
        };
    }

    /// On a client: an interceptor refuses the call.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Returns the time since the call began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Reports the end.
    pub(crate) fn end(&mut self, ending: &Ending) {
        let trailing = ending.trailing.as_deref().unwrap_or(Metadata::none());
        let status = ending.status.as_ref().copied();
        match status.map_or_else(Status::trailing_metadata, |()| Metadata::none()) {
            of_status if of_status.is_empty() || trailing.is_empty() => self.report(status, trailing, ending.reason),
            // The status of a handler has metadata, and observers have added some: both were sent.
            of_status => {
                let mut all = trailing.clone();
                all.extend(of_status.clone());
                self.report(status, &all, ending.reason);
            }
        }
    }

    /// Reports the end of a call on a client.
    pub(crate) fn end_on_client(&mut self, status: Result<(), &Status>, trailing: &Metadata) {
        let reason = match status {
            Ok(()) => EndReason::Finished,
            Err(_) if self.refused => EndReason::Refused,
            Err(status) => reason_on_client(status),
        };
        self.report(status, trailing, reason);
    }

    /// Reports the end of a call on a server whose stream was reset or whose connection was lost.
    pub(crate) fn lose(&mut self, gone: Gone) {
        let (reason, message) = match gone {
            Gone::Reset(Http2Error::CANCEL) => (EndReason::Cancelled, "the client cancelled the call"),
            Gone::Reset(_) => (EndReason::Reset, "the stream was reset"),
            Gone::Connection => (EndReason::ConnectionLost, "the connection was lost"),
        };
        self.report(Err(&Status::cancelled(message)), Metadata::none(), reason);
    }

    fn is_over(&self) -> bool {
        self.watchers.is_empty() && matches!(self.reports, Reports::None)
    }

    fn report(&mut self, status: Result<(), &Status>, trailing: &Metadata, reason: EndReason) {
        let end = CallEnd { status, trailing, reason, began: self.began };
        std::mem::take(&mut self.watchers).end(&end);
        let report = |report: Report| {
            // A panic in the last event of a call changes nothing any more.
            let _: Result<(), _> = catch_unwind(AssertUnwindSafe(|| report(&end)));
        };
        match std::mem::replace(&mut self.reports, Reports::None) {
            Reports::None => {}
            Reports::One(one) => report(one),
            Reports::Several(several) => several.into_iter().rev().for_each(report),
        }
    }
}

/// Returns the reason for which a call on a client ended with this status.
fn reason_on_client(status: &Status) -> EndReason {
    match status.cause().map(|cause| &cause.what) {
        Some(What::Trailers) => EndReason::Finished,
        Some(What::Deadline) => EndReason::Deadline,
        Some(What::Reset(_)) => EndReason::Reset,
        Some(What::GoAway { .. } | What::Io(_) | What::Tls(_) | What::NotHttp2 { .. }) => EndReason::ConnectionLost,
        Some(What::Protocol(_)) | None => EndReason::Refused,
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over() {
            let status = Status::cancelled("the call was dropped");
            self.report(Err(&status), Metadata::none(), self.if_dropped);
        }
    }
}
