//! Writes the events of connections as JSON lines.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use crate::tool::feed::{Event, EventKind, Observer};
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{Conversation, Endpoints, Finding, Flow, Frame, JsonLines, Lint, Redaction, Schema, Stall};

/// Accepts JSON lines, each with its line break.
pub(in crate::tool) trait Lines: Send {
    /// Adds a line.
    fn line(&mut self, line: &str) -> io::Result<()>;

    /// Ends the output, and completes a file.
    fn end(&mut self) -> io::Result<()>;
}

/// Writes events as JSON lines.
pub(in crate::tool) struct LineWriter<L> {
    json: JsonLines,
    schema: Schema,
    /// The start of the time that events count from.
    began: SystemTime,
    connections: BTreeMap<usize, Followed>,
    /// The time of the last event.
    now: Duration,
    lines: L,
}

/// A connection whose frames are written, with the rules and waits that are written beside them.
struct Followed {
    conversation: Conversation,
    lint: Lint,
    flow: Flow,
}

impl Followed {
    fn new(conversation: Conversation) -> Self {
        let lint = Lint::new(conversation.schema().clone());
        Self { conversation, lint, flow: Flow::new() }
    }
}

impl<L: Lines> LineWriter<L> {
    pub(in crate::tool) fn new(redaction: Redaction, schema: Schema, began: SystemTime, lines: L) -> Self {
        let (json, now) = (JsonLines::new(redaction).naming(&schema), Duration::ZERO);
        Self { json, schema, began, connections: BTreeMap::new(), now, lines }
    }

    /// Writes a whole capture, one connection after the other, and ends the output.
    pub(in crate::tool) fn capture(&mut self, capture: &Capture) -> io::Result<()> {
        for (at, connection) in capture.connections.iter().enumerate() {
            self.connection(at + 1, connection, capture.end())?;
        }
        self.lines.end()
    }

    /// Writes a connection of a capture that ends at this time.
    fn connection(&mut self, number: usize, connection: &capture::Connection, end: Duration) -> io::Result<()> {
        self.open(number, connection.client.to_string(), connection.server.to_string())?;
        let mut followed = Followed::new(connection.begin(self.schema.clone()));
        let time = connection.end.map_or(end, |end| end.time);
        for chunk in &connection.chunks {
            chunk.push_into(&mut followed.conversation);
            self.frames(number, &mut followed)?;
        }
        self.over(number, time, connection.end.is_some(), followed)
    }

    fn open(&mut self, number: usize, client: String, server: String) -> io::Result<()> {
        let endpoints = Endpoints { client: Some(client), server: Some(server), began: Some(self.began) };
        self.lines.line(&self.json.connection(number as u64, &endpoints))
    }

    fn frames(&mut self, number: usize, followed: &mut Followed) -> io::Result<()> {
        for frame in followed.conversation.take_frames() {
            self.lines.line(&self.json.frame(number as u64, &frame))?;
            let findings = followed.lint.check(&frame);
            findings.iter().try_for_each(|finding| self.finding(number, finding, Some(&frame)))?;
            let waits = followed.flow.advance(&frame);
            waits.iter().try_for_each(|stall| self.wait(number, stall))?;
        }
        Ok(())
    }

    fn finding(&mut self, number: usize, finding: &Finding, frame: Option<&Frame>) -> io::Result<()> {
        self.lines.line(&self.json.finding(number as u64, finding, frame))
    }

    fn wait(&mut self, number: usize, stall: &Stall) -> io::Result<()> {
        self.lines.line(&self.json.wait(number as u64, stall))
    }

    /// Ends a connection, or only its recording unless it is `closed`.
    fn over(&mut self, number: usize, time: Duration, closed: bool, mut followed: Followed) -> io::Result<()> {
        followed.conversation.finish();
        self.frames(number, &mut followed)?;
        followed.lint.until(time);
        followed.lint.finish().iter().try_for_each(|finding| self.finding(number, finding, None))?;
        followed.flow.until(time);
        followed.flow.close(closed).iter().try_for_each(|stall| self.wait(number, stall))?;
        self.lines.line(&self.json.end(number as u64, time, followed.conversation.dropped_frames()))
    }

    /// Changes a connection's conversation, and writes the resulting frames.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Conversation)) -> io::Result<()> {
        let Some(mut followed) = self.connections.remove(&number) else { return Ok(()) };
        act(&mut followed.conversation);
        self.frames(number, &mut followed)?;
        self.connections.insert(number, followed);
        Ok(())
    }
}

impl<L: Lines> Observer for LineWriter<L> {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        self.now = time;
        match kind {
            EventKind::Opened { client, server } => {
                let followed = Followed::new(Conversation::new(self.schema.clone()));
                self.connections.insert(connection, followed);
                self.open(connection, client.to_string(), server.to_string())
            }
            EventKind::Passed { direction, lost, bytes } => self.with(connection, |conversation| {
                conversation.set_time(time);
                conversation.lose(direction, lost);
                conversation.push(direction, &bytes);
            }),
            EventKind::Ended { direction, lost } => self.with(connection, |conversation| {
                conversation.set_time(time);
                conversation.lose(direction, lost);
            }),
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
