//! Shows the findings of the lint rules as lines.

use super::view::View;
use crate::inspector::lint::Lint;
use crate::inspector::model::frame::Frame;

impl View for Lint {
    fn push(&mut self, frame: &Frame) -> String {
        self.check(frame).iter().map(|finding| format!("{finding}\n")).collect()
    }

    fn finish(&mut self) -> String {
        let rest = Lint::finish(self);
        match self.findings() {
            0 => "no rule is broken\n".to_owned(),
            _ => rest.iter().map(|finding| format!("{finding}\n")).collect(),
        }
    }
}
