//! Shared parts of the SVG drawings: one style for light and dark, and escaped text.

use std::fmt::Write as _;

/// A self-contained SVG document that is being built.
pub(super) struct Svg(String);

/// Colours follow the reader's preference for light or dark; text is monospaced.
const STYLE: &str = "\
:root{--ink:#1c2128;--dim:#6a737d;--rule:#d0d7de;--paper:#ffffff;--out:#0b62c4;--in:#1a7f37;--warn:#b42318;--shade:#fff3cd}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#8b949e;--rule:#373e47;--paper:#0d1117;--out:#6cb6ff;\
--in:#6bc46d;--warn:#ff8182;--shade:#3b2f0b}}\
.paper{fill:var(--paper)}text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:var(--ink)}\
.dim{fill:var(--dim)}.warn{fill:var(--warn)}.bold{font-weight:bold}.rule{stroke:var(--rule);fill:none}\
.out{stroke:var(--out);fill:none}.in{stroke:var(--in);fill:none}.outhead{fill:var(--out)}.inhead{fill:var(--in)}\
.shade{fill:var(--shade)}";

impl Svg {
    pub(crate) fn new(width: usize, height: usize, title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{0}\">\n<title>{0}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n",
            escape(title)
        ));
        svg
    }

    pub(crate) fn text(&mut self, x: usize, y: usize, class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        self.push(format_args!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>\n"));
    }

    pub(crate) fn line(&mut self, class: &str, [x1, y1, x2, y2]: [usize; 4]) {
        self.push(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"));
    }

    pub(crate) fn rect(&mut self, class: &str, [x, y, width, height]: [usize; 4]) {
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>\n"
        ));
    }

    /// Adds a shape by its corners: filled, or a line if `open` is true.
    pub(super) fn corners(&mut self, class: &str, open: bool, corners: &[(usize, usize)]) {
        let points: Vec<_> = corners.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let shape = if open { "polyline" } else { "polygon" };
        self.push(format_args!("<{shape} class=\"{class}\" points=\"{}\"/>\n", points.join(" ")));
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.0.write_fmt(arguments);
    }
}

/// Escapes text for markup, so that a peer's text can't become an element.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
