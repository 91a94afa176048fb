//! Drawings of a conversation: what passed between the two sides over time.
//!
//! Each is fed with frames one after the other and keeps a bounded part of what it saw.

mod flow;
mod flow_svg;
mod hpack;
mod ladder;
mod svg;

pub use flow::{Flow, Stall, WindowPoint, WindowSeries};
pub use hpack::{BlockCost, HeaderCost, HpackView, TableEntry};
pub use ladder::{Ladder, LadderText, Step};
