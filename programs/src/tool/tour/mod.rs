//! `barewire tour`: shows the four kinds of call and four that fail or wait, frame by frame, at the pace of the user's keys.
//!
//! All calls are made before the first frame is shown, so that the user can go back. A terminal delivers single keys. From a
//! pipe, each character is a key and an empty line is Enter. If there is no input, all frames are printed.

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
    let mut calls = demonstration::four_kinds().await.map_err(|stopped| Stop::Failed(stopped.to_string()))?;
    calls.extend(demonstration::failures());
    let (from, to) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    // If the output goes into a pipe, a user at the terminal can't turn pages.
    if flags.no_pause || (from && !to) {
        return written(Tour::new(&calls, color, false).print_all(&mut io::stdout()));
    }
    let walk = move || Tour::new(&calls, color, from && to).walk(&mut io::stdin().lock(), &mut io::stdout());
    if !from {
        return written(walk());
    }
    // Handles signals like a key, so that the terminal is restored.
    let leaving = cli::leaving().map_err(|error| Stop::Failed(error.to_string()))?;
    let _raw =
        Raw::begin().map_err(|error| Stop::Failed(format!("can't read single keys from the terminal: {error}")))?;
    let (end, ended) = oneshot::channel();
    // This thread waits for a key and ends with the program.
    std::thread::spawn(move || end.send(walk()));
    match either(leaving, ended).await {
        Either::First(()) => Ok(()),
        Either::Second(outcome) => written(outcome.unwrap_or(Ok(()))),
    }
}

/// A terminal in raw mode, which is restored on drop.
struct Raw;

impl Raw {
    fn begin() -> io::Result<Raw> {
        terminal::enable_raw_mode().map(|()| Raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Fails only if the terminal is gone.
        let _: io::Result<()> = terminal::disable_raw_mode();
    }
}
