//! Checks that documents show what the program prints.

use std::process::Command;

use barewire_programs::demonstration;

#[tokio::test]
async fn wire_format_page_equals_the_bytes_on_the_wire() {
    let page = demonstration::wire_format().await.expect("the calls succeed");
    let committed = include_str!("../../../docs/wire-format.md");
    assert!(page == committed, "write it again: cargo run -- wire-format > docs/wire-format.md\n{page}");
}

#[tokio::test]
async fn picture_equals_the_terminal_output() {
    let picture = demonstration::wire_format_svg().await.expect("the calls succeed");
    let committed = include_str!("../../../docs/images/get-feature.svg");
    let command = "cargo run -- wire-format --svg > docs/images/get-feature.svg";
    assert!(picture == committed, "draw it again: {command}\n{picture}");
}

fn barewire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_barewire"));
    command.env_remove("NO_COLOR");
    command
}

/// The README's example, except for the port, must be part of the output of the demonstration.
#[test]
fn readme_shows_the_output_of_the_demonstration() {
    let output = barewire().output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("text");
    let readme = include_str!("../../../README.md");
    let (_, shown) = readme.split_once("```console\n$ cargo run --release\n").expect("the README shows the command");
    let (shown, _) = shown.split_once("```").expect("the block ends");
    for line in shown.lines().filter(|line| !line.is_empty() && *line != "…" && !line.contains("127.0.0.1")) {
        assert!(printed.lines().any(|real| real == line), "not printed: {line:?}");
    }
    for wanted in [
        "GetFeature",
        "ListFeatures",
        "RecordRoute",
        "RouteChat",
        "grpc-status: 0 (OK)",
        ":path: /routeguide.RouteGuide/GetFeature",
    ] {
        assert!(printed.contains(wanted), "{wanted} is missing");
    }
}

#[test]
fn pipe_gets_colours_only_on_request() {
    let colours = |arguments: &[&str], no_color: Option<&str>| {
        let mut command = barewire();
        command.args(arguments);
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let output = command.output().expect("it runs");
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    assert!(!colours(&[], None));
    assert!(!colours(&["-color", "never"], None));
    assert!(colours(&["--color", "always"], None));
    assert!(colours(&["--color=always"], Some("1")), "an explicit flag wins");
}

#[test]
fn wrong_flag_is_one_line_and_exit_status_2() {
    for arguments in [&["--nonsense"][..], &["nonsense"], &["--color", "red"]] {
        let output = barewire().args(arguments).output().expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{arguments:?}: {stderr}");
    }
}
