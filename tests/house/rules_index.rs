//! Checks `docs/rules.md`: each rule names the items that implement it and the tests that check it, and all of them exist.
//!
//! ```text
//! [`src/wire/timeout.rs`](../src/wire/timeout.rs) `parse`
//! ```
//!
//! The page names items, not lines, so an edit elsewhere in a file does not change it.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The numbers of the rules.
const RULES: RangeInclusive<usize> = 1..=81;

/// A row of one of the page's tables.
struct Row {
    number: usize,
    rule: String,
    code: Vec<Link>,
    tests: Vec<Link>,
    /// The text of the last column, which gives a reason if it does not name a test.
    reason: String,
}

/// An item of a file.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    file: String,
    /// `Type::method`, `tests::name`: the containers, and the item itself.
    item: String,
}

#[test]
fn rules_are_complete_and_in_order() {
    let numbers: Vec<usize> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, RULES.collect::<Vec<_>>());
}

#[test]
fn every_rule_has_code_and_a_test_or_a_reason() {
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
fn every_named_item_exists() {
    let (page, mut files) = (page(), Files::default());
    let dead: Vec<String> = links(&page).filter_map(|link| files.check(&link).err()).collect();
    assert!(dead.is_empty(), "docs/rules.md:\n{}", dead.join("\n"));
}

#[test]
fn code_column_names_code_and_test_column_names_tests() {
    let mut files = Files::default();
    for Row { number, code, tests, .. } in rows() {
        for link in code {
            assert!(
                link.file.starts_with("src/") && !link.item.contains("tests::"),
                "rule {number}: {link} is not code"
            );
        }
        for link in tests {
            assert!(
                files.text(&link.file).is_ok_and(|text| text.is_test(&link.item)),
                "rule {number}: {link} is not a test"
            );
        }
    }
}

/// Tests the checks above: a page that names missing items fails them.
#[test]
fn dead_links_are_found() {
    let here = "tests/house/rules_index.rs";
    let mut files = Files::default();
    let mut check = |file: &str, item: &str| files.check(&Link { file: file.into(), item: item.into() }).is_ok();
    for item in ["Text::is_test", "Text", "Link::item", "RULES", "dead_links_are_found"] {
        assert!(check(here, item), "{item}");
    }
    for item in ["Text::no_such_thing", "Row::is_test", "is_test", "no_such_thing", "RULE", "found"] {
        assert!(!check(here, item), "{item}");
    }
    assert!(!check("tests/house/no_such_file.rs", "Text"));
    let text = Text::of(here).expect("it is this file");
    assert!(text.is_test("dead_links_are_found") && !text.is_test("Text::is_test"));
    for malformed in ["[`src/lib.rs`](../src/wire/mod.rs) `parse`", "[`src/lib.rs:1`](../src/lib.rs#L1) `parse`"] {
        assert!(std::panic::catch_unwind(|| links(malformed).count()).is_err(), "{malformed}");
    }
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

/// Returns the links to files of this repository, each with the item after it.
fn links(text: &str) -> impl Iterator<Item = Link> {
    text.split("[`").skip(1).filter(|rest| rest.contains("](../src/") || rest.contains("](../tests/")).map(|rest| {
        let link = || -> Option<Link> {
            let (file, rest) = rest.split_once("`](../")?;
            let (target, rest) = rest.split_once(") `")?;
            let item = rest.split_once('`')?.0;
            (target == file && file.ends_with(".rs")).then(|| Link { file: file.into(), item: item.into() })
        };
        link().unwrap_or_else(|| panic!("not [`file`](../file) `item`: {rest}"))
    })
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { file, item } = self;
        write!(f, "[`{file}`](../{file}) `{item}`")
    }
}

/// The files that the page names, each read once.
#[derive(Default)]
struct Files(HashMap<String, Option<Text>>);

impl Files {
    fn text(&mut self, file: &str) -> Result<&Text, String> {
        let text = self.0.entry(file.to_owned()).or_insert_with(|| Text::of(file));
        text.as_ref().ok_or_else(|| format!("{file} can't be read"))
    }

    fn check(&mut self, link: &Link) -> Result<(), String> {
        let spans = self.text(&link.file)?.spans(&link.item);
        if spans.is_empty() { Err(format!("{link}: the file has no such item")) } else { Ok(()) }
    }
}

/// The lines of a file, as rustfmt indents them.
struct Text(Vec<String>);

impl Text {
    fn of(file: &str) -> Option<Text> {
        let text = fs::read_to_string(path(file)).ok()?;
        Some(Text(text.lines().map(str::to_owned).collect()))
    }

    /// Returns the line ranges of the items with this path, from their comments and attributes to their end, from 1.
    fn spans(&self, item: &str) -> Vec<RangeInclusive<usize>> {
        let path: Vec<&str> = item.split("::").collect();
        let mut spans = vec![1..=self.0.len()];
        for (depth, name) in path.iter().enumerate() {
            let is_last = depth + 1 == path.len();
            spans = spans.into_iter().flat_map(|outer| self.within(outer, name, depth, is_last)).collect();
        }
        spans
    }

    /// Returns the line ranges of the items with this name inside another item. Looks into `impl` blocks.
    fn within(
        &self,
        outer: RangeInclusive<usize>,
        name: &str,
        depth: usize,
        is_last: bool,
    ) -> Vec<RangeInclusive<usize>> {
        let is_wanted = |line: &str| match line.strip_prefix(&" ".repeat(4 * depth)) {
            Some(line) if line.starts_with("impl") => !is_last && words(line).contains(&name),
            Some(line) => declares(line, name),
            None => false,
        };
        outer.filter(|line| is_wanted(&self.0[line - 1])).map(|line| self.span(line)).collect()
    }

    /// Returns the lines from the comments above a declaration to its closing bracket, which has the same indentation.
    fn span(&self, declaration: usize) -> RangeInclusive<usize> {
        let index = declaration - 1;
        let above = self.0[..index].iter().rev().take_while(|line| is_attribute(line)).count();
        let indent = indent(&self.0[index]);
        let closes = |line: &String| indent == self::indent(line) && line.trim_start().starts_with(['}', ']']);
        let is_whole = self.0[index].ends_with([';', ',']) || self.0[index].ends_with('}');
        let below = if is_whole { 0 } else { self.0[index + 1..].iter().position(closes).map_or(0, |at| at + 1) };
        declaration - above..=declaration + below
    }

    /// Returns true if the item is a function with an attribute that makes it a test.
    fn is_test(&self, item: &str) -> bool {
        self.spans(item).into_iter().any(|span| {
            span.map(|line| self.0[line - 1].trim())
                .take_while(|line| is_attribute(line))
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        })
    }
}

/// Returns true if a line, without its indent, declares an item of this name: a function, a type, a constant, a module, a
/// field, a variant.
fn declares(line: &str, name: &str) -> bool {
    let words = words(line);
    let is_named = |keyword: &str| words.windows(2).any(|pair| pair == [keyword, name]);
    match line {
        _ if line.starts_with("//") || line.starts_with(['#', ' ']) => false,
        _ if ["fn", "struct", "enum", "trait", "mod"].iter().any(|keyword| is_named(keyword)) => true,
        _ if is_named("const") || is_named("static") => line.contains(" = ") || line.ends_with('='),
        _ => match line.strip_prefix("pub ").unwrap_or(line).strip_prefix(name) {
            Some(rest) if rest.starts_with(": ") => rest.ends_with(','),
            Some(rest) => name.starts_with(char::is_uppercase) && (rest == "," || rest == " {" || rest.ends_with("),")),
            None => false,
        },
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty()).collect()
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
