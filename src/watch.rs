//! `BAREWIRE_WIRE`: the bytes that pass a program's connections, on stderr as they pass.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cli::Stop;
use crate::inspector::{self, Conversation, Frame, PrintOptions, Schema};
use crate::services::FILE_DESCRIPTOR_SET;
use crate::transport::tap::{Direction, Sink, Tap};

/// The name of the environment variable.
pub const WIRE: &str = "BAREWIRE_WIRE";

/// Which side of its connections a program is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What it sends goes to the client.
    Server,
    /// What it sends goes to the server.
    Client,
}

/// A tap for the connections of a program, as the environment says: none, `text` for an outline of each frame, `hex` for
/// every byte.
///
/// # Errors
///
/// [`Stop::Usage`] for any other value.
pub fn tap(side: Side) -> Result<Tap, Stop> {
    let Some(value) = std::env::var_os(WIRE) else { return Ok(Tap::none()) };
    let show: fn(&Frame) -> String = match value.to_str() {
        Some("") => return Ok(Tap::none()),
        Some("text") => inspector::lines,
        Some("hex") => |frame| inspector::print_frame(frame, &PrintOptions::default()),
        _ => return Err(Stop::Usage(format!("{WIRE} is {value:?}; it may be text or hex"))),
    };
    // The set was compiled with the program; without names the bytes are still explained.
    let schema = Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new());
    let count = Arc::new(AtomicU64::new(0));
    Ok(Tap::new(move |peer| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        print(&format!("[{number}] connection with {}\n", peer.address));
        Shown { number, side, show, conversation: Conversation::new(schema.clone()) }
    }))
}

/// A connection that is shown.
struct Shown {
    number: u64,
    side: Side,
    show: fn(&Frame) -> String,
    conversation: Conversation,
}

impl Shown {
    fn show_frames(&mut self) {
        let mut out = String::new();
        for frame in self.conversation.take_frames() {
            out.push_str(&format!("[{}] {}", self.number, (self.show)(&frame)));
        }
        print(&out);
    }
}

impl Sink for Shown {
    fn passed(&mut self, direction: Direction, bytes: &[u8]) {
        let to_server = (self.side == Side::Client) == (direction == Direction::Sent);
        let direction = if to_server { inspector::Direction::ToServer } else { inspector::Direction::ToClient };
        self.conversation.push(direction, bytes);
        self.show_frames();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.conversation.finish();
        self.show_frames();
        print(&format!("[{}] closed\n", self.number));
    }
}

/// Where nobody reads stderr any more it is lost, and the program goes on.
fn print(text: &str) {
    let _: std::io::Result<()> = std::io::stderr().lock().write_all(text.as_bytes());
}
