//! Code that the programs share: flags in Go's style, errors on one line, signals, the time of day.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | success, or ended by SIGINT or SIGTERM |
//! | 1 | the operation failed, for example a call |
//! | 2 | the user has to change something: a flag, a file, a port |

mod clock;
mod duration;
mod flags;
mod memory;
mod plain;
pub mod private;
mod signals;
mod stderr;
mod stop;

pub use clock::timestamp;
pub use duration::duration;
pub use flags::parse;
pub use memory::give_memory_back;
pub use plain::{is_plain, plain};
pub use signals::{leaving, shutdown};
pub use stderr::{LINES_A_SECOND, PATIENCE, announce, log, log_text, say, say_text};
pub use stop::Stop;

use std::io::Write;
use std::process::ExitCode;

/// Runs a program: parses its flags, calls it, and writes one line to stderr if it failed. Flushes the log first, unless
/// nothing reads stderr.
pub fn main<F: clap::Parser>(program: impl FnOnce(F) -> Result<(), Stop>) -> ExitCode {
    let outcome = parse(std::env::args_os()).and_then(program);
    let status = match &outcome {
        Ok(()) => 0,
        Err(stop) => report(stop, F::command().get_name()),
    };
    stderr::finish();
    ExitCode::from(status)
}

/// Reports why a program stops, and returns its exit status.
fn report(stop: &Stop, program: &str) -> u8 {
    match stop {
        Stop::Help(text) => {
            let _: std::io::Result<()> = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Stop::Failed(line) => {
            announce(line);
            1
        }
        Stop::Usage(line) => {
            announce(format_args!("{program}: {line}"));
            2
        }
    }
}
