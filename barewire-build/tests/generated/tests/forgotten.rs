//! Compiles an implementation of a generated trait that lacks a method.

use std::env;
use std::process::Command;

/// Runs cargo on `examples/forgotten.rs`, which only the feature `forgotten` builds.
#[test]
fn implementation_without_a_method_is_a_compile_error_that_names_it() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The same packages as `cargo test` in the root, so that nothing but the example is compiled again.
    command.args(["build", "--offline", "--locked", "--quiet", "--workspace", "--example", "forgotten"]);
    command.args(["--features", "barewire-build-generated/forgotten"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_TERM_COLOR", "never");
    let output = command.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it must not compile");
    assert!(errors.contains("error[E0046]: not all trait items implemented, missing: `join`"), "{errors}");
    assert_eq!(errors.matches("error[").count(), 1, "the other methods are right: {errors}");
}
