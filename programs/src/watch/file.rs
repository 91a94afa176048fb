//! Captures of running connections in a file: pcapng, or JSON lines.
//!
//! Writes whole blocks and whole lines only, so that the file can be read at any time and however the program ends. Overwrites
//! secrets before they are written. A file at its size limit stops growing, which is logged once.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::budget::{Allowance, Budget, brief, ends_here};
use crate::cli;
use barewire::inspector::capture::Redactor;
use barewire::inspector::capture::pcapng_writer::{self, PcapngConnection};
use barewire::inspector::{Conversation, Direction, Endpoints, JsonLines, Redaction, Schema};

/// Default size limit of a file: 1 GiB.
pub const LARGEST: u64 = 1 << 30;

/// Size of the write buffer, in bytes.
const BUFFER: usize = 256 << 10;

/// The format of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Packets, for Wireshark and similar programs.
    Pcapng,
    /// A JSON object per frame.
    JsonLines,
}

/// A file that connections are recorded in. A handle, cheap to clone.
#[derive(Clone, Debug)]
pub struct CaptureFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    format: Format,
    redaction: Redaction,
    schema: Schema,
    began: SystemTime,
    clock: Instant,
    /// The remark that ends the file if it reaches its size limit.
    last: Vec<u8>,
    file: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    file: File,
    buffer: Vec<u8>,
    /// Bytes left until the size limit, without those for the remark that says so.
    room: u64,
    full: bool,
    /// True if the file has its beginning.
    begun: bool,
    budget: Budget,
    allowance: Allowance,
}

impl CaptureFile {
    /// Creates or truncates the file, which may grow to `largest` bytes.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be created or its header can't be written.
    pub fn create(
        path: &Path,
        format: Format,
        redaction: Redaction,
        schema: Schema,
        largest: u64,
    ) -> io::Result<CaptureFile> {
        let remark = ends_here(largest);
        let last = match format {
            Format::Pcapng => pcapng_writer::remark(&remark),
            Format::JsonLines => JsonLines::new(Redaction::none()).limit(&remark).into_bytes(),
        };
        let file = FileState {
            file: cli::private::create(path)?,
            buffer: Vec::new(),
            room: largest.saturating_sub(last.len() as u64),
            full: false,
            begun: false,
            budget: Budget::default(),
            allowance: Allowance::default(),
        };
        let (began, clock, path, file) = (SystemTime::now(), Instant::now(), path.to_owned(), Mutex::new(file));
        let shared = Shared { path, format, redaction, schema, began, clock, last, file };
        let capture = CaptureFile { shared: Arc::new(shared) };
        if format == Format::Pcapng {
            let application = concat!("barewire ", env!("CARGO_PKG_VERSION"));
            capture.append(&pcapng_writer::begin(application))?;
            capture.flush()?;
        }
        Ok(capture)
    }

    /// Returns the time since the file was created.
    pub fn elapsed(&self) -> Duration {
        self.shared.clock.elapsed()
    }

