//! [`Status`], the outcome of a call: a [`Code`], a message for people, optional details for programs.
//!
//! Codes: <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>. On the wire a status travels in the
//! trailers as `grpc-status`, `grpc-message` and `grpc-status-details-bin` (see [`crate::wire::response`]).

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use crate::code::{Code, UnknownCodeName};
use crate::metadata::{Metadata, MetadataError};
use crate::protocol::{By, Cause, ProtocolError, What};

/// The outcome of a call that failed: the error that a handler returns and that a caller receives.
///
/// A `Status` is one pointer wide, so that a `Result` of a call stays small. It has the parts that are sent on the wire: the
/// code, the message, the serialized `google.rpc.Status` with details, and the trailing metadata.
///
/// ```
/// use barewire::{Code, Status};
///
/// let status = Status::not_found("the feature does not exist");
/// assert_eq!((status.code(), status.message()), (Code::NotFound, "the feature does not exist"));
/// assert_eq!(status.to_string(), "NOT_FOUND: the feature does not exist");
///
/// // Other errors convert with `?`, and stay as the source.
/// let status = Status::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
/// assert_eq!(status.code(), Code::DeadlineExceeded);
/// ```
#[derive(Clone)]
pub struct Status(Box<Parts>);

#[derive(Clone)]
struct Parts {
    /// The number on the wire, so that the code of a newer peer can be passed on unchanged.
    number: i32,
    message: Cow<'static, str>,
    details: Bytes,
    trailing: Metadata,
    /// On a client, the initial metadata that arrived before the status.
    initial: Metadata,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Status {
    /// Creates a status from a code and a message for people. The message may be any text; it is percent-encoded on the wire.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Status {
        Status::from_number(code.number(), message)
    }

    /// Creates a status from the number on the wire, which may be one without a [`Code`].
    #[must_use]
    pub fn from_number(number: i32, message: impl Into<Cow<'static, str>>) -> Status {
        Status(Box::new(Parts {
            number,
            message: message.into(),
            details: Bytes::new(),
            trailing: Metadata::new(),
            initial: Metadata::new(),
            source: None,
        }))
    }

    /// Returns the code; [`Code::Unknown`] for a number outside the table of codes (see [`Status::number`]).
    pub fn code(&self) -> Code {
        Code::from_number(self.0.number)
    }

    /// Returns the number of `grpc-status`, unchanged.
    pub fn number(&self) -> i32 {
        self.0.number
    }

    /// Returns the message for people, which may be empty.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the serialized `google.rpc.Status` of `grpc-status-details-bin`; empty without that header.
    pub fn details(&self) -> &Bytes {
        &self.0.details
    }

    /// Sets the details: a serialized `google.rpc.Status`, which must have the code of this status.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Status {
        self.0.details = details.into();
        self
    }

    /// Returns the trailing metadata that is received or sent with this status.
    pub fn trailing_metadata(&self) -> &Metadata {
        &self.0.trailing
    }

    /// Returns the trailing metadata for changes.
    pub fn trailing_metadata_mut(&mut self) -> &mut Metadata {
        &mut self.0.trailing
    }

    /// Replaces the trailing metadata.
    #[must_use]
    pub fn with_trailing_metadata(mut self, metadata: Metadata) -> Status {
        self.0.trailing = metadata;
        self
    }

    /// On a client: returns the initial metadata that arrived before a call with a single response failed. Empty if
    /// none arrived, and for a stream of responses, whose initial metadata
    /// [`Inbound::initial_metadata`](crate::Inbound::initial_metadata) returns.
    pub fn initial_metadata(&self) -> &Metadata {
        &self.0.initial
    }

    pub(crate) fn with_initial_metadata(mut self, metadata: Metadata) -> Status {
        self.0.initial = metadata;
        self
    }

    /// Returns the event on the wire that made the call fail. `None` if a handler or a misuse of this library made it fail. Also
    /// finds the cause in a status that this one wraps.
    pub fn cause(&self) -> Option<&Cause> {
        std::iter::successors(self.source(), |&error| error.source()).find_map(|error| error.downcast_ref())
    }

    pub(crate) fn caused(self, by: By, what: What) -> Status {
        self.with_source(Cause { by, what, frames: Vec::new() })
    }

    /// Adds the last frames that a tap recorded to the cause.
    pub(crate) fn witnessed(mut self, frames: impl FnOnce() -> Vec<String>) -> Status {
        let source = self.0.source.as_mut().and_then(Arc::get_mut);
        if let Some(cause) = source.and_then(|source| source.downcast_mut::<Cause>()) {
            cause.frames = frames();
        }
        self
    }

    /// Attaches the error that led to this status. It stays on this side and is never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Status {
        self.0.source = Some(Arc::new(source));
        self
    }
}

