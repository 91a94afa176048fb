//! Details of errors, as types: gRPC's richer error model, a `google.rpc.Status` in `grpc-status-details-bin`.
//!
//! A server says with [`BadRequest`] which fields are wrong, with [`RetryInfo`] when to try again, with [`ErrorInfo`] what
//! happened; any other message will do as well. A client reads those that it knows and may pass on the others.
//!
//! ```
//! use barewire::error_details::{BadRequest, ErrorDetails, RetryInfo};
//! use barewire::Status;
//! use std::time::Duration;
//!
//! let details = ErrorDetails::new()
//!     .with(&BadRequest::new().violation("name", "must not be empty"))
//!     .with(&RetryInfo::after(Duration::from_secs(2)));
//! let status = Status::invalid_argument("no name").with_error_details(&details);
//!
//! // The client's side:
//! let details = status.error_details()?;
//! let bad: BadRequest = details.get()?.expect("the server sent one");
//! assert_eq!(bad.field_violations[0].field, "name");
//! let retry: RetryInfo = details.get()?.expect("the server sent one");
//! assert_eq!(retry.delay(), Some(Duration::from_secs(2)));
//! # Ok::<(), barewire::error_details::DetailsError>(())
//! ```
//!
//! The model: <https://grpc.io/docs/guides/error/>. The messages: `proto/google/rpc/error_details.proto`.

mod error;
mod messages;

pub use error::DetailsError;
pub use messages::{
    BadRequest, DebugInfo, ErrorInfo, FieldViolation, Help, Link, LocalizedMessage, PreconditionFailure,
    PreconditionViolation, QuotaFailure, QuotaViolation, RequestInfo, ResourceInfo, RetryInfo, RpcStatus,
};
pub use prost_types::Any;

use prost::{Message, Name};

use crate::Status;

/// The details of an error: messages of any types, in their order. A message whose type this program does not know is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorDetails {
    details: Vec<Any>,
}

impl ErrorDetails {
    /// Creates an empty list.
    pub fn new() -> ErrorDetails {
        ErrorDetails::default()
    }

    /// Adds a message.
    #[must_use]
    pub fn with(self, detail: &impl Name) -> ErrorDetails {
        self.with_any(Any { type_url: type_url(detail), value: detail.encode_to_vec() })
    }

    /// Adds a message that is packed already.
    #[must_use]
    pub fn with_any(mut self, detail: Any) -> ErrorDetails {
        self.details.push(detail);
        self
    }

    /// Returns the first message of a type; `None` without one.
    ///
    /// # Errors
    ///
    /// [`DetailsError::Undecodable`] if that message does not decode.
    pub fn get<M: Name + Default>(&self) -> Result<Option<M>, DetailsError> {
        self.all().next().transpose()
    }

    /// Returns the messages of a type. Each is an error if it does not decode.
    pub fn all<M: Name + Default>(&self) -> impl Iterator<Item = Result<M, DetailsError>> {
        self.details.iter().filter(|detail| is_of::<M>(detail)).map(|detail| {
            M::decode(&*detail.value).map_err(|source| DetailsError::Undecodable { message: M::full_name(), source })
        })
    }

    /// Returns all messages, packed.
    pub fn iter(&self) -> std::slice::Iter<'_, Any> {
        self.details.iter()
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.details.len()
    }

    /// Returns true for an empty list.
    pub fn is_empty(&self) -> bool {
        self.details.is_empty()
    }
}

impl FromIterator<Any> for ErrorDetails {
    fn from_iter<I: IntoIterator<Item = Any>>(details: I) -> ErrorDetails {
        ErrorDetails { details: details.into_iter().collect() }
    }
}

impl<'a> IntoIterator for &'a ErrorDetails {
    type Item = &'a Any;
    type IntoIter = std::slice::Iter<'a, Any>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Status {
    /// Replaces the details. They are sent together with the code and message that this status has now, as clients expect.
    /// An empty list removes them.
    #[must_use]
    pub fn with_error_details(self, details: &ErrorDetails) -> Status {
        if details.is_empty() {
            return self.with_details(Vec::new());
        }
        let (code, message) = (self.number(), self.message().to_owned());
        self.with_details(RpcStatus { code, message, details: details.details.clone() }.encode_to_vec())
    }

    /// Returns the details; an empty list for a status without any.
    ///
    /// # Errors
    ///
    /// [`DetailsError::Undecodable`] if [`Status::details`] is not a `google.rpc.Status`, [`DetailsError::OtherCode`] if
    /// that has another code than this status, which is also an error in grpc-go. Another message is allowed.
    pub fn error_details(&self) -> Result<ErrorDetails, DetailsError> {
        if self.details().is_empty() {
            return Ok(ErrorDetails::new());
        }
        let RpcStatus { code, details, .. } = RpcStatus::decode(self.details().clone())
            .map_err(|source| DetailsError::Undecodable { message: RpcStatus::full_name(), source })?;
        match code == self.number() {
            true => Ok(ErrorDetails { details }),
            false => Err(DetailsError::OtherCode { status: self.number(), details: code }),
        }
    }
}

fn type_url<M: Name>(_: &M) -> String {
    // Other implementations look for the name behind a slash (any.proto), which prost leaves bare by default.
    let url = M::type_url();
    if url.contains('/') && !url.starts_with('/') { url } else { format!("type.googleapis.com/{}", M::full_name()) }
}

/// Returns true if a packed message has this type. Only the name behind the last slash counts (any.proto).
fn is_of<M: Name>(detail: &Any) -> bool {
    detail.type_url.rsplit('/').next().is_some_and(|name| name == M::full_name())
}
