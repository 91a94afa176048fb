//! Frames for a person and for programs: lines, every byte, JSON, drawings, and what the rules and the calls come to.
//!
//! ```text
//! view.rs                          what all ways to show a connection have in common
//! names.rs                         the views by their names
//! line.rs, print.rs, explain.rs    a line for each frame; every byte; why it is there
//! json.rs                          JSON lines
//! ladder.rs, flow.rs, flow_svg.rs, svg.rs      what passed between the two sides over time
//! hpack_costs.rs                   what header compression saves
//! call_lines.rs, findings.rs       calls and broken rules as lines
//! ```

pub(super) mod call_lines;
pub(super) mod explain;
mod findings;
pub(super) mod flow;
mod flow_svg;
pub(super) mod hpack_costs;
pub(super) mod json;
pub(super) mod ladder;
pub(super) mod line;
pub(super) mod names;
pub(super) mod print;
mod svg;
pub(super) mod view;
