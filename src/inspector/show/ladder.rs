//! The ladder: a sequence diagram of a call, or of all streams, as text, Mermaid or SVG.
//!
//! ```text
//! frame      time        gap  client                                                    server
//!     5      0 ms             │── HEADERS END_HEADERS: Request-Headers ──────────────────▶│
//!                             │   /routeguide.RouteGuide/GetFeature                       │
//!     9     12 ms     +12 ms  │◀─ HEADERS END_HEADERS: Response-Headers ──────────────────│
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::line::{before, outline, values};
use super::marks::Marks;
use super::print::{Gloss, wrap};
use super::svg::Svg;
use super::view::View;
use crate::inspector::lint::Finding;
use crate::inspector::model::annotation::Layer;
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning};
use crate::inspector::model::text;

/// The steps of a conversation; beyond the limit, only the last ones.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// The stream that is drawn; `None` for all frames.
    stream: Option<u32>,
    limit: usize,
    steps: VecDeque<Step>,
    dropped: u64,
}

/// One arrow of the diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of the frame.
    pub frame: u64,
    /// The time of completion.
    pub time: Duration,
    /// The direction of the frame.
    pub direction: Direction,
    /// The stream; 0 for the connection.
    pub stream: u32,
    /// A short description: "DATA END_STREAM: Length-Prefixed-Message, EOS".
    pub label: String,
    /// The content in a few lines: a path, messages, settings.
    pub notes: Vec<String>,
    /// The errors of the frame.
    pub faults: Vec<String>,
    /// The findings of the lint rules that are not among the errors, each with the sign of its severity.
    pub marks: Vec<String>,
}

/// The shortest pause that is drawn as a line of its own.
const GAP: Duration = Duration::from_millis(10);

/// The most notes of one step.
const NOTES: usize = 8;

impl Ladder {
    /// Returns a ladder of all frames.
    pub fn new() -> Self {
        Self { stream: None, limit: 10_000, steps: VecDeque::new(), dropped: 0 }
    }

    /// Returns a ladder of one stream.
    pub fn of_stream(stream: u32) -> Self {
        Self { stream: Some(stream), ..Self::new() }
    }

    /// Limits the number of steps; the last ones are kept. The default is 10,000.
    pub fn limited(self, limit: usize) -> Self {
        Self { limit: limit.max(1), ..self }
    }

    /// Takes the next frame.
    pub fn add(&mut self, frame: &Frame) {
        if self.stream.is_some_and(|stream| stream != frame.stream()) {
            return;
        }
        if self.steps.len() >= self.limit {
            self.steps.pop_front();
            self.dropped += 1;
        }
        self.steps.push_back(Step::of(frame));
    }

