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
    file: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    file: File,
    buffer: Vec<u8>,
    /// Bytes left until the size limit.
    room: u64,
    full: bool,
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
        let file = FileState { file: File::create(path)?, buffer: Vec::new(), room: largest, full: false };
        let (began, clock) = (SystemTime::now(), Instant::now());
        let shared = Shared { path: path.to_owned(), format, redaction, schema, began, clock, file: Mutex::new(file) };
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
            if !std::mem::replace(&mut state.full, true) {
                cli::log(format_args!("{} has reached its size limit: recording ends", self.shared.path.display()));
            }
            return Ok(());
        }
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
        match &mut self.form {
            Form::Pcapng { packets, redactor } => {
                let (mut shown, mut out) = (Vec::new(), Vec::new());
                if lost > 0 {
                    redactor.lose(direction, lost, &mut shown);
                    packets.bytes(time, direction, &shown, &mut out);
                    packets.lose(direction, lost);
                    shown.clear();
                }
                redactor.push(direction, bytes, &mut shown);
                packets.bytes(time, direction, &shown, &mut out);
                self.file.append(&out)
            }
            Form::JsonLines { conversation, .. } => {
                conversation.set_time(time);
                conversation.lose(direction, lost);
                conversation.push(direction, bytes);
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
        let (mut shown, mut out) = (Vec::new(), Vec::new());
        redactor.finish(direction, &mut shown);
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
                conversation.finish();
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
            self.file.append(lines.frame(self.number, &frame).as_bytes())?;
        }
        Ok(())
    }
}
