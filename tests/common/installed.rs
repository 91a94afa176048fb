//! External programs, if they are installed.

use std::io::Write;
use std::process::Command;

/// Runs a program with the argument that prints its version, and returns true if it is installed. Otherwise prints that this
/// suite did not run; on CI it panics instead.
pub fn is_installed(program: &str, version: &str, suite: &str) -> bool {
    if Command::new(program).arg(version).output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{suite} did not run: {program} is not installed");
    // Not through eprintln!, which the test harness captures and discards when a test passes.
    let _ = writeln!(std::io::stderr(), "DID NOT RUN: {suite} ({program} is not installed)");
    false
}
