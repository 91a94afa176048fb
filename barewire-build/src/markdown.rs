//! Turns a comment of a `.proto` file into lines of rustdoc.
//!
//! rustdoc reads Markdown, authors of `.proto` files often write plain text. Three things would go wrong: indented text would be
//! compiled as a Rust example, `[names]` in brackets would be taken for links to Rust items, and `<names>` in angle brackets for
//! HTML. The lines that this module writes show the text as its author wrote it, and keep lists, code and links to web pages.

/// Returns the lines of a doc comment, without `///`; none if the comment has no text.
pub(crate) fn to_docs(comment: &str) -> Vec<String> {
    let lines: Vec<String> = comment.lines().map(clean).collect();
    let filled = lines.iter().filter(|line| !line.is_empty());
    let margin = filled.map(|line| indentation(line)).min().unwrap_or_default();
    let mut page = Page::default();
    for line in &lines {
        page.push(line.get(margin..).unwrap_or_default());
    }
    page.finish()
}

/// Replaces tabs and other control characters by spaces, and drops characters that change the direction of text, which rustc
/// refuses in comments.
fn clean(line: &str) -> String {
    let mut cleaned = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter {
            '\t' => cleaned.extend(std::iter::repeat_n(' ', 4 - cleaned.chars().count() % 4)),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            control if control.is_control() => cleaned.push(' '),
            other => cleaned.push(other),
        }
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The doc comment so far.
struct Page {
    lines: Vec<String>,
    /// The list items around the next line, outermost first.
    items: Vec<Item>,
    /// True at the beginning and after an empty line.
    after_blank: bool,
    verbatim: Verbatim,
}

/// A list item.
struct Item {
    /// The column of its text in the comment.
    column: usize,
    /// The column of its text in the doc comment.
    shown: usize,
    ordered: bool,
}

/// Text that is shown unchanged.
enum Verbatim {
    No,
    /// The author's fence of this many backticks or tildes, its column in the comment, and its column here.
    Fence {
        mark: char,
        length: usize,
        column: usize,
        shown: usize,
    },
    /// Text indented to this column in the comment or further, and its column here. Empty lines are held back until more follows.
    Indented {
        column: usize,
        shown: usize,
        blank: usize,
    },
}

/// The fence around indented text, longer than those in it.
const FENCE: &str = "````";

impl Default for Page {
    fn default() -> Page {
        Page { lines: Vec::new(), items: Vec::new(), after_blank: true, verbatim: Verbatim::No }
    }
}

impl Page {
    fn push(&mut self, line: &str) {
        match self.verbatim {
            Verbatim::Fence { mark, length, column, shown } => {
                let text = line.trim();
                if text.chars().count() >= length && text.chars().all(|letter| letter == mark) {
                    self.verbatim = Verbatim::No;
                    self.after_blank = false;
                    return self.put(shown, text);
                }
                self.put(shown, &line[column.min(indentation(line))..]);
            }
            Verbatim::Indented { column, shown, ref mut blank } => {
                if line.is_empty() {
                    *blank += 1;
                    return;
                }
                let empty = std::mem::take(blank);
                if indentation(line) < column {
                    self.put(shown, FENCE);
                    self.verbatim = Verbatim::No;
                    self.after_blank = empty > 0;
                    self.lines.extend(std::iter::repeat_n(String::new(), empty));
                    return self.paragraph(line);
                }
                self.lines.extend(std::iter::repeat_n(String::new(), empty));
                self.put_indented(shown, &line[column..]);
            }
            Verbatim::No if line.is_empty() => {
                self.after_blank = true;
                self.lines.push(String::new());
            }
            Verbatim::No => self.paragraph(line),
        }
    }

    /// Writes a line of text, or begins verbatim text.
    fn paragraph(&mut self, line: &str) {
        let column = indentation(line);
        let text = &line[column..];
        let begun = std::mem::replace(&mut self.after_blank, false);
        let around = self.items.iter().rev().find(|item| item.column <= column);
        let (inner, shown) = around.map_or((0, 0), |item| (item.column, item.shown));
        if begun && column >= inner + 4 {
            self.leave(column);
            self.put(shown, &format!("{FENCE}text"));
            self.verbatim = Verbatim::Indented { column: inner + 4, shown, blank: 0 };
            return self.put_indented(shown, &line[inner + 4..]);
        }
        if let Some((mark, length)) = fence(text) {
            self.leave(column);
            self.verbatim = Verbatim::Fence { mark, length, column, shown };
            return self.put(shown, &format!("{}text", &text[..length]));
        }
        if let Some(marker) = Marker::of(text) {
            let sibling = self.items.iter().any(|item| item.column > column && item.ordered);
            // Other numbers in the middle of a paragraph are part of its text.
            if begun || sibling || marker.begins_list {
                self.leave(column);
                let rest = text[marker.width..].trim_start_matches(' ');
                self.put(shown, &format!("{} {}", &text[..marker.width], escape_start(&inline(rest))));
                let (column, shown) = (column + text.len() - rest.len(), shown + marker.width + 1);
                self.items.push(Item { column, shown, ordered: marker.ordered });
                return;
            }
        }
        if begun {
            self.leave(column);
        }
        // Without an empty line before it, text continues the innermost item, however it is indented.
        let shown = self.items.last().map_or(0, |item| item.shown);
        self.put(shown, &escape_start(&inline(text)));
    }

    /// Ends the list items whose text begins to the right of this column.
    fn leave(&mut self, column: usize) {
        while self.items.pop_if(|item| item.column > column).is_some() {}
    }

    fn put(&mut self, shown: usize, text: &str) {
        self.lines.push(match text {
            "" => String::new(),
            text => format!("{:shown$}{text}", ""),
        });
    }

    /// Writes a line between two [`FENCE`]s, which it must not end.
    fn put_indented(&mut self, shown: usize, text: &str) {
        match text.trim_start().starts_with(FENCE) {
            true => self.put(shown, FENCE.trim_end_matches('`')),
            false => self.put(shown, text),
        }
    }

    fn finish(mut self) -> Vec<String> {
        match self.verbatim {
            Verbatim::No => {}
            Verbatim::Fence { mark, length, shown, .. } => {
                self.put(shown, &String::from(mark).repeat(length));
            }
            Verbatim::Indented { shown, .. } => self.put(shown, FENCE),
        }
        let first = self.lines.iter().position(|line| !line.is_empty()).unwrap_or(self.lines.len());
        self.lines.drain(..first);
        while self.lines.pop_if(|line| line.is_empty()).is_some() {}
        self.lines
    }
}

/// Returns the character and the length of a fence that begins here.
fn fence(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = text.len() - text.trim_start_matches(mark).len();
    (length >= 3 && !text[length..].contains('`')).then_some((mark, length))
}

/// The beginning of a list item: `-`, `*`, `+`, `1.` or `1)`.
struct Marker {
    width: usize,
    ordered: bool,
    /// True for a bullet and the number 1, which may follow a line of text without an empty line.
    begins_list: bool,
}

impl Marker {
    /// Returns the marker at the beginning of a line, if text follows it.
    fn of(text: &str) -> Option<Marker> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let after = text[digits..].chars().next()?;
        let matches = match digits {
            0 => matches!(after, '-' | '*' | '+'),
            1..=9 => matches!(after, '.' | ')'),
            _ => false,
        };
        let width = digits + 1;
        let begins_list = digits == 0 || text[..digits].parse() == Ok(1);
        let follows = matches && text[width..].starts_with(' ') && !text[width..].trim().is_empty();
        follows.then_some(Marker { width, ordered: digits > 0, begins_list })
    }
}

