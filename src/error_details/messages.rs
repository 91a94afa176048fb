//! The messages of `google/rpc/status.proto` and `google/rpc/error_details.proto`.
//!
//! They are written by hand, so that the feature `error-details` needs neither a compiler of `.proto` files nor a build script. A
//! test compares them with `proto/google/rpc/`.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Name;
use prost_types::Any;

/// A `google.rpc.Status`, which `grpc-status-details-bin` carries.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// The number of the status code, the same as `grpc-status`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The message for people, the same as `grpc-message`.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Messages of any types.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// The reason of an error, for programs to act on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ErrorInfo {
    /// The reason in UPPER_SNAKE_CASE, constant within its domain.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// The service that defines the reason, for example `storage.example.com`.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// More about the error.
    #[prost(btree_map = "string, string", tag = "3")]
    pub metadata: BTreeMap<String, String>,
}

impl ErrorInfo {
    /// Creates the reason of an error.
    pub fn new(reason: impl Into<String>, domain: impl Into<String>) -> ErrorInfo {
        ErrorInfo { reason: reason.into(), domain: domain.into(), metadata: BTreeMap::new() }
    }

    /// Adds an entry of metadata.
    #[must_use]
    pub fn entry(mut self, key: impl Into<String>, value: impl Into<String>) -> ErrorInfo {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// The time after which the client may try again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RetryInfo {
    /// The time that the client should wait at least.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<prost_types::Duration>,
}

impl RetryInfo {
    /// Asks the client to wait at least this long. A time beyond 292 billion years becomes that.
    pub fn after(delay: Duration) -> RetryInfo {
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or_default();
        RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos }) }
    }

    /// Returns the time to wait; `None` if it is absent or not valid (duration.proto: negative, or a second of nanoseconds).
    pub fn delay(&self) -> Option<Duration> {
        let delay = self.retry_delay.as_ref()?;
        let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
        // prost-types' conversion would overflow at the lowest numbers, which a peer may send.
        Some(Duration::new(u64::try_from(delay.seconds).ok()?, nanos))
    }
}

/// Information for the developers of the server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DebugInfo {
    /// The stack trace, innermost frame first.
    #[prost(string, repeated, tag = "1")]
    pub stack_entries: Vec<String>,
    /// More about the error.
    #[prost(string, tag = "2")]
    pub detail: String,
}

/// The quotas that are used up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotaFailure {
    /// One entry for each quota.
    #[prost(message, repeated, tag = "1")]
    pub violations: Vec<QuotaViolation>,
}

impl QuotaFailure {
    /// Creates a list without quotas.
    pub fn new() -> QuotaFailure {
        QuotaFailure::default()
    }

    /// Adds a quota by its subject, for example `client:10.0.0.7`, with a description for people.
    #[must_use]
    pub fn violation(mut self, subject: impl Into<String>, description: impl Into<String>) -> QuotaFailure {
        let (subject, description) = (subject.into(), description.into());
        self.violations.push(QuotaViolation { subject, description, ..QuotaViolation::default() });
        self
    }
}

/// A quota that is used up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotaViolation {
    /// The client, project or address that the quota belongs to.
    #[prost(string, tag = "1")]
    pub subject: String,
    /// A description for people.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The service that has the quota.
    #[prost(string, tag = "3")]
    pub api_service: String,
    /// The measured quantity.
    #[prost(string, tag = "4")]
    pub quota_metric: String,
    /// The name of the limit.
    #[prost(string, tag = "5")]
    pub quota_id: String,
    /// Values that distinguish limits of the same name.
    #[prost(btree_map = "string, string", tag = "6")]
    pub quota_dimensions: BTreeMap<String, String>,
    /// The limit at the time of the call.
    #[prost(int64, tag = "7")]
    pub quota_value: i64,
    /// The limit that will replace it, if a change is under way.
    #[prost(int64, optional, tag = "8")]
    pub future_quota_value: Option<i64>,
}

/// The preconditions that are not met.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PreconditionFailure {
    /// One entry for each precondition.
    #[prost(message, repeated, tag = "1")]
    pub violations: Vec<PreconditionViolation>,
}

