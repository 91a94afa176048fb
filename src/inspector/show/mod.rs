//! Output of frames for people and programs: lines, every byte, JSON, drawings, calls and findings.
//!
//! ```text
//! view.rs                          the interface of all views
//! names.rs                         the views by their names
//! marks.rs                         findings beside frames
//! line.rs, print.rs, explain.rs    a line for each frame; every byte; explanations
//! json.rs, json_notes.rs           JSON lines
//! ladder.rs, flow.rs, flow_svg.rs, svg.rs      frames and windows over time
//! hpack_costs.rs                   the savings of header compression
//! call_lines.rs, findings.rs       calls and lint findings as lines
//! ```

pub(super) mod call_lines;
pub(super) mod explain;
mod findings;
pub(super) mod flow;
mod flow_svg;
pub(super) mod hpack_costs;
pub(super) mod json;
mod json_notes;
pub(super) mod ladder;
pub(super) mod line;
mod marks;
pub(super) mod names;
pub(super) mod print;
mod svg;
pub(super) mod view;
