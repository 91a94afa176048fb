//! Behaviour of this test service beyond the published descriptions, for cases that they leave out. The peers' programs
//! under `tests/peers` behave the same.

use prost::Message;

use barewire::{Context, Metadata, Status};

/// Key in a unary call's metadata that asks the server for the time left until the deadline, see [`DEADLINE_LEFT`].
pub const REPORT_DEADLINE: &str = "x-report-deadline";
/// Key of the time from the start of the handler to the call's deadline, in milliseconds, or `none`; in the initial metadata.
pub const DEADLINE_LEFT: &str = "x-deadline-ms";
/// Key in a unary call's metadata of a serialized `google.rpc.Status`, with which the call then fails.
pub const DETAILS: &str = "x-echo-details-bin";

/// The first two fields of a `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Fails with the status that the metadata asks for, if any.
pub(super) fn check_details(received: &Metadata) -> Result<(), Status> {
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
