//! The official interop suite: every case that needs no cloud, in every pairing of grpc-go's programs and ours, plaintext and
//! TLS.
//!
//! grpc-go's server does not return its id, so `pick_first_unary` can't pass with it. grpc-go has no compressed cases. Our own
//! pair runs these cases.

use std::path::Path;
use std::time::Duration;

use super::peers::Interop;
use super::programs::{Certificates, Server, outcome, words};

/// Longer than any case takes on a slow machine; the longest has its own limit of 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

const CASES: [&str; 19] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "pick_first_unary",
    "rpc_soak",
    "channel_soak",
    "orca_per_rpc",
    "orca_oob",
];

const COMPRESSED_CASES: [&str; 4] = [
    "client_compressed_unary",
    "server_compressed_unary",
    "client_compressed_streaming",
    "server_compressed_streaming",
];

/// Reads load reports, and balances nothing.
pub const REPORTING: &str = r#"{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}"#;

#[tokio::test]
async fn grpc_go_client_passes_with_our_server() {
    let Some(go) = Interop::of_go("interop suite, plaintext, grpc-go with our server") else { return };
    let server = Server::ours(&Interop::ours().server, &[]).await;
    expect_all(&go.client, &server, None, &CASES).await;
}

#[tokio::test]
async fn grpc_go_client_passes_with_our_server_over_tls() {
    let Some(go) = Interop::of_go("interop suite, TLS, grpc-go with our server") else { return };
    let certificates = Certificates::new();
    let server = Server::ours(&Interop::ours().server, &certificates.interop_server()).await;
    expect_all(&go.client, &server, Some(&certificates), &CASES).await;
}

#[tokio::test]
async fn our_client_passes_with_grpc_go_server() {
    let Some(go) = Interop::of_go("interop suite, plaintext, our client with grpc-go") else { return };
    let server = Server::go(&go.server, &[]).await;
    expect_all(&Interop::ours().client, &server, None, &cases_of_their_server()).await;
}

#[tokio::test]
async fn our_client_passes_with_grpc_go_server_over_tls() {
    let Some(go) = Interop::of_go("interop suite, TLS, our client with grpc-go") else { return };
    let certificates = Certificates::new();
    let server = Server::go(&go.server, &certificates.interop_server()).await;
    expect_all(&Interop::ours().client, &server, Some(&certificates), &cases_of_their_server()).await;
}

#[tokio::test]
async fn our_client_passes_with_our_server() {
    let server = Server::ours(&Interop::ours().server, &[]).await;
    expect_all(&Interop::ours().client, &server, None, &[&CASES[..], &COMPRESSED_CASES].concat()).await;
}

#[tokio::test]
async fn our_client_passes_with_our_server_over_tls() {
    let certificates = Certificates::new();
    let server = Server::ours(&Interop::ours().server, &certificates.interop_server()).await;
    let cases = [&CASES[..], &COMPRESSED_CASES].concat();
    expect_all(&Interop::ours().client, &server, Some(&certificates), &cases).await;
}

/// Runs the compressed cases with each of our encodings.
#[tokio::test]
async fn compressed_cases_pass_with_every_encoding() {
    let server = Server::ours(&Interop::ours().server, &[]).await;
    for encoding in ["gzip", "deflate", "zstd", "br", "snappy"] {
        for case in ["client_compressed_unary", "client_compressed_streaming"] {
            let mut flags = flags(&server, None, case);
            flags.extend(words(["-encoding", encoding]));
            let passed = outcome(&Interop::ours().client, &flags, PATIENCE).await;
            assert_eq!(passed, Ok(format!("{case} passed\n")), "{encoding}");
        }
    }
}

/// The 18 of the 19 cases that grpc-go's server supports.
fn cases_of_their_server() -> Vec<&'static str> {
    CASES.into_iter().filter(|case| *case != "pick_first_unary").collect()
}

/// Runs all cases one after the other, and lists those that failed, with the command that repeats each.
async fn expect_all(client: &Path, server: &Server, tls: Option<&Certificates>, cases: &[&str]) {
    let mut failures = Vec::new();
    for case in cases {
        if let Err(failure) = outcome(client, &flags(server, tls, case), PATIENCE).await {
            failures.push(failure);
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// Uses the address instead of the name: grpc-go asks DNS for the service config of a name, and waits for 5 s without a
/// response.
fn flags(server: &Server, tls: Option<&Certificates>, case: &str) -> Vec<String> {
    let mut flags =
        words(["-server_host", "127.0.0.1", "-server_port", &server.port().to_string(), "-test_case", case]);
    flags.extend(tls.map_or_else(Vec::new, Certificates::interop_client));
    if case.starts_with("orca") {
        flags.extend(words(["-service_config_json", REPORTING]));
    }
    flags
}
