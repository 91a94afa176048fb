//! What is printed of the frames that pass: the flag `--show`, and who writes it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::feed::{Heard, Listener, What};
use crate::inspector::capture::{self, Capture};
use crate::inspector::{self, Conversation, Frame, PrintOptions, Schema};
use crate::watch::Wire;

/// What is shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Views")]
pub(super) struct Show {
    /// What is printed; several views may be given, with commas or one flag each. Without it: lines
    #[arg(long, value_name = "VIEW", value_enum, value_delimiter = ',')]
    show: Vec<View>,
}

/// A way to look at frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum View {
    /// A line for each frame, with its headers and the fields of its messages below
    Lines,
    /// Every byte of each frame, and beside it what it means
    Hex,
    /// Nothing
    None,
}

impl Show {
    /// These views; without any the one that the environment asks for.
    pub(super) fn or_as(&self, wire: &Wire) -> Show {
        match wire {
            _ if !self.show.is_empty() => self.clone(),
            Wire::Hex => Show { show: vec![View::Hex] },
            Wire::Off | Wire::Text | Wire::File(..) => Show { show: vec![View::Lines] },
        }
    }

    /// Whether anything is shown.
    pub(super) fn is_on(&self) -> bool {
        self.show.iter().any(|view| *view != View::None)
    }
}

/// Prints what happens on connections, each line with the connection's number and the time in front.
pub(super) struct Screen<W: Write> {
    views: Vec<View>,
    color: bool,
    schema: Schema,
    conversations: BTreeMap<usize, Conversation>,
    out: io::BufWriter<W>,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(show: &Show, color: bool, schema: Schema, out: W) -> Self {
        let out = io::BufWriter::with_capacity(64 << 10, out);
        Self { views: show.show.clone(), color, schema, conversations: BTreeMap::new(), out }
    }

    /// Prints a whole capture, one connection after the other.
    pub(super) fn capture(&mut self, capture: &Capture) -> io::Result<()> {
        for (at, connection) in capture.connections.iter().enumerate() {
            self.connection(at + 1, connection)?;
        }
        self.out.flush()
    }

    fn connection(&mut self, number: usize, connection: &capture::Connection) -> io::Result<()> {
        let began = connection.chunks.first().map_or(Duration::ZERO, |chunk| chunk.time);
        self.line(number, began, format_args!("{} connects to {}", connection.client, connection.server))?;
        let mut conversation = connection.begin(self.schema.clone());
        for chunk in &connection.chunks {
            chunk.push_into(&mut conversation);
            self.frames(number, &mut conversation)?;
        }
        conversation.finish();
        self.frames(number, &mut conversation)
    }

    /// The frames that are complete and were not shown.
    fn frames(&mut self, connection: usize, conversation: &mut Conversation) -> io::Result<()> {
        for frame in conversation.take_frames() {
            self.frame(connection, &frame)?;
        }
        Ok(())
    }

    fn frame(&mut self, connection: usize, frame: &Frame) -> io::Result<()> {
        for at in 0..self.views.len() {
            let text = match self.views.get(at) {
                Some(View::Lines) => inspector::lines(frame),
                Some(View::Hex) => {
                    inspector::print_frame(frame, &PrintOptions { color: self.color, ..PrintOptions::default() }) + "\n"
                }
                Some(View::None) | None => continue,
            };
            self.front(connection, frame.time)?;
            self.out.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// A line about a connection that is no frame.
    fn line(&mut self, connection: usize, time: Duration, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.front(connection, time)?;
        writeln!(self.out, "{line}")
    }

    /// What stands in front of everything: "[1] 0.012345  ".
    fn front(&mut self, connection: usize, time: Duration) -> io::Result<()> {
        write!(self.out, "[{connection}] {}.{:06}  ", time.as_secs(), time.subsec_micros())
    }

    /// Does something with a connection's conversation, and shows what comes of it.
    fn with(&mut self, connection: usize, act: impl FnOnce(&mut Conversation)) -> io::Result<()> {
        let Some(mut conversation) = self.conversations.remove(&connection) else { return Ok(()) };
        act(&mut conversation);
        self.frames(connection, &mut conversation)?;
        self.conversations.insert(connection, conversation);
        Ok(())
    }
}

impl<W: Write + Send> Listener for Screen<W> {
    fn hear(&mut self, heard: Heard) -> io::Result<()> {
        let Heard { connection, time, what } = heard;
        match what {
            What::Opened { client, server } => {
                self.conversations.insert(connection, Conversation::new(self.schema.clone()));
                self.line(connection, time, format_args!("{client} connects to {server}"))
            }
            What::Passed { direction, lost, bytes } => self.with(connection, |conversation| {
                conversation.set_time(time);
                conversation.lose(direction, lost);
                conversation.push(direction, &bytes);
            }),
            What::Said(line) => self.line(connection, time, format_args!("{line}")),
            What::Ended { direction, lost } => {
                self.with(connection, |conversation| {
                    conversation.set_time(time);
                    conversation.lose(direction, lost);
                })?;
                self.line(connection, time, format_args!("{direction}  no more bytes"))
            }
            What::Closed { reset } => {
                self.with(connection, Conversation::finish)?;
                self.conversations.remove(&connection);
                self.line(connection, time, format_args!("{}", if reset { "reset" } else { "closed" }))
            }
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        for (connection, mut conversation) in std::mem::take(&mut self.conversations) {
            conversation.finish();
            self.frames(connection, &mut conversation)?;
        }
        self.out.flush()
    }
}
