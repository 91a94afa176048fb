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

/// Returns the names of the features in Cargo.toml.
fn features() -> Vec<&'static str> {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    entries.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).filter(|name| *name != "default").collect()
}

/// Asserts that the front page of the documentation lists every feature, and no other.
#[test]
fn features_are_documented() {
    let page = include_str!("../src/lib.rs");
    let section = page.lines().skip_while(|line| *line != "//! # Features").skip(1);
    let rows: Vec<&str> =
        section.map_while(|line| line.strip_prefix("//!")).filter(|line| line.contains(" | ")).collect();
    let features = features();
    assert!(features.len() >= 10, "{features:?}");
    for feature in &features {
        let listed = rows.iter().filter(|row| row.contains(&format!("`{feature}`"))).count();
        assert_eq!(listed, 1, "`{feature}` in the table of features of src/lib.rs");
    }
    for row in &rows[1..] {
        let feature = row.split('`').nth(1).expect("a row begins with the name of a feature");
        assert!(
            features.contains(&feature),
            "{feature} is in the table of features of src/lib.rs, and not in Cargo.toml"
        );
    }
}

/// Asserts that the documentation of every public type and trait of the core and of the transports has an example, or names the
/// type that has one.
#[test]
fn public_types_have_examples() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<_> =
        ["call", "client", "compression", "io", "server", "testing", "transport"].map(|name| root.join(name)).into();
    let mut files: Vec<_> =
        ["code", "limits", "metadata", "method", "status"].map(|name| root.join(name).with_extension("rs")).into();
    while let Some(folder) = folders.pop() {
        for path in
            std::fs::read_dir(folder).expect("a folder of the source").map(|entry| entry.expect("a file").path())
        {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let mut found = 0;
    let mut missing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the source");
        let mut documentation = String::new();
        for line in text.lines() {
            if line.starts_with("pub struct ") || line.starts_with("pub enum ") || line.starts_with("pub trait ") {
                found += 1;
                let example = documentation.contains("```")
                    || documentation.contains("has an example.")
                    || documentation.contains("have examples.");
                if !example {
                    missing.push(format!("{}: {line}", file.display()));
                }
            }
            match line.starts_with("///") {
                true => documentation.push_str(line),
                false if line.starts_with("#[") => {}
                false => documentation.clear(),
            }
        }
    }
    assert!(found > 60, "{found} types are found");
    assert!(missing.is_empty(), "these types have no example:\n{}", missing.join("\n"));
}