    /// Takes a finding of the lint rules, and marks the step of its frame.
    pub fn mark(&mut self, finding: &Finding) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.frame == finding.frame) {
            step.mark(finding);
        }
    }

    /// Returns the steps in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter()
    }

    /// Returns the number of steps dropped because of the limit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the diagram as lines of at most 100 columns.
    pub fn text(&self) -> String {
        let mut before = None;
        let steps = self.steps.iter().map(|step| {
            let text = step.text(before, self.stream.is_none());
            before = Some(step.time);
            text
        });
        let steps: String = steps.collect();
        format!("{}{steps}", head())
    }

    /// Returns the diagram for Mermaid.
    pub fn mermaid(&self) -> String {
        let mut out = "sequenceDiagram\n    participant C as client\n    participant S as server\n".to_owned();
        let mut before: Option<Duration> = None;
        for step in &self.steps {
            if let Some(gap) = before.map(|before| step.time.saturating_sub(before)).filter(|gap| *gap >= GAP) {
                out.push_str(&format!("    Note over C,S: {}\n", text::time(gap)));
            }
            before = Some(step.time);
            let arrow = if step.direction == Direction::ToServer { "C->>S" } else { "S->>C" };
            let stream = match step.stream {
                0 => String::new(),
                _ if self.stream.is_some() => String::new(),
                stream => format!("stream {stream}: "),
            };
            out.push_str(&format!("    {arrow}: {}. {stream}{}\n", step.frame, mermaid_text(&step.label)));
            let side = if step.direction == Direction::ToServer { "right of S" } else { "left of C" };
            let notes: Vec<_> =
                step.notes.iter().cloned().chain(step.wrong()).map(|note| mermaid_text(&note)).collect();
            if !notes.is_empty() {
                out.push_str(&format!("    Note {side}: {}\n", notes.join("<br/>")));
            }
        }
        out
    }

    /// Returns the diagram as a self-contained SVG with light and dark colours.
    pub fn svg(&self) -> String {
        let [left, right, row, top] = [190, 830, 16, 50];
        let height =
            |step: &Step, gap: bool| 30 + row * (step.notes.len() + step.wrong().count()) + if gap { 24 } else { 0 };
        let mut before: Option<Duration> = None;
        let gaps: Vec<Option<Duration>> = self
            .steps
            .iter()
            .map(|step| {
                let gap = before.map(|before| step.time.saturating_sub(before));
                before = Some(step.time);
                gap
            })
            .collect();
        let is_wide = |gap: &Option<Duration>| gap.is_some_and(|gap| gap >= GAP);
        let rows = self.steps.iter().zip(&gaps);
        let bottom = top + rows.clone().map(|(step, gap)| height(step, is_wide(gap))).sum::<usize>() + 10;
        let mut svg = Svg::new(1_020, bottom + 20, "A conversation between client and server, frame by frame");
        for (x, name) in [(left, "client"), (right, "server")] {
            svg.text(x, 24, "bold", "middle", name);
            svg.line("rule", [x, 34, x, bottom]);
        }
        let mut y = top;
        for (step, gap) in rows {
            if let Some(gap) = gap.filter(|gap| *gap >= GAP) {
                svg.rect("shade", [left + 1, y - 4, right - left - 2, 18]);
                svg.text((left + right) / 2, y + 9, "dim", "middle", &format!("{} without a frame", text::time(gap)));
                y += 24;
            }
            y += 14;
            svg.text(left - 16, y + 8, "dim", "end", &format!("{}.  {}", step.frame, text::time(step.time)));
            svg.text(left + 24, y, "", "start", &fit(&step.label, 78));
            let (class, head, tip, wing) = match step.direction {
                Direction::ToServer => ("out", "outhead", right - 2, right - 11),
                Direction::ToClient => ("in", "inhead", left + 2, left + 11),
            };
            let line = y + 6;
            svg.line(class, [left + 2, line, right - 2, line]);
            svg.corners(head, false, &[(tip, line), (wing, line - 4), (wing, line + 4)]);
            if step.stream != 0 && self.stream.is_none() {
                svg.text(right + 14, line + 4, "dim", "start", &format!("stream {}", step.stream));
            }
            y += 16;
            for note in &step.notes {
                y += row;
                svg.text(left + 40, y - 10, "dim", "start", &fit(note, 80));
            }
            for wrong in step.wrong() {
                y += row;
                svg.text(left + 40, y - 10, "warn", "start", &fit(&wrong, 80));
            }
        }
        svg.finish()
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new()
    }
}

impl Step {
    /// Adds a finding, unless the step says the same already.
    fn mark(&mut self, finding: &Finding) {
        if self.faults.contains(&finding.sentence) {
            return;
        }
        self.marks.push(finding.mark(true));
    }

    /// Returns the lines about faults and findings.
    fn wrong(&self) -> impl Iterator<Item = String> {
        self.faults.iter().map(|fault| format!("✗ {fault}")).chain(self.marks.iter().cloned())
    }

    /// Returns the approximate memory use.
    pub fn cost(&self) -> usize {
        let texts = self.notes.iter().chain(&self.faults).chain(&self.marks).map(|text| size_of_val(text) + text.len());
        size_of::<Self>() + self.label.len() + texts.sum::<usize>()
    }

