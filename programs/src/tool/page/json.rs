//! Writes the events of connections as JSON lines.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use crate::cli;
use crate::tool::feed::{Event, EventKind, Observer};
use crate::tool::flags::conceal::Concealed;
use crate::tool::flags::show::numbered;
use crate::watch::budget::{Allowance, Budget, ends_here};
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{
    Conversation, Direction, Endpoints, Finding, Flow, Frame, JsonLines, Lint, Redaction, Schema, Stall,
};

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
    connections: BTreeMap<usize, Followed>,
    redaction: Redaction,
    budget: Budget,
    allowance: Allowance,
    /// The time of the last event.
    now: Duration,
    lines: L,
}

/// A connection whose frames are written, with the rules and waits that are written beside them.
struct Followed {
    conversation: Conversation,
    lint: Lint,
    flow: Flow,
    /// The secrets of the connection, which findings must not repeat.
    concealed: Concealed,
    /// The number of findings and waits that were left out, and the last finding of them.
    left_out: u64,
    last: Option<Finding>,
}

impl Followed {
    fn new(conversation: Conversation) -> Self {
        let lint = Lint::new(conversation.schema().clone());
        Self { conversation, lint, flow: Flow::new(), concealed: Concealed::default(), left_out: 0, last: None }
    }
}

impl<L: Lines> LineWriter<L> {
    pub(in crate::tool) fn new(redaction: Redaction, schema: Schema, began: SystemTime, lines: L) -> Self {
        let (json, now) = (JsonLines::new(redaction.clone()).naming(&schema), Duration::ZERO);
        let (connections, budget, allowance) = (BTreeMap::new(), Budget::default(), Allowance::default());
        Self { json, schema, began, connections, redaction, budget, allowance, now, lines }
    }

    /// Writes a capture, one connection after the other, or only the connection with this number; ends the output.
    pub(in crate::tool) fn capture(&mut self, capture: &Capture, only: Option<usize>) -> io::Result<()> {
        for (number, connection) in numbered(capture, only) {
            self.connection(number, connection, capture.end())?;
        }
        self.lines.end()
    }

    /// Writes a connection of a capture that ends at this time.
    fn connection(&mut self, number: usize, connection: &capture::Connection, end: Duration) -> io::Result<()> {
        let (client, server) = (connection.client.to_string(), connection.server.to_string());
        self.open(number, client, server, connection.roles_guessed)?;
        let mut followed = Followed::new(connection.begin(self.schema.clone()));
        let time = connection.end.map_or(end, |end| end.time);
        for chunk in &connection.chunks {
            if self.lines.is_full() {
                return Ok(());
            }
            let capture::Chunk { time, direction, lost, bytes } = chunk;
            self.budget.push(&mut followed.conversation, *time, *direction, *lost, bytes);
            self.frames(number, &mut followed)?;
        }
        self.over(number, time, connection.end.is_some(), followed)
    }

    fn open(&mut self, number: usize, client: String, server: String, roles_guessed: bool) -> io::Result<()> {
        let (client, server, began) = (Some(client), Some(server), Some(self.began));
        let endpoints = Endpoints { client, server, began, roles_guessed };
        self.lines.line(&self.json.connection(number as u64, &endpoints))
    }

    fn frames(&mut self, number: usize, followed: &mut Followed) -> io::Result<()> {
        for frame in followed.conversation.take_frames() {
            if self.lines.is_full() {
                break;
            }
            followed.concealed.apply(&self.redaction, &frame);
            self.lines.line(&self.allowance.line(&self.json, number as u64, &frame))?;
            let findings = followed.lint.check(&frame);
            findings.into_iter().try_for_each(|finding| self.finding(number, followed, finding, Some(&frame)))?;
            let waits = followed.flow.advance(&frame);
            waits.iter().try_for_each(|stall| self.wait(number, followed, stall))?;
        }
        Ok(())
    }

    fn finding(
        &mut self,
        number: usize,
        followed: &mut Followed,
        finding: Finding,
        frame: Option<&Frame>,
    ) -> io::Result<()> {
        let finding = Finding { sentence: followed.concealed.conceal(&finding.sentence), ..finding };
        let line = self.json.finding(number as u64, &finding, frame);
        if self.allowance.admits_beside(&line) {
            return self.lines.line(&line);
        }
        followed.left_out += 1;
        followed.last = Some(finding);
        Ok(())
    }

    fn wait(&mut self, number: usize, followed: &mut Followed, stall: &Stall) -> io::Result<()> {
        let line = self.json.wait(number as u64, stall);
        if self.allowance.admits_beside(&line) {
            return self.lines.line(&line);
        }
        followed.left_out += 1;
        Ok(())
    }

    /// Writes one finding in the place of those that were left out because a few bytes caused too many.
    fn left_out(&mut self, number: usize, followed: &mut Followed) -> io::Result<()> {
        let Some(last) = followed.last.take() else { return Ok(()) };
        let sentence = format!(
            "{} findings and waits of this connection are left out, this is the last: they would take more than 256 times \
             the bytes that were recorded",
            followed.left_out
        );
        let finding = Finding { sentence, ..last };
        self.lines.line(&self.json.finding(number as u64, &finding, None))
    }

    /// Ends a connection, or only its recording unless it is `closed`.
    fn over(&mut self, number: usize, time: Duration, closed: bool, mut followed: Followed) -> io::Result<()> {
        self.budget.finish(&mut followed.conversation);
        self.frames(number, &mut followed)?;
        followed.lint.until(time);
        let rest = followed.lint.finish();
        rest.into_iter().try_for_each(|finding| self.finding(number, &mut followed, finding, None))?;
        followed.flow.until(time);
        let waits = followed.flow.close(closed);
        waits.iter().try_for_each(|stall| self.wait(number, &mut followed, stall))?;
        self.left_out(number, &mut followed)?;
        self.lines.line(&self.json.end(number as u64, time, followed.conversation.dropped_frames()))
    }

    /// Pushes bytes into a connection's conversation, and writes the resulting frames.
    fn push(&mut self, number: usize, time: Duration, direction: Direction, lost: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(mut followed) = self.connections.remove(&number) else { return Ok(()) };
        self.budget.push(&mut followed.conversation, time, direction, lost, bytes);
        self.frames(number, &mut followed)?;
        self.connections.insert(number, followed);
        Ok(())
    }
}

impl<L: Lines> Observer for LineWriter<L> {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        self.now = time;
        if self.lines.is_full() {
            self.connections.clear();
            return Ok(());
        }
        match kind {
            EventKind::Opened { client, server } => {
                let followed = Followed::new(Conversation::new(self.schema.clone()));
                self.connections.insert(connection, followed);
                self.open(connection, client.to_string(), server.to_string(), false)
            }
            EventKind::Passed { direction, lost, bytes } => self.push(connection, time, direction, lost, &bytes),
            EventKind::Ended { direction, lost } => self.push(connection, time, direction, lost, &[]),
            EventKind::Closed { .. } => match self.connections.remove(&connection) {
                Some(followed) => self.over(connection, time, true, followed),
                None => Ok(()),
            },
            EventKind::Note(_) => Ok(()),
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, time: Duration) -> io::Result<()> {
        self.now = self.now.max(time);
        for (number, followed) in std::mem::take(&mut self.connections) {
            self.over(number, self.now, false, followed)?;
        }
        self.lines.end()
    }
}
