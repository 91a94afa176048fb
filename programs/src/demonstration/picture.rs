//! Renders text with ANSI colours as an SVG picture of a terminal, for light and for dark mode.
//!
//! Each run of one colour is placed at its own column and stretched to the width of its columns, so that the picture is the
//! same in every monospaced font.

use std::fmt::Write as _;

const COLUMN: usize = 8;
const LINE: usize = 19;
const MARGIN: usize = 22;
const BAR: usize = 40;

/// The colours of `inspector::legend`, equal to those of the page, and the styles bold, dim and error.
const STYLE: &str = "
:root { --paper: #ffffff; --bar: #f1f1ee; --line: #d9dad4; --ink: #1c2027; --dim: #6f7783; --s31: #c02a2a; --s94: #2456d6;
  --s36: #0a7285; --s33: #8a5d00; --s95: #a02bb0; --s32: #257a2c; --s37: #5f6673 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --bar: #1e2229; --line: #323844; --ink: #e4e6ea; --dim: #8b93a0;
  --s31: #ff8585; --s94: #84a7ff; --s36: #52cad8; --s33: #e2b555; --s95: #e392f0; --s32: #80cd78; --s37: #a3aab6 } }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: var(--ink); white-space: pre }
.paper { fill: var(--paper); stroke: var(--line) } .bar { fill: var(--bar) } .dot { fill: var(--line) }
.s1 { font-weight: 700 } .s2 { fill: var(--dim) } .s31 { fill: var(--s31) } .s94 { fill: var(--s94) } .s36 { fill: var(--s36) }
.s33 { fill: var(--s33) } .s95 { fill: var(--s95) } .s32 { fill: var(--s32) } .s37 { fill: var(--s37) }
";

/// Returns a picture of `ansi` in a window of 100 columns with this title.
pub(super) fn picture(title: &str, ansi: &str) -> String {
    let lines: Vec<&str> = ansi.trim_end().lines().collect();
    let (width, height) = (100 * COLUMN + 2 * MARGIN, BAR + lines.len() * LINE + MARGIN);
    let (inner, bar) = (width - 1, BAR - 8);
    let title = escape(title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{inner}\" height=\"{}\" rx=\"9\"/>\n\
         <path class=\"bar\" d=\"M1 {bar}V10a9 9 0 0 1 9-9H{}a9 9 0 0 1 9 9V{bar}z\"/>\n",
        height - 1,
        width - 10,
    );
    for dot in 0..3 {
        put(&mut out, format_args!("<circle class=\"dot\" cx=\"{}\" cy=\"16.5\" r=\"5.5\"/>\n", MARGIN + 18 * dot));
    }
    put(
        &mut out,
        format_args!("<text class=\"s2\" x=\"{}\" y=\"21\" text-anchor=\"middle\">{title}</text>\n", width / 2),
    );
    for (number, line) in lines.iter().enumerate() {
        let y = BAR + number * LINE + 14;
        for Run { column, style, text } in runs(line) {
            let (x, columns) = (MARGIN + column * COLUMN, text.chars().count());
            let class = if style.is_empty() { String::new() } else { format!(" class=\"s{style}\"") };
            let (long, text) = (columns * COLUMN, escape(text));
            put(&mut out, format_args!("<text{class} x=\"{x}\" y=\"{y}\" textLength=\"{long}\">{text}</text>\n"));
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Text of one style.
struct Run<'a> {
    column: usize,
    /// The number of the SGR sequence before the text; empty if there was none.
    style: &'a str,
    text: &'a str,
}

/// Splits a line into runs, without the spaces between them.
fn runs(line: &str) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut column = 0;
    for (place, piece) in line.split('\x1b').enumerate() {
        let (style, text) = match piece.strip_prefix('[').and_then(|piece| piece.split_once('m')) {
            Some((style, text)) if place > 0 => (if style == "0" { "" } else { style }, text),
            _ => ("", piece),
        };
        // Two or more spaces often separate columns. Each column is a run of its own, so that it can't shift the next.
        let mut rest = text;
        while !rest.is_empty() {
            let blank = rest.len() - rest.trim_start_matches(' ').len();
            column += blank;
            rest = rest.get(blank..).unwrap_or_default();
            let end = rest.find("  ").unwrap_or(rest.len());
            let (text, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
            if !text.is_empty() {
                runs.push(Run { column, style, text });
            }
            column += text.chars().count();
            rest = tail;
        }
    }
    runs
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Appends to a string, which does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _: std::fmt::Result = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_runs_keep_their_columns_and_colours() {
        let found = runs("  \x1b[2m0000\x1b[0m  \x1b[94m00\x1b[0m \x1b[94m01\x1b[0m   a b  c");
        let found: Vec<_> = found.iter().map(|run| (run.column, run.style, run.text)).collect();
        assert_eq!(found, [(2, "2", "0000"), (8, "94", "00"), (11, "94", "01"), (16, "", "a b"), (21, "", "c")]);
    }

    #[test]
    fn text_is_escaped() {
        let svg = picture("a & b", "\x1b[31m</text><script>\x1b[0m \"x\"\n");
        assert!(svg.contains("<title>a &amp; b</title>") && svg.contains("&lt;/text&gt;&lt;script&gt;"), "{svg}");
        assert!(!svg.contains("<script"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
