//! Prints frames: the flags `--show` and the filters, and the observer that prints.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::conceal::Concealed;
use crate::cli::Stop;
use crate::tool::feed::{Event, EventKind, Observer};
use crate::watch::Wire;
use crate::watch::budget::Budget;
use barewire::inspector::capture::{self, Capture};
use barewire::inspector::{
    self, Conversation, Filter, Finding, LadderText, Lint, PrintOptions, Redaction, Schema, Sieve, Step,
};

/// The views to print.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Views")]
pub(in crate::tool) struct Show {
    /// Views to print, separated by commas or one flag each; the default is lines
    #[arg(long, value_name = "VIEW", value_enum, value_delimiter = ',')]
    show: Vec<View>,
    /// Prints hex, and below the bytes a sentence about each field with a link to its rule
    #[arg(long)]
    explain: bool,
}

/// Filters for frames and calls; all of them must match.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(in crate::tool) struct Only {
    /// Only these streams: a number, or several separated by commas; a leading ! inverts
    #[arg(long, value_name = "N,…")]
    stream: Option<String>,
    /// Only calls of this method: its path, or ~ and a part of it; a leading ! inverts
    #[arg(long, value_name = "PATH")]
    method: Option<String>,
    /// Only calls with this status: its number or its name in any spelling (CANCELLED, canceled, deadline-exceeded), none for
    /// calls without a status, or several separated by commas; a leading ! inverts
    #[arg(long, value_name = "CODE,…")]
    status: Option<String>,
    /// Only frames of this type: DATA, HEADERS, RST_STREAM …, or several separated by commas; a leading ! inverts
    #[arg(long, value_name = "TYPE,…")]
    frame: Option<String>,
}

/// A representation of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum View {
    /// A line for each frame, with its headers and the fields of its messages below
    Lines,
    /// Every byte of each frame, with its meaning
    Hex,
    /// A line for each call once it has ended: method, sizes, times, status and which side ended it
    Calls,
    /// A sequence diagram with times
    Ladder,
    /// The flow-control windows over time, and which side waited for the other
    Flow,
    /// The cost of each header, and the contents of HPACK's tables
    Hpack,
    /// Violations of the rules of gRPC and HTTP/2; "rule N" is a number in docs/rules.md
    Lint,
    /// Nothing
    None,
}

impl Show {
    /// Returns these views, or by default the one that the environment asks for.
    pub(in crate::tool) fn or_as(&self, wire: &Wire) -> Show {
        let show = match wire {
            // Explanations are part of the hex view.
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

    /// Returns true if anything is printed.
    pub(in crate::tool) fn is_on(&self) -> bool {
        self.show.iter().any(|view| *view != View::None)
    }
}

impl Only {
    /// Returns the filter that the flags describe.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] for a value that is invalid in a filter.
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
                let once = if value.contains(",!") { "; write ! once, in front of the whole list" } else { "" };
                Stop::Usage(format!("--{name} {value}: {}{once}", error.why()))
            })?;
            terms.push(term);
        }
        Filter::parse(terms.iter().map(String::as_str)).map_err(|error| Stop::Usage(error.to_string()))
    }
}

/// Prints the events of connections, with the connection's number and the time in front of each line.
pub(in crate::tool) struct Screen<W: Write> {
    views: Vec<View>,
    options: PrintOptions,
    schema: Schema,
    filter: Filter,
    redaction: Redaction,
    budget: Budget,
    /// The cost of the output of all connections that waits for the end of its call.
    waiting: usize,
    connections: BTreeMap<usize, ConnectionState>,
    /// Connections and frames that the rules were checked on, and the violations found.
    checked: (u64, u64, u64),
    out: io::BufWriter<W>,
}

/// Bytes of output of all connections that may wait for the end of their calls.
const WAITING: usize = 64 << 20;

/// The state of a connection that is printed.
struct ConnectionState {
    conversation: Conversation,
    /// Hides the output of frames that the filter excludes. Views see every frame, because their output depends on earlier
    /// frames.
    sieve: Sieve<Entry>,
    views: Vec<(View, Box<dyn inspector::View>)>,
    /// The ladder, if frames are filtered: its gaps are those between the frames shown.
    ladder: Option<LadderText>,
    /// The rules, for their own view and to mark frames and calls in others; whether a frame violates one may be known only
    /// later.
    lint: Option<Lint>,
    concealed: Concealed,
    /// The time of the last complete frame.
    time: Duration,
    /// The number of frames, and the number that passed the filter.
    frames: u64,
    passed: u64,
}

