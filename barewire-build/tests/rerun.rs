//! Compiles files in a process of its own and reads the lines that it prints for cargo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

/// The variable that makes [`compile`] work. It has the folder of the files.
const FOLDER: &str = "BAREWIRE_BUILD_TEST_FOLDER";

#[test]
fn files_and_their_imports_run_the_build_script_again() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rerun");
    fs::create_dir_all(folder.join("out"))?;
    let source = |name: &str, imports: &str| {
        // Some editors write a byte order mark.
        fs::write(folder.join(name), format!("\u{feff}syntax = \"proto3\";\n{imports}"))
    };
    source("a.proto", "import \"b.proto\";\nimport \"google/protobuf/empty.proto\";\n")?;
    source("b.proto", "import public \"c.proto\";\n")?;
    source("c.proto", "")?;
    source("d.proto", "")?;
    let output = Command::new(env::current_exe()?)
        .args(["--exact", "compile", "--ignored", "--nocapture"])
        .env(FOLDER, &folder)
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout);
    let paths = printed.lines().filter_map(|line| line.split_once("cargo::rerun-if-changed=")).map(|(_, path)| path);
    let expected = ["a.proto", "b.proto", "c.proto"].map(|name| folder.join(name).display().to_string());
    assert_eq!(paths.collect::<Vec<_>>(), expected);
    Ok(())
}

/// Compiles `a.proto` in the process that the other test starts.
#[test]
#[ignore = "the other test runs it"]
fn compile() {
    let folder = env::var_os(FOLDER).map(PathBuf::from).expect("the other test sets it");
    let config = barewire_build::configure().out_dir(folder.join("out"));
    config.compile(&[folder.join("a.proto")], &[&folder]).expect("it compiles");
}
