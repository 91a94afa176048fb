//! What is printed.

use std::io;

use crate::cli::Stop;

/// The outcome of writing to stdout. A reader that has seen enough, such as head, is no failure.
pub(super) fn written(outcome: io::Result<()>) -> Result<(), Stop> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Stop::Failed(format!("what happened can't be written: {error}"))),
    }
}
