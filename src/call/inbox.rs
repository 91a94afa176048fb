//! What has arrived on a streaming call and was not read: the call's task fills it, an [`Inbound`](super::Inbound) reads it.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::answer::Answer;
use super::body::{Body, Receive};
use super::lock::{register, wake, wake_elsewhere};
use crate::status::Status;

pub(crate) type SharedInbox = Arc<Mutex<Inbox>>;

/// What has arrived and was not read.
pub(crate) struct Inbox {
    source: Source,
    /// The reader, while it waits for something to arrive.
    reader: Option<Waker>,
    /// Nobody will read on.
    abandoned: bool,
    /// The call's task, to be told that nobody will.
    driver: Option<Waker>,
}

/// Where an inbox reads.
pub(crate) enum Source {
    /// On a server.
    Request(Body),
    /// On a client.
    Answer(Box<Answer>),
}

impl Inbox {
    /// Creates an inbox that has read nothing.
    pub(crate) fn new(source: Source) -> SharedInbox {
        Arc::new(Mutex::new(Inbox { source, reader: None, abandoned: false, driver: None }))
    }

    /// The messages, and their end.
    pub(crate) fn body(&mut self) -> &mut Body {
        self.source.body()
    }

    /// On a client, the answer.
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

    /// Returns true when nobody will read on.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Says that nobody will read on.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
        self.tell_driver();
    }

    /// Wakes the call's task.
    pub(crate) fn tell_driver(&mut self) {
        wake(self.driver.take());
    }

    /// Ends the call from this side.
    pub(crate) fn fail(&mut self, status: Status) {
        self.source.fail(status);
        wake(self.reader.take());
    }

    /// Ends the call from this side, unless its end is known.
    pub(crate) fn close(&mut self, status: Status) {
        if !self.body().has_ended() {
            self.source.fail(status);
        }
        wake(self.reader.take());
    }

    /// Takes in what has arrived, and wakes a reader that lives in another task. Called by the call's task, which is woken when
    /// nobody will read on.
    pub(crate) fn arrive(&mut self, cx: &mut Context<'_>) {
        match &mut self.source {
            // A client may send on when a handler has read enough.
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
