//! The flags of the interop programs: a mistake is reported in one line, with exit status 2.

use std::path::Path;
use std::process::Command;

use super::official::REPORTING;
use super::peers::Interop;

/// Returns the only line of a program that ends with this exit status.
#[track_caller]
fn complaint(program: &Path, flags: &[&str], exit_status: i32) -> String {
    let output = Command::new(program).args(flags).output().expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(exit_status), 1), "{flags:?}: {stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

#[test]
fn error_names_the_mistake_and_the_remedy() {
    let Interop { server, client, .. } = Interop::ours();
    for (program, flags, parts) in [
        (&server, &["-zork"][..], &["'-zork'", "-h lists the flags"][..]),
        (&server, &["-port", "65536"], &["'65536'", "-port"]),
        (&server, &["-use_tls"], &["-tls_cert_file", "-tls_key_file"]),
        (&server, &["-tls_cert_file", "x"], &["-use_tls"]),
        (&server, &["-use_tls", "-tls_cert_file", "no/such.pem", "-tls_key_file", "x"], &["no/such.pem", "PEM"]),
        (&client, &["--test_case=zork"], &["'zork'", "-test_case", "--help"]),
        (&client, &["-use_tls"], &["-ca_file"]),
        (&client, &["-ca_file", "x"], &["-use_tls"]),
        (&client, &["-use_test_ca"], &["-use_tls"]),
        (&client, &["-encoding", "lzma"], &["'lzma'", "gzip"]),
        (&client, &["-soak_num_threads=0"], &["'0'", "-soak_num_threads"]),
        (&client, &["-service_config_json", "{"], &["'{'", "-service_config_json", "not valid JSON"]),
        (&client, &["-service_config_json", r#"{"loadBalancingConfig":[{"zork":{}}]}"#], &["pick_first"]),
        (&client, &["-test_case", "orca_oob"], &["orca_oob", "-service_config_json"]),
    ] {
        let line = complaint(program, flags, 2);
        for part in parts {
            assert!(line.contains(part), "{part:?} is missing in: {line}");
        }
    }
}

#[test]
fn failed_case_names_the_expected_and_the_actual_result() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let client = Interop::ours().client;
    let flags = ["-server_host=127.0.0.1", &format!("-server_port={free}"), "--test_case", "orca_oob"];
    let line = complaint(&client, &[&flags[..], &["--service_config_json", REPORTING]].concat(), 1);
    assert!(line.starts_with("orca_oob failed: connecting: expected OK, got UNAVAILABLE: can't connect: "), "{line}");
}

#[test]
fn help_lists_the_cases() {
    let output = Command::new(Interop::ours().client).arg("--help").output().expect("it runs");
    let help = String::from_utf8(output.stdout).expect("text");
    for case in barewire_programs::interop::cases::Case::ALL {
        assert!(help.contains(case.name()), "{} is missing in {help}", case.name());
    }
}