/// A violation of a rule, and the marks of the views that could not show it with its frame.
type Marked = (Finding, Vec<(View, Output)>);

impl ConnectionState {
    /// Passes violations to the views, before their frame or later.
    fn mark(&mut self, findings: Vec<Finding>) -> Vec<Marked> {
        let concealed = &self.concealed;
        let mark = |finding: Finding| {
            let finding = Finding { sentence: concealed.conceal(&finding.sentence), ..finding };
            let views = self.views.iter_mut().map(|(view, by)| (*view, by.mark(&finding)));
            let ladder = self.ladder.iter_mut().map(|ladder| (View::Ladder, inspector::View::mark(ladder, &finding)));
            let late = views.chain(ladder).filter(|(_, text)| !text.is_empty());
            let late = late.map(|(view, text)| (view, Output::Text(text))).collect();
            (finding, late)
        };
        findings.into_iter().map(mark).collect()
    }
}

/// The output of the views for a frame.
struct Entry {
    time: Duration,
    texts: Vec<(View, Output)>,
}

/// The output of a view.
enum Output {
    Text(String),
    /// A step of the ladder, whose gap depends on the step that is shown before it.
    Step(Box<Step>),
}

impl Entry {
    /// Returns the approximate memory use.
    fn cost(&self) -> usize {
        let cost = |output: &Output| match output {
            Output::Text(text) => text.len(),
            Output::Step(step) => step.cost(),
        };
        size_of::<Self>() + self.texts.iter().map(|(_, output)| size_of_val(output) + cost(output)).sum::<usize>()
    }
}

impl<W: Write> Screen<W> {
    pub(in crate::tool) fn new(show: &Show, filter: Filter, color: bool, schema: Schema, out: W) -> Self {
        let out = io::BufWriter::with_capacity(64 << 10, out);
        let options = PrintOptions { color, explain: show.explain, ..PrintOptions::default() };
        let (views, redaction, connections) = (show.show.clone(), Redaction::none(), BTreeMap::new());
        let (budget, checked) = (Budget::default(), (0, 0, 0));
        Self { views, options, schema, filter, redaction, budget, waiting: 0, connections, checked, out }
    }

    /// Prints no secrets; without this, everything is printed.
    pub(in crate::tool) fn redacting(self, redaction: Redaction) -> Self {
        Self { redaction, ..self }
    }

    /// Prints a capture, one connection after the other, or only the connection with this number.
    pub(in crate::tool) fn capture(&mut self, capture: &Capture, only: Option<usize>) -> io::Result<()> {
        for (number, connection) in numbered(capture, only) {
            self.connection(number, connection, capture.end())?;
        }
        self.all()?;
        self.out.flush()
    }

    /// Prints a connection of a capture that ends at this time.
    fn connection(&mut self, number: usize, connection: &capture::Connection, end: Duration) -> io::Result<()> {
        let began = connection.chunks.first().map_or(Duration::ZERO, |chunk| chunk.time);
        match (connection.client, connection.server) {
            (capture::NOWHERE, capture::NOWHERE) => {
                self.line(number, began, format_args!("a connection with unknown addresses"))?;
            }
            (client, server) => {
                let how = if connection.roles_guessed { " (roles guessed from the port numbers)" } else { "" };
                self.line(number, began, format_args!("{client} connects to {server}{how}"))?;
            }
        }
        let mut shown = self.begin(connection.begin(self.schema.clone()));
        for chunk in &connection.chunks {
            let capture::Chunk { time, direction, lost, bytes } = chunk;
            self.budget.push(&mut shown.conversation, *time, *direction, *lost, bytes);
            self.frames(number, &mut shown)?;
        }
        let (time, ended) = connection.end.map_or((end, false), |end| (end.time, true));
        self.over(number, shown, time, ended)?;
        connection.end.map_or(Ok(()), |end| self.closed(number, end.time, end.reset))
    }

    fn begin(&self, conversation: Conversation) -> ConnectionState {
        let marks = |view: &View| !matches!(view, View::Flow | View::Hpack | View::None);
        let lint = self.views.iter().any(marks).then(|| Lint::new(self.schema.clone()));
        let ladder = (self.views.contains(&View::Ladder) && !self.filter.is_empty()).then(LadderText::default);
        let own = |view: &&View| **view != View::Lint && (**view != View::Ladder || ladder.is_none());
        let views = self.views.iter().filter(own).filter_map(|view| {
            let name = view.to_possible_value()?;
            Some((*view, inspector::view(name.get_name(), &self.schema, &self.options)?))
        });
        let sieve = Sieve::new(self.filter.clone(), self.schema.clone());
        ConnectionState {
            conversation,
            sieve,
            views: views.collect(),
            ladder,
            lint,
            concealed: Concealed::default(),
            time: Duration::ZERO,
            frames: 0,
            passed: 0,
        }
    }

