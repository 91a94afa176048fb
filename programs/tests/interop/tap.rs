//! grpc-go's client calls grpc-go's server through the tap. The bytes on both sides of the tap must be equal, the client must
//! print the same as without a tap, every byte must be explained, and tshark must decode the same frames.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::common::installed;
use super::peers::Peers;
use super::programs::{Certificates, Server, run, words};
use super::{PATIENCE, take, without_timestamp};

#[path = "../tap/process.rs"]
mod process;
#[path = "../tap/tshark.rs"]
mod tshark;

use process::{Folder, Tap, barewire, soon};
use tshark::Tshark;

/// The bytes that passed in each direction.
type Traffic = Arc<Mutex<[Vec<u8>; 2]>>;

/// Starts a small proxy that keeps a copy of the bytes; returns its address.
async fn witness(to: String) -> (String, Traffic) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let passed = Traffic::default();
    let kept = passed.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.expect("the server is there");
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(copy(from_client, to_server, kept.clone(), 0));
            tokio::spawn(copy(from_server, to_client, kept.clone(), 1));
        }
    });
    (address, passed)
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    passed: Traffic,
    direction: usize,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        passed.lock().unwrap()[direction].extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}

/// Returns the output of the client without its random parts.
async fn printed(go: &Peers, address: &str, tls: Option<&Certificates>) -> Vec<String> {
    let mut flags = words(["-addr", address]);
    flags.extend(tls.map_or_else(Vec::new, Certificates::route_guide_client));
    let printed = run(&go.client, &flags, PATIENCE).await;
    let mut lines: Vec<String> = printed.lines().map(without_timestamp).collect();
    take(&mut lines, "Traversing ");
    take(&mut lines, "Route summary: ");
    lines
}

/// Checks that all four methods have their names, and that nothing is wrong or unknown.
fn explained(lines: &str) {
    for part in [
        ":path: /routeguide.RouteGuide/GetFeature",
        ":path: /routeguide.RouteGuide/ListFeatures",
        ":path: /routeguide.RouteGuide/RecordRoute",
        ":path: /routeguide.RouteGuide/RouteChat",
        "routeguide.Point, 17 bytes: latitude: ",
        "routeguide.Rectangle, ",
        "routeguide.Feature, ",
        "routeguide.RouteSummary, ",
        "routeguide.RouteNote, ",
        "Trailers, grpc-status 0 OK",
    ] {
        assert!(lines.contains(part), "{part:?} is missing in: {lines}");
    }
    for part in ['✗', '�'] {
        assert!(!lines.contains(part), "{part} in: {lines}");
    }
    assert!(!lines.contains("unknown") && !lines.contains("lost"), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tap_records_grpc_go_with_itself_in_plaintext() {
    let Some(go) = Peers::of_route_guide("grpc-go with itself through the tap") else { return };
    let folder = Folder::new("interop-tap");
    let (pcapng, jsonl) = (folder.file("a.pcapng"), folder.file("a.jsonl"));
    let server = Server::go(&go.server, &[]).await;
    let expected = printed(&go, &server.address(), None).await;
    drop(server);

    // Notes stay with a server, so each run needs a new one to print the same.
    let server = Server::go(&go.server, &[]).await;
    let (behind, came_out) = witness(server.address()).await;
    let tap = Tap::start(&behind, &["--pcapng", &pcapng, "--jsonl", &jsonl]).await;
    let (before, went_in) = witness(tap.address.clone()).await;
    assert_eq!(printed(&go, &before, None).await, expected);
    // The client has ended, but its last bytes may still be on their way.
    soon("equal bytes on both sides of the tap", async {
        while *went_in.lock().unwrap() != *came_out.lock().unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(went_in.lock().unwrap().iter().all(|direction| direction.len() > 500));
    let lines = tap.end().await;
    explained(&lines);
    explained(&barewire(&["decode", &pcapng]).await);
    explained(&barewire(&["decode", &jsonl]).await);
    if let Some(tshark) = Tshark::find("grpc-go's packets read by tshark") {
        tshark.agrees(&pcapng, &jsonl).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tap_records_grpc_go_with_itself_over_tls() {
    let Some(go) = Peers::of_route_guide("grpc-go with itself through the tap, TLS") else { return };
    let folder = Folder::new("interop-tap-tls");
    let (pcapng, jsonl) = (folder.file("a.pcapng"), folder.file("a.jsonl"));
    let certificates = Certificates::new();
    let server = Server::go(&go.server, &certificates.route_guide_server()).await;
    let expected = printed(&go, &server.address(), Some(&certificates)).await;
    drop(server);

    let server = Server::go(&go.server, &certificates.route_guide_server()).await;
    let ca = certificates.authority();
    let authority = folder.file("authority");
    let flags = ["--tls", "--ca-dir", &authority, "--to-tls", "--ca-file", &ca, "--pcapng", &pcapng, "--jsonl", &jsonl];
    let tap = Tap::start(&server.address(), &flags).await;
    let call = words(["-addr", &tap.address, "-tls", "-ca_file", &format!("{authority}/ca.pem")]);
    let printed = run(&go.client, &call, PATIENCE).await;
    let mut seen: Vec<String> = printed.lines().map(without_timestamp).collect();
    take(&mut seen, "Traversing ");
    take(&mut seen, "Route summary: ");
    assert_eq!(seen, expected);
    let lines = tap.end().await;
    explained(&lines);
    for with in ["client", "server"] {
        let line = format!("TLS with the {with}: TLSv1_3, ALPN h2, SNI x.test.example.com");
        assert!(lines.contains(&line), "{line:?} is missing in: {lines}");
    }
    explained(&barewire(&["decode", &pcapng]).await);
    if let Some(tshark) = Tshark::find("grpc-go's packets inside TLS read by tshark") {
        tshark.agrees(&pcapng, &jsonl).await;
    }
}
