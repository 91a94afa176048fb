//! What the programs share: flags as Go writes them, errors on one line, signals, the time of day.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | done, or ended by SIGINT or SIGTERM |
//! | 1 | what was asked for failed, a call for example |
//! | 2 | the user has to change something: a flag, a file, a port |

mod clock;
mod flags;
mod signals;

pub use clock::timestamp;
pub use flags::parse;
pub use signals::{leaving, shutdown};

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// Why a program ends before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help was asked for, and goes to stdout; exit status 0.
    Help(String),
    /// The user has to change something: the line says what, and how. Exit status 2.
    Usage(String),
    /// It did not work: the line says why. Exit status 1.
    Failed(String),
}

/// A program: reads its flags, runs, and says on stderr, in one line, why it stopped.
pub fn main<F: clap::Parser>(program: impl FnOnce(F) -> Result<(), Stop>) -> ExitCode {
    let stop = match parse(std::env::args_os()).and_then(program) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(stop) => stop,
    };
    match &stop {
        Stop::Help(text) => {
            let _: std::io::Result<()> = std::io::stdout().write_all(text.as_bytes());
        }
        Stop::Usage(line) => say(format_args!("{}: {line}", F::command().get_name())),
        Stop::Failed(line) => say(line),
    }
    ExitCode::from(match stop {
        Stop::Help(_) => 0,
        Stop::Failed(_) => 1,
        Stop::Usage(_) => 2,
    })
}

/// Writes one line to stderr. Where nobody reads it any more it is lost, and the program goes on.
pub fn say(line: impl Display) {
    let _: std::io::Result<()> = writeln!(std::io::stderr(), "{}", one_line(&line.to_string()));
}

/// A text without line breaks and other control characters, whatever a file or a peer has put into it.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control()).map(str::trim).filter(|words| !words.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a \n\t b\r\nc\u{1b}[2J\n"), "a b c [2J");
    }
}
