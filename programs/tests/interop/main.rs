//! Tests against programs of other projects. `official.rs` runs the official interop suite, `negative.rs` its cases of
//! misbehaving servers. This file runs the route guide against grpc-go's: its client with our server, our client with its
//! server, plaintext and TLS, and a million points each way. The output must equal what Go prints with Go.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod flags;
mod negative;
mod official;
mod peers;
mod programs;
mod tap;

use std::time::Duration;

use barewire::services::route_guide::messages::Point;
use barewire::services::route_guide::{RECORD_ROUTE, RouteGuideClient};
use barewire::{CallOptions, Client, transport};
use peers::Peers;
use programs::{Certificates, Server, run, words};

/// Enough for a slow machine with a debug build.
const PATIENCE: Duration = Duration::from_secs(240);

const POINTS: usize = 1_000_000;

#[tokio::test]
async fn grpc_go_and_barewire_interoperate_in_plaintext() {
    let Some(go) = Peers::of_route_guide("route guide, plaintext, with grpc-go") else { return };
    compare(&go, None).await;
}

#[tokio::test]
async fn grpc_go_and_barewire_interoperate_over_tls() {
    let Some(go) = Peers::of_route_guide("route guide, TLS, with grpc-go") else { return };
    compare(&go, Some(&Certificates::new())).await;
}

/// Runs each client against each server. Each server is new, because notes stay with a server.
async fn compare(go: &Peers, tls: Option<&Certificates>) {
    let ours = Peers::ours();
    let flags = tls.map_or_else(Vec::new, Certificates::route_guide_server);
    let expected = conversation(&go.client, Server::go(&go.server, &flags).await, tls).await;
    assert_eq!(expected.constant.len(), 114, "lines that Go prints with Go");
    for (name, client, server) in [
        ("their client, our server", &go.client, Server::ours(&ours.server, &flags).await),
        ("our client, their server", &ours.client, Server::go(&go.server, &flags).await),
        ("our client, our server", &ours.client, Server::ours(&ours.server, &flags).await),
    ] {
        let seen = conversation(client, server, tls).await;
        assert_eq!(seen.constant, expected.constant, "{name}");
        assert_eq!(seen.announced, seen.counted, "{name}: points announced and counted");
    }
}

/// The output of a client, without timestamps.
struct ClientOutput {
    /// All lines except the two of RecordRoute, whose points are random.
    constant: Vec<String>,
    announced: usize,
    counted: usize,
}

async fn conversation(client: &std::path::Path, server: Server, tls: Option<&Certificates>) -> ClientOutput {
    let mut flags = words(["-addr", &server.address()]);
    flags.extend(tls.map_or_else(Vec::new, Certificates::route_guide_client));
    let printed = run(client, &flags, PATIENCE).await;
    let mut lines: Vec<String> = printed.lines().map(without_timestamp).collect();
    let announced = number(&take(&mut lines, "Traversing "), "Traversing ");
    let counted = number(&take(&mut lines, "Route summary: "), "point_count:");
    ClientOutput { constant: lines, announced, counted }
}

/// Go's text format has one space or two between fields, depending on a hash of the program.
fn without_timestamp(line: &str) -> String {
    let text = line.splitn(3, ' ').nth(2).unwrap_or_else(|| panic!("no timestamp in {line:?}"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn take(lines: &mut Vec<String>, beginning: &str) -> String {
    let position = lines.iter().position(|line| line.starts_with(beginning));
    lines.remove(position.unwrap_or_else(|| panic!("no line begins with {beginning:?}: {lines:#?}")))
}

fn number(line: &str, before: &str) -> usize {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {line:?}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("no number after {before:?} in {line:?}"))
}

/// A million DATA frames with a message of 22 bytes each: more small frames than h2's default budget permits.
#[tokio::test]
async fn server_receives_a_million_points_from_grpc_go() {
    let Some(go) = Peers::of_route_guide("a million points from grpc-go") else { return };
    let server = Server::ours(&Peers::ours().server, &[]).await;
    let flags = words(["-addr", &server.address(), "-points", &POINTS.to_string()]);
    let printed = run(&go.million, &flags, PATIENCE).await;
    assert_eq!(number(&printed, "points="), POINTS);
}

#[tokio::test]
async fn client_sends_a_million_points_to_grpc_go() {
    let Some(go) = Peers::of_route_guide("a million points to grpc-go") else { return };
    // No features, because comparing each point with them takes most of the time of Go's server.
    let none = programs::file("no-features.json", "[]");
    let server = Server::go(&go.server, &words(["-json_db_file", &none.path()])).await;
    let client = Client::connect(transport::tcp::connect(server.address())).await.unwrap();
    let guide = RouteGuideClient::new(client.with(CallOptions::new().timeout(PATIENCE)));
    let (mut points, summary) = guide.record_route().await.unwrap();
    for n in 0..POINTS as i32 {
        points.send(Point { latitude: -1 - n, longitude: -1 }).await.unwrap();
    }
    points.finish().await.unwrap();
    assert_eq!(summary.await.unwrap().point_count, POINTS as i32);
    assert_eq!(RECORD_ROUTE.path(), "/routeguide.RouteGuide/RecordRoute");
}
