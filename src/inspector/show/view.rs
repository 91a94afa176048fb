//! What all ways to show a conversation have in common: frames go in one after the other, text comes out.

use crate::inspector::model::frame::Frame;

/// A way to show the frames of one connection as they come.
pub trait View: Send {
    /// Takes the next frame; gives what can be said now in whole lines, or nothing yet.
    fn push(&mut self, frame: &Frame) -> String;

    /// Says that the connection has ended; gives the rest in whole lines.
    fn finish(&mut self) -> String;

    /// Says that no more of the connection is known, which may go on; gives the rest in whole lines.
    fn leave(&mut self) -> String {
        self.finish()
    }
}
