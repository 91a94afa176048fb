//! Shows the findings of the lint rules as lines.

use std::time::Duration;

use super::view::View;
use crate::inspector::lint::Lint;
use crate::inspector::model::frame::Frame;

impl View for Lint {
    fn push(&mut self, frame: &Frame) -> String {
        self.check(frame).iter().map(|finding| format!("{finding}\n")).collect()
    }

    fn until(&mut self, time: Duration) {
        Lint::until(self, time);
    }

    fn finish(&mut self) -> String {
        let rest = Lint::finish(self);
        let rest = rest.iter().map(|finding| format!("{finding}\n"));
        rest.chain(self.summary().iter().map(|line| format!("{line}\n"))).collect()
    }
}
