//! What all ways to show a conversation have in common: frames go in one after the other, text comes out.

use super::calls::CallLines;
use super::frame::Frame;
use super::line::lines;
use super::lint::Lint;
use super::print::{PrintOptions, print_frame};
use super::schema::Schema;
use super::views::{Flow, HpackView, LadderText};

/// A way to show the frames of one connection as they come.
pub trait View: Send {
    /// Takes the next frame; gives what can be said now in whole lines, or nothing yet.
    fn push(&mut self, frame: &Frame) -> String;

    /// Says that the connection has ended; gives the rest in whole lines.
    fn finish(&mut self) -> String;

    /// Says that no more of the connection is known, which may go on; gives the rest in whole lines.
    fn leave(&mut self) -> String {
        self.finish()
    }
}

/// The names that [`view`] knows.
pub const VIEWS: [&str; 7] = ["lines", "hex", "calls", "ladder", "flow", "hpack", "lint"];

/// The view of that name, for one connection.
pub fn view(name: &str, schema: &Schema, options: &PrintOptions) -> Option<Box<dyn View>> {
    Some(match name {
        "lines" => Box::new(Each(lines)),
        "hex" => {
            let options = *options;
            Box::new(Each(move |frame: &Frame| format!("{}\n", print_frame(frame, &options))))
        }
        "ladder" => Box::new(LadderText::default()),
        "flow" => Box::new(Flow::new()),
        "hpack" => Box::new(HpackView::new()),
        "lint" => Box::new(Lint::new(schema.clone())),
        "calls" => Box::new(CallLines::new(schema.clone())),
        _ => return None,
    })
}

/// Each frame by itself.
struct Each<F>(F);

impl<F: Fn(&Frame) -> String + Send> View for Each<F> {
    fn push(&mut self, frame: &Frame) -> String {
        (self.0)(frame)
    }

    fn finish(&mut self) -> String {
        String::new()
    }
}
