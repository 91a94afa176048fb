//! Programs of others, where they are installed.

use std::io::Write;
use std::process::Command;

/// Whether a program is installed, which is asked with the argument that has it say its version. Where it is not, that this
/// suite did not run is said aloud; on CI that is a failure.
pub fn is_installed(program: &str, version: &str, suite: &str) -> bool {
    if Command::new(program).arg(version).output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{suite} did not run: {program} is not installed");
    // Not through eprintln!, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "DID NOT RUN: {suite} ({program} is not installed)");
    false
}
