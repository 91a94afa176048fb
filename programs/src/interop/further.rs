//! What this test service answers beyond the published descriptions, for cases that those leave out. The peers' programs
//! under `tests/peers` do the same.

use prost::Message;

use barewire::{Context, Metadata, Status};

/// With this in a unary call's metadata it says how much time it has, under [`DEADLINE_LEFT`].
pub const REPORT_DEADLINE: &str = "x-report-deadline";
/// The milliseconds to the call's deadline when its handler begins, or `none`; in the initial metadata.
pub const DEADLINE_LEFT: &str = "x-deadline-ms";
/// A serialized `google.rpc.Status` in a unary call's metadata: the call ends with it.
pub const DETAILS: &str = "x-echo-details-bin";

/// The beginning of a `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The error that the metadata asks for.
pub(super) fn check_details(received: &Metadata) -> Result<(), Status> {
    let Some(details) = received.get_bin(DETAILS) else { return Ok(()) };
    let details = details?;
    let status =
        RpcStatus::decode(&*details).map_err(|error| Status::invalid_argument(format!("{DETAILS}: {error}")))?;
    Err(Status::from_number(status.code, status.message).with_details(details))
}

/// Says how much time is left, where that is asked for.
pub(super) fn report_deadline(context: &Context, headers: &mut Metadata) -> Result<(), Status> {
    if context.metadata().get(REPORT_DEADLINE).is_none() {
        return Ok(());
    }
    let left = context.deadline().map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
    let left = left.map_or_else(|| "none".to_owned(), |left| left.as_millis().to_string());
    Ok(headers.insert(DEADLINE_LEFT, &left)?)
}
