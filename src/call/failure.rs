//! What an error of HTTP/2 means for a call: PROTOCOL-HTTP2.md, "Errors".

use std::borrow::Cow;
use std::io;

use super::Side;
use crate::limits::BODY_EXCERPT;
use crate::status::{Code, Status};
use crate::wire::code_map::{Http2Error, code_of_http2_error};
use crate::wire::{By, What};

/// What an error of the stream or of its connection means for the call (PROTOCOL-HTTP2.md, "Errors"): a reset has its code
/// by the table; a lost connection is UNAVAILABLE to a client and CANCELLED to a server.
pub(crate) fn status_of(error: &h2::Error, side: Side) -> Status {
    let by = if error.is_remote() { By::Peer } else { By::Us };
    let reason = error.reason().map(|reason| Http2Error(reason.into()));
    match reason {
        Some(reason) if error.is_reset() => {
            Status::new(code_of_http2_error(reason), reset_message(error, reason, side)).caused(by, What::Reset(reason))
        }
        Some(reason) if error.is_go_away() => {
            let what = What::GoAway { error: reason, debug: debug_data(error) };
            Status::new(lost(side), format!("the connection ended with GOAWAY {reason}")).caused(by, what)
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

/// GOAWAY's debug data. h2 has no function that gives them, but prints them, escaped, in parentheses at the end.
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
        false => format!("the stream was reset with {reason}, as the {peer} broke a rule of HTTP/2"),
    }
}