/// Escapes what would begin a list, a quotation or a fence.
fn escape_start(text: &str) -> String {
    match Marker::of(text) {
        Some(marker) => format!("{}\\{}", &text[..marker.width - 1], &text[marker.width - 1..]),
        None if text.starts_with('>') || text.starts_with("~~~") => format!("\\{text}"),
        None => text.to_owned(),
    }
}

/// Escapes the brackets of a line, except in code, and makes links of addresses.
fn inline(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = match letter {
            '`' => code(rest, &mut line),
            '<' | 'h' => address(rest, &mut line),
            '[' => link(rest, &mut line),
            '\\' if rest[1..].starts_with(|next: char| next.is_ascii_punctuation()) => {
                line.push_str(&rest[..2]);
                2
            }
            _ => 0,
        };
        if taken == 0 {
            if matches!(letter, '`' | '<' | '[' | ']') {
                line.push('\\');
            }
            line.push(letter);
        }
        rest = &rest[taken.max(letter.len_utf8())..];
    }
    line
}

/// Copies `` `code` `` and returns its length; 0 if it does not end on this line.
fn code(text: &str, line: &mut String) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let mut place = ticks;
    while let Some(found) = text[place..].find('`') {
        let begin = place + found;
        let run = text[begin..].len() - text[begin..].trim_start_matches('`').len();
        place = begin + run;
        if run == ticks {
            line.push_str(&text[..place]);
            return place;
        }
    }
    line.push_str(&"\\`".repeat(ticks));
    ticks
}

