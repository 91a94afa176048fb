//! The interface of all views: frames go in one after the other, text comes out.

use std::time::Duration;

use crate::inspector::lint::Finding;
use crate::inspector::model::frame::Frame;

/// A view that shows the frames of one connection as they arrive.
pub trait View: Send {
    /// Takes the next frame; returns the lines that are complete, or an empty string.
    fn push(&mut self, frame: &Frame) -> String;

    /// Takes a finding of the lint rules. Findings of a frame come before the frame, and are shown with it. Later ones come
    /// when they are certain; returns the lines that show them.
    fn mark(&mut self, _finding: &Finding) -> String {
        String::new()
    }

    /// Lets time pass without a frame: up to the end of the connection, or of its recording.
    fn until(&mut self, _time: Duration) {}

    /// Ends the connection; returns the remaining lines.
    fn finish(&mut self) -> String;

    /// Ends the capture while the connection may continue; returns the remaining lines.
    fn leave(&mut self) -> String {
        self.finish()
    }
}
