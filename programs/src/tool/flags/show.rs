//! What is printed of the frames that pass: the flags `--show` and those that filter, and who writes it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::Stop;
use crate::tool::feed::{Heard, Listener, What};
use crate::watch::Wire;
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{self, Conversation, Filter, Finding, Lint, PrintOptions, Schema, Sieve};

/// What is shown.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Views")]
pub(in crate::tool) struct Show {
    /// What is printed; several views may be given, with commas or one flag each. Without it: lines
    #[arg(long, value_name = "VIEW", value_enum, value_delimiter = ',')]
    show: Vec<View>,
    /// Shows hex, and below the bytes a sentence for each field and where its rule can be read
    #[arg(long)]
    explain: bool,
}

/// Which frames and calls are shown; all of what is asked must hold.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(in crate::tool) struct Only {
    /// Only these streams: a number, or several with commas; ! in front turns it round
    #[arg(long, value_name = "N,…")]
    stream: Option<String>,
    /// Only calls of this method: its path, or ~ and a part of it; ! in front turns it round
    #[arg(long, value_name = "PATH")]
    method: Option<String>,
    /// Only calls that ended so: a code's number or name, none for those that ended without one, or several with commas; ! in
    /// front turns it round
    #[arg(long, value_name = "CODE,…")]
    status: Option<String>,
    /// Only frames of this type: DATA, HEADERS, RST_STREAM …, or several with commas; ! in front turns it round
    #[arg(long, value_name = "TYPE,…")]
    frame: Option<String>,
}

/// A way to look at frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum View {
    /// A line for each frame, with its headers and the fields of its messages below
    Lines,
    /// Every byte of each frame, and beside it what it means
    Hex,
    /// A line for each call when it has ended: its method, sizes, times, status and who ended it
    Calls,
    /// Who said what to whom, as a ladder with times
    Ladder,
    /// The flow-control windows over time, and who waited for whom
    Flow,
    /// What each header costs, and what the tables of HPACK become
    Hpack,
    /// What breaks a rule of gRPC or HTTP/2
    Lint,
    /// Nothing
    None,
}

impl Show {
    /// These views; without any the one that the environment asks for.
    pub(in crate::tool) fn or_as(&self, wire: &Wire) -> Show {
        let show = match wire {
            // What is explained are bytes.
            _ if self.explain && !self.show.is_empty() && !self.show.contains(&View::Hex) => {
                return Show { show: [&self.show[..], &[View::Hex]].concat(), ..self.clone() };
            }
            _ if !self.show.is_empty() => return self.clone(),
            Wire::Hex => View::Hex,
            _ if self.explain => View::Hex,
            Wire::Off | Wire::Text | Wire::File(..) => View::Lines,
        };
        Show { show: vec![show], ..self.clone() }
    }

    /// Whether anything is shown.
    pub(in crate::tool) fn is_on(&self) -> bool {
        self.show.iter().any(|view| *view != View::None)
    }
}

impl Only {
    /// The filter that the flags make.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for a value that a filter can't have.
    pub(in crate::tool) fn filter(&self) -> Result<Filter, Stop> {
        let Only { stream, method, status, frame } = self;
        let flags = [("stream", stream), ("method", method), ("status", status), ("frame", frame)];
        let mut terms = Vec::new();
        for (name, value) in flags {
            let Some(value) = value.as_deref() else { continue };
            let term = match value.strip_prefix('!') {
                Some(not) => format!("{name}!={not}"),
                None if name == "method" && value.starts_with('~') => format!("{name}{value}"),
                None => format!("{name}={value}"),
            };
            Filter::parse([&*term]).map_err(|error| {
                let once = if value.contains(",!") { "; ! stands in front of all, once" } else { "" };
                Stop::Usage(format!("--{name} {value}: {}{once}", error.why()))
            })?;
            terms.push(term);
        }
        Filter::parse(terms.iter().map(String::as_str)).map_err(|error| Stop::Usage(error.to_string()))
    }
}

