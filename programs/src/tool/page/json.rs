//! Writes the events of connections as JSON lines.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use crate::cli;
use crate::tool::feed::{Event, EventKind, Observer};
use crate::tool::flags::show::numbered;
use crate::watch::budget::{Allowance, Budget, ends_here};
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{Conversation, Direction, Endpoints, JsonLines, Redaction, Schema};

/// Accepts JSON lines, each with its line break.
pub(in crate::tool) trait Lines: Send {
    /// Adds a line.
    fn line(&mut self, line: &str) -> io::Result<()>;

    /// Returns the number of bytes that a line takes.
    fn size(&self, line: &str) -> u64 {
        line.len() as u64
    }

    /// Returns true if lines are no longer kept, because a size limit was reached.
    fn is_full(&self) -> bool {
        false
    }

    /// Ends the output, and completes a file.
    fn end(&mut self) -> io::Result<()>;
}

/// Passes lines on up to a number of bytes. Then a line says so, and the following ones are left out.
pub(in crate::tool) struct Limited<L> {
    lines: L,
    /// The name of the output, for the log.
    name: String,
    largest: u64,
    /// Bytes left, without those of the last line.
    room: u64,
    last: String,
    full: bool,
}

impl<L> Limited<L> {
    /// Limits an output to `largest` bytes, of which `around` are not lines.
    pub(super) fn new(lines: L, name: String, largest: u64, around: u64) -> Self {
        let last = JsonLines::new(Redaction::none()).limit(&ends_here(largest));
        let room = largest.saturating_sub(around + last.len() as u64);
        Self { lines, name, largest, room, last, full: false }
    }
}

impl<L: Lines> Lines for Limited<L> {
    fn line(&mut self, line: &str) -> io::Result<()> {
        if self.full {
            return Ok(());
        }
        if let Some(room) = self.room.checked_sub(self.lines.size(line)) {
            self.room = room;
            return self.lines.line(line);
        }
        self.full = true;
        let Self { name, largest, .. } = self;
        cli::log(format_args!("{name} has reached its size limit of {largest} bytes (--max-bytes): recording ends"));
        self.lines.line(&self.last)
    }

    fn size(&self, line: &str) -> u64 {
        self.lines.size(line)
    }

    fn is_full(&self) -> bool {
        self.full
    }

    fn end(&mut self) -> io::Result<()> {
        self.lines.end()
    }
}

/// Writes events as JSON lines.
pub(in crate::tool) struct LineWriter<L> {
    json: JsonLines,
    schema: Schema,
    /// The start of the time that events count from.
    began: SystemTime,
    conversations: BTreeMap<usize, Conversation>,
    budget: Budget,
    allowance: Allowance,
    /// The time of the last event.
    now: Duration,
    lines: L,
}

impl<L: Lines> LineWriter<L> {
    pub(in crate::tool) fn new(redaction: Redaction, schema: Schema, began: SystemTime, lines: L) -> Self {
        let (json, now) = (JsonLines::new(redaction).naming(&schema), Duration::ZERO);
        let (conversations, budget, allowance) = (BTreeMap::new(), Budget::default(), Allowance::default());
        Self { json, schema, began, conversations, budget, allowance, now, lines }
    }

    /// Writes a capture, one connection after the other, or only the connection with this number; ends the output.
    pub(in crate::tool) fn capture(&mut self, capture: &Capture, only: Option<usize>) -> io::Result<()> {
        for (number, connection) in numbered(capture, only) {
            self.connection(number, connection)?;
        }
        self.lines.end()
    }

    fn connection(&mut self, number: usize, connection: &capture::Connection) -> io::Result<()> {
        self.open(number, connection.client.to_string(), connection.server.to_string())?;
        let mut conversation = connection.begin(self.schema.clone());
        let mut time = Duration::ZERO;
        for chunk in &connection.chunks {
            if self.lines.is_full() {
                return Ok(());
            }
            time = chunk.time;
            self.budget.push(&mut conversation, time, chunk.direction, chunk.lost, &chunk.bytes);
            self.frames(number, &mut conversation)?;
        }
        self.over(number, time, conversation)
    }

    fn open(&mut self, number: usize, client: String, server: String) -> io::Result<()> {
        let endpoints = Endpoints { client: Some(client), server: Some(server), began: Some(self.began) };
        self.lines.line(&self.json.connection(number as u64, &endpoints))
    }

    fn frames(&mut self, number: usize, conversation: &mut Conversation) -> io::Result<()> {
        for frame in conversation.take_frames() {
            if self.lines.is_full() {
                break;
            }
            self.lines.line(&self.allowance.line(&self.json, number as u64, &frame))?;
        }
        Ok(())
    }

    fn over(&mut self, number: usize, time: Duration, mut conversation: Conversation) -> io::Result<()> {
        self.budget.finish(&mut conversation);
        self.frames(number, &mut conversation)?;
        self.lines.line(&self.json.end(number as u64, time, conversation.dropped_frames()))
    }

    /// Pushes bytes into a connection's conversation, and writes the resulting frames.
    fn push(&mut self, number: usize, time: Duration, direction: Direction, lost: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(mut conversation) = self.conversations.remove(&number) else { return Ok(()) };
        self.budget.push(&mut conversation, time, direction, lost, bytes);
        self.frames(number, &mut conversation)?;
        self.conversations.insert(number, conversation);
        Ok(())
    }
}

impl<L: Lines> Observer for LineWriter<L> {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        self.now = time;
        if self.lines.is_full() {
            self.conversations.clear();
            return Ok(());
        }
        match kind {
            EventKind::Opened { client, server } => {
                self.conversations.insert(connection, Conversation::new(self.schema.clone()));
                self.open(connection, client.to_string(), server.to_string())
            }
            EventKind::Passed { direction, lost, bytes } => self.push(connection, time, direction, lost, &bytes),
            EventKind::Ended { direction, lost } => self.push(connection, time, direction, lost, &[]),
            EventKind::Closed { .. } => match self.conversations.remove(&connection) {
                Some(conversation) => self.over(connection, time, conversation),
                None => Ok(()),
            },
            EventKind::Note(_) => Ok(()),
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        for (number, conversation) in std::mem::take(&mut self.conversations) {
            self.over(number, self.now, conversation)?;
        }
        self.lines.end()
    }
}
