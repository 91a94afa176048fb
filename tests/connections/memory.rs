//! Tests the memory budget of a connection on the wire: calls first wait, and then are refused with the name of the limit.

use std::time::Duration;

use bytes::Bytes;

use crate::common::frames::*;
use crate::common::peer::RawPeer;
use crate::common::server::TestServer;

/// Connects to a server whose connections may hold 40,000 bytes, half of them for outgoing messages.
async fn connect(server: &TestServer) -> RawPeer {
    server.connect_with([(INITIAL_WINDOW_SIZE, 0)]).await
}

fn server() -> TestServer {
    TestServer::with(|options| {
        options.limits.max_connection_memory = 40_000;
        options.limits.peer_timeout = Duration::from_secs(3);
    })
}

/// Requests three answers of 20,000 bytes and reads two headers: the first answer fits, the second exceeds the budget, the
/// third waits. Returns the body of each answer.
async fn ask_for_three(peer: &mut RawPeer) -> Bytes {
    let long = text(&"x".repeat(20_000));
    for stream in [1, 3, 5] {
        let head = request(stream, "/test.Service/Echo");
        peer.send([vec![head], chunks(stream, &long), vec![half_close(stream)]].concat()).await;
    }
    peer.expect(response(1)).await;
    peer.expect(response(3)).await;
    long
}

#[tokio::test(start_paused = true)]
async fn answer_over_the_memory_budget_waits_and_is_refused_after_the_timeout() {
    let server = server();
    let mut peer = connect(&server).await;
    ask_for_three(&mut peer).await;
    let refused = peer.answer(5).await;
    let (code, message) = refused.status();
    assert_eq!(code, "8", "{message}");
    assert!(message.contains("max_connection_memory, 40000 bytes"), "{message}");
    assert!(refused.is_trailers_only());
    // The others only had to wait.
    peer.send([window_update(1, 1 << 20), window_update(3, 1 << 20)]).await;
    for stream in [1, 3] {
        assert_eq!(peer.answer(stream).await.status(), ("0", ""));
    }
}

#[tokio::test(start_paused = true)]
async fn answer_waiting_for_memory_is_sent_once_another_has_left() {
    let server = server();
    let mut peer = connect(&server).await;
    let long = ask_for_three(&mut peer).await;
    peer.send([1, 3, 5].map(|stream| window_update(stream, 1 << 20))).await;
    for stream in [1, 3, 5] {
        let answer = peer.answer(stream).await;
        assert_eq!((answer.body.len(), answer.status()), (long.len(), ("0", "")));
    }
}
