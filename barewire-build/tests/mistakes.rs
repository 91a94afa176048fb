//! Compiles `.proto` files with mistakes, and reads the errors.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use barewire_build::Error;

/// A folder with these files, of a test with this name.
fn folder(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes").join(test);
    // What an earlier run left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("out")).expect("a folder can be made");
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }
    folder
}

fn compile_in(folder: &Path, file: &str) -> Result<(), Error> {
    barewire_build::configure().client(true).server(true).out_dir(folder.join("out")).compile(&[file], &[folder])
}

/// Compiles `a.proto` and returns the error without the name of the folder.
fn mistake(test: &str, files: &[(&str, &str)]) -> String {
    let folder = folder(test, files);
    let error = compile_in(&folder, "a.proto").expect_err("it has a mistake");
    let text = error.to_string();
    assert_eq!(format!("{error:?}"), text, "a build.rs shows the same");
    assert!(error.source().is_none());
    if let (Some(file), Some(line), Some(column)) = (error.file(), error.line(), error.column()) {
        assert!(text.starts_with(&format!("{}:{line}:{column}: ", file.display())), "{text}");
    }
    assert!(!text.contains('\n'), "one line: {text}");
    text.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn syntax_error_names_file_line_column_and_the_expected_token() {
    let text = "syntax = \"proto3\";\n\nservice Words {\n  rpc Shout(Text) {\n}\n";
    assert_eq!(mistake("token", &[("a.proto", text)]), "a.proto:4:19: expected 'returns', but found '{'");
    let text = "syntax = \"proto3\";\nmessage Text {\n  string text = 1\n}\n";
    assert_eq!(mistake("semicolon", &[("a.proto", text)]), "a.proto:4:1: expected ';' or '[', but found '}'");
    let text = "syntax = \"proto3\";\nmessage Ünicode {}\n";
    assert_eq!(mistake("letter", &[("a.proto", text)]), "a.proto:2:9: invalid token 'Ü'");
    let text = "// Ünïcode\nsyntax = \"proto3\"; /* é */ massage A {}\n";
    let error = mistake("word", &[("a.proto", text)]);
    assert!(error.starts_with("a.proto:2:28: expected 'enum', ") && error.ends_with("but found 'massage'"), "{error}");
}

#[test]
fn unfinished_file_is_reported_at_its_end() {
    let text = "syntax = \"proto3\";\nmessage Text {\n  string text = 1;\n";
    let expected = "a.proto:4:1: expected a message field, oneof, reserved range, enum, message, option or '}', but reached end of file";
    assert_eq!(mistake("unfinished", &[("a.proto", text)]), expected);
}

#[test]
fn edition_is_refused_with_the_remedy() {
    let error = mistake("edition", &[("a.proto", "edition = \"2023\";\nmessage A {}\n")]);
    assert!(error.starts_with("a.proto:1:1: expected "), "{error}");
    assert!(error.ends_with("; editions are not supported: use syntax = \"proto3\""), "{error}");
}

#[test]
fn unknown_type_is_named_at_its_place() {
    let text = "syntax = \"proto3\";\nservice Words {\n  rpc Shout(Text) returns (Texd);\n}\nmessage Text {}\n";
    assert_eq!(mistake("unknown", &[("a.proto", text)]), "a.proto:3:28: name 'Texd' is not defined");
}

#[test]
fn type_of_a_file_that_is_not_imported_names_that_file() {
    let a = "syntax = \"proto3\";\nimport \"b.proto\";\nmessage A {\n  C c = 1;\n}\n";
    let files = [
        ("a.proto", a),
        ("b.proto", "syntax = \"proto3\";\nimport \"c.proto\";\nmessage B { C c = 1; }\n"),
        ("c.proto", "syntax = \"proto3\";\nmessage C {}\n"),
    ];
    let error = mistake("not_imported", &files);
    assert!(error.starts_with("a.proto:4:3: name 'C' is not defined; "), "{error}");
    assert!(error.contains("'c.proto'"), "{error}");
}

#[test]
fn missing_import_is_named_with_the_folders() {
    let text = "syntax = \"proto3\";\n\nimport \"shop/money.proto\";\n";
    let expected =
        "a.proto:3:1: import \"shop/money.proto\" not found in: FOLDER; add the folder in which this path begins";
    assert_eq!(mistake("import", &[("a.proto", text)]), expected);
}

#[test]
fn mistake_in_an_import_names_the_imported_file() {
    let files = [
        ("a.proto", "syntax = \"proto3\";\nimport \"shop/money.proto\";\n"),
        ("shop/money.proto", "syntax = \"proto3\";\npackage shop;\nmessage Money {\n  amount = 1;\n}\n"),
    ];
    assert_eq!(mistake("imported", &files), "shop/money.proto:4:10: expected '.' or an identifier, but found '='");
}

#[test]
fn circle_of_imports_is_shown() {
    let files = [
        ("a.proto", "syntax = \"proto3\";\nimport \"b.proto\";\n"),
        ("b.proto", "syntax = \"proto3\";\nimport \"a.proto\";\n"),
    ];
    let expected = "b.proto:2:1: the imports form a circle: a.proto -> b.proto -> a.proto";
    assert_eq!(mistake("circle", &files), expected);
}

#[test]
fn import_that_is_listed_twice_is_refused() {
    let files = [
        ("a.proto", "syntax = \"proto3\";\nimport \"b.proto\";\nimport \"b.proto\";\n"),
        ("b.proto", "syntax = \"proto3\";\n"),
    ];
    assert_eq!(mistake("twice", &files), "a.proto:3:1: \"b.proto\" is imported twice");
}

#[test]
fn duplicate_names_and_numbers_are_reported_at_the_second_one() {
    let text = "syntax = \"proto3\";\nmessage A {}\nmessage A {}\n";
    assert_eq!(mistake("message", &[("a.proto", text)]), "a.proto:3:9: name 'A' is defined twice");
    let text = "syntax = \"proto3\";\nservice S {\n  rpc F(A) returns (A);\n  rpc F(A) returns (A);\n}\nmessage A {}\n";
    assert_eq!(mistake("rpc", &[("a.proto", text)]), "a.proto:4:7: name 'S.F' is defined twice");
    let text = "syntax = \"proto3\";\nmessage A {\n  int32 a = 1;\n  int32 b = 1;\n}\n";
    assert_eq!(mistake("number", &[("a.proto", text)]), "a.proto:4:13: field number '1' is already used");
    let files = [
        ("a.proto", "syntax = \"proto3\";\nimport \"b.proto\";\nmessage A {}\n"),
        ("b.proto", "syntax = \"proto3\";\nmessage A {}\n"),
    ];
    assert_eq!(mistake("two_files", &files), "a.proto:3:9: name 'A' is already defined in file 'b.proto'");
}

#[test]
fn methods_with_one_name_in_rust_are_refused() {
    let text = "syntax = \"proto3\";\nservice S {\n  rpc GetIt(A) returns (A);\n  rpc get_it(A) returns (A);\n}\nmessage A {}\n";
    let expected = "a.proto:4:3: S has the methods GetIt and get_it, which are both get_it in Rust";
    assert_eq!(mistake("one_name", &[("a.proto", text)]), expected);
}

#[test]
fn missing_file_is_named() {
    let error = mistake("file", &[]);
    assert_eq!(error, "a.proto: file not found, neither here nor in a folder of imports; they are: FOLDER");
}

#[test]
fn file_outside_the_folders_of_imports_is_refused() {
    let folder = folder("outside", &[("a.proto", "syntax = \"proto3\";\n"), ("inner/b.proto", "")]);
    let file = folder.join("a.proto");
    let error = barewire_build::configure().out_dir(folder.join("out")).compile(&[&file], &[folder.join("inner")]);
    let expected = format!(
        "{}: the file is not in a folder of imports; they are: {}",
        file.display(),
        folder.join("inner").display()
    );
    assert_eq!(error.expect_err("it is outside").to_string(), expected);
}

#[test]
fn file_that_another_folder_hides_is_refused() {
    let folder =
        folder("hidden", &[("one/a.proto", "syntax = \"proto3\";\n"), ("two/a.proto", "syntax = \"proto3\";\n")]);
    let (one, two) = (folder.join("one"), folder.join("two"));
    let config = barewire_build::configure().out_dir(folder.join("out"));
    let error = config.compile(&[two.join("a.proto")], &[&one, &two]).expect_err("the first folder hides it");
    let (found, file) = (one.join("a.proto"), two.join("a.proto"));
    let expected = format!(
        "{}: {} is found first as \"a.proto\"; change the order of the folders",
        file.display(),
        found.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn file_that_is_not_utf_8_is_refused() {
    let folder = folder("utf_8", &[]);
    fs::write(folder.join("a.proto"), b"// caf\xe9\n").expect("a file can be written");
    let error = compile_in(&folder, "a.proto").expect_err("it is not UTF-8");
    assert_eq!(error.to_string(), format!("{}: the file is not UTF-8", folder.join("a.proto").display()));
}

#[test]
fn output_that_cannot_be_written_is_named() {
    let folder = folder("output", &[("a.proto", "syntax = \"proto3\";\nmessage A {}\n")]);
    let missing = folder.join("missing");
    let error = barewire_build::configure().out_dir(&missing).compile(&["a.proto"], &[&folder]).expect_err("no folder");
    assert!(
        error.to_string().starts_with(&format!("{}: can't be written: ", missing.join("_.rs").display())),
        "{error}"
    );
}

#[test]
fn include_file_may_not_replace_the_file_of_a_package() {
    let folder = folder("replace", &[("a.proto", "syntax = \"proto3\";\npackage a;\nmessage A {}\n")]);
    let config = barewire_build::configure().out_dir(folder.join("out")).include_file("a.rs");
    let error = config.compile(&["a.proto"], &[&folder]).expect_err("the name is taken");
    assert_eq!(error.to_string(), "\"a.rs\" is the name of a package's file: choose another one");
}
