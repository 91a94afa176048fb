//! Shows the calls of a connection as lines, each when the call has ended.

use std::time::Duration;

use super::view::View;
use crate::inspector::follow::calls::Calls;
use crate::inspector::model::frame::Frame;
use crate::inspector::model::schema::Schema;

/// Shows the calls of a connection as lines, each when the call has ended.
#[derive(Clone, Debug)]
pub struct CallLines {
    calls: Calls,
    last: Option<Duration>,
}

impl CallLines {
    /// Follows the calls of a connection; the schema defines their kinds.
    pub fn new(schema: Schema) -> Self {
        Self { calls: Calls::new(schema), last: None }
    }
}

impl View for CallLines {
    fn push(&mut self, frame: &Frame) -> String {
        self.last = Some(frame.time);
        self.calls.advance(frame).iter().map(|call| format!("{call}\n")).collect()
    }

    fn finish(&mut self) -> String {
        self.calls.close(self.last).iter().map(|call| format!("{call}\n")).collect()
    }

    fn leave(&mut self) -> String {
        self.calls.leave().iter().map(|call| format!("{call} when the recording ends\n")).collect()
    }
}
