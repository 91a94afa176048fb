//! Converts a reset or a lost connection into the status of the call.
//!
//! PROTOCOL-HTTP2.md, "Errors".

use std::borrow::Cow;
use std::io;

use http::HeaderMap;

use super::link::{Keepalive, Link, Side};
use crate::limits::BODY_EXCERPT;
use crate::status::{Code, Status};
use crate::wire::code_map::code_of_http2_error;
use crate::wire::http2::Http2Error;
use crate::wire::section::Section;
use crate::wire::{By, ProtocolError, What};

/// Checks that a field list delivered by h2 is within the limits of this side, and that h2 delivered all of it.
/// `pseudo` is the size of its pseudo-header fields, in bytes (RFC 9113 section 6.5.2).
///
/// # Errors
///
/// RESOURCE_EXHAUSTED, with the limit.
pub(super) fn check_section(
    link: &Link,
    section: Section,
    pseudo: usize,
    fields: &HeaderMap,
    stream: u32,
) -> Result<(), Status> {
    let limits = link.section_limits();
    limits.check(section, pseudo, fields)?;
    if link.blocks.is_long(|| stream) { Err(limits.too_large(section).into()) } else { Ok(()) }
}

/// Returns the status for a message of the method at `path` that can't be decoded.
#[cold]
pub(super) fn undecodable(error: &prost::DecodeError, path: &str) -> Status {
    ProtocolError::UndecodableMessage { method: path.to_owned(), reason: error.to_string() }.into_status()
}

/// Converts an error of a stream into the call's status, like [`status_of`]. `section` is the one that would have come
/// next. If h2 gave up over its size, the error blames the peer, and this names our limit instead.
pub(super) fn status_of_stream(error: &h2::Error, link: &Link, section: Section, stream: u32) -> Status {
    let ended = is_over_metadata(error);
    let reset = section == Section::Initial && error.is_reset() && error.is_library();
    if (ended || reset) && link.blocks.is_long(|| stream) {
        return link.section_limits().too_large(section).into_status();
    }
    match ended {
        true => ended_over_metadata(error, link.side, link.blocks.max_metadata_size()),
        false => status_on(error, link),
    }
}

/// Converts an error like [`status_of`]. On a client, explains a GOAWAY with `too_many_pings` (gRFC A8): what this client
/// sends, what servers allow, and which option to change.
pub(crate) fn status_on(error: &h2::Error, link: &Link) -> Status {
    let status = status_of(error, link.side);
    let is_over_pings = link.side == Side::Client
        && error.is_go_away()
        && error.is_remote()
        && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
        && debug_data(error) == "too_many_pings";
    if !is_over_pings {
        return status;
    }
    let sent = match link.keepalive {
        Some(Keepalive { time, without_calls }) => format!(
            "this client sends a PING after {time:?} without a byte from the server (ClientOptions::keepalive_time), {}",
            if without_calls { "also without calls (keepalive_without_calls)" } else { "only during calls" }
        ),
        None => {
            "this client sends none (ClientOptions::keepalive_time is None), so a proxy may have sent them".to_owned()
        }
    };
    let message = format!(
        "{}, too_many_pings: {sent}; servers allow one every 5 minutes by default, and one every 2 hours without calls: \
         raise keepalive_time, or lower the server's limit",
        status.message()
    );
    Status::unavailable(message).caused(By::Peer, go_away(error))
}

/// Converts an error of a stream or connection into the call's status (PROTOCOL-HTTP2.md, "Errors"). A reset maps to a
/// code by the table; a lost connection is UNAVAILABLE on a client and CANCELLED on a server.
pub(crate) fn status_of(error: &h2::Error, side: Side) -> Status {
    let by = if error.is_remote() { By::Peer } else { By::Us };
    let reason = error.reason().map(|reason| Http2Error(reason.into()));
    match reason {
        Some(reason) if error.is_reset() => {
            Status::new(code_of_http2_error(reason), reset_message(error, reason, side)).caused(by, What::Reset(reason))
        }
        Some(reason) if error.is_go_away() => {
            Status::new(lost(side), format!("the connection ended with GOAWAY {reason}")).caused(by, go_away(error))
        }
        _ => {
            let kind = error.get_io().map_or(io::ErrorKind::Other, io::Error::kind);
            let message = match kind {
                io::ErrorKind::TimedOut => format!("the connection was lost: {error}").into(),
                _ => Cow::Borrowed("the connection was lost"),
            };
            let (by, what) = What::of_io(io::Error::new(kind, error.to_string()));
            Status::new(lost(side), message).caused(by, what)
        }
    }
}

/// Returns true if h2 ended the connection because a field list was far over its limit, or its header block too long.
fn is_over_metadata(error: &h2::Error) -> bool {
    if !error.is_library() || !error.is_go_away() {
        return false;
    }
    match error.reason() {
        Some(h2::Reason::ENHANCE_YOUR_CALM) => {
            ["header_list_way_too_large", "too_many_continuations"].contains(&&*debug_data(error))
        }
        // Not undecodable HPACK: h2 reports that as PROTOCOL_ERROR.
        reason => reason == Some(h2::Reason::COMPRESSION_ERROR),
    }
}

/// Returns the status for the calls of a connection that ended over the metadata of one of them. Names the limit.
fn ended_over_metadata(error: &h2::Error, side: Side, limit: u32) -> Status {
    let reader = if side == Side::Client { "client" } else { "server" };
    let message = format!(
        "the connection ended: the metadata of a call was far larger than {limit} bytes, the max_metadata_size of this \
         {reader}"
    );
    Status::new(lost(side), message).caused(By::Us, go_away(error))
}

fn go_away(error: &h2::Error) -> What {
    let reason = Http2Error(error.reason().unwrap_or(h2::Reason::NO_ERROR).into());
    What::GoAway { error: reason, debug: debug_data(error) }
}

/// Returns the debug data of a GOAWAY. h2 offers it only in the error's text: escaped, in parentheses, at the end.
fn debug_data(error: &h2::Error) -> String {
    let words = error.to_string();
    let data = words.split_once(" (b\"").and_then(|(_, data)| data.strip_suffix("\")")).unwrap_or_default();
    data.chars().take(BODY_EXCERPT).collect()
}

fn lost(side: Side) -> Code {
    match side {
        Side::Client => Code::Unavailable,
        Side::Server => Code::Cancelled,
    }
}

fn reset_message(error: &h2::Error, reason: Http2Error, side: Side) -> String {
    let peer = if side == Side::Client { "server" } else { "client" };
    match error.is_remote() {
        true => format!("the {peer} reset the stream with {reason}"),
        false => format!("the stream was reset with {reason} because the {peer} violated HTTP/2"),
    }
}

impl From<prost::DecodeError> for Status {
    /// Returns INTERNAL, as for a message of the call that can't be decoded.
    fn from(error: prost::DecodeError) -> Status {
        Status::internal(error.to_string()).with_source(error)
    }
}

impl From<tokio::time::error::Elapsed> for Status {
    /// Returns DEADLINE_EXCEEDED.
    fn from(error: tokio::time::error::Elapsed) -> Status {
        Status::deadline_exceeded(error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    #[tokio::test(start_paused = true)]
    async fn errors_of_other_libraries_convert() {
        let elapsed = tokio::time::timeout(std::time::Duration::from_secs(1), std::future::pending::<()>()).await;
        assert_eq!(Status::from(elapsed.unwrap_err()).code(), Code::DeadlineExceeded);
        let decode = <String as prost::Message>::decode(&b"\x0a\xff"[..]).unwrap_err();
        assert_eq!(Status::from(decode).code(), Code::Internal);
    }
}
