//! What is printed of the frames that pass: the flag `--show`, and who writes it.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use crate::inspector::{self, Conversation, Frame, PrintOptions};

/// What is shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Views")]
pub(super) struct Show {
    /// What is printed; several views may be given, with commas or one flag each
    #[arg(long, value_name = "VIEW", value_enum, value_delimiter = ',', default_value = "lines")]
    show: Vec<View>,
}

/// A way to look at frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum View {
    /// A line for each frame, with its headers and the fields of its messages below
    Lines,
    /// Every byte of each frame, and beside it what it means
    Hex,
}

/// Prints what happens on connections as it happens, each connection with its number in front.
pub(super) struct Screen<W> {
    show: Show,
    color: bool,
    out: W,
    /// Whether there was something to print since the last flush.
    dirty: bool,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(show: &Show, color: bool, out: W) -> Self {
        Self { show: show.clone(), color, out, dirty: false }
    }

    /// The frames that are complete and were not shown.
    pub(super) fn frames(&mut self, connection: usize, conversation: &mut Conversation) -> io::Result<()> {
        for frame in conversation.take_frames() {
            self.frame(connection, &frame)?;
        }
        Ok(())
    }

    fn frame(&mut self, connection: usize, frame: &Frame) -> io::Result<()> {
        self.dirty = true;
        for view in &self.show.show {
            let text = match view {
                View::Lines => inspector::lines(frame),
                View::Hex => {
                    inspector::print_frame(frame, &PrintOptions { color: self.color, ..PrintOptions::default() }) + "\n"
                }
            };
            write!(self.out, "[{connection}] {text}")?;
        }
        Ok(())
    }

    /// A line of the tool's own about a connection.
    pub(super) fn say(&mut self, connection: usize, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.dirty = true;
        writeln!(self.out, "[{connection}] {line}")
    }

    /// Writes out what was printed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) { self.out.flush() } else { Ok(()) }
    }
}
