//! Builds the page: as the program serves it, and as a file with a capture inside.

use std::io::{self, Write};
use std::sync::LazyLock;

use super::json::Lines;
use barewire::inspector::explanations;

const PAGE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("page.css");
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

/// The script, with the sentences of `--explain`.
pub(super) static SCRIPT: LazyLock<String> =
    LazyLock::new(|| format!("\"use strict\";\nconst EXPLANATIONS = {};\n{CODE}", explanations()));

/// Returns the page that the program serves, which loads its style and script.
pub(super) fn served() -> String {
    PAGE.replace("<!--style-->", r#"<link rel="stylesheet" href="page.css">"#)
        .replace("<!--body-->", r#"<body data-events="events">"#)
        .replace("<!--capture-->\n", "")
        .replace("<!--script-->", r#"<script src="page.js"></script>"#)
}

/// Writes the page with a capture inside: one file that loads nothing else.
pub(in crate::tool) struct Html<W> {
    out: W,
}

/// The file's content security policy: it may run its own script and load nothing.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'";

impl<W: Write> Html<W> {
    /// Writes the part before the capture; `name` describes the capture.
    pub(super) fn begin(mut out: W, name: &str) -> io::Result<Self> {
        out.write_all(head(name).as_bytes())?;
        Ok(Self { out })
    }
}

impl<W: Write + Send> Lines for Html<W> {
    fn line(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.replace('<', "\\u003c").as_bytes())
    }

    fn size(&self, line: &str) -> u64 {
        (line.len() + 5 * line.matches('<').count()) as u64
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(foot().as_bytes())?;
        self.out.flush()
    }
}

/// Returns the part before the capture.
fn head(name: &str) -> String {
    let (head, _) = around_the_capture();
    let policy = format!(r#"<meta http-equiv="Content-Security-Policy" content="{POLICY}">"#);
    let head =
        head.replace("<!--style-->", &format!("{policy}\n<style>\n{STYLE}</style>")).replace("<!--body-->", "<body>");
    let name = attribute(name);
    format!("{head}<script type=\"application/x-ndjson\" id=\"capture\" data-name=\"{name}\">\n")
}

/// Returns the part after the capture.
fn foot() -> String {
    let (_, foot) = around_the_capture();
    format!("</script>{}", foot.replace("<!--script-->", &format!("<script>\n{}</script>", *SCRIPT)))
}

/// Returns the number of bytes of a page without its capture.
pub(super) fn around(name: &str) -> u64 {
    (head(name).len() + foot().len()) as u64
}

/// Splits the page at its capture.
fn around_the_capture() -> (&'static str, &'static str) {
    PAGE.split_once("<!--capture-->").unwrap_or((PAGE, ""))
}

/// Escapes a text for an attribute in double quotes.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire::inspector::{Conversation, Direction, JsonLines, Redaction, Schema};

    #[test]
    fn bytes_from_a_peer_cannot_close_the_script_element() {
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
    fn page_is_complete_and_loads_no_other_file() {
        let served = served();
        assert!(served.contains("page.css") && served.contains("page.js") && !served.contains("<!--"), "{served}");
        for text in [&served, STYLE, &SCRIPT] {
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "an address of another site");
            assert!(!elsewhere.contains("innerHTML"), "text is text");
        }
        // A closing tag inside the style or the script would end it.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</script"));
    }
}
