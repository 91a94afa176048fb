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
use server::Handle;

/// Bytes of the newest lines that are kept for browsers that open the page later.
pub(super) const KEPT: usize = 64 << 20;

/// Serves the page, prints its address, and returns the handle that lines are written to. Keeps about `kept` bytes of lines.
/// `listening` is the tap's address, if there is a tap.
pub(super) async fn open(address: &str, kept: usize, listening: Option<SocketAddr>) -> Result<Handle, Stop> {
    let handle = server::serve(address, kept, listening).await;
    let handle = handle.map_err(|error| Stop::Usage(format!("{error}; choose another address with --web")))?;
    let at = handle.address();
    cli::say(format_args!("the page is at http://{at}/"));
    if !at.ip().is_loopback() {
        cli::say("warning: everyone who can reach that address can see the traffic");
    }
    Ok(handle)
}

/// Creates the page as a file.
pub(super) fn create(path: &Path, name: &str) -> Result<Html<BufWriter<Named<File>>>, Stop> {
    let wrong = |error: &dyn Display| Stop::Usage(format!("{error}; choose another file with --html"));
    let file = File::create(path).map_err(|error| wrong(&format_args!("{}: {error}", path.display())))?;
    let file = BufWriter::new(Named::new(path.display().to_string(), file));
    Html::begin(file, name).map_err(|error| wrong(&error))
}
