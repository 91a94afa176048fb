//! Writes captures to disk: `--pcapng`, `--jsonl`, their size limit, and the secrets to overwrite.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::Stop;
use crate::tool::feed::{Event, EventKind, Observer};
use crate::watch::Wire;
use crate::watch::file::{CaptureFile, Format, LARGEST, Recorder};
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
    /// Size limit of each of these files, in bytes; recording ends there. JSON lines take up to 70 times the size of what
    /// passes
    #[arg(long, value_name = "N", default_value_t = LARGEST)]
    max_bytes: u64,
    #[command(flatten)]
    secrets: SecretFlags,
}

/// The secrets to overwrite in everything that is written to disk or shown on a page.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct SecretFlags {
    /// Another header whose values are overwritten in files. Always overwritten: authorization, proxy-authorization, cookie,
    /// set-cookie, names that end in -api-key, and never-indexed headers. May be given several times
    #[arg(long, value_name = "NAME")]
    redact: Vec<String>,
    /// Overwrites no secrets
    #[arg(long, conflicts_with = "redact")]
    no_redact: bool,
}

impl SecretFlags {
    pub(in crate::tool) fn redaction(&self) -> Redaction {
        match self.no_redact {
            true => Redaction::none(),
            false => self.redact.iter().fold(Redaction::default(), |redaction, name| redaction.header(name)),
        }
    }
}

impl Files {
    /// Returns the redaction of these files, and of a page.
    pub(in crate::tool) fn redaction(&self) -> Redaction {
        self.secrets.redaction()
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
            let file = CaptureFile::create(path, format, self.secrets.redaction(), schema.clone(), self.max_bytes);
            let file = file.map_err(|error| Stop::Usage(format!("can't create {}: {error}", path.display())))?;
            Ok(Box::new(FileObserver { file, recorders: BTreeMap::new() }) as Box<dyn Observer>)
        };
        wanted.into_iter().map(create).collect()
    }
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