/// Writes `https://…` or `<https://…>` as a link and returns its length; 0 if the text does not begin with one.
fn address(text: &str, line: &mut String) -> usize {
    let bare = text.strip_prefix('<').unwrap_or(text);
    let Some(scheme) = ["https://", "http://"].into_iter().find(|scheme| bare.starts_with(scheme)) else { return 0 };
    let ends = |letter: char| {
        letter.is_whitespace() || matches!(letter, '<' | '>' | ')' | '"' | '\'' | '`' | '[' | ']' | '\\')
    };
    let url = &bare[..bare.find(ends).unwrap_or(bare.len())];
    let closed = text.len() > bare.len() && bare[url.len()..].starts_with('>');
    if text.len() > bare.len() && !closed {
        return 0;
    }
    let url = if closed { url } else { url.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '_']) };
    if url.len() <= scheme.len() {
        return 0;
    }
    line.push_str(&format!("<{url}>"));
    url.len() + if closed { 2 } else { 0 }
}

/// Writes a link and returns its length; 0 if the text begins with none. `[text](https://…)` stays, and of `[Text][pkg.Name]`, which
/// names something in a `.proto` file, the text stays.
fn link(text: &str, line: &mut String) -> usize {
    let Some(close) = text.find(']') else { return 0 };
    let (shown, after) = (&text[1..close], &text[close + 1..]);
    if shown.is_empty() || shown.contains(['[', '`', '\\', '<']) {
        return 0;
    }
    if let Some(target) = after.strip_prefix('(') {
        let Some(end) = target.find(')') else { return 0 };
        let url = &target[..end];
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !web || url.contains(|letter: char| letter.is_whitespace() || matches!(letter, '(' | '<' | '>' | '"' | '\\'))
        {
            return 0;
        }
        line.push_str(&format!("[{}](<{url}>)", plain(shown)));
        return close + 2 + end + 1;
    }
    let Some(end) = after.strip_prefix('[').and_then(|name| name.find(']')) else { return 0 };
    line.push_str(&format!("`{}`", shown.trim()));
    close + 1 + 1 + end + 1
}

