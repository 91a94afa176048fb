//! Writes the events of connections as JSON lines.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use crate::tool::feed::{Event, EventKind, Observer};
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{Conversation, Endpoints, JsonLines, Redaction, Schema};

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
    conversations: BTreeMap<usize, Conversation>,
    /// The time of the last event.
    now: Duration,
    lines: L,
}

impl<L: Lines> LineWriter<L> {
    pub(in crate::tool) fn new(redaction: Redaction, schema: Schema, began: SystemTime, lines: L) -> Self {
        let (json, now) = (JsonLines::new(redaction).naming(&schema), Duration::ZERO);
        Self { json, schema, began, conversations: BTreeMap::new(), now, lines }
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
        let mut conversation = connection.begin(self.schema.clone());
        let time = connection.end.map_or(end, |end| end.time);
        for chunk in &connection.chunks {
            chunk.push_into(&mut conversation);
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
            self.lines.line(&self.json.frame(number as u64, &frame))?;
        }
        Ok(())
    }

    fn over(&mut self, number: usize, time: Duration, mut conversation: Conversation) -> io::Result<()> {
        conversation.finish();
        self.frames(number, &mut conversation)?;
        self.lines.line(&self.json.end(number as u64, time, conversation.dropped_frames()))
    }

    /// Changes a connection's conversation, and writes the resulting frames.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Conversation)) -> io::Result<()> {
        let Some(mut conversation) = self.conversations.remove(&number) else { return Ok(()) };
        act(&mut conversation);
        self.frames(number, &mut conversation)?;
        self.conversations.insert(number, conversation);
        Ok(())
    }
}

impl<L: Lines> Observer for LineWriter<L> {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        self.now = time;
        match kind {
            EventKind::Opened { client, server } => {
                self.conversations.insert(connection, Conversation::new(self.schema.clone()));
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

    fn end(&mut self, time: Duration) -> io::Result<()> {
        self.now = self.now.max(time);
        for (number, conversation) in std::mem::take(&mut self.conversations) {
            self.over(number, self.now, conversation)?;
        }
        self.lines.end()
    }
}