/// Prints what happens on connections, each line with the connection's number and the time in front.
pub(in crate::tool) struct Screen<W: Write> {
    views: Vec<View>,
    options: PrintOptions,
    schema: Schema,
    filter: Filter,
    connections: BTreeMap<usize, Shown>,
    out: io::BufWriter<W>,
}

/// A connection that is shown.
struct Shown {
    conversation: Conversation,
    /// Views see every frame, because what they say of one depends on those before; what they say is what a filter hides.
    sieve: Sieve<Said>,
    views: Vec<(View, Box<dyn inspector::View>)>,
    /// What it says of a frame may be certain only later.
    lint: Option<Lint>,
    /// When its last frame was complete.
    time: Duration,
    /// Its frames, and those that were shown.
    frames: u64,
    passed: u64,
}

/// What is said of a frame.
struct Said {
    time: Duration,
    texts: Vec<(View, String)>,
}

impl Said {
    /// The bytes that it takes, about.
    fn cost(&self) -> usize {
        size_of::<Self>() + self.texts.iter().map(|(_, text)| size_of_val(text) + text.len()).sum::<usize>()
    }
}

impl<W: Write> Screen<W> {
    pub(in crate::tool) fn new(show: &Show, filter: Filter, color: bool, schema: Schema, out: W) -> Self {
        let out = io::BufWriter::with_capacity(64 << 10, out);
        let options = PrintOptions { color, explain: show.explain, ..PrintOptions::default() };
        Self { views: show.show.clone(), options, schema, filter, connections: BTreeMap::new(), out }
    }

    /// Prints a whole capture, one connection after the other.
    pub(in crate::tool) fn capture(&mut self, capture: &Capture) -> io::Result<()> {
        for (at, connection) in capture.connections.iter().enumerate() {
            self.connection(at + 1, connection)?;
        }
        self.out.flush()
    }

    fn connection(&mut self, number: usize, connection: &capture::Connection) -> io::Result<()> {
        let began = connection.chunks.first().map_or(Duration::ZERO, |chunk| chunk.time);
        match (connection.client, connection.server) {
            (capture::NOWHERE, capture::NOWHERE) => {
                self.line(number, began, format_args!("a connection whose addresses are not known"))?;
            }
            (client, server) => self.line(number, began, format_args!("{client} connects to {server}"))?,
        }
        let mut shown = self.begin(connection.begin(self.schema.clone()));
        for chunk in &connection.chunks {
            chunk.push_into(&mut shown.conversation);
            self.frames(number, &mut shown)?;
        }
        self.over(number, shown, connection.end.is_some())?;
        connection.end.map_or(Ok(()), |end| self.closed(number, end.time, end.reset))
    }

    fn begin(&self, conversation: Conversation) -> Shown {
        let lint = self.views.contains(&View::Lint).then(|| Lint::new(self.schema.clone()));
        let views = self.views.iter().filter(|view| **view != View::Lint).filter_map(|view| {
            let name = view.to_possible_value()?;
            Some((*view, inspector::view(name.get_name(), &self.schema, &self.options)?))
        });
        let sieve = Sieve::new(self.filter.clone(), self.schema.clone());
        Shown { conversation, sieve, views: views.collect(), lint, time: Duration::ZERO, frames: 0, passed: 0 }
    }

    /// The frames that are complete and were not shown.
    fn frames(&mut self, connection: usize, shown: &mut Shown) -> io::Result<()> {
        for frame in shown.conversation.take_frames() {
            shown.time = frame.time;
            shown.frames += 1;
            let findings = shown.lint.as_mut().map(|lint| lint.check(&frame)).unwrap_or_default();
            if self.filter.is_empty() {
                for (view, by) in &mut shown.views {
                    self.text(connection, frame.time, *view, &by.push(&frame))?;
                }
                self.findings(connection, shown, findings)?;
                continue;
            }
            let texts: Vec<_> = shown.views.iter_mut().map(|(view, by)| (*view, by.push(&frame))).collect();
            let said = Said { time: frame.time, texts };
            let cost = said.cost();
            let passed = shown.sieve.push_said(&frame, said, cost);
            shown.passed += passed.len() as u64;
            self.said(connection, passed)?;
            self.findings(connection, shown, findings)?;
        }
        Ok(())
    }