    /// Prints the frames that are complete and not printed yet.
    fn frames(&mut self, connection: usize, shown: &mut ConnectionState) -> io::Result<()> {
        for frame in shown.conversation.take_frames() {
            shown.time = frame.time;
            shown.frames += 1;
            let findings = shown.lint.as_mut().map(|lint| lint.check(&frame)).unwrap_or_default();
            let printed = shown.concealed.apply(&self.redaction, &frame);
            let marks = shown.mark(findings);
            if self.filter.is_empty() {
                for (view, by) in &mut shown.views {
                    self.text(connection, frame.time, *view, &by.push(&printed))?;
                }
                self.findings(connection, shown, marks)?;
                continue;
            }
            let mut texts: Vec<_> =
                shown.views.iter_mut().map(|(view, by)| (*view, Output::Text(by.push(&printed)))).collect();
            if let Some(ladder) = &mut shown.ladder {
                texts.push((View::Ladder, Output::Step(Box::new(ladder.step(&printed)))));
            }
            // Windows of the connection matter to every stream.
            let refills = frame.stream() == 0 && shown.sieve.has_open_calls();
            let flow = texts.extract_if(.., |(view, _)| refills && *view == View::Flow).collect();
            self.entry(connection, shown, vec![Entry { time: frame.time, texts: flow }])?;
            let entry = Entry { time: frame.time, texts };
            let cost = entry.cost();
            let passed = self.sift(shown, |sieve| sieve.push_text(&frame, entry, cost));
            shown.passed += passed.len() as u64;
            self.entry(connection, shown, passed)?;
            self.findings(connection, shown, marks)?;
        }
        Ok(())
    }

    /// Gives a connection's sieve more output, within the limit of all connections.
    fn sift(&mut self, shown: &mut ConnectionState, act: impl FnOnce(&mut Sieve<Entry>) -> Vec<Entry>) -> Vec<Entry> {
        let before = shown.sieve.held();
        shown.sieve.set_limit((WAITING + before).saturating_sub(self.waiting));
        let passed = act(&mut shown.sieve);
        self.waiting = self.waiting.saturating_sub(before) + shown.sieve.held();
        passed
    }

    /// Prints violations of rules, with the marks that come too late for their frames.
    fn findings(&mut self, connection: usize, shown: &mut ConnectionState, marks: Vec<Marked>) -> io::Result<()> {
        for (finding, mut texts) in marks {
            if self.views.contains(&View::Lint) {
                texts.push((View::Lint, Output::Text(finding.to_string())));
            }
            let entry = Entry { time: shown.time, texts };
            let cost = entry.cost();
            let passed = self.sift(shown, |sieve| sieve.push_late(finding.kind, finding.stream, entry, cost));
            self.entry(connection, shown, passed)?;
        }
        Ok(())
    }

    /// Prints output that has passed the filter.
    fn entry(&mut self, connection: usize, shown: &mut ConnectionState, entries: Vec<Entry>) -> io::Result<()> {
        for Entry { time, texts } in entries {
            for (view, output) in texts {
                let text = match (output, &mut shown.ladder) {
                    (Output::Text(text), _) => text,
                    (Output::Step(step), Some(ladder)) => ladder.show(&step),
                    (Output::Step(_), None) => continue,
                };
                self.text(connection, time, view, &text)?;
            }
        }
        Ok(())
    }

    /// Prints the extent of the checks on all connections.
    fn all(&mut self) -> io::Result<()> {
        let (connections, frames, violations) = self.checked;
        if !self.views.contains(&View::Lint) {
            return Ok(());
        }
        let counted = |count: u64, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let (connections, frames) = (counted(connections, "connection"), counted(frames, "frame"));
        let violations =
            if violations == 0 { "no violations found".to_owned() } else { counted(violations, "finding") };
        let rules = Lint::rules().count();
        writeln!(
            self.out,
            "{violations} by {rules} rules in {frames} of {connections}; docs/rules.md lists the rules by number"
        )
    }

    fn closed(&mut self, connection: usize, time: Duration, reset: bool) -> io::Result<()> {
        self.line(connection, time, format_args!("{}", if reset { "reset" } else { "closed" }))
    }

