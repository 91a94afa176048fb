//! The page: calls, frames, bytes and their meaning side by side in a browser, live or as a file that has all in it.
//!
//! ```text
//! frames ─▶ JSON lines ─┬─▶ ring of bounded size ─▶ GET /events, Server-Sent Events ─▶ the page         ring.rs, server.rs
//!                       └─▶ the page with the lines inside, one file                                    html.rs
//! page.html  page.css
//! util.js  call.js  model.js  filter.js      what is known: calls, frames, which of them are shown
//! timeline.js  panes.js  details.js          how it is drawn
//! main.js  find.js  source.js                what changes it: keys and the pointer, the filter, lines as they come
//! ```
//!
//! The page is put together from its files when it is given out; nothing is built, nothing is loaded from elsewhere, and
//! what a peer sent is text wherever it stands.

mod html;
mod ring;
mod server;
pub(super) mod told;

use std::fmt::Display;
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;

use super::flags::files::Named;
use crate::cli::{self, Stop};
use html::Html;
use server::Handle;

/// Bytes of the newest lines that are kept for whoever opens the page later.
pub(super) const KEPT: usize = 64 << 20;

/// Serves the page, says where it is, and gives what hands lines to it; about `kept` bytes of them are kept. Calls are
/// waited for at `listening`.
pub(super) async fn open(address: &str, kept: usize, listening: Option<SocketAddr>) -> Result<Handle, Stop> {
    let handle = server::serve(address, kept, listening).await;
    let handle = handle.map_err(|error| Stop::Usage(format!("{error}; choose with --web")))?;
    let at = handle.address();
    cli::say(format_args!("the page is at http://{at}/"));
    if !at.ip().is_loopback() {
        cli::say("whoever reaches that address sees what passes");
    }
    Ok(handle)
}

/// Begins the page as a file.
pub(super) fn create(path: &Path, name: &str) -> Result<Html<BufWriter<Named<File>>>, Stop> {
    let wrong = |error: &dyn Display| Stop::Usage(format!("{error}; choose with --html"));
    let file = File::create(path).map_err(|error| wrong(&format_args!("{}: {error}", path.display())))?;
    let file = BufWriter::new(Named::new(path.display().to_string(), file));
    Html::begin(file, name).map_err(|error| wrong(&error))
}
