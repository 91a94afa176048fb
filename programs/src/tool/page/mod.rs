//! The page: calls, frames, bytes and their meaning side by side in a browser, live or as a file that has all in it.
//!
//! ```text
//! frames ─▶ JSON lines ─┬─▶ ring of bounded size ─▶ GET /events, Server-Sent Events ─▶ the page         ring.rs, server.rs
//!                       └─▶ the page with the lines inside, one file                                    Html
//! page.html  page.css
//! util.js  call.js  model.js  filter.js      what is known: calls, frames, which of them are shown
//! timeline.js  panes.js  details.js          how it is drawn
//! main.js  find.js  source.js                what changes it: keys and the pointer, the filter, lines as they come
//! ```
//!
//! The page is put together from its files when it is given out; nothing is built, nothing is loaded from elsewhere, and
//! what a peer sent is text wherever it stands.

mod ring;
mod server;
mod told;

pub(super) use told::{Lines, Told};

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use server::Handle;

use super::files::Named;
use crate::cli::{self, Stop};
use barewire::inspector::explanations;

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

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const CODE: &str = concat!(
    include_str!("util.js"),
    include_str!("call.js"),
    include_str!("model.js"),
    include_str!("filter.js"),
    include_str!("timeline.js"),
    include_str!("panes.js"),
    include_str!("details.js"),
    include_str!("main.js"),
    include_str!("find.js"),
    include_str!("source.js"),
);

/// The script, and the sentences of `--explain`.
static SCRIPT: LazyLock<String> =
    LazyLock::new(|| format!("\"use strict\";\nconst EXPLANATIONS = {};\n{CODE}", explanations()));

/// The page as the program serves it, with its style and script beside it.
fn served() -> String {
    PAGE.replace("<!--style-->", r#"<link rel="stylesheet" href="page.css">"#)
        .replace("<!--body-->", r#"<body data-events="events">"#)
        .replace("<!--capture-->\n", "")
        .replace("<!--script-->", r#"<script src="page.js"></script>"#)
}

/// Writes the page with a capture inside: one file that needs nothing else, and loads nothing.
pub(super) struct Html<W> {
    out: W,
}

/// What the file may do: run what stands in it, and reach nobody.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'";

impl<W: Write> Html<W> {
    /// Begins the file; `name` says what the capture is.
    pub(super) fn begin(mut out: W, name: &str) -> io::Result<Self> {
        let (head, _) = around_the_capture();
        let policy = format!(r#"<meta http-equiv="Content-Security-Policy" content="{POLICY}">"#);
        let head = head
            .replace("<!--style-->", &format!("{policy}\n<style>\n{STYLE}</style>"))
            .replace("<!--body-->", "<body>");
        out.write_all(head.as_bytes())?;
        writeln!(out, r#"<script type="application/x-ndjson" id="capture" data-name="{}">"#, attribute(name))?;
        Ok(Self { out })
    }
}

impl<W: Write + Send> Lines for Html<W> {
    fn line(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.replace('<', "\\u003c").as_bytes())
    }

    fn end(&mut self) -> io::Result<()> {
        let (_, foot) = around_the_capture();
        self.out.write_all(b"</script>")?;
        self.out.write_all(foot.replace("<!--script-->", &format!("<script>\n{}</script>", *SCRIPT)).as_bytes())?;
        self.out.flush()
    }
}

/// The page before and behind its capture.
fn around_the_capture() -> (&'static str, &'static str) {
    PAGE.split_once("<!--capture-->").unwrap_or((PAGE, ""))
}

/// A text that may stand between double quotes.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire::inspector::{Conversation, Direction, JsonLines, Redaction, Schema};

    #[test]
    fn no_byte_of_a_peer_ends_the_script_that_it_stands_in() {
        let mut conversation = Conversation::new(Schema::new());
        conversation.push(Direction::ToServer, b"</script><script>alert(1)</script><!--<script>");
        let frame = conversation.take_frames().remove(0);
        let line = JsonLines::new(Redaction::none()).frame(1, &frame);
        let mut file = Vec::new();
        let mut html = Html::begin(&mut file, r#"a "b" <c> & d"#).unwrap();
        html.line(&line).unwrap();
        html.end().unwrap();
        let file = String::from_utf8(file).unwrap();
        assert!(file.contains("data-name=\"a &quot;b&quot; &lt;c> &amp; d\""));
        assert_eq!(file.matches("<script").count(), 2, "the capture and the script of the page");
        assert_eq!(file.matches("</script").count(), 2);
        assert!(!file.contains("<!--"));

        let (_, data) = file.split_once("id=\"capture\"").unwrap();
        let (_, data) = data.split_once(">\n").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(&line).unwrap());
    }

    #[test]
    fn the_page_has_all_its_parts_and_names_nobody_else() {
        let served = served();
        assert!(served.contains("page.css") && served.contains("page.js") && !served.contains("<!--"), "{served}");
        for text in [&served, STYLE, &SCRIPT] {
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "an address of somebody else");
            assert!(!elsewhere.contains("innerHTML"), "text is text");
        }
        // What would end the style or the script, were it in one of them.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</script"));
    }
}
