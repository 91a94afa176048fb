//! Writes captures to disk: `--pcapng`, `--jsonl`, their size limit, and the secrets to overwrite.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::{Stop, private};
use crate::tool::feed::{Event, EventKind, Observer};
use crate::watch::file::{CaptureFile, Format, LARGEST, Recorder};
use crate::watch::{WIRE, Wire};
use barewire::inspector::{Redaction, Schema};

/// The capture files to write.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct Files {
    /// Writes what passes as packets, for Wireshark and similar programs
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Writes what passes as JSON lines, an object per frame
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    #[command(flatten)]
    size: SizeFlag,
    #[command(flatten)]
    secrets: SecretFlags,
}

/// The size limit of every output.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct SizeFlag {
    /// Size limit in bytes of each file (default 1 GiB) and of what the page keeps (default 64 MiB, or 256 MiB of a capture);
    /// recording ends there. JSON lines take up to 70 times the size of what passes
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
}

impl SizeFlag {
    /// Returns the limit of a file.
    pub(in crate::tool) fn of_file(self) -> u64 {
        self.max_bytes.unwrap_or(LARGEST)
    }

    /// Returns the limit of what a page keeps.
    pub(in crate::tool) fn of_page(self, default: u64) -> u64 {
        self.max_bytes.unwrap_or(default)
    }
}

/// The secrets to overwrite in everything that is written to disk or shown on a page.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct SecretFlags {
    /// Another header whose values are overwritten in files, and then also in what is printed. Always overwritten in files:
    /// authorization, cookie, set-cookie, names such as api-key and those that end in -token, -secret or -api-key, and
    /// never-indexed headers. May be given several times
    #[arg(long, value_name = "NAME", value_parser = header_name)]
    redact: Vec<String>,
    /// Overwrites no secrets
    #[arg(long, conflicts_with = "redact")]
    no_redact: bool,
}

fn header_name(text: &str) -> Result<String, &'static str> {
    match text.trim().trim_matches(':').is_empty() {
        true => Err("must be the name of a header, such as x-token"),
        false => Ok(text.to_owned()),
    }
}

impl SecretFlags {
    /// Returns the redaction of files and of the page.
    pub(in crate::tool) fn redaction(&self) -> Redaction {
        match self.no_redact {
            true => Redaction::none(),
            false => self.redact.iter().fold(Redaction::default(), |redaction, name| redaction.header(name)),
        }
    }

    /// Returns the redaction of what is printed, which has everything unless headers are named.
    pub(in crate::tool) fn of_screen(&self) -> Redaction {
        if self.redact.is_empty() { Redaction::none() } else { self.redaction() }
    }
}

impl Files {
    /// Returns the redaction of these files, and of a page.
    pub(in crate::tool) fn redaction(&self) -> Redaction {
        self.secrets.redaction()
    }

    /// Returns the size limit of every output.
    pub(in crate::tool) fn size(&self) -> SizeFlag {
        self.size
    }

    /// Returns the redaction of what is printed.
    pub(in crate::tool) fn of_screen(&self) -> Redaction {
        self.secrets.of_screen()
    }

    /// Returns the files to write, each with the flag or the variable that names it.
    pub(in crate::tool) fn outputs<'a>(&'a self, wire: &'a Wire) -> Vec<(&'static str, &'a Path)> {
        let mut outputs = Vec::new();
        outputs.extend(self.pcapng.as_deref().map(|file| ("--pcapng", file)));
        outputs.extend(self.jsonl.as_deref().map(|file| ("--jsonl", file)));
        if let Wire::File(_, file) = wire {
            outputs.push((WIRE, file));
        }
        outputs
    }

    /// Creates the files that the flags or the environment ask for, and returns an observer for each.
    pub(in crate::tool) fn create(&self, wire: &Wire, schema: &Schema) -> Result<Vec<Box<dyn Observer>>, Stop> {
        let by_flags = [(Format::Pcapng, &self.pcapng), (Format::JsonLines, &self.jsonl)];
        let mut wanted: Vec<(Format, &Path)> =
            by_flags.into_iter().filter_map(|(format, path)| Some((format, path.as_deref()?))).collect();
        if let Wire::File(format, path) = wire {
            wanted.push((*format, path));
        }
        let create = |(format, path): (Format, &Path)| {
            let file = CaptureFile::create(path, format, self.secrets.redaction(), schema.clone(), self.size.of_file());
            let file = file.map_err(|error| Stop::Usage(format!("can't create {}: {error}", path.display())))?;
            Ok(Box::new(FileObserver { file, recorders: BTreeMap::new() }) as Box<dyn Observer>)
        };
        wanted.into_iter().map(create).collect()
    }
}

/// Checks that no file is written twice, or read and written.
///
/// # Errors
///
/// [`Stop::Usage`] with the two flags.
pub(in crate::tool) fn distinct(outputs: &[(&str, &Path)]) -> Result<(), Stop> {
    let same = |(one, other)| Stop::Usage(format!("{one} and {other} are the same file; name another for {other}"));
    private::same_file(outputs).map_or(Ok(()), |names| Err(same(names)))
}

/// A writer whose errors have its name.
pub(in crate::tool) struct Named<W> {
    name: String,
    to: W,
}

impl<W> Named<W> {
    pub(in crate::tool) fn new(name: impl Into<String>, to: W) -> Named<W> {
        Named { name: name.into(), to }
    }

    fn name(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{} can't be written: {error}", self.name))
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| self.name(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|error| self.name(&error))
    }
}

/// Writes events to a file.
struct FileObserver {
    file: CaptureFile,
    recorders: BTreeMap<usize, Recorder>,
}

impl Observer for FileObserver {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        match kind {
            EventKind::Opened { client, server } => {
                let port = server.port();
                let comment = format!("connection {connection} of barewire tap; Wireshark: -d tcp.port=={port},http2");
                let recorder = self.file.connection(connection as u64, client, server, time, &comment)?;
                self.recorders.insert(connection, recorder);
            }
            EventKind::Passed { direction, lost, bytes } => {
                if let Some(recorder) = self.recorders.get_mut(&connection) {
                    recorder.passed(time, direction, lost, &bytes)?;
                }
            }
            EventKind::Ended { direction, lost } => {
                if let Some(recorder) = self.recorders.get_mut(&connection) {
                    recorder.ended(time, direction, lost)?;
                }
            }
            EventKind::Closed { reset } => {
                if let Some(recorder) = self.recorders.remove(&connection) {
                    recorder.closed(time, reset)?;
                }
            }
            EventKind::Note(_) => {}
        }
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn end(&mut self, _: Duration) -> io::Result<()> {
        let time = self.file.elapsed();
        for (_, recorder) in std::mem::take(&mut self.recorders) {
            recorder.closed(time, false)?;
        }
        self.file.flush()
    }
}