/// Defines a constructor for each code that a handler or the library itself needs.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $code:ident;)*) => {
        impl Status {
            $($(#[$doc])* #[must_use] pub fn $name(message: impl Into<Cow<'static, str>>) -> Status {
                Status::new(Code::$code, message)
            })*
        }
    };
}

constructors! {
    /// A status with [`Code::Cancelled`].
    cancelled => Cancelled;
    /// A status with [`Code::Unknown`].
    unknown => Unknown;
    /// A status with [`Code::InvalidArgument`].
    invalid_argument => InvalidArgument;
    /// A status with [`Code::DeadlineExceeded`].
    deadline_exceeded => DeadlineExceeded;
    /// A status with [`Code::NotFound`].
    not_found => NotFound;
    /// A status with [`Code::AlreadyExists`].
    already_exists => AlreadyExists;
    /// A status with [`Code::PermissionDenied`].
    permission_denied => PermissionDenied;
    /// A status with [`Code::ResourceExhausted`].
    resource_exhausted => ResourceExhausted;
    /// A status with [`Code::FailedPrecondition`].
    failed_precondition => FailedPrecondition;
    /// A status with [`Code::Aborted`].
    aborted => Aborted;
    /// A status with [`Code::OutOfRange`].
    out_of_range => OutOfRange;
    /// A status with [`Code::Unimplemented`].
    unimplemented => Unimplemented;
    /// A status with [`Code::Internal`].
    internal => Internal;
    /// A status with [`Code::Unavailable`].
    unavailable => Unavailable;
    /// A status with [`Code::DataLoss`].
    data_loss => DataLoss;
    /// A status with [`Code::Unauthenticated`].
    unauthenticated => Unauthenticated;
}

