//! Prints the calls and their responses for human readers.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;

use barewire::services::route_guide::Event;
use barewire::services::route_guide::messages::{Feature, Point};
use barewire::transport::record::{Entry, Recording};

/// The style of the output.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) color: bool,
}

impl Style {
    fn paint(self, sequence: &str, text: impl Display) -> String {
        if self.color { format!("\x1b[{sequence}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }
}

/// Prints events as they happen, and keeps the bytes of the first call when that has ended.
pub(super) struct Story<'a> {
    out: &'a mut dyn Write,
    style: Style,
    recording: &'a Recording,
    first_call: Option<Vec<Entry>>,
    listed: usize,
    in_chat: bool,
    written: io::Result<()>,
}

impl<'a> Story<'a> {
    pub(super) fn new(out: &'a mut dyn Write, style: Style, recording: &'a Recording) -> Story<'a> {
        Story { out, style, recording, first_call: None, listed: 0, in_chat: false, written: Ok(()) }
    }

    pub(super) fn begin(&mut self, address: SocketAddr) -> io::Result<()> {
        writeln!(
            self.out,
            "{} serves the route guide on {address}; a client calls its four methods.",
            self.style.bold("barewire")
        )
    }

    /// Prints an event. Keeps an error of writing for [`Story::end`].
    pub(super) fn show(&mut self, event: Event<'_>) {
        if self.written.is_ok() {
            self.written = self.tell(event);
        }
    }

    /// Prints the last line, and returns the bytes of the first call.
    pub(super) fn end(mut self) -> io::Result<Vec<Entry>> {
        std::mem::replace(&mut self.written, Ok(()))?;
        let title = self.style.bold("The bytes of the first call");
        writeln!(self.out, "\n{title}, as they went through the socket, from the connection's first byte:\n")?;
        Ok(self.first_call.unwrap_or_else(|| self.recording.entries()))
    }

    fn tell(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Getting(point) => self.call("GetFeature", "unary", format_args!("what is at {}?", place(point))),
            Event::Got(feature) => {
                self.first_call.get_or_insert_with(|| self.recording.entries());
                self.answer(named(feature))
            }
            Event::Looking(area) => {
                let (lo, hi) = (place(area.lo.unwrap_or_default()), place(area.hi.unwrap_or_default()));
                self.call("ListFeatures", "server streaming", format_args!("what is between {lo} and {hi}?"))
            }
            Event::Listed(feature) => {
                self.listed += 1;
                let line = format!("{:>3}  {}", self.listed, named(feature));
                self.answer(line)
            }
            Event::Traversing(route) => {
                let first = route.first().copied().unwrap_or_default();
                let question = format!("{} points, from {}", route.len(), place(first));
                self.call("RecordRoute", "client streaming", question)
            }
            Event::Summary(summary) => self.answer(format_args!(
                "{} points, {} of them known, {} km, {} s",
                summary.point_count,
                summary.feature_count,
                summary.distance / 1000,
                summary.elapsed_time
            )),
            Event::Noted(note) => {
                if !std::mem::replace(&mut self.in_chat, true) {
                    self.call("RouteChat", "bidirectional streaming", "six notes at three places")?;
                }
                self.answer(format_args!("{:?} at {}", note.message, place(note.location.unwrap_or_default())))
            }
        }
    }

    fn call(&mut self, method: &str, kind: &str, question: impl Display) -> io::Result<()> {
        let (method, kind) = (self.style.bold(method), self.style.dim(format_args!("({kind})")));
        writeln!(self.out, "\n{method} {kind}: {question}")
    }

    fn answer(&mut self, answer: impl Display) -> io::Result<()> {
        let arrow = self.style.paint("32", "◀──");
        writeln!(self.out, "  {arrow} {answer}")
    }
}

fn named(feature: &Feature) -> String {
    let location = place(feature.location.unwrap_or_default());
    match feature.name.as_str() {
        "" => format!("no named feature at {location}"),
        name => format!("{name} at {location}"),
    }
}

/// Formats a point in degrees.
fn place(point: Point) -> String {
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    format!("({:.7}, {:.7})", degrees(point.latitude), degrees(point.longitude))
}
