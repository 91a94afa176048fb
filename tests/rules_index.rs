//! `docs/rules.md` is held to the tree: every name in it exists, and every rule has a test or says why not.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/rules.md";

/// The rules of one connection, by the numbers they have on the page.
const RULES: std::ops::RangeInclusive<usize> = 1..=68;

/// A line of one of the page's tables.
struct Row {
    number: usize,
    rule: String,
    code: Vec<Name>,
    tests: Vec<Name>,
    /// What the last column says where it names no test.
    reason: String,
}

/// `file::path::to::item`, as the page names it.
#[derive(Clone, Debug)]
struct Name {
    file: String,
    item: Vec<String>,
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
fn every_name_of_code_exists() {
    let mut files = Files::default();
    for Row { number, code, .. } in rows() {
        for name in code {
            let text = files.text(&name, number);
            assert!(name.file.starts_with("src/"), "rule {number}: {name:?} is no code");
            assert!(!name.item.is_empty(), "rule {number}: {name:?} names no item");
            for item in &name.item {
                assert!(defines(text, item), "rule {number}: no {item} in {}", name.file);
            }
        }
    }
}

#[test]
fn every_name_of_a_test_is_a_test() {
    let mut files = Files::default();
    for Row { number, tests, .. } in rows() {
        for name in tests {
            let text = files.text(&name, number);
            let test = match &name.item[..] {
                [module, test] if name.file.starts_with("src/") && module == "tests" => test,
                [test] if name.file.starts_with("tests/") || name.file.ends_with("/tests.rs") => test,
                _ => panic!("rule {number}: {name:?} is no test"),
            };
            assert!(is_test(text, test), "rule {number}: {test} is no test of {}", name.file);
        }
    }
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.first()?.parse().ok()?;
        let [_, rule, code, tests] = cells[..] else { panic!("rule {number} has {} cells", cells.len()) };
        Some(Row { number, rule: rule.into(), code: names(code), tests: names(tests), reason: tests.into() })
    })
    .collect()
}

/// What stands in backticks and is a path.
fn names(cell: &str) -> Vec<Name> {
    let quoted = cell.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains(".rs"));
    quoted
        .map(|quoted| {
            let mut parts = quoted.split("::").map(str::to_owned);
            Name { file: parts.next().unwrap_or_default(), item: parts.collect() }
        })
        .collect()
}

/// Whether a file has a function, a constant or a type of this name.
fn defines(text: &str, item: &str) -> bool {
    ["fn ", "const ", "struct ", "enum ", "trait "].iter().any(|keyword| {
        text.match_indices(&format!("{keyword}{item}")).any(|(at, found)| {
            let next = text[at + found.len()..].chars().next();
            next.is_some_and(|next| !next.is_alphanumeric() && next != '_')
        })
    })
}

/// Whether a file has a function of this name under an attribute that makes it a test.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        line.contains(&declared)
            && lines[..at]
                .iter()
                .rev()
                .take_while(|above| above.starts_with('#') || above.starts_with("//"))
                .any(|above| above.starts_with("#[test]") || above.starts_with("#[tokio::test"))
    })
}

/// The files that the page names, each read once.
#[derive(Default)]
struct Files(HashMap<String, String>);

impl Files {
    fn text(&mut self, name: &Name, number: usize) -> &str {
        self.0.entry(name.file.clone()).or_insert_with(|| {
            fs::read_to_string(root().join(&name.file)).unwrap_or_else(|_| panic!("rule {number}: no {}", name.file))
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
