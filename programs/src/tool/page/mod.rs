//! The page: calls, frames, bytes and their meaning in a browser, live or as a self-contained file.
//!
//! ```text
//! frames ─▶ JSON lines ─┬─▶ ring of bounded size ─▶ GET /events, Server-Sent Events ─▶ the page         ring.rs, server.rs
//!                       └─▶ the page with the lines inside, one file                                    html.rs
//! page.html  page.css
//! util.js  call.js  model.js  filter.js      the data: calls, frames, and the filter
//! timeline.js  panes.js  details.js          drawing
//! main.js  find.js  source.js                input: keys, the pointer, the filter box, incoming lines
//! ```
//!
//! The program assembles the page from these files when it serves or writes it. Nothing is built in advance, nothing is loaded
//! from elsewhere, and data from a peer is always inserted as text.

mod html;
pub(super) mod json;
mod ring;
mod server;

use std::fmt::Display;
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;

use super::flags::files::Named;
use crate::cli::{self, Stop};
use html::Html;
use json::Limited;
use server::Handle;

/// Bytes of the newest lines that the page of a tap keeps for browsers that open it later.
pub(super) const KEPT: u64 = 64 << 20;

/// Bytes of the first lines of a capture that its page keeps.
pub(super) const CAPTURE_KEPT: u64 = 256 << 20;

/// Serves the page, prints its address, and returns the handle that lines are written to. Keeps about `kept` bytes of lines.
/// `listening` is the tap's address, if there is a tap.
pub(super) async fn open(address: &str, kept: u64, listening: Option<SocketAddr>) -> Result<Handle, Stop> {
    let handle = server::serve(address, usize::try_from(kept).unwrap_or(usize::MAX), listening).await;
    let handle = handle.map_err(|error| Stop::Usage(format!("{error}; choose another address with --web")))?;
    cli::say(format_args!("the page is at {}", handle.url()));
    if !handle.address().ip().is_loopback() {
        cli::say("warning: everyone who can reach that address can see the traffic");
    }
    Ok(handle)
}

/// Limits the lines of a served capture. The page is told where it ends.
pub(super) fn limited(handle: Handle, largest: u64) -> Limited<Handle> {
    Limited::new(handle, "the page".to_owned(), largest, 0)
}

/// Creates the page as a file of at most `largest` bytes, or without lines if the page alone takes more.
pub(super) fn create(path: &Path, name: &str, largest: u64) -> Result<Limited<Html<BufWriter<Named<File>>>>, Stop> {
    let wrong = |error: &dyn Display| Stop::Usage(format!("{error}; choose another file with --html"));
    let file = cli::private::create(path).map_err(|error| wrong(&format_args!("{}: {error}", path.display())))?;
    let file = BufWriter::new(Named::new(path.display().to_string(), file));
    let page = Html::begin(file, name).map_err(|error| wrong(&error))?;
    Ok(Limited::new(page, path.display().to_string(), largest, html::around(name)))
}