/// Takes the scheme from an address within the text of a link, where no further link may stand.
fn plain(shown: &str) -> String {
    shown.replace("https://", "").replace("http://", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(comment: &str) -> String {
        to_docs(comment).join("\n")
    }

    #[test]
    fn text_stays_as_it_is() {
        assert_eq!(shown(" One line.\n"), "One line.");
        assert_eq!(shown("\n One.\n\n Two,\n in lines.\n \n"), "One.\n\nTwo,\nin lines.");
        assert_eq!(
            shown(" # Title\n *emphasis* and **strong**, `code [0] <T>`."),
            "# Title\n*emphasis* and **strong**, `code [0] <T>`."
        );
        assert_eq!(to_docs("").len() + to_docs(" \n\n  ").len(), 0);
    }

    #[test]
    fn indented_text_is_shown_in_a_fence_that_is_not_rust() {
        assert_eq!(shown(" A:\n\n     let x;\n\n       y\n\n End."), "A:\n\n````text\nlet x;\n\n  y\n````\n\nEnd.");
        assert_eq!(shown(" A\n\n     b\n"), "A\n\n````text\nb\n````");
        assert_eq!(shown(" A\n\n     ````\n     b"), "A\n\n````text\n\nb\n````");
        // Without an empty line before it, it is the rest of a paragraph.
        assert_eq!(shown(" A\n         b"), "A\nb");
        // A tab reaches to the next multiple of four.
        assert_eq!(shown(" A\n\n\tb"), "A\n\nb");
        assert_eq!(shown("A\n\n\tb"), "A\n\n````text\nb\n````");
    }

    #[test]
    fn fences_are_not_rust_and_end() {
        assert_eq!(shown(" ```\n a [b]\n ```\n [c]"), "```text\na [b]\n```\n\\[c\\]");
        assert_eq!(shown(" ```rust,should_panic\n a\n"), "```text\na\n```");
        assert_eq!(shown(" ~~~~ json\n ~~~\n ~~~~\n"), "~~~~text\n~~~\n~~~~");
        assert_eq!(shown(" ```no fence``` here"), "```no fence``` here");
    }

    #[test]
    fn lists_keep_their_nesting() {
        assert_eq!(shown(" - a\n   - b\n     c\n - d"), "- a\n  - b\n    c\n- d");
        assert_eq!(shown(" 1. a\n b\n\n    c\n 2. d\n\n e"), "1. a\n   b\n\n   c\n2. d\n\ne");
        assert_eq!(shown(" -     a\n        b"), "- a\n  b");
        assert_eq!(shown(" * a\n\n       let x;\n"), "* a\n\n  ````text\n  let x;\n  ````");
        // A number in the middle of a paragraph begins no list.
        assert_eq!(shown(" In\n 2026. Text\n\n      b"), "In\n2026\\. Text\n\n````text\n b\n````");
        assert_eq!(shown(" - - a"), "- \\- a");
        assert_eq!(shown(" > a"), "\\> a");
    }

    #[test]
    fn brackets_are_no_links_and_no_html() {
        assert_eq!(shown("[a] <b> c[0] [d](e) [f]: g"), "\\[a\\] \\<b> c\\[0\\] \\[d\\](e) \\[f\\]: g");
        assert_eq!(shown("[Name][pkg.Name] and [other][]"), "`Name` and `other`");
        assert_eq!(shown("[text](https://a.b/c)"), "[text](<https://a.b/c>)");
        assert_eq!(shown("\\[a\\] \\<b\\>"), "\\[a\\] \\<b\\>");
        assert_eq!(shown("`a [b"), "\\`a \\[b");
        assert_eq!(shown("``a ` [b]`` [c]"), "``a ` [b]`` \\[c\\]");
    }

    #[test]
    fn addresses_are_links() {
        assert_eq!(shown("See https://a.b/c, (http://d.e)."), "See <https://a.b/c>, (<http://d.e>).");
        assert_eq!(shown("<https://a.b/c.>"), "<https://a.b/c.>");
        assert_eq!(shown("https:// <http:// h"), "https:// \\<http:// h");
    }

    #[test]
    fn characters_that_rustc_refuses_are_taken_away() {
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{0}d\re"), "abc d e");
    }

    /// Whatever stands in a comment: outside of fences no line is indented like code after an empty line, unless it is in a list.
    #[test]
    fn no_line_becomes_code_by_accident() {
        let pieces = [
            "",
            "a",
            "- b",
            "  - c",
            "1. d",
            "7. e",
            "     f",
            "         g",
            "```",
            "~~~",
            "> h",
            "    - i",
            "===",
            "# j",
        ];
        let mut random = 1_u64;
        for _ in 0..20_000 {
            let mut comment = String::new();
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                comment.push_str(pieces[(random >> 33) as usize % pieces.len()]);
                comment.push('\n');
            }
            let docs = to_docs(&comment);
            let (mut fence, mut list, mut blank) = (None::<String>, false, true);
            for line in &docs {
                let text = line.trim_start();
                match &fence {
                    Some(closing) if text == closing => fence = None,
                    Some(_) => {}
                    None if text.starts_with("```") || text.starts_with("~~~") => {
                        assert!(text.ends_with("text"), "{comment:?} {docs:?}");
                        fence = Some(text.trim_end_matches("text").to_owned());
                    }
                    None => {
                        list = list && (!blank || line.starts_with(' ')) || Marker::of(text).is_some();
                        assert!(list || !line.starts_with("    "), "{comment:?} {docs:?}");
                    }
                }
                blank = line.is_empty();
            }
            assert_eq!(fence, None, "{comment:?} {docs:?}");
        }
    }
}
