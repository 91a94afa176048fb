//! Behaviour of this test service beyond the published descriptions, for cases that they leave out. The peers' programs
//! under `tests/peers` behave the same.

use std::time::Duration;

use prost::Message;

use barewire::error_details::{
    Any, BadRequest, DebugInfo, ErrorDetails, ErrorInfo, FieldViolation, Help, LocalizedMessage, PreconditionFailure,
    QuotaFailure, QuotaViolation, RequestInfo, ResourceInfo, RetryInfo, RpcStatus,
};
use barewire::{Context, Metadata, Status};

/// Key in a unary call's metadata that asks the server for the time left until the deadline, see [`DEADLINE_LEFT`].
pub const REPORT_DEADLINE: &str = "x-report-deadline";
/// Key of the time from the start of the handler to the call's deadline, in milliseconds, or `none`; in the initial metadata.
pub const DEADLINE_LEFT: &str = "x-deadline-ms";
/// Key in a unary call's metadata of a serialized `google.rpc.Status`, with which the call then fails.
pub const DETAILS: &str = "x-echo-details-bin";

/// Key in a unary call's metadata, with any value, that makes the call fail with [`status_of_every_detail`].
pub const EVERY_DETAIL: &str = "x-error-details";

/// Returns an error with a detail of every published type and one of an unknown type. The peers' programs have the same values in
/// `tests/peers/error_details.textproto`.
pub(super) fn status_of_every_detail() -> Status {
    Status::failed_precondition("the printer is out of paper").with_error_details(&every_detail())
}

/// Returns a detail of every published type, and one of an unknown type.
pub(super) fn every_detail() -> ErrorDetails {
    let text = str::to_owned;
    let localized_message = Some(LocalizedMessage { locale: text("de"), message: text("mindestens eine Kopie") });
    let copies = FieldViolation {
        field: text("copies"),
        description: text("must be positive"),
        reason: text("NOT_POSITIVE"),
        localized_message,
    };
    let pages = QuotaViolation {
        subject: text("client:7"),
        description: text("too many pages"),
        api_service: text("printers.example.com"),
        quota_metric: text("pages"),
        quota_id: text("PagesPerDay"),
        quota_dimensions: [(text("region"), text("eu"))].into(),
        quota_value: 100,
        future_quota_value: Some(200),
    };
    ErrorDetails::new()
        .with(&ErrorInfo::new("OUT_OF_PAPER", "printers.example.com").entry("tray", "2"))
        .with(&RetryInfo::after(Duration::from_millis(1500)))
        .with(&DebugInfo { stack_entries: vec![text("inner"), text("outer")], detail: text("tray 2") })
        .with(&QuotaFailure { violations: vec![pages] })
        .with(&PreconditionFailure::new().violation("TERMS", "printers/7", "the terms are not accepted"))
        .with(&BadRequest { field_violations: vec![copies] })
        .with(&RequestInfo { request_id: text("r-1"), serving_data: text("rack 9") })
        .with(&ResourceInfo {
            resource_type: text("printer"),
            resource_name: text("printers/7"),
            owner: text("ann"),
            description: text("offline"),
        })
        .with(&Help::new().link("manual", "https://printers.example.com/manual"))
        .with(&LocalizedMessage { locale: text("de"), message: text("kein Papier") })
        .with_any(Any { type_url: text("type.googleapis.com/printers.v1.Unknown"), value: vec![8, 1] })
}

/// Fails with the status that the metadata asks for, if any.
pub(super) fn check_details(received: &Metadata) -> Result<(), Status> {
    if received.contains_key(EVERY_DETAIL) {
        return Err(status_of_every_detail());
    }
    let Some(details) = received.get_bin(DETAILS) else { return Ok(()) };
    let details = details?;
    let status =
        RpcStatus::decode(&*details).map_err(|error| Status::invalid_argument(format!("{DETAILS}: {error}")))?;
    Err(Status::from_number(status.code, status.message).with_details(details))
}

/// Adds the time left to `headers`, if the metadata asks for it.
pub(super) fn report_deadline(context: &Context, headers: &mut Metadata) -> Result<(), Status> {
    if context.metadata().get(REPORT_DEADLINE).is_none() {
        return Ok(());
    }
    let left = context.deadline().map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
    let left = left.map_or_else(|| "none".to_owned(), |left| left.as_millis().to_string());
    Ok(headers.insert(DEADLINE_LEFT, &left)?)
}