    /// What breaks a rule: of the frame that has come, or of those before it.
    fn findings(&mut self, connection: usize, shown: &mut Shown, findings: Vec<Finding>) -> io::Result<()> {
        for finding in findings {
            let texts = vec![(View::Lint, finding.to_string())];
            let said = Said { time: shown.time, texts };
            let cost = said.cost();
            let passed = shown.sieve.push_late(finding.kind, finding.stream, said, cost);
            self.said(connection, passed)?;
        }
        Ok(())
    }

    /// What a filter has let through.
    fn said(&mut self, connection: usize, said: Vec<Said>) -> io::Result<()> {
        for Said { time, texts } in said {
            texts.iter().try_for_each(|(view, text)| self.text(connection, time, *view, text))?;
        }
        Ok(())
    }

    fn closed(&mut self, connection: usize, time: Duration, reset: bool) -> io::Result<()> {
        self.line(connection, time, format_args!("{}", if reset { "reset" } else { "closed" }))
    }

    /// No more bytes come, because the connection has ended or the recording has: what was held back is shown.
    fn over(&mut self, connection: usize, mut shown: Shown, ended: bool) -> io::Result<()> {
        shown.conversation.finish();
        self.frames(connection, &mut shown)?;
        let rest = shown.lint.as_mut().map(Lint::finish).unwrap_or_default();
        self.findings(connection, &mut shown, rest)?;
        let passed = shown.sieve.finish();
        shown.passed += passed.len() as u64;
        self.said(connection, passed)?;
        for (view, by) in &mut shown.views {
            let text = if ended { by.finish() } else { by.leave() };
            self.text(connection, shown.time, *view, &text)?;
        }
        if shown.lint.as_ref().is_some_and(|lint| lint.findings() == 0) {
            self.line(connection, shown.time, format_args!("no rule is broken"))?;
        }
        if !self.filter.is_empty() && shown.passed == 0 && shown.frames > 0 {
            self.line(connection, shown.time, format_args!("the filter hides all frames: {}", shown.frames))?;
        }
        match shown.conversation.dropped_frames() + shown.sieve.dropped_frames() {
            0 => Ok(()),
            1 => self.line(connection, shown.time, format_args!("1 frame is not shown: too many had to wait")),
            count => {
                self.line(connection, shown.time, format_args!("{count} frames are not shown: too many had to wait"))
            }
        }
    }

    /// What a view says, which may be nothing. In front stand the connection and the time: of a block once, of lines that say
    /// something each by itself in every one, and without the time where a line has its own.
    fn text(&mut self, connection: usize, time: Duration, view: View, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        match view {
            View::Lines | View::Hex | View::Hpack | View::None => {
                self.front(connection, time)?;
                self.out.write_all(text.as_bytes())
            }
            View::Calls | View::Lint => text.lines().try_for_each(|line| {
                self.front(connection, time)?;
                writeln!(self.out, "{line}")
            }),
            View::Ladder | View::Flow => {
                text.lines().try_for_each(|line| writeln!(self.out, "{}", format!("[{connection}]  {line}").trim_end()))
            }
        }
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
        let Some(mut shown) = self.connections.remove(&connection) else { return Ok(()) };
        act(&mut shown.conversation);
        self.frames(connection, &mut shown)?;
        self.connections.insert(connection, shown);
        Ok(())
    }
}

impl<W: Write + Send> Listener for Screen<W> {
    fn hear(&mut self, heard: Heard) -> io::Result<()> {
        let Heard { connection, time, what } = heard;
        match what {
            What::Opened { client, server } => {
                let shown = self.begin(Conversation::new(self.schema.clone()));
                self.connections.insert(connection, shown);
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
                if let Some(shown) = self.connections.remove(&connection) {
                    self.over(connection, shown, true)?;
                }
                self.closed(connection, time, reset)
            }
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        for (connection, shown) in std::mem::take(&mut self.connections) {
            self.over(connection, shown, false)?;
        }
        self.out.flush()
    }
}