    /// Prints output that was held back at the end of the bytes, at this time; `ended` is false if only the recording has
    /// ended.
    fn over(&mut self, connection: usize, mut shown: ConnectionState, time: Duration, ended: bool) -> io::Result<()> {
        self.budget.finish(&mut shown.conversation);
        self.frames(connection, &mut shown)?;
        shown.time = shown.time.max(time);
        let mut rest = Vec::new();
        if let Some(lint) = &mut shown.lint {
            lint.until(time);
            rest = lint.finish();
        }
        let marks = shown.mark(rest);
        self.findings(connection, &mut shown, marks)?;
        let passed = self.sift(&mut shown, Sieve::finish);
        shown.passed += passed.len() as u64;
        self.entry(connection, &mut shown, passed)?;
        for (view, by) in &mut shown.views {
            by.until(time);
            let text = if ended { by.finish() } else { by.leave() };
            self.text(connection, shown.time, *view, &text)?;
        }
        if let Some(lint) = shown.lint.as_ref().filter(|_| self.views.contains(&View::Lint)) {
            self.checked = (self.checked.0 + 1, self.checked.1 + shown.frames, self.checked.2 + lint.findings());
            for line in lint.summary() {
                self.line(connection, shown.time, format_args!("{}", shown.concealed.conceal(&line)))?;
            }
        }
        if !self.filter.is_empty() && shown.passed == 0 && shown.frames > 0 {
            self.line(connection, shown.time, format_args!("the filter hides all frames: {}", shown.frames))?;
        }
        match shown.conversation.dropped_frames() + shown.sieve.dropped_frames() {
            0 => Ok(()),
            1 => {
                self.line(connection, shown.time, format_args!("1 frame is not shown: too many frames were held back"))
            }
            count => self.line(
                connection,
                shown.time,
                format_args!("{count} frames are not shown: too many frames were held back"),
            ),
        }
    }

    /// Prints the output of a view, which may be empty. The connection's number and the time come once in front of a block.
    /// Views with independent lines get them on every line, and views whose lines have their own time get only the number.
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

    /// Prints a line about the connection as a whole.
    fn line(&mut self, connection: usize, time: Duration, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.front(connection, time)?;
        writeln!(self.out, "{line}")
    }

    /// Prints the prefix of a line: "[1] 0.012345  ".
    fn front(&mut self, connection: usize, time: Duration) -> io::Result<()> {
        write!(self.out, "[{connection}] {}.{:06}  ", time.as_secs(), time.subsec_micros())
    }

    /// Changes a connection's conversation, and prints the resulting frames.
    fn with(&mut self, connection: usize, act: impl FnOnce(&mut Budget, &mut Conversation)) -> io::Result<()> {
        let Some(mut shown) = self.connections.remove(&connection) else { return Ok(()) };
        act(&mut self.budget, &mut shown.conversation);
        self.frames(connection, &mut shown)?;
        self.connections.insert(connection, shown);
        Ok(())
    }
}

/// Returns the connections of a capture with their numbers, which count from 1, or only the one with this number.
pub(in crate::tool) fn numbered(
    capture: &Capture,
    only: Option<usize>,
) -> impl Iterator<Item = (usize, &capture::Connection)> {
    (1..).zip(&capture.connections).filter(move |(number, _)| only.is_none_or(|only| only == *number))
}

impl<W: Write + Send> Observer for Screen<W> {
    fn handle(&mut self, event: Event) -> io::Result<()> {
        let Event { connection, time, kind } = event;
        match kind {
            EventKind::Opened { client, server } => {
                let shown = self.begin(Conversation::new(self.schema.clone()));
                self.connections.insert(connection, shown);
                self.line(connection, time, format_args!("{client} connects to {server}"))
            }
            EventKind::Passed { direction, lost, bytes } => {
                self.with(connection, |budget, conversation| budget.push(conversation, time, direction, lost, &bytes))
            }
            EventKind::Note(line) => self.line(connection, time, format_args!("{line}")),
            EventKind::Ended { direction, lost } => {
                self.with(connection, |budget, conversation| budget.push(conversation, time, direction, lost, &[]))?;
                self.line(connection, time, format_args!("{direction}  no more bytes"))
            }
            EventKind::Closed { reset } => {
                if let Some(shown) = self.connections.remove(&connection) {
                    self.over(connection, shown, time, true)?;
                }
                self.closed(connection, time, reset)
            }
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end(&mut self, time: Duration) -> io::Result<()> {
        for (connection, shown) in std::mem::take(&mut self.connections) {
            self.over(connection, shown, time, false)?;
        }
        self.all()?;
        self.out.flush()
    }
}
