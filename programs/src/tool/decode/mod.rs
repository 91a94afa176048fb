//! `barewire decode FILE`: explains a capture.

pub(super) mod file;

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::flags::address::optional_address;
use super::flags::drawing::Drawings;
use super::flags::files::{SecretFlags, SizeFlag, distinct};
use super::flags::keys::Keys;
use super::flags::names::Names;
use super::flags::show::{Only, Screen, Show};
use super::page;
use super::page::json::LineWriter;
use super::stdout::written;
use crate::cli::{self, Stop};
use crate::watch::Wire;
use file::{InputFlag, name, read};

/// The flags of `barewire decode`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Capture to read: pcap, pcapng, JSON lines of this program, or the raw bytes of one direction, each also compressed with
    /// gzip; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    input: InputFlag,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    drawings: Drawings,
    /// Serves a page with the calls, the bytes and their meaning until the program is ended. At host:port, at a port of the
    /// loopback interface, or without a value at a free port of it
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0", value_parser = optional_address, help_heading = "Views")]
    web: Option<String>,
    /// Writes that page to a file, with the capture inside
    #[arg(long, value_name = "FILE", help_heading = "Views")]
    html: Option<PathBuf>,
    #[command(flatten)]
    size: SizeFlag,
    #[command(flatten)]
    secrets: SecretFlags,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let failed = |error: io::Error| Stop::Failed(error.to_string());
    let filter = flags.only.filter()?;
    let mut files = vec![("FILE", flags.file.as_path())];
    files.extend(flags.drawings.outputs());
    files.extend(flags.html.as_deref().map(|file| ("--html", file)));
    distinct(&files)?;
    let schema = flags.names.schema(None).await?;
    let capture = read(&flags.file, flags.input, &flags.keys)?;
    for note in &capture.notes {
        cli::say(format_args!("{}: {note}", name(&flags.file)));
    }
    let only = flags.drawings.only(&capture)?;
    flags.drawings.draw(&capture, &schema, &filter, &flags.secrets.redaction())?;
    if !filter.is_empty() && (flags.html.is_some() || flags.web.is_some()) {
        cli::say(
            "the filter applies to the printed output and the ladder; the page has the whole capture, and its own filter",
        );
    }
    if let Some(file) = &flags.html {
        let page = page::create(file, &name(&flags.file), flags.size.of_file())?;
        let mut page = LineWriter::new(flags.secrets.redaction(), schema.clone(), capture.began, page);
        page.capture(&capture, only).map_err(failed)?;
    }
    let page = match &flags.web {
        Some(address) => {
            // The first lines are kept, so that the page has the beginning of the capture.
            let kept = flags.size.of_page(page::CAPTURE_KEPT);
            let page = page::limited(page::open(address, u64::MAX, None).await?, kept);
            Some((page, cli::shutdown().map_err(failed)?))
        }
        None => None,
    };
    let show = flags.show.or_as(&Wire::Off);
    if show.is_on() {
        let screen = Screen::new(&show, filter, color, schema.clone(), io::stdout());
        written(screen.redacting(flags.secrets.of_screen()).capture(&capture, only))?;
    }
    if let Some((page, shutdown)) = page {
        LineWriter::new(flags.secrets.redaction(), schema, capture.began, page)
            .capture(&capture, only)
            .map_err(failed)?;
        shutdown.await;
    }
    match capture.cut_short {
        Some(cut_short) => Err(Stop::Usage(format!("{}: {cut_short}", name(&flags.file)))),
        None => Ok(()),
    }
}
