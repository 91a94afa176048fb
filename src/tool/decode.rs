//! `barewire decode FILE`: a capture, explained.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::names::Names;
use super::show::{Screen, Show};
use super::written;
use crate::cli::Stop;
use crate::inspector::capture::{self, Capture};

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
    let schema = flags.names.schema()?;
    let capture = read(&flags.file)?;
    let mut screen = Screen::new(&flags.show, color, io::BufWriter::new(io::stdout()));
    let shown = || {
        for (at, connection) in capture.connections.iter().enumerate() {
            screen.say(at + 1, format_args!("{} → {}", connection.client, connection.server))?;
            let mut conversation = connection.conversation(schema.clone());
            screen.frames(at + 1, &mut conversation)?;
        }
        screen.flush()
    };
    written({ shown }())
}

/// The capture in a file.
fn read(file: &std::path::Path) -> Result<Capture, Stop> {
    let usage = |what: &dyn std::fmt::Display| Stop::Usage(format!("{}: {what}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| usage(&error))?;
    capture::read(&bytes).map_err(|error| usage(&error))
}
