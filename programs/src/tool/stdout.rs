//! Writing to stdout.

use std::io;

use crate::cli::Stop;

/// Converts the outcome of writing to stdout. A reader that closes the pipe early, such as head, is not a failure.
pub(super) fn written(outcome: io::Result<()>) -> Result<(), Stop> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Stop::Failed(format!("can't write the output: {error}"))),
    }
}
