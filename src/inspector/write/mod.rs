//! Writes frames by hand, valid or invalid: nothing here checks the bytes.
//!
//! ```text
//! RawFrame       a frame, with the right or a wrong length and reserved bit              RFC 9113, section 4.1
//! header_block   header fields as literals without indexing                             RFC 7541, section 6.2.2
//! message        a Length-Prefixed-Message with any first byte                          PROTOCOL-HTTP2.md
//! Script         frames as lines of text                                                script.rs
//! set_field      a field of a protobuf message by its name                              edit.rs
//! ```
//!
//! ```
//! use barewire::inspector::write::{RawFrame, header_block};
//! use barewire::inspector::{FrameHeader, FrameType};
//!
//! let block = header_block([(":method", "POST"), ("Upper-Case", "is forbidden")]);
//! let mut wire = Vec::new();
//! RawFrame::new(FrameType::HEADERS, FrameHeader::END_HEADERS, 1, block).write(&mut wire);
//! RawFrame { length: Some(16_777_215), ..RawFrame::new(FrameType::DATA, 0, 1, "short") }.write(&mut wire);
//! ```

mod edit;
mod frame;
mod script;

pub use edit::{EditError, set_field};
pub use frame::{DEFAULT_MAX_FRAME_SIZE, RawFrame, header_block, message};
pub use script::{Script, ScriptError, Step, hex};
