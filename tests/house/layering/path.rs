//! Checks the files that `docs/ARCHITECTURE.md` lists for the path of a unary call: each is used by one above it, they are few,
//! and the page gives their lengths.
//!
//! `UPDATE_PATH=1 cargo test --test house path` writes the lengths into the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::circles::arrows;
use super::source::{Source, library};

/// The most files of a path, and the most lines without unit tests.
const MOST_FILES: usize = 10;
const MOST_LINES: usize = 2600;

/// The sections of the page, each with a table of the files.
const SERVER: &str = "## The path of a unary call on the server";
const CLIENT: &str = "The path on the client:";

/// A row of a table: its position in the page, the file, and the number of lines that the page gives.
struct Row {
    at: usize,
    file: String,
    lines: usize,
}

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md")
}

/// Reads the table of a section.
fn rows(text: &str, section: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != section).skip(1);
    let table = lines.skip_while(|(_, line)| !line.starts_with('|')).take_while(|(_, line)| line.starts_with('|'));
    let cell = |line: &str, number: usize| line.split('|').nth(number).unwrap_or_default().trim().to_owned();
    table
        .skip(2)
        .map(|(at, line)| Row {
            at,
            file: format!("src/{}", cell(line, 2).trim_matches('`')),
            lines: cell(line, 3).parse().expect("the third column is a number"),
        })
        .collect()
}

#[test]
fn path_of_a_unary_call_is_short() {
    let text = fs::read_to_string(page()).expect("the page can be read");
    let text = if std::env::var_os("UPDATE_PATH").is_some() { updated(&text) } else { text };
    let lengths = lengths();
    let arrows = arrows(&library().iter().collect::<Vec<_>>());
    for section in [SERVER, CLIENT] {
        let rows = rows(&text, section);
        assert!(rows.len() > 5, "{section}: the table is found");
        assert!(rows.len() <= MOST_FILES, "{section}: {} files", rows.len());
        for (number, Row { file, lines, .. }) in rows.iter().enumerate() {
            let length = lengths.get(file.as_str()).unwrap_or_else(|| panic!("{file} does not exist"));
            assert_eq!(
                lines, length,
                "the page gives {file} another length: UPDATE_PATH=1 cargo test --test house path"
            );
            let above = rows.iter().take(number).any(|row| arrows[row.file.as_str()].contains(file.as_str()));
            assert!(number == 0 || above, "{section}: no file above {file} uses it");
        }
        let whole: usize = rows.iter().map(|row| row.lines).sum();
        assert!(whole <= MOST_LINES, "{section}: {whole} lines");
    }
}

fn lengths() -> BTreeMap<&'static str, usize> {
    library().iter().map(|source: &Source| (source.path.as_str(), source.product_lines())).collect()
}

/// Updates the lengths in the page, writes it, and returns it.
fn updated(text: &str) -> String {
    let lengths = lengths();
    let rows: BTreeMap<usize, Row> =
        [SERVER, CLIENT].iter().flat_map(|section| rows(text, section)).map(|row| (row.at, row)).collect();
    let lines = text.lines().enumerate().map(|(at, line)| match rows.get(&at) {
        None => format!("{line}\n"),
        Some(Row { file, lines, .. }) => {
            let length = lengths.get(file.as_str()).unwrap_or_else(|| panic!("{file} does not exist"));
            format!("{}\n", line.replacen(&format!("| {lines} |"), &format!("| {length} |"), 1))
        }
    });
    let text: String = lines.collect();
    fs::write(page(), &text).expect("the page can be written");
    text
}
