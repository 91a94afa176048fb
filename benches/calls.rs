//! Measures the four kinds of call over loopback TCP, with the route guide: client and server each on their own thread.
//!
//! `cargo bench --bench calls`. Times vary with the machine by tens of percent; `benches/instructions.sh` counts
//! instructions, which don't. Every answer is checked, so a call that fails ends the benchmark.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use barewire::services::route_guide::messages::{Point, Rectangle, RouteNote};
use barewire::services::route_guide::{Features, GET_FEATURE, Guide, LIST_FEATURES, RECORD_ROUTE, ROUTE_CHAT, router};
use barewire::{Client, Server, Status, transport};
use divan::Bencher;
use divan::counter::ItemsCount;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A point with a feature.
const BERKSHIRE: Point = Point { latitude: 409_146_138, longitude: -746_188_906 };

fn main() {
    divan::main();
}

/// GetFeature, one at a time: the round trip.
#[divan::bench]
fn unary(bencher: Bencher) {
    let guide = Loopback::start();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| guide.run(get_feature(guide.client.clone())));
}

/// GetFeature, a hundred at a time on one connection.
#[divan::bench]
fn unary_100_in_flight(bencher: Bencher) {
    let guide = Loopback::start();
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        guide.run(async {
            let mut calls = JoinSet::new();
            for _ in 0..100 {
                calls.spawn(get_feature(guide.client.clone()));
            }
            while let Some(call) = calls.join_next().await {
                call.expect("no panic")?;
            }
            Ok(())
        })
    });
}

/// ListFeatures of a rectangle with all hundred features.
#[divan::bench]
fn server_streaming_100_features(bencher: Bencher) {
    let guide = Loopback::start();
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        guide.run(async {
            let mut features = guide.client.server_streaming(LIST_FEATURES, everywhere()).await?;
            let mut received = 0;
            while features.recv().await?.is_some() {
                received += 1;
            }
            assert_eq!(received, 100);
            Ok(())
        })
    });
}

/// RecordRoute of ten thousand points.
#[divan::bench]
fn client_streaming_10_000_points(bencher: Bencher) {
    const POINTS: i32 = 10_000;
    let guide = Loopback::start();
    bencher.counter(ItemsCount::new(POINTS as usize)).bench_local(|| {
        guide.run(async {
            let (mut points, summary) = guide.client.client_streaming(RECORD_ROUTE).await?;
            for _ in 0..POINTS {
                points.send(BERKSHIRE).await?;
            }
            points.finish().await?;
            assert_eq!(summary.await?.point_count, POINTS);
            Ok(())
        })
    });
}

/// RouteChat, a thousand notes each way, sent while the answers are received. Every note has its own place, so the answer to
/// each is that note alone.
#[divan::bench]
fn bidi_streaming_1_000_notes(bencher: Bencher) {
    const NOTES: i32 = 1_000;
    let guide = Loopback::start();
    let mut places = 0..;
    bencher.counter(ItemsCount::new(NOTES as usize)).bench_local(|| {
        let notes: Vec<RouteNote> = places.by_ref().take(NOTES as usize).map(note_at).collect();
        guide.run(async {
            let (mut out, mut answers) = guide.client.bidi_streaming(ROUTE_CHAT).await?;
            let sender = tokio::spawn(async move {
                for note in notes {
                    out.send(note).await?;
                }
                out.finish().await
            });
            let mut received = 0;
            while answers.recv().await?.is_some() {
                received += 1;
            }
            sender.await.expect("no panic")?;
            assert_eq!(received, NOTES);
            Ok(())
        })
    });
}

async fn get_feature(client: Client) -> Result<(), Status> {
    let feature = client.unary(GET_FEATURE, BERKSHIRE).await?;
    assert!(!feature.name.is_empty());
    Ok(())
}

fn everywhere() -> Rectangle {
    Rectangle {
        lo: Some(Point { latitude: -900_000_000, longitude: -1_800_000_000 }),
        hi: Some(Point { latitude: 900_000_000, longitude: 1_800_000_000 }),
    }
}

fn note_at(place: i32) -> RouteNote {
    RouteNote { location: Some(Point { latitude: place, longitude: 0 }), message: "a note of some length".to_owned() }
}

/// A route guide server on its own thread, and a connected client on this thread.
struct Loopback {
    client: Client,
    runtime: Runtime,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Loopback {
    fn start() -> Loopback {
        let (address_to, address) = mpsc::channel::<SocketAddr>();
        let (stop, stopped) = oneshot::channel();
        let server = thread::spawn(move || {
            current_thread().block_on(async {
                let listener = transport::tcp::listen("127.0.0.1:0").await.expect("a free port");
                address_to.send(listener.local_addr().expect("an address")).expect("the client waits");
                let server = Server::new(router(Guide::new(Features::published())));
                let shutdown = async {
                    let _ = stopped.await;
                };
                server.serve_until(listener, shutdown).await.expect("the server ends without an error");
            });
        });
        let runtime = current_thread();
        let connector = transport::tcp::connect(address.recv().expect("the server listens").to_string());
        let client = runtime.block_on(Client::connect(connector)).expect("a connection");
        Loopback { client, runtime, server: Some((stop, server)) }
    }

    fn run(&self, calls: impl Future<Output = Result<(), Status>>) {
        self.runtime.block_on(calls).expect("the call succeeds");
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if let Some((stop, server)) = self.server.take() {
            let _ = stop.send(());
            // The client's connection task only runs while its runtime does.
            let wait = self.runtime.spawn_blocking(|| server.join());
            let _ = self.runtime.block_on(wait);
        }
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
