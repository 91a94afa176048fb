//! Tests the guide's answers, over every transport without TLS.

use std::time::Duration;

use barewire::services::route_guide::messages::{Point, Rectangle, RouteNote, RouteSummary};
use barewire::services::route_guide::{Guide, Notes, router};
use barewire::transport::{memory, tcp, unix};

use super::{client, expect_the_whole_guide, lines, serve, serve_guide, soon};

fn point(latitude: i32, longitude: i32) -> Point {
    Point { latitude, longitude }
}

fn note(longitude: i32, message: &str) -> RouteNote {
    RouteNote { location: Some(point(0, longitude)), message: message.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn guide_works_in_memory() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    expect_the_whole_guide(connector).await;
}

#[tokio::test]
async fn guide_works_over_tcp() {
    let listener = tcp::listen("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _serving = serve_guide(listener);
    expect_the_whole_guide(tcp::connect(format!("localhost:{port}"))).await;
}

#[tokio::test]
async fn guide_works_over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("barewire-route-guide-{}.sock", std::process::id()));
    let _serving = serve_guide(unix::listen(&path).unwrap());
    expect_the_whole_guide(unix::connect(&path)).await;
}

#[tokio::test(start_paused = true)]
async fn notes_are_shared_between_clients() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    for expected in [9, 21, 33] {
        let lines = lines(&client(connector.clone()).await).await;
        assert_eq!(lines.iter().filter(|line| line.starts_with("Got message")).count(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn rectangle_without_corners_is_valid() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    let client = client(connector).await;
    let mut none = client.list_features(Rectangle::default()).await.unwrap();
    assert_eq!(soon(none.recv()).await.unwrap(), None);
    let from_the_origin = Rectangle { lo: None, hi: Some(point(900_000_000, -1_800_000_000)) };
    let mut all = client.list_features(from_the_origin).await.unwrap();
    let mut count = 0;
    while soon(all.recv()).await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 100);
}

#[tokio::test(start_paused = true)]
async fn route_gets_a_summary() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    let client = client(connector).await;
    let (mut points, summary) = client.record_route().await.unwrap();
    // The first point has a named feature and is visited twice; the second has an unnamed one.
    let (named, unnamed) = (point(407_838_351, -746_143_763), point(407_113_723, -749_746_483));
    for point in [named, unnamed, point(0, 0), named] {
        points.send(point).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(2_999)).await;
    points.finish().await.unwrap();
    let summary = soon(summary).await.unwrap().into_message();
    assert_eq!((summary.point_count, summary.feature_count, summary.elapsed_time), (4, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn empty_route_has_an_empty_summary_and_a_long_one_does_not_overflow() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    let client = client(connector).await;
    let (points, summary) = client.record_route().await.unwrap();
    points.finish().await.unwrap();
    assert_eq!(*soon(summary).await.unwrap().message(), RouteSummary::default());

    let (mut points, summary) = client.record_route().await.unwrap();
    for pole in [900_000_000, -900_000_000].into_iter().cycle().take(200) {
        points.send(point(pole, 0)).await.unwrap();
    }
    points.finish().await.unwrap();
    let summary = soon(summary).await.unwrap().into_message();
    assert_eq!((summary.point_count, summary.distance), (200, i32::MAX));
}

#[tokio::test(start_paused = true)]
async fn each_note_is_answered_before_the_next_is_sent() {
    let (listener, connector) = memory::pair();
    let _serving = serve_guide(listener);
    let (mut notes, mut answers) = client(connector).await.route_chat().await.unwrap();
    for (sent, expected) in [("a", vec!["a"]), ("b", vec!["a", "b"]), ("c", vec!["a", "b", "c"])] {
        notes.send(note(5, sent)).await.unwrap();
        for text in expected {
            assert_eq!(soon(answers.recv()).await.unwrap(), Some(note(5, text)));
        }
    }
    notes.finish().await.unwrap();
    assert_eq!(soon(answers.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn oldest_notes_are_dropped_at_the_limit() {
    let (listener, connector) = memory::pair();
    let _serving = serve(listener, router(Guide::default().with_notes(Notes::with_limit(600))));
    let (mut notes, mut answers) = client(connector).await.route_chat().await.unwrap();
    for (sent, expected) in [("a", vec!["a"]), ("b", vec!["a", "b"]), ("c", vec!["b", "c"])] {
        notes.send(note(5, sent)).await.unwrap();
        for text in expected {
            assert_eq!(soon(answers.recv()).await.unwrap(), Some(note(5, text)));
        }
    }
}