impl PreconditionFailure {
    /// Creates a list without preconditions.
    pub fn new() -> PreconditionFailure {
        PreconditionFailure::default()
    }

    /// Adds a precondition: its type as the service defines it, its subject, and a description for people.
    #[must_use]
    pub fn violation(
        mut self,
        r#type: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> PreconditionFailure {
        let (r#type, subject, description) = (r#type.into(), subject.into(), description.into());
        self.violations.push(PreconditionViolation { r#type, subject, description });
        self
    }
}

/// A precondition that is not met.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PreconditionViolation {
    /// The type of the precondition, as the service defines it.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// The subject of the precondition.
    #[prost(string, tag = "2")]
    pub subject: String,
    /// A description for people.
    #[prost(string, tag = "3")]
    pub description: String,
}

/// The fields of a request that are invalid.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct BadRequest {
    /// One entry for each violation.
    #[prost(message, repeated, tag = "1")]
    pub field_violations: Vec<FieldViolation>,
}

impl BadRequest {
    /// Creates a list without fields.
    pub fn new() -> BadRequest {
        BadRequest::default()
    }

    /// Adds a field by its path in the request, for example `points[3].latitude`, with a description for people.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> BadRequest {
        let (field, description) = (field.into(), description.into());
        self.field_violations.push(FieldViolation { field, description, ..FieldViolation::default() });
        self
    }
}

/// A field of a request that is invalid.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FieldViolation {
    /// The path to the field in the request.
    #[prost(string, tag = "1")]
    pub field: String,
    /// A description for people.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The reason in UPPER_SNAKE_CASE, for programs.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// The description in the user's language.
    #[prost(message, optional, tag = "4")]
    pub localized_message: Option<LocalizedMessage>,
}

/// The data by which the operators of a server find a request.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RequestInfo {
    /// The request's name in the server's logs.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// More data, which only the operators can read.
    #[prost(string, tag = "2")]
    pub serving_data: String,
}

/// The resource that the call was about.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ResourceInfo {
    /// The type of the resource.
    #[prost(string, tag = "1")]
    pub resource_type: String,
    /// The name of the resource.
    #[prost(string, tag = "2")]
    pub resource_name: String,
    /// The owner of the resource.
    #[prost(string, tag = "3")]
    pub owner: String,
    /// A description of the error, for people.
    #[prost(string, tag = "4")]
    pub description: String,
}

/// Addresses of documents that help.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Help {
    /// One entry for each document.
    #[prost(message, repeated, tag = "1")]
    pub links: Vec<Link>,
}

impl Help {
    /// Creates a list without links.
    pub fn new() -> Help {
        Help::default()
    }

    /// Adds a link with a description.
    #[must_use]
    pub fn link(mut self, description: impl Into<String>, url: impl Into<String>) -> Help {
        self.links.push(Link { description: description.into(), url: url.into() });
        self
    }
}

/// The address of a document.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Link {
    /// A description of the document.
    #[prost(string, tag = "1")]
    pub description: String,
    /// The address.
    #[prost(string, tag = "2")]
    pub url: String,
}

/// An error message in the user's language.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LocalizedMessage {
    /// The language, by its tag of BCP 47, for example `de-CH`.
    #[prost(string, tag = "1")]
    pub locale: String,
    /// The message.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Gives messages the names under which they are packed into an `Any`.
macro_rules! names {
    ($($message:ident $name:literal;)*) => {$(
        impl Name for $message {
            const NAME: &'static str = $name;
            const PACKAGE: &'static str = "google.rpc";

            fn full_name() -> String {
                format!("google.rpc.{}", Self::NAME)
            }

            fn type_url() -> String {
                format!("type.googleapis.com/google.rpc.{}", Self::NAME)
            }
        }
    )*};
}

names! {
    RpcStatus "Status";
    ErrorInfo "ErrorInfo";
    RetryInfo "RetryInfo";
    DebugInfo "DebugInfo";
    QuotaFailure "QuotaFailure";
    PreconditionFailure "PreconditionFailure";
    BadRequest "BadRequest";
    RequestInfo "RequestInfo";
    ResourceInfo "ResourceInfo";
    Help "Help";
    LocalizedMessage "LocalizedMessage";
}
