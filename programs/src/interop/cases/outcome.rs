//! Results of a case.

use std::fmt;

use barewire::{Code, Status};

/// The reason for which a case failed: the expected value and the actual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

pub(super) fn failure(what: impl fmt::Display, expected: impl fmt::Display, received: impl fmt::Display) -> Failure {
    Failure(format!("{what}: expected {expected}, got {received}"))
}

/// Returns the result of a call that must succeed.
pub(super) fn ok<T>(what: &str, outcome: Result<T, Status>) -> Result<T, Failure> {
    outcome.map_err(|status| failure(what, "OK", format_args!("{status:#}")))
}

/// Returns the next message of a stream that must have one more.
pub(super) fn some<T>(what: &str, outcome: Result<Option<T>, Status>) -> Result<T, Failure> {
    ok(what, outcome)?.ok_or_else(|| failure(what, "a message", "the end of the stream"))
}

/// Returns the status of a call that must fail with this code.
pub(super) fn status<T>(what: &str, outcome: Result<T, Status>, code: Code) -> Result<Status, Failure> {
    match outcome {
        Err(status) if status.code() == code => Ok(status),
        Err(status) => Err(failure(what, code, format_args!("{status:#}"))),
        Ok(_) => Err(failure(what, code, "OK")),
    }
}

pub(super) fn equal<T: PartialEq + fmt::Debug>(what: &str, received: T, expected: T) -> Result<(), Failure> {
    if received == expected {
        Ok(())
    } else {
        Err(failure(what, format_args!("{expected:?}"), format_args!("{received:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_expected_and_the_actual_result() {
        let failed = status("UnaryCall", Ok(()), Code::Unimplemented).unwrap_err();
        assert_eq!(failed.to_string(), "UnaryCall: expected UNIMPLEMENTED, got OK");
        let failed = equal("messages", 3, 4).unwrap_err();
        assert_eq!(failed.to_string(), "messages: expected 4, got 3");
    }
}