    /// Starts recording a connection. The comment is shown to readers of the file.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn connection(
        &self,
        number: u64,
        client: SocketAddr,
        server: SocketAddr,
        time: Duration,
        comment: &str,
    ) -> io::Result<Recorder> {
        let Shared { redaction, schema, began, .. } = &*self.shared;
        let form = match self.shared.format {
            Format::Pcapng => {
                let mut packets = PcapngConnection::new(client, server, *began);
                let mut out = Vec::new();
                packets.open(time, comment, &mut out);
                self.append(&out)?;
                Form::Pcapng { packets, redactor: Box::new(Redactor::new(redaction.clone(), true)) }
            }
            Format::JsonLines => {
                let lines = JsonLines::new(redaction.clone()).naming(schema);
                let (client, server) = (Some(client.to_string()), Some(server.to_string()));
                let endpoints = Endpoints { client, server, began: Some(*began), ..Endpoints::default() };
                self.append(lines.connection(number, &endpoints).as_bytes())?;
                Form::JsonLines { lines, conversation: Box::new(Conversation::new(schema.clone())) }
            }
        };
        Ok(Recorder { file: self.clone(), number, form, ended: [false; 2] })
    }

    /// Writes the buffer to the file.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn flush(&self) -> io::Result<()> {
        self.lock().write_out().map_err(|error| self.named(&error))
    }

    /// Adds whole blocks or lines, or nothing if they exceed the size limit.
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let fits = !state.full && bytes.len() as u64 <= state.room;
        if !fits {
            if std::mem::replace(&mut state.full, true) {
                return Ok(());
            }
            cli::log(format_args!("{} has reached its size limit: recording ends", self.shared.path.display()));
            // A file whose limit does not even hold its beginning stays empty.
            if self.shared.format == Format::JsonLines || state.begun {
                state.buffer.extend_from_slice(&self.shared.last);
            }
            return Ok(());
        }
        state.begun = true;
        state.room -= bytes.len() as u64;
        state.buffer.extend_from_slice(bytes);
        if state.buffer.len() < BUFFER {
            return Ok(());
        }
        state.write_out().map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{} can't be written: {error}", self.shared.path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, FileState> {
        // A panic in another thread leaves only whole blocks in the buffer.
        self.shared.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileState {
    fn write_out(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

/// Records one connection in a file. Times count from the creation of the file.
#[derive(Debug)]
pub struct Recorder {
    file: CaptureFile,
    number: u64,
    form: Form,
    /// True if the client, or the server, has ended its direction.
    ended: [bool; 2],
}

#[derive(Debug)]
enum Form {
    Pcapng { packets: PcapngConnection, redactor: Box<Redactor> },
    JsonLines { lines: JsonLines, conversation: Box<Conversation> },
}

impl Recorder {
    /// Records bytes of one direction. Before them, `lost` bytes passed that were not kept.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn passed(&mut self, time: Duration, direction: Direction, lost: u64, bytes: &[u8]) -> io::Result<()> {
        if self.file.lock().full {
            return Ok(());
        }
        match &mut self.form {
            Form::Pcapng { packets, redactor } => {
                let (mut shown, mut out) = (Vec::new(), Vec::new());
                let before = redactor.held();
                let admitted = self.file.lock().budget.admits(before, bytes.len());
                let (lost, bytes) = if admitted { (lost, bytes) } else { (lost + bytes.len() as u64, &[][..]) };
                if lost > 0 {
                    redactor.lose(direction, lost, &mut shown);
                    packets.bytes(time, direction, &shown, &mut out);
                    packets.lose(direction, lost);
                    shown.clear();
                }
                redactor.push(direction, bytes, &mut shown);
                self.file.lock().budget.changed(before, redactor.held());
                packets.bytes(time, direction, &shown, &mut out);
                self.file.append(&out)
            }
            Form::JsonLines { conversation, .. } => {
                // Decodes without the lock, which other connections need.
                let before = self.file.lock().budget;
                let mut after = before;
                after.push(conversation, time, direction, lost, bytes);
                self.file.lock().budget.merge(&before, &after);
                self.frames()
            }
        }
    }

    /// Records the end of a direction.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn ended(&mut self, time: Duration, direction: Direction, lost: u64) -> io::Result<()> {
        self.passed(time, direction, lost, &[])?;
        let [client, server] = &mut self.ended;
        let ended = if direction == Direction::ToServer { client } else { server };
        if std::mem::replace(ended, true) {
            return Ok(());
        }
        let Form::Pcapng { packets, redactor } = &mut self.form else { return Ok(()) };
        let (mut shown, mut out, before) = (Vec::new(), Vec::new(), redactor.held());
        redactor.finish(direction, &mut shown);
        self.file.lock().budget.changed(before, redactor.held());
        packets.bytes(time, direction, &shown, &mut out);
        packets.end(time, direction, &mut out);
        self.file.append(&out)
    }

    /// Records the end of the connection; `reset` if it was reset.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn closed(mut self, time: Duration, reset: bool) -> io::Result<()> {
        match &mut self.form {
            Form::Pcapng { packets, .. } if reset => {
                let mut out = Vec::new();
                packets.reset(time, &mut out);
                self.file.append(&out)
            }
            Form::Pcapng { .. } => {
                self.ended(time, Direction::ToServer, 0)?;
                self.ended(time, Direction::ToClient, 0)
            }
            Form::JsonLines { conversation, .. } => {
                self.file.lock().budget.finish(conversation);
                let dropped = conversation.dropped_frames();
                self.frames()?;
                let Form::JsonLines { lines, .. } = &self.form else { return Ok(()) };
                self.file.append(lines.end(self.number, time, dropped).as_bytes())
            }
        }
    }

    fn frames(&mut self) -> io::Result<()> {
        let Form::JsonLines { lines, conversation } = &mut self.form else { return Ok(()) };
        for frame in conversation.take_frames() {
            let mut line = lines.frame(self.number, &frame);
            if !self.file.lock().allowance.admits(&frame, &line) {
                line = brief(lines, self.number, &frame);
            }
            self.file.append(line.as_bytes())?;
        }
        Ok(())
    }
}
