//! `docs/rules.md` is held to the tree: every line that it names is in the item that stands behind it, and every rule has a
//! test or says why not.
//!
//! ```text
//! [`src/wire/timeout.rs:31`](../src/wire/timeout.rs#L31) `parse`
//! ```
//!
//! Code moves: `UPDATE_RULES=1 cargo test --test rules_index` writes the page anew, with every link on the line where its item
//! is declared.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The rules of one connection, by the numbers they have on the page.
const RULES: RangeInclusive<usize> = 1..=68;

/// A line of one of the page's tables.
struct Row {
    number: usize,
    rule: String,
    code: Vec<Link>,
    tests: Vec<Link>,
    /// What the last column says where it names no test.
    reason: String,
}

/// A line of a file, and the item that it belongs to.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    file: String,
    line: usize,
    /// `Type::method`, `tests::name`: the containers, and the item itself.
    item: String,
}

#[test]
fn every_rule_has_its_line_and_they_are_in_order() {
    let numbers: Vec<usize> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, RULES.collect::<Vec<_>>());
}

#[test]
fn every_rule_is_kept_somewhere_and_has_a_test_or_says_why_not() {
    for Row { number, rule, code, tests, reason } in rows() {
        assert!(!rule.is_empty(), "rule {number} says nothing");
        if tests.is_empty() {
            let (not_yet, why) = reason.split_once(": ").unwrap_or((&reason, ""));
            assert!(not_yet == "not yet" && !why.is_empty(), "rule {number} has no test and no reason: {reason:?}");
        } else {
            assert!(!code.is_empty(), "rule {number} is tested, but where is it kept?");
        }
    }
}

#[test]
fn every_link_is_to_a_line_of_its_item() {
    let page = page();
    let mut files = Files::default();
    if std::env::var_os("UPDATE_RULES").is_some() {
        return fs::write(path("docs/rules.md"), refreshed(&page, &mut files)).expect("the page can be written");
    }
    let dead: Vec<String> = links(&page).filter_map(|link| files.check(&link).err()).collect();
    assert!(dead.is_empty(), "{}\nUPDATE_RULES=1 writes the lines anew", dead.join("\n"));
}

#[test]
fn code_is_code_and_tests_are_tests() {
    let mut files = Files::default();
    for Row { number, code, tests, .. } in rows() {
        for link in code {
            assert!(
                link.file.starts_with("src/") && !link.item.contains("tests::"),
                "rule {number}: {link} is no code"
            );
        }
        for link in tests {
            assert!(files.text(&link.file).is_test(&link.item), "rule {number}: {link} is no test");
        }
    }
}

/// What the other tests rely on: a page that is wrong in one place is found to be.
#[test]
fn what_is_dead_is_found() {
    let here = "tests/rules_index.rs";
    let text = Text::of(here);
    let spans = text.spans("Text::is_test");
    let [span] = &spans[..] else { panic!("{spans:?}") };
    let mut files = Files::default();
    let mut check = |line: usize, item: &str| files.check(&Link { file: here.into(), line, item: item.into() }).is_ok();
    assert!(check(*span.start(), "Text::is_test") && check(*span.end(), "Text::is_test"));
    assert!(!check(span.end() + 1, "Text::is_test"), "behind it");
    assert!(!check(span.start() - 2, "Text::is_test"), "before it");
    assert!(!check(0, "Text") && !check(10_000, "Text"), "outside of the file");
    assert!(!check(*span.start(), "Text::no_such_thing") && !check(*span.start(), "Row::is_test"), "of another type");
    assert!(text.is_test("what_is_dead_is_found") && !text.is_test("Text::is_test"));
    let link = "[`src/lib.rs:1`](../src/lib.rs#L2) `parse`";
    assert!(std::panic::catch_unwind(|| links(link).count()).is_err(), "two lines for one");
}

fn rows() -> Vec<Row> {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.first()?.parse().ok()?;
        let [_, rule, code, tests] = cells[..] else { panic!("rule {number} has {} cells", cells.len()) };
        let (code, reason) = (links(code).collect(), tests.into());
        Some(Row { number, rule: rule.into(), code, tests: links(tests).collect(), reason })
    })
    .collect()
}

/// The links to lines of this tree; a name in backticks that ends in `.rs` and is none is a mistake.
fn links(text: &str) -> impl Iterator<Item = Link> {
    text.split("[`").skip(1).filter(|rest| rest.contains("](../src/") || rest.contains("](../tests/")).map(|rest| {
        let link = || -> Option<Link> {
            let (shown, rest) = rest.split_once("`](../")?;
            let (target, rest) = rest.split_once(") `")?;
            let (file, line) = shown.split_once(':')?;
            let link = Link { file: file.into(), line: line.parse().ok()?, item: rest.split_once('`')?.0.into() };
            (target == format!("{file}#L{line}")).then_some(link)
        };
        link().unwrap_or_else(|| panic!("no file, line and item: {rest}"))
    })
}

