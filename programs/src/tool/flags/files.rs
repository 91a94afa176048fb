//! What is written to disk: `--pcapng`, `--jsonl`, how large it may become, and what is taken out first.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Stop;
use crate::tool::feed::{Heard, Listener, What};
use crate::watch::Wire;
use crate::watch::file::{CaptureFile, Format, LARGEST, Recorder};
use barewire::inspector::{Redaction, Schema};

/// Which files are written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct Files {
    /// Writes what passes as packets, for Wireshark and its like
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Writes what passes as JSON, an object a frame and line
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// How large each of these files may become, in bytes; what passes then is not recorded. JSON lines take up to 70 times what
    /// passes
    #[arg(long, value_name = "N", default_value_t = LARGEST)]
    max_bytes: u64,
    #[command(flatten)]
    secrets: SecretFlags,
}

/// What is taken out of everything that is written to disk or shown on a page.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub(in crate::tool) struct SecretFlags {
    /// A header whose values are overwritten in files, beside authorization, proxy-authorization, cookie, set-cookie, what
    /// ends in -api-key and what is never indexed. May be given several times
    #[arg(long, value_name = "NAME")]
    redact: Vec<String>,
    /// Overwrites nothing
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
    /// What is taken out of these files, and of a page.
    pub(in crate::tool) fn redaction(&self) -> Redaction {
        self.secrets.redaction()
    }

    /// A listener for each file that the flags or the environment ask for; the files are there then.
    pub(in crate::tool) fn create(&self, wire: &Wire, schema: &Schema) -> Result<Vec<Box<dyn Listener>>, Stop> {
        let by_flags = [(Format::Pcapng, &self.pcapng), (Format::JsonLines, &self.jsonl)];
        let mut wanted: Vec<(Format, &Path)> =
            by_flags.into_iter().filter_map(|(format, path)| Some((format, path.as_deref()?))).collect();
        if let Wire::File(format, path) = wire {
            wanted.push((*format, path));
        }
        let create = |(format, path): (Format, &Path)| {
            let file = CaptureFile::create(path, format, self.secrets.redaction(), schema.clone(), self.max_bytes);
            let file = file.map_err(|error| Stop::Usage(format!("{} can't be created: {error}", path.display())))?;
            Ok(Box::new(Recording { file, recorders: BTreeMap::new() }) as Box<dyn Listener>)
        };
        wanted.into_iter().map(create).collect()
    }
}

/// Something to write to, whose errors say which it is.
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

/// Writes what it hears to a file.
struct Recording {
    file: CaptureFile,
    recorders: BTreeMap<usize, Recorder>,
}

impl Listener for Recording {
    fn hear(&mut self, heard: Heard) -> io::Result<()> {
        let Heard { connection, time, what } = heard;
        match what {
            What::Opened { client, server } => {
                let port = server.port();
                let comment = format!("connection {connection} of barewire tap; Wireshark: -d tcp.port=={port},http2");
                let recorder = self.file.connection(connection as u64, client, server, time, &comment)?;
                self.recorders.insert(connection, recorder);
            }
            What::Passed { direction, lost, bytes } => {
                if let Some(recorder) = self.recorders.get_mut(&connection) {
                    recorder.passed(time, direction, lost, &bytes)?;
                }
            }
            What::Ended { direction, lost } => {
                if let Some(recorder) = self.recorders.get_mut(&connection) {
                    recorder.ended(time, direction, lost)?;
                }
            }
            What::Closed { reset } => {
                if let Some(recorder) = self.recorders.remove(&connection) {
                    recorder.closed(time, reset)?;
                }
            }
            What::Said(_) => {}
        }
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        let time = self.file.elapsed();
        for (_, recorder) in std::mem::take(&mut self.recorders) {
            recorder.closed(time, false)?;
        }
        self.file.flush()
    }
}
