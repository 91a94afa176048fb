//! Runs each example of `examples/` in this process, and compares its output with the one that its documentation shows.

#![allow(dead_code)] // Each example also has a `main`.

#[path = "../../examples/auth.rs"]
mod auth;
#[path = "../../examples/chat.rs"]
mod chat;
#[path = "../../examples/hello.rs"]
mod hello;
#[path = "../../examples/mtls.rs"]
mod mtls;
#[path = "../../examples/proxy.rs"]
mod proxy;
#[path = "../../examples/testing.rs"]
mod testing;
#[path = "../../examples/tls.rs"]
mod tls;
#[path = "../../examples/watch.rs"]
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the source of an example.
fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs");
    fs::read_to_string(path).expect("the example can be read")
}

/// Returns the output that the documentation of an example shows for `cargo run --example NAME`.
fn documented(name: &str) -> String {
    let source = source(name);
    let command = format!("//! $ cargo run --example {name}");
    let shown = source.lines().skip_while(|line| *line != command).skip(1);
    let lines = shown.map_while(|line| line.strip_prefix("//! ")).take_while(|line| !line.starts_with(['$', '`']));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Runs an example, and checks its output.
macro_rules! example {
    ($name:ident, $run:path $(, $option:ident = $value:expr)*) => {
        #[tokio::test($($option = $value),*)]
        async fn $name() {
            let mut out = Vec::new();
            if let Err(error) = $run(&mut out).await {
                panic!("{error} after {:?}", String::from_utf8_lossy(&out));
            }
            let out = String::from_utf8(out).expect("an example writes text");
            assert!(!out.is_empty());
            let name = stringify!($name).trim_end_matches("_runs");
            assert_eq!(out, documented(name), "the output of the example {name}, and the one in its documentation");
        }
    };
}

example!(hello_runs, hello::run);
example!(chat_runs, chat::run);
example!(auth_runs, auth::run);
example!(watch_runs, watch::run);
example!(tls_runs, tls::run_alone);
example!(mtls_runs, mtls::run);
example!(proxy_runs, proxy::run);
example!(testing_runs, testing::run, start_paused = true);

/// Asserts that every example runs in these tests, and that README.md lists it.
#[test]
fn every_example_is_run_and_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(root.join("examples")).expect("the examples can be listed");
    let names: BTreeSet<String> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md can be read");
    for name in &names {
        let run = format!("example!({name}_runs, ");
        assert_eq!(include_str!("main.rs").matches(&run).count(), 1, "{name} runs in tests/examples/main.rs");
        let row = format!("| [`{name}`](examples/{name}.rs) | ");
        assert_eq!(readme.matches(&row).count(), 1, "README.md has a row that begins with {row:?}");
    }
    let rows = readme.matches("](examples/").count();
    assert_eq!(rows, names.len(), "README.md lists only examples that exist");
}
