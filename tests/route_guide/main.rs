//! Tests the route guide, client and server, over every transport, and the errors of TLS.

mod builders;
mod certificates;
#[path = "../common/cpu.rs"]
mod cpu;
mod hostile_tls;
#[path = "../common/installed.rs"]
mod installed;
#[cfg(feature = "tls-platform-roots")]
mod platform_roots;
mod reloading;
mod service;
mod tls;

use std::future::Future;
use std::time::Duration;

use barewire::io::{Connector, Listener};
use barewire::server::Routes;
use barewire::services::route_guide::{Guide, RouteGuideClient, router, run};
use barewire::{Client, Server};
use tokio::task::JoinHandle;

/// The longest wait for an event that should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the output of a future that should be ready soon; panics if it is not.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it should not take so long")
}

/// Stops the server at the end of the test.
struct ServerGuard(JoinHandle<std::io::Result<()>>);

impl Drop for ServerGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn serve(listener: impl Listener + 'static, routes: impl Into<Routes>) -> ServerGuard {
    ServerGuard(tokio::spawn(Server::new(routes).serve(listener)))
}

fn serve_guide(listener: impl Listener + 'static) -> ServerGuard {
    serve(listener, router(Guide::default()))
}

async fn client(connector: impl Connector) -> RouteGuideClient {
    RouteGuideClient::new(soon(Client::connect(connector)).await.expect("the server can be reached"))
}

/// Returns the output of the example's client, line by line.
async fn lines(client: &RouteGuideClient) -> Vec<String> {
    let mut lines = Vec::new();
    soon(run(client, 7, |event| lines.push(event.to_string()))).await.expect("all calls succeed");
    lines
}

/// Asserts that the first client of a server prints the expected output, over any transport.
async fn expect_the_whole_guide(connector: impl Connector) {
    let lines = lines(&client(connector).await).await;
    assert_eq!(
        lines[..5],
        [
            "Getting feature for point (409146138, -746188906)",
            "name:\"Berkshire Valley Management Area Trail, Jefferson, NJ, USA\" \
             location:{latitude:409146138 longitude:-746188906}",
            "Getting feature for point (0, 0)",
            "location:{}",
            "Looking for features within \
             lo:{latitude:400000000 longitude:-750000000} hi:{latitude:420000000 longitude:-730000000}",
        ]
    );
    assert!(lines[5..105].iter().all(|line| line.starts_with("Feature: name: \"")));
    assert_eq!(lines[5], "Feature: name: \"Patriots Path, Mendham, NJ 07945, USA\", point:(407838351, -746143763)");
    assert_eq!(lines[104], "Feature: name: \"3 Hasta Way, Newton, NJ 07860, USA\", point:(410248224, -747127767)");
    let count = lines[105].strip_prefix("Traversing ").and_then(|line| line.strip_suffix(" points.")).unwrap();
    assert!(lines[106].starts_with(&format!("Route summary: point_count:{count} distance:")), "{}", lines[106]);
    let notes = [
        ("First", 1),
        ("Second", 2),
        ("Third", 3),
        ("First", 1),
        ("Fourth", 1),
        ("Second", 2),
        ("Fifth", 2),
        ("Third", 3),
        ("Sixth", 3),
    ];
    assert_eq!(lines[107..], notes.map(|(text, place)| format!("Got message {text} message at point(0, {place})")));
}
