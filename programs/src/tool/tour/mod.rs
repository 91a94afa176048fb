//! `barewire tour`: the four kinds of call, frame by frame, at the pace of whoever presses the keys.
//!
//! The calls have been made when the first frame is shown, so that one can go back. On a terminal a key is enough; where keys
//! come from a pipe each is a character, and an empty line is Enter. Where nobody can press keys everything is printed.

mod walk;

use std::io::{self, IsTerminal};

use clap::Args;
use crossterm::terminal;
use tokio::sync::oneshot;

use super::stdout::written;
use super::together::{Either, either};
use crate::cli::{self, Stop};
use crate::demonstration;
use walk::Tour;

/// The flags of `barewire tour`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Prints all frames without waiting for keys
    #[arg(long)]
    no_pause: bool,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let calls = demonstration::four_kinds().await.map_err(|stopped| Stop::Failed(stopped.to_string()))?;
    let (from, to) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    // What a terminal shows of a pipe's end nobody can be asked to turn the pages of.
    if flags.no_pause || (from && !to) {
        return written(Tour::new(&calls, color, false).print_all(&mut io::stdout()));
    }
    let walk = move || Tour::new(&calls, color, from && to).walk(&mut io::stdin().lock(), &mut io::stdout());
    if !from {
        return written(walk());
    }
    // A signal ends the tour as a key does, or the terminal would stay as it is.
    let leaving = cli::leaving().map_err(|error| Stop::Failed(error.to_string()))?;
    let _raw = Raw::begin().map_err(|error| Stop::Failed(format!("the terminal takes no single keys: {error}")))?;
    let (end, ended) = oneshot::channel();
    // A thread that waits for a key ends with the program.
    std::thread::spawn(move || end.send(walk()));
    match either(leaving, ended).await {
        Either::First(()) => Ok(()),
        Either::Second(outcome) => written(outcome.unwrap_or(Ok(()))),
    }
}

/// A terminal that gives each key as it is pressed, until this is dropped.
struct Raw;

impl Raw {
    fn begin() -> io::Result<Raw> {
        terminal::enable_raw_mode().map(|()| Raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _: io::Result<()> = terminal::disable_raw_mode();
    }
}
