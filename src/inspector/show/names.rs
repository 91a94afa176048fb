//! The views by name.

use super::call_lines::CallLines;
use super::flow::Flow;
use super::hpack_costs::HpackView;
use super::ladder::LadderText;
use super::line::lines;
use super::marks::Each;
use super::print::{PrintOptions, print_frame};
use super::view::View;
use crate::inspector::lint::Lint;
use crate::inspector::model::frame::Frame;
use crate::inspector::model::schema::Schema;

/// The names that [`view`] accepts.
pub const VIEWS: [&str; 7] = ["lines", "hex", "calls", "ladder", "flow", "hpack", "lint"];

/// Returns the view with this name, for one connection.
pub fn view(name: &str, schema: &Schema, options: &PrintOptions) -> Option<Box<dyn View>> {
    Some(match name {
        "lines" => Box::new(Each::new(lines)),
        "hex" => {
            let options = *options;
            Box::new(Each::new(move |frame: &Frame| format!("{}\n", print_frame(frame, &options))))
        }
        "ladder" => Box::new(LadderText::default()),
        "flow" => Box::new(Flow::new()),
        "hpack" => Box::new(HpackView::new()),
        "lint" => Box::new(Lint::new(schema.clone())),
        "calls" => Box::new(CallLines::new(schema.clone())),
        _ => return None,
    })
}
