//! The receiving half of a handler, fed by a test.

use std::net::SocketAddr;
use std::time::Duration;

use barewire::io::{Address, ConnectionInfo, Peer};
use barewire::testing::{self, Call};
use barewire::wire::encoding::Encoding;
use barewire::wire::{By, What};
use barewire::{BidiStreaming, Code, Context, Inbound, Metadata, Method, Outbound, Router, Status};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{assert_waits, at_once, compressing};

fn text(text: &str) -> String {
    text.to_owned()
}

#[tokio::test(start_paused = true)]
async fn list_of_messages_ends_with_half_close() {
    let mut inbound = testing::inbound([text("one"), text("two")]);
    for expected in [Some("one"), Some("two"), None, None] {
        assert_eq!(at_once(inbound.recv()).await.unwrap().as_deref(), expected);
    }
    assert!(!inbound.was_compressed());
    assert_eq!(at_once(testing::inbound([0_i32; 0]).recv()).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn list_may_be_larger_than_a_window() {
    let large = text(&"x".repeat(3 << 20));
    let mut inbound = testing::inbound(vec![large.clone(); 20]);
    for _ in 0..20 {
        assert_eq!(at_once(inbound.recv()).await.unwrap(), Some(large.clone()));
    }
    assert_eq!(at_once(inbound.recv()).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn reader_waits_for_the_sender() {
    let (mut sender, mut inbound) = testing::inbound_channel();
    let mut reader = tokio::spawn(async move { (inbound.recv().await, inbound.recv().await) });
    assert_waits(&mut reader).await;
    sender.send(text("one"));
    assert_waits(&mut reader).await;
    drop(sender);
    assert_eq!(at_once(reader).await.unwrap(), (Ok(Some(text("one"))), Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn failure_comes_after_the_messages_and_stays() {
    let (mut sender, mut inbound) = testing::inbound_channel();
    sender.send(1_i32);
    sender.fail(Status::cancelled("the connection was lost"));
    assert_eq!(at_once(inbound.recv()).await, Ok(Some(1)));
    for _ in 0..2 {
        assert_eq!(at_once(inbound.recv()).await, Err(Status::cancelled("the connection was lost")));
    }
}

/// The status of [`testing::Sender::cancel`] is the one that a handler sees when a real client cancels.
#[tokio::test(start_paused = true)]
async fn cancelled_stream_fails_as_over_http2() {
    const ECHO: Method<i32, i32, BidiStreaming> = Method::new("/test.Test/Echo");
    let (sees, mut seen) = mpsc::unbounded_channel();
    let router = Router::new(()).bidi_streaming(ECHO, move |_: &(), mut inbound: Inbound<i32>, out: Outbound<i32>| {
        let sees = sees.clone();
        async move {
            let _out = out;
            while inbound.recv().await.inspect_err(|status| sees.send(status.clone()).unwrap())?.is_some() {}
            Ok(())
        }
    });
    let client = testing::client(router).await;
    let (mut out, answers) = client.bidi_streaming(ECHO).await.unwrap();
    out.send(1).await.unwrap();
    out.flush().await.unwrap();
    // The server has the call before it is cancelled.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(answers);
    let real = seen.recv().await.unwrap();

    let (sender, mut inbound) = testing::inbound_channel::<i32>();
    sender.cancel();
    let made = at_once(inbound.recv()).await.unwrap_err();
    assert_eq!(made, real);
    assert_eq!(format!("{made:#}"), format!("{real:#}"));
    let cause = made.cause().unwrap();
    assert!(matches!((&cause.by, &cause.what), (By::Peer, What::Reset(_))), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn undecodable_message_is_internal() {
    let (mut sender, mut inbound) = testing::inbound_channel::<i32>();
    sender.send_payload(b"\x08");
    sender.send(7);
    for _ in 0..2 {
        let status = at_once(inbound.recv()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status}");
    }
    // Later messages are discarded.
    sender.send(8);
    assert!(at_once(inbound.recv()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn message_may_arrive_in_parts() {
    let (mut sender, mut inbound) = testing::inbound_channel::<i32>();
    sender.send_data(&b"\0\0\0"[..]);
    assert_waits(inbound.recv()).await;
    sender.send_data(&b"\0\x02\x08"[..]);
    assert_waits(inbound.recv()).await;
    sender.send_data(&b"\x05\0\0"[..]);
    assert_eq!(at_once(inbound.recv()).await, Ok(Some(5)));
    sender.finish();
    let status = at_once(inbound.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "the stream ends within a prefix: {status}");
}

#[tokio::test(start_paused = true)]
async fn message_over_the_limit_is_resource_exhausted() {
    let mut options = compressing();
    options.limits.max_receive_message_size = 10;
    let mut inbound = Call::default().options(options).inbound([text("short"), text("longer than that")]);
    assert_eq!(at_once(inbound.recv()).await, Ok(Some(text("short"))));
    assert_eq!(at_once(inbound.recv()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn messages_are_compressed_as_the_call_says() {
    let mut options = compressing();
    options.limits.min_compress_size = 5;
    let (mut sender, mut inbound) = Call::default().options(options).encoding(Encoding::Gzip).inbound_channel();
    sender.send(text("a long text"));
    sender.send(text("a"));
    // Flagged as compressed, but not what the compressor makes.
    sender.send_data(&b"\x01\0\0\0\x05oops!"[..]);
    assert_eq!(at_once(inbound.recv()).await, Ok(Some(text("a long text"))));
    assert!(inbound.was_compressed());
    assert_eq!(at_once(inbound.recv()).await, Ok(Some(text("a"))));
    assert!(!inbound.was_compressed());
    let status = at_once(inbound.recv()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status}");
}

#[test]
#[should_panic = "no compressor for gzip: add one to ServerOptions::compressors"]
fn encoding_without_compressor_panics() {
    let _ = Call::default().encoding(Encoding::Gzip).inbound_channel::<i32>();
}

#[test]
#[should_panic = "metadata key"]
fn invalid_header_panics() {
    let _ = Call::default().header("A key", "value");
}

#[tokio::test(start_paused = true)]
async fn dropped_inbound_closes_the_sender() {
    let (mut sender, inbound) = testing::inbound_channel();
    sender.send(1_i32);
    assert!(!sender.is_closed());
    drop(inbound);
    assert!(sender.is_closed());
    sender.send(2);
    sender.cancel();
}

#[tokio::test(start_paused = true)]
async fn attributes_of_the_call_reach_the_handler() {
    let address = Address::Tcp(SocketAddr::from(([192, 0, 2, 1], 7)));
    let call = Call::new("/test.Test/Echo")
        .header("tenant", "blue")
        .header("tenant", "red")
        .peer(Peer::plain(address.clone()))
        .timeout(Duration::from_secs(5))
        .extension(7_u8);
    let (request, inbound) = (call.request(text("hello")), call.inbound([1_i32]));
    for context in [request.context(), inbound.context().unwrap()] {
        assert_eq!(context.path(), "/test.Test/Echo");
        assert_eq!(context.metadata().get_all("tenant").collect::<Vec<_>>(), ["blue", "red"]);
        assert_eq!(context.peer().address, address);
        assert_eq!(context.deadline(), Some(Instant::now() + Duration::from_secs(5)));
        assert_eq!(context.extensions().get::<u8>(), Some(&7));
    }
    assert_eq!(inbound.metadata().get("tenant"), Some("blue"));
    assert!(!request.was_compressed());
    assert_eq!(Call::default().timeout(Duration::MAX).request(text("")).deadline(), None, "it is too long");

    let mut connection = ConnectionInfo::default();
    connection.extensions_mut().insert("of the connection");
    let mut metadata = Metadata::new();
    metadata.insert_bin("token-bin", &[0, 255]).unwrap();
    let call = Call::from(Context::default().with_metadata(metadata)).connection(connection);
    let request = call.request(());
    assert_eq!(request.metadata().get_bin("token-bin").unwrap().unwrap(), [0, 255]);
    assert_eq!(request.context().connection().extensions().get(), Some(&"of the connection"));
    assert_eq!(request.extensions().get::<u8>(), None);
}
