//! [`CallObserver`]: sees one call from its beginning to its end, on either side.

use std::time::Duration;

use tokio::time::Instant;

use crate::io::ConnectionInfo;
use crate::metadata::Metadata;
use crate::status::{Code, Status};

/// Sees the events of one call. An interceptor attaches an observer when a call begins; the observer carries the state that
/// belongs to the call, and is dropped after [`CallObserver::end`], also if the handles of the call are still held.
///
/// Each event runs on the task that handles the call, between its other work: it must not block. A panic in an event fails the
/// call with INTERNAL, and the observer sees no further event. Where a call has several observers, they see what arrives in
/// the order in which they were attached, and what leaves, and the end, in the reverse order.
///
/// ```
/// use barewire::call::{CallEnd, CallObserver, MessageInfo};
///
/// /// Counts the bytes of a call's messages, and prints them when the call ends.
/// #[derive(Default)]
/// struct Bytes {
///     sent: usize,
///     received: usize,
/// }
///
/// impl CallObserver for Bytes {
///     fn message_sent(&mut self, message: &MessageInfo) {
///         self.sent += message.wire_size;
///     }
///
///     fn message_received(&mut self, message: &MessageInfo) {
///         self.received += message.wire_size;
///     }
///
///     fn end(&mut self, end: &CallEnd<'_>) {
///         println!("{} in {:?}: {} B in, {} B out", end.code(), end.elapsed(), self.received, self.sent);
///     }
/// }
/// ```
#[allow(unused_variables)] // The names document what an implementation receives.
pub trait CallObserver: Send + 'static {
    /// On a client: the call was sent on this connection. `number` counts the attempts of the call from 1.
    fn attempt(&mut self, connection: &ConnectionInfo, number: u32) {}

    /// On a server: the initial metadata is about to be sent. On a client: it has arrived. The observer may change it. A call
    /// that fails before its first message may end without initial metadata.
    fn initial_metadata(&mut self, metadata: &mut Metadata) {}

    /// A message was received, and is decoded next for the handler or caller. Messages that are never read are not reported, nor
    /// those that exceed a limit or can't be decompressed; one that can't be decoded is.
    fn message_received(&mut self, message: &MessageInfo) {}

    /// A message was encoded, and is sent as flow control allows. On a client whose call has a single request, it is encoded
    /// before the call is sent, so this comes before [`CallObserver::attempt`].
    fn message_sent(&mut self, message: &MessageInfo) {}

    /// On a server: the trailers are about to be sent with this status. The observer may add to the trailing metadata. Comes
    /// twice, with two statuses, if the call ends from outside while the handler's last messages wait for flow control.
    fn trailing_metadata(&mut self, status: Result<(), &Status>, metadata: &mut Metadata) {}

    /// The call has ended. This is the last event.
    fn end(&mut self, end: &CallEnd<'_>) {}
}

/// The size of a message, as a [`CallObserver`] sees it. [`CallObserver`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageInfo {
    /// The bytes of the encoded message, before compression.
    pub size: usize,
    /// The bytes of the message in DATA frames, without the five bytes of its prefix: after compression.
    pub wire_size: usize,
    /// True if the message was compressed on the wire.
    pub compressed: bool,
}

/// The end of a call, as [`CallObserver::end`] sees it. [`CallObserver`] has an example.
#[derive(Debug)]
pub struct CallEnd<'a> {
    pub(crate) status: Result<(), &'a Status>,
    pub(crate) trailing: &'a Metadata,
    pub(crate) reason: EndReason,
    pub(crate) began: Instant,
}

impl CallEnd<'_> {
    /// Returns the final status. On a server whose client is gone it is CANCELLED, which is not sent.
    pub fn status(&self) -> Result<(), &Status> {
        self.status
    }

    /// Returns the code of the final status.
    pub fn code(&self) -> Code {
        self.status.map_or_else(Status::code, |()| Code::Ok)
    }

    /// Returns the trailing metadata, without the fields of the status.
    pub fn trailing_metadata(&self) -> &Metadata {
        match self.status {
            Err(status) if self.trailing.is_empty() => status.trailing_metadata(),
            _ => self.trailing,
        }
    }

    /// Returns why the call ended.
    pub fn reason(&self) -> EndReason {
        self.reason
    }

    /// Returns the time since the call began. On a server it counts from the turn of the connection in which the headers of the
    /// call arrived, so it includes the time for which the call waited behind others.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The reason for which a call ended, see [`CallEnd::reason`]. [`CallObserver`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// On a server: the handler returned or panicked, or could not be called because its only message is missing or malformed,
    /// and the status was sent. On a client: the server sent a status.
    Finished,
    /// On a server: no handler ran, because the request is malformed, its method unknown, or an interceptor answered. On a
    /// client: the call was not sent, or this side refused the response, which is malformed or exceeds a limit.
    Refused,
    /// The deadline passed on this side.
    Deadline,
    /// The caller cancelled: on a server by RST_STREAM with CANCEL, on a client by dropping its handles.
    Cancelled,
    /// The stream was reset with another error, by the peer or because the peer violated HTTP/2.
    Reset,
    /// The connection was lost, or could not be made.
    ConnectionLost,
    /// The server shut down, and its shutdown timeout passed.
    Shutdown,
}
