//! Drawings of a capture: the flags `--ladder` and `--windows`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::conceal::Concealed;
use crate::cli::{Stop, private};
use barewire::inspector::capture::Capture;
use barewire::inspector::{Filter, Finding, Flow, Frame, Ladder, Lint, Redaction, Schema, Sieve};

/// The files to draw.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Drawings and connections")]
pub(in crate::tool) struct Drawings {
    /// Draws a sequence diagram of the frames between client and server: FILE.svg, or FILE.mmd for Mermaid
    #[arg(long, value_name = "FILE")]
    ladder: Option<PathBuf>,
    /// Draws the flow-control windows over time, and which side waited for the other: FILE.svg
    #[arg(long, value_name = "FILE")]
    windows: Option<PathBuf>,
    /// Only this connection of the capture, counted from 1, in every output; the default is all of them, and the first one for
    /// drawings
    #[arg(long, value_name = "N")]
    connection: Option<usize>,
}

impl Drawings {
    /// Returns the number of the only connection to show, if there is one.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for a connection that the capture does not have.
    pub(in crate::tool) fn only(&self, capture: &Capture) -> Result<Option<usize>, Stop> {
        let count = capture.connections.len();
        match self.connection {
            Some(number) if !(1..=count).contains(&number) => Err(no_connection(number, count)),
            only => Ok(only),
        }
    }

    /// Returns the files to write, each with the flag that names it.
    pub(in crate::tool) fn outputs(&self) -> Vec<(&'static str, &Path)> {
        let files = [("--ladder", &self.ladder), ("--windows", &self.windows)];
        files.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?))).collect()
    }

    /// Writes the files that the flags ask for, without secrets. The filters apply to the ladder only, because windows depend
    /// on every frame.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for an unknown file extension, a connection that the capture does not have, or a file that can't be
    /// written.
    pub(in crate::tool) fn draw(
        &self,
        capture: &Capture,
        schema: &Schema,
        filter: &Filter,
        redaction: &Redaction,
    ) -> Result<(), Stop> {
        if self.ladder.is_none() && self.windows.is_none() {
            return Ok(());
        }
        let frames = self.frames(capture, schema)?;
        if let Some(file) = &self.windows {
            of_type(file, &["svg"])?;
            let mut flow = Flow::new();
            for frame in &frames {
                flow.advance(frame);
            }
            let connection = capture.connections.get(self.connection.unwrap_or(1).saturating_sub(1));
            let end = connection.and_then(|connection| connection.end).map(|end| end.time);
            flow.until(end.unwrap_or_else(|| capture.end()));
            write(file, &flow.svg())?;
        }
        if let Some(file) = &self.ladder {
            let is_svg = of_type(file, &["svg", "mmd"])? == "svg";
            let (mut sieve, mut ladder) = (Sieve::new(filter.clone(), schema.clone()), Ladder::new());
            let mut lint = Lint::new(schema.clone());
            let mut findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
            findings.extend(lint.finish());
            let mut concealed = Concealed::default();
            for frame in frames {
                sieve.push(frame).iter().for_each(|frame| ladder.add(&concealed.apply(redaction, frame)));
            }
            sieve.finish().iter().for_each(|frame| ladder.add(&concealed.apply(redaction, frame)));
            for finding in findings {
                let sentence = concealed.conceal(&finding.sentence);
                ladder.mark(&Finding { sentence, ..finding });
            }
            write(file, &if is_svg { ladder.svg() } else { ladder.mermaid() })?;
        }
        Ok(())
    }

    fn frames(&self, capture: &Capture, schema: &Schema) -> Result<Vec<Frame>, Stop> {
        let (number, count) = (self.connection.unwrap_or(1), capture.connections.len());
        let connection = number.checked_sub(1).and_then(|at| capture.connections.get(at));
        let connection = connection.ok_or_else(|| no_connection(number, count))?;
        let mut conversation = connection.begin(schema.clone());
        let mut frames = Vec::new();
        for chunk in &connection.chunks {
            chunk.push_into(&mut conversation);
            frames.append(&mut conversation.take_frames());
        }
        conversation.finish();
        frames.append(&mut conversation.take_frames());
        Ok(frames)
    }
}

fn no_connection(number: usize, count: usize) -> Stop {
    Stop::Usage(format!(
        "--connection {number}: the capture has no connection {number}; it has {count}, counted from 1"
    ))
}

/// Returns the extension of a file's name, which selects the format.
fn of_type<'a>(file: &'a Path, types: &[&str]) -> Result<&'a str, Stop> {
    let ending = file.extension().and_then(|ending| ending.to_str()).filter(|ending| types.contains(ending));
    ending.ok_or_else(|| Stop::Usage(format!("{}: the file name must end in .{}", file.display(), types.join(" or ."))))
}

fn write(file: &Path, drawing: &str) -> Result<(), Stop> {
    let written = private::create(file).and_then(|mut to| to.write_all(drawing.as_bytes()));
    written.map_err(|error| Stop::Usage(format!("{}: {error}", file.display())))
}
