//! Compares documents with the code. `programs/tests/programs/documents.rs` compares those that show a program's output.

/// Asserts that the table of docs/security.md lists every limit once.
#[test]
fn limits_are_documented() {
    let table = include_str!("../docs/security.md");
    let names = include_str!("../src/limits.rs").lines().filter_map(|line| line.strip_prefix("pub(crate) const "));
    for name in names.map(|rest| rest.split(':').next().unwrap_or_default()) {
        assert_eq!(table.matches(&format!("| `{name}` |")).count(), 1, "{name} in docs/security.md");
    }
}