    fn of(frame: &Frame) -> Self {
        let what = match &frame.kind {
            FrameKind::Before(preamble) => preamble.to_string(),
            FrameKind::Preface => "connection preface".to_owned(),
            FrameKind::Http2(header) => format!("{} {}", header.kind, header.flag_names()).trim_end().to_owned(),
            FrameKind::Truncated => "incomplete".to_owned(),
            FrameKind::NotHttp2 | FrameKind::Fragment => text::count(frame.bytes.len() as u64, "byte"),
            FrameKind::Lost { count } => format!("{} not recorded", text::count(*count, "byte")),
        };
        let gloss = Gloss(frame).to_string();
        let label = if gloss.is_empty() { what } else { format!("{what}: {gloss}") };
        let mut notes = Vec::new();
        if let Meaning::RequestHeaders { path } = &frame.meaning {
            notes.push(text::plain(path.as_bytes()));
        }
        if frame.headers.is_empty() {
            let fields = match frame.kind {
                FrameKind::Before(_) => before(frame),
                _ => values(&frame.annotations, Layer::Payload),
            };
            notes.extend((!fields.is_empty()).then_some(fields));
        }
        if let Some(details) = &frame.details {
            notes.push(format!("google.rpc.Status: {}", values(&details.annotations, Layer::Protobuf)));
        }
        notes.extend(frame.messages.iter().take(NOTES).map(|message| outline(frame, message)));
        if let Some(more) = frame.messages.len().checked_sub(NOTES).filter(|more| *more > 0) {
            notes.push(format!("and {}", text::count(more as u64, "more message")));
        }
        let (number, stream) = (frame.number, frame.stream());
        let (time, direction, faults) = (frame.time, frame.direction, frame.faults.clone());
        Self { frame: number, time, direction, stream, label, notes, faults, marks: Vec::new() }
    }

    /// Returns the arrow, and a line for each note; `before` is the time of the previous step.
    fn text(&self, before: Option<Duration>, with_stream: bool) -> String {
        let gap = before.map(|before| self.time.saturating_sub(before)).filter(|gap| !gap.is_zero());
        let gap = gap.map(|gap| format!("+{}", text::time(gap))).unwrap_or_default();
        let label = match self.stream {
            0 => self.label.clone(),
            _ if !with_stream => self.label.clone(),
            stream => format!("[{stream}] {}", self.label),
        };
        let label = fit(&label, INNER - 8);
        let line = "─".repeat(INNER - 5 - width(&label));
        let arrow = match self.direction {
            Direction::ToServer => format!("── {label} {line}▶"),
            Direction::ToClient => format!("◀─ {label} {line}─"),
        };
        let mut out = format!("{:>5} {:>9} {gap:>10}  │{arrow}│\n", self.frame, text::time(self.time));
        let notes = self.notes.iter().map(|note| fit(note, INNER - 4));
        for note in notes.chain(self.wrong().flat_map(|wrong| wrap(&wrong, INNER - 4))) {
            let rest = " ".repeat(INNER - 3 - width(&note));
            out.push_str(&format!("{:28}│   {note}{rest}│\n", ""));
        }
        out
    }
}

/// Columns between the two sides.
const INNER: usize = 70;

fn head() -> String {
    format!("{:>5} {:>9} {:>10}  client{}server\n", "frame", "time", "gap", " ".repeat(INNER - 10))
}

fn width(text: &str) -> usize {
    super::print::width(text)
}

/// Shortens the text to at most this many columns.
fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + width(c.encode_utf8(&mut [0; 4])) + 1 > columns {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Encodes characters that have a meaning in Mermaid by number.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' | ';' | '<' | '>' | '"' | '%' | '{' | '}' => out.push_str(&format!("#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The ladder as text, built as the frames arrive.
#[derive(Clone, Debug, Default)]
pub struct LadderText {
    begun: bool,
    before: Option<Duration>,
    marks: Marks,
}

impl LadderText {
    /// Returns the step of the next frame, for callers that decide later if it is shown.
    pub fn step(&mut self, frame: &Frame) -> Step {
        let mut step = Step::of(frame);
        for finding in self.marks.of(frame) {
            step.mark(&finding);
        }
        step
    }

    /// Returns the lines of the next step to show. The gap is the time since the step shown before.
    pub fn show(&mut self, step: &Step) -> String {
        let text = step.text(self.before, true);
        self.before = Some(step.time);
        let head = if std::mem::replace(&mut self.begun, true) { String::new() } else { head() };
        head + &text
    }
}

impl View for LadderText {
    fn push(&mut self, frame: &Frame) -> String {
        let step = self.step(frame);
        self.show(&step)
    }

    fn mark(&mut self, finding: &Finding) -> String {
        let late = self.marks.add(finding);
        let line = |text: &String| format!("{:28}│ {text}\n", "");
        let text = format!("frame {}: {}", finding.frame, finding.mark(true));
        late.map(|_| wrap(&text, INNER).iter().map(line).collect()).unwrap_or_default()
    }

    fn finish(&mut self) -> String {
        String::new()
    }
}
