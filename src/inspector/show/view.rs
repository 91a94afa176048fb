//! The interface of all views: frames go in one after the other, text comes out.

use crate::inspector::model::frame::Frame;

/// A view that shows the frames of one connection as they arrive.
pub trait View: Send {
    /// Takes the next frame; returns the lines that are complete, or an empty string.
    fn push(&mut self, frame: &Frame) -> String;

    /// Ends the connection; returns the remaining lines.
    fn finish(&mut self) -> String;

    /// Ends the capture while the connection may continue; returns the remaining lines.
    fn leave(&mut self) -> String {
        self.finish()
    }
}
