//! The interface of all views: frames go in one after the other, text comes out.

use std::time::Duration;

use crate::inspector::model::frame::Frame;

/// A view that shows the frames of one connection as they arrive.
pub trait View: Send {
    /// Takes the next frame; returns the lines that are complete, or an empty string.
    fn push(&mut self, frame: &Frame) -> String;

    /// Lets time pass without a frame: up to the end of the connection, or of its recording.
    fn until(&mut self, _time: Duration) {}

    /// Ends the connection; returns the remaining lines.
    fn finish(&mut self) -> String;

    /// Ends the capture while the connection may continue; returns the remaining lines.
    fn leave(&mut self) -> String {
        self.finish()
    }
}
