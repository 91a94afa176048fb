//! Shows the calls of a connection as lines, each when the call has ended.

use std::time::Duration;

use super::view::View;
use crate::inspector::follow::calls::{CallSummary, Calls};
use crate::inspector::follow::ending::CallEnd;
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
        self.last = self.last.max(Some(frame.time));
        self.calls.advance(frame).iter().map(|call| format!("{call}\n")).collect()
    }

    fn until(&mut self, time: Duration) {
        self.calls.until(time);
        self.last = self.last.max(Some(time));
    }

    fn finish(&mut self) -> String {
        self.calls.close(self.last).iter().map(|call| format!("{call}\n")).collect()
    }

    fn leave(&mut self) -> String {
        let line = |call: &CallSummary| match call.end {
            CallEnd::Open => format!("{call} when the recording ends\n"),
            _ => format!("{call}\n"),
        };
        self.calls.leave().iter().map(line).collect()
    }
}