/// The page with every link on the line where its item is declared.
fn refreshed(page: &str, files: &mut Files) -> String {
    links(page).fold(page.to_owned(), |page, link| {
        let spans = files.text(&link.file).spans(&link.item);
        let [span, ..] = &spans[..] else { panic!("{link}: there is no such item") };
        let line = files.text(&link.file).declaration(span);
        page.replace(&link.to_string(), &Link { line, ..link }.to_string())
    })
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { file, line, item } = self;
        write!(f, "[`{file}:{line}`](../{file}#L{line}) `{item}`")
    }
}

/// The files that the page names, each read once.
#[derive(Default)]
struct Files(HashMap<String, Text>);

impl Files {
    fn text(&mut self, file: &str) -> &Text {
        self.0.entry(file.to_owned()).or_insert_with(|| Text::of(file))
    }

    fn check(&mut self, link: &Link) -> Result<(), String> {
        let spans = self.text(&link.file).spans(&link.item);
        match spans.iter().any(|span| span.contains(&link.line)) {
            true => Ok(()),
            false if spans.is_empty() => Err(format!("{link}: there is no such item")),
            false => Err(format!("{link}: the item is at {spans:?}")),
        }
    }
}

/// The lines of a file, which rustfmt has indented.
struct Text(Vec<String>);

impl Text {
    fn of(file: &str) -> Text {
        let text = fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        Text(text.lines().map(str::to_owned).collect())
    }

    /// Where an item of this path stands, its comments and attributes included, by line numbers from 1.
    fn spans(&self, item: &str) -> Vec<RangeInclusive<usize>> {
        let mut spans = vec![1..=self.0.len()];
        for name in item.split("::") {
            spans = spans.into_iter().flat_map(|outer| self.within(outer, name)).collect();
        }
        spans
    }

    /// The items of this name in the lines of another.
    fn within(&self, outer: RangeInclusive<usize>, name: &str) -> Vec<RangeInclusive<usize>> {
        outer.filter(|line| declares(&self.0[line - 1], name)).map(|line| self.span(line)).collect()
    }

    /// From the comments above a declaration to the bracket that closes it, which is indented as it is.
    fn span(&self, declaration: usize) -> RangeInclusive<usize> {
        let index = declaration - 1;
        let above = self.0[..index].iter().rev().take_while(|line| is_attribute(line)).count();
        let indent = indent(&self.0[index]);
        let closes = |line: &String| indent == self::indent(line) && line.trim_start().starts_with(['}', ']']);
        let is_whole = self.0[index].ends_with([';', ',']) || self.0[index].ends_with('}');
        let below = if is_whole { 0 } else { self.0[index + 1..].iter().position(closes).map_or(0, |at| at + 1) };
        declaration - above..=declaration + below
    }

    /// The line of a span that is no comment and no attribute.
    fn declaration(&self, span: &RangeInclusive<usize>) -> usize {
        span.clone().find(|line| !is_attribute(&self.0[line - 1])).expect("a span has a declaration")
    }

    /// Whether the item is a function with an attribute that makes it a test.
    fn is_test(&self, item: &str) -> bool {
        self.spans(item).into_iter().any(|span| {
            span.map(|line| self.0[line - 1].trim())
                .take_while(|line| is_attribute(line))
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        })
    }
}

/// Whether a line begins an item of this name: a function, a type, a constant, a module, a field, an `impl` of a type.
fn declares(line: &str, name: &str) -> bool {
    let words: Vec<&str> =
        line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty()).collect();
    let line = line.trim_start();
    let is_named = |keyword: &str| words.windows(2).any(|pair| pair == [keyword, name]);
    match line {
        _ if line.starts_with("//") || line.starts_with('#') => false,
        _ if line.starts_with("impl") => words.contains(&name),
        _ if ["fn", "struct", "enum", "trait", "mod"].iter().any(|keyword| is_named(keyword)) => true,
        _ if is_named("const") || is_named("static") => line.contains(" = ") || line.ends_with('='),
        _ => line.strip_prefix("pub ").unwrap_or(line).starts_with(&format!("{name}: ")) && line.ends_with(','),
    }
}

fn is_attribute(line: &str) -> bool {
    line.trim_start().starts_with("//") || line.trim_start().starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn page() -> String {
    fs::read_to_string(path("docs/rules.md")).expect("the page is there")
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}
