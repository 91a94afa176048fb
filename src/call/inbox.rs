//! Buffers the messages that a streaming call receives: the call's task fills it, an [`Inbound`](super::Inbound) reads it.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::answer::Answer;
use super::body::{Body, Receive};
use super::lock::{register, wake, wake_elsewhere};
use super::watch::Watch;
use crate::metadata::Metadata;
use crate::status::Status;

pub(crate) type SharedInbox = Arc<Mutex<Inbox>>;

/// Messages that have arrived and were not read.
pub(crate) struct Inbox {
    source: Source,
    /// The reader, while it waits for something to arrive.
    reader: Option<Waker>,
    /// True once the reader was dropped.
    abandoned: bool,
    /// The call's task, to be woken when the reader is dropped.
    driver: Option<Waker>,
    /// On a client: reports the end of a call that has ended, once its messages have been read.
    watch: Option<Watch>,
    /// True while the call's task reports the end of the call.
    reporting: bool,
    /// True if the reader expects a single message, and reports an end with OK after it has judged the messages.
    judges: bool,
}

/// The end of a call on a client. Report it while the inbox is not locked: an observer may use or drop the call's handles.
#[must_use]
pub(crate) struct Ended {
    watch: Watch,
    failure: Option<Status>,
    trailing: Metadata,
}

impl Ended {
    /// Reports the end to the observers.
    pub(crate) fn report(mut self) {
        self.watch.end_on_client(self.failure.as_ref().map_or(Ok(()), Err), &self.trailing);
    }
}

/// The source that an inbox reads.
pub(crate) enum Source {
    /// On a server.
    Request(Body),
    /// On a client.
    Answer(Box<Answer>),
}

impl Inbox {
    /// Creates an empty inbox.
    pub(crate) fn new(source: Source) -> SharedInbox {
        Arc::new(Mutex::new(Inbox {
            source,
            reader: None,
            abandoned: false,
            driver: None,
            watch: None,
            reporting: false,
            judges: false,
        }))
    }

    /// Lets the reader report an end with OK: it expects a single message.
    pub(crate) fn expect_verdict(&mut self) {
        self.judges = true;
    }

    /// Returns the body: the messages and their end.
    pub(crate) fn body(&mut self) -> &mut Body {
        self.source.body()
    }

    /// On a client: returns the response.
    pub(crate) fn answer(&mut self) -> Option<&mut Answer> {
        match &mut self.source {
            Source::Request(_) => None,
            Source::Answer(answer) => Some(answer),
        }
    }

    /// Registers the reader to be woken when something has arrived.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        register(&mut self.reader, cx);
    }

    /// Returns true once the reader was dropped.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// On a client: passes the watch of the call, which has ended. Returns the end to report now, before
    /// [`Inbox::was_reported`]; `None` if it is to be reported when its messages have been read.
    pub(crate) fn end_with(&mut self, watch: Watch) -> Option<Ended> {
        self.watch = Some(watch);
        let awaits_verdict = self.judges && self.body().failure().is_none();
        let is_read = self.abandoned || !(awaits_verdict || self.body().has_messages());
        self.reporting = is_read;
        is_read.then(|| self.take_ended())?
    }

    /// Lets the reader see the end, which was reported.
    pub(crate) fn was_reported(&mut self) {
        self.reporting = false;
        wake(self.reader.take());
    }

    /// Returns true while the reader must wait because the end is being reported.
    pub(crate) fn is_reporting(&self) -> bool {
        self.reporting
    }

    /// On a client: takes the end of the call to report, if it has ended and was not reported. Nothing will be read any more.
    pub(crate) fn take_ended(&mut self) -> Option<Ended> {
        let watch = self.watch.take()?;
        let failure = self.body().failure();
        let trailing = self.answer().and_then(|answer| answer.trailing_metadata()).cloned().unwrap_or_default();
        Some(Ended { watch, failure, trailing })
    }

    /// Ends the call as its reader judges: with an error of its own, or as the server ended it. Returns the end to report.
    pub(crate) fn judge(&mut self, refused: Option<&Status>) -> Option<Ended> {
        if let Some(status) = refused {
            self.source.fail(status.clone());
            self.wake_driver();
        }
        self.take_ended()
    }

    /// Returns true if the end of a call that ended with OK is not reported before [`Inbox::judge`].
    pub(crate) fn awaits_verdict(&self) -> bool {
        self.judges
    }

    /// Marks the reader as dropped. Returns the end to report.
    pub(crate) fn abandon(&mut self) -> Option<Ended> {
        self.abandoned = true;
        self.wake_driver();
        self.take_ended()
    }

    /// Wakes the call's task.
    pub(crate) fn wake_driver(&mut self) {
        wake(self.driver.take());
    }

    /// Ends the call from this side.
    pub(crate) fn fail(&mut self, status: Status) {
        self.source.fail(status);
        wake(self.reader.take());
    }

    /// Ends the call from this side, unless it has ended already.
    pub(crate) fn close(&mut self, status: Status) {
        if !self.body().has_ended() {
            self.source.fail(status);
        }
        wake(self.reader.take());
    }

    /// Passes to the body something that does not come from HTTP/2, and wakes the reader. Drops it if the body has ended or its
    /// reader was dropped.
    pub(crate) fn feed(&mut self, feed: impl FnOnce(&mut Body)) {
        if !self.abandoned && !self.body().has_ended() {
            feed(self.body());
        }
        wake(self.reader.take());
    }

    /// Takes in what has arrived, and wakes a reader in another task. The call's task calls this, and is woken when the
    /// reader is dropped.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) {
        match &mut self.source {
            // A client may go on sending after the handler stopped reading.
            Source::Request(body) if self.abandoned => body.discard(cx),
            Source::Answer(answer) if self.abandoned => answer.abandon(),
            source => {
                if source.arrive(cx) {
                    wake_elsewhere(self.reader.take(), cx);
                }
            }
        }
        register(&mut self.driver, cx);
    }
}

impl Receive for Source {
    fn body(&mut self) -> &mut Body {
        match self {
            Source::Request(body) => body,
            Source::Answer(answer) => answer.body(),
        }
    }

    fn abandon(&mut self) {
        match self {
            Source::Request(body) => Receive::abandon(body),
            Source::Answer(answer) => answer.abandon(),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Source::Request(body) => body.poll_next(cx),
            Source::Answer(answer) => answer.poll_next(cx),
        }
    }
}