/// Two statuses are equal if the sent parts are: number, message, details and trailing metadata.
impl PartialEq for Status {
    fn eq(&self, other: &Status) -> bool {
        let sent = |status: &Status| (status.number(), status.0.message.clone(), status.0.details.clone());
        sent(self) == sent(other) && self.trailing_metadata() == other.trailing_metadata()
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Status");
        debug.field("code", &format_args!("{} ({})", self.code(), self.number())).field("message", &self.message());
        if !self.details().is_empty() {
            debug.field("details", self.details());
        }
        if !self.trailing_metadata().is_empty() {
            debug.field("metadata", self.trailing_metadata());
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl ProtocolError {
    /// Returns the status with which the call ends; the error becomes its cause.
    pub fn into_status(self) -> Status {
        let status = Status::new(self.code(), self.to_string());
        let (by, what) = What::of_protocol(self);
        status.caused(by, what)
    }
}

impl From<ProtocolError> for Status {
    fn from(error: ProtocolError) -> Status {
        error.into_status()
    }
}

impl From<MetadataError> for Status {
    /// Returns INTERNAL: the application on this side made the mistake.
    fn from(error: MetadataError) -> Status {
        Status::internal(error.to_string()).with_source(error)
    }
}

impl From<std::io::Error> for Status {
    /// Returns the code that matches the kind of the error, else UNKNOWN; the error becomes the source.
    ///
    /// | kind | code |
    /// |---|---|
    /// | `NotFound` | NOT_FOUND |
    /// | `PermissionDenied` | PERMISSION_DENIED |
    /// | `AlreadyExists` | ALREADY_EXISTS |
    /// | `InvalidInput` | INVALID_ARGUMENT |
    /// | `InvalidData` | DATA_LOSS |
    /// | `UnexpectedEof` | OUT_OF_RANGE |
    /// | `TimedOut` | DEADLINE_EXCEEDED |
    /// | `ConnectionAborted` | ABORTED |
    /// | `ConnectionRefused`, `ConnectionReset`, `NotConnected`, `BrokenPipe`, `AddrInUse`, `AddrNotAvailable` | UNAVAILABLE |
    /// | `OutOfMemory`, `StorageFull`, `QuotaExceeded` | RESOURCE_EXHAUSTED |
    /// | `Unsupported` | UNIMPLEMENTED |
    ///
    /// ```
    /// use barewire::{Code, Status};
    ///
    /// fn read() -> Result<String, Status> {
    ///     Ok(std::fs::read_to_string("missing.txt")?)
    /// }
    /// assert_eq!(read().unwrap_err().code(), Code::NotFound);
    /// ```
    fn from(error: std::io::Error) -> Status {
        use std::io::ErrorKind as Kind;
        let code = match error.kind() {
            Kind::NotFound => Code::NotFound,
            Kind::PermissionDenied => Code::PermissionDenied,
            Kind::AlreadyExists => Code::AlreadyExists,
            Kind::InvalidInput => Code::InvalidArgument,
            Kind::InvalidData => Code::DataLoss,
            Kind::UnexpectedEof => Code::OutOfRange,
            Kind::TimedOut => Code::DeadlineExceeded,
            Kind::ConnectionAborted => Code::Aborted,
            Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::NotConnected
            | Kind::BrokenPipe
            | Kind::AddrInUse
            | Kind::AddrNotAvailable => Code::Unavailable,
            Kind::OutOfMemory | Kind::StorageFull | Kind::QuotaExceeded => Code::ResourceExhausted,
            Kind::Unsupported => Code::Unimplemented,
            _ => Code::Unknown,
        };
        Status::new(code, error.to_string()).with_source(error)
    }
}

/// Writes `CODE: message`; with `{:#}` also the chain of sources, without repetitions, and the last frames.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())?;
        if self.code().number() != self.number() {
            write!(f, " ({})", self.number())?;
        }
        if !self.message().is_empty() {
            write!(f, ": {}", self.message())?;
        }
        if !f.alternate() {
            return Ok(());
        }
        let mut written = self.message().to_owned();
        for error in std::iter::successors(self.source(), |&error| error.source()) {
            let words = error.to_string();
            if !written.contains(&words) {
                write!(f, ": {words}")?;
                written.push_str(&words);
            }
        }
        match self.cause() {
            Some(cause) if !cause.frames.is_empty() => write!(f, "; the last frames: {}", cause.frames.join(", ")),
            _ => Ok(()),
        }
    }
}

impl Error for Status {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_status_number_is_kept_and_maps_to_unknown() {
        for number in [17, 100, -1, i32::MAX] {
            let status = Status::from_number(number, "from the future");
            assert_eq!((status.code(), status.number()), (Code::Unknown, number));
        }
        assert_eq!(Status::from_number(17, "x").to_string(), "UNKNOWN (17): x");
    }

    #[test]
    fn io_errors_convert_and_stay_as_source() {
        let io = Status::from(std::io::Error::new(std::io::ErrorKind::BrokenPipe, "pipe"));
        assert_eq!((io.code(), io.message()), (Code::Unavailable, "pipe"));
        assert!(io.source().unwrap().is::<std::io::Error>());
        assert_eq!(Status::from(std::io::Error::other("x")).code(), Code::Unknown);
    }

    #[test]
    fn alternate_format_prints_the_sources() {
        let status = Status::unavailable("can't reach the server").with_source(std::io::Error::other("no route"));
        assert_eq!(status.to_string(), "UNAVAILABLE: can't reach the server");
        assert_eq!(format!("{status:#}"), "UNAVAILABLE: can't reach the server: no route");
    }
}
