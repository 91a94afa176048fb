//! `barewire decode FILE`: a capture, explained.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::names::Names;
use super::show::{Screen, Show};
use super::written;
use crate::cli::{self, Stop};
use crate::inspector::capture::{self, Capture};
use crate::watch::Wire;

/// The flags of `barewire decode`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The capture: pcap, pcapng, or one direction's bytes as they are
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let schema = flags.names.schema(None).await?;
    let capture = read(&flags.file)?;
    for note in &capture.notes {
        cli::say(format_args!("{}: {note}", flags.file.display()));
    }
    written(Screen::new(&flags.show.or_as(&Wire::Off), color, schema, io::stdout()).capture(&capture))?;
    match capture.cut_short {
        Some(cut_short) => Err(Stop::Usage(format!("{}: {cut_short}", flags.file.display()))),
        None => Ok(()),
    }
}

/// The capture in a file.
pub(super) fn read(file: &Path) -> Result<Capture, Stop> {
    let usage = |what: &dyn std::fmt::Display| Stop::Usage(format!("{}: {what}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| usage(&error))?;
    capture::read(&bytes).map_err(|error| usage(&error))
}
