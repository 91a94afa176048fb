//! The sending half of a handler, read by a test.

use std::time::Duration;

use barewire::testing::{self, Call};
use barewire::wire::encoding::Encoding;
use barewire::{Code, Metadata, Status};

use super::{GZIP, assert_waits, at_once, compressing};

/// The size of a batch: a sender fills one in addition to the window.
const BATCH: usize = 16 << 10;

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn metadata(value: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("key", value).unwrap();
    metadata
}

#[tokio::test(start_paused = true)]
async fn messages_are_read_after_the_handler_has_returned() {
    let (mut out, mut receiver) = testing::outbound::<String>();
    let handler = async move {
        // Over twice the budget of a connection's calls.
        for _ in 0..40 {
            out.send(text(1 << 20)).await?;
        }
        out.flush().await
    };
    assert_eq!(at_once(handler).await, Ok(()));
    assert_eq!(at_once(receiver.messages()).await, vec![text(1 << 20); 40]);
    assert_eq!(at_once(receiver.recv()).await, None);
    assert_eq!(at_once(receiver.messages()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_may_run_on_another_thread() {
    let (mut out, mut receiver) = Call::default().window(100).outbound::<i32>();
    let handler = tokio::spawn(async move {
        for number in 0..10_000_i32 {
            out.send(number).await?;
        }
        out.finish().await
    });
    assert_eq!(receiver.messages().await, (0..10_000).collect::<Vec<_>>());
    handler.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn receiver_waits_for_the_handler() {
    let (mut out, mut receiver) = testing::outbound::<i32>();
    assert_waits(receiver.recv()).await;
    out.send(1_i32).await.unwrap();
    assert_eq!(at_once(receiver.recv()).await, Some(1));
    assert_waits(receiver.recv()).await;
    assert_waits(receiver.trailing_metadata()).await;
    assert_eq!(at_once(out.finish()).await, Ok(()));
    assert_eq!(at_once(receiver.recv()).await, None);
}

#[tokio::test(start_paused = true)]
async fn sender_waits_for_the_window() {
    let (mut out, mut receiver) = Call::default().window(1000).outbound::<String>();
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(1), out.send(text(95))).await.is_ok() {
        sent += 1;
    }
    // A message has two bytes of tag and length, and five of prefix.
    let most = (1000 + 2 * BATCH) / 102;
    assert!((10..=most).contains(&sent), "{sent} messages were sent");
    assert_waits(out.flush()).await;
    let mut read = 0;
    let flushed = loop {
        if let Ok(flushed) = tokio::time::timeout(Duration::from_secs(1), out.flush()).await {
            break flushed;
        }
        assert!(receiver.recv().await.is_some());
        read += 1;
    };
    assert_eq!((flushed, sent - read), (Ok(()), 1000 / 102), "what fits the window waits there");
    drop(out);
    assert_eq!(receiver.messages().await.len(), sent - read);
}

#[tokio::test(start_paused = true)]
async fn message_larger_than_the_window_arrives_while_it_is_read() {
    let (mut out, mut receiver) = Call::default().window(10).outbound::<String>();
    out.send(text(100_000)).await.unwrap();
    out.send(text(3)).await.unwrap();
    assert_waits(out.flush()).await;
    assert_eq!(at_once(receiver.recv()).await, Some(text(100_000)));
    assert_eq!(at_once(out.flush()).await, Ok(()));
    drop(out);
    assert_eq!(at_once(receiver.messages()).await, [text(3)]);
}

#[tokio::test(start_paused = true)]
async fn window_of_zero_lets_nothing_pass() {
    let (mut out, mut receiver) = Call::default().window(0).outbound::<i32>();
    out.send(1_i32).await.unwrap();
    assert_waits(out.flush()).await;
    let reader = tokio::spawn(async move { receiver.recv().await });
    assert_waits(reader).await;
}

#[tokio::test(start_paused = true)]
async fn metadata_and_encoding_are_seen_once_sent() {
    let call = Call::default().options(compressing()).accept_encoding(GZIP);
    let (mut out, mut receiver) = call.outbound::<String>();
    out.set_initial_metadata(metadata("first"));
    out.set_encoding(Encoding::Gzip);
    assert_waits(receiver.initial_metadata()).await;
    assert_eq!(receiver.encoding(), None);
    at_once(out.send_initial_metadata()).await.unwrap();
    assert_eq!(at_once(receiver.initial_metadata()).await, metadata("first"));
    assert_eq!(receiver.encoding(), Some(Encoding::Gzip));
    // These come too late.
    out.set_initial_metadata(metadata("second"));
    out.set_encoding(Encoding::Identity);

    out.send(text(9)).await.unwrap();
    out.compress(false);
    out.send(text(8)).await.unwrap();
    out.set_trailing_metadata(metadata("last"));
    drop(out);
    assert_eq!(at_once(receiver.recv()).await, Some(text(9)));
    assert!(receiver.was_compressed());
    assert_eq!(at_once(receiver.recv()).await, Some(text(8)));
    assert!(!receiver.was_compressed());
    assert_eq!(at_once(receiver.trailing_metadata()).await, metadata("last"));
    assert_eq!(at_once(receiver.initial_metadata()).await, metadata("first"));
}

/// The library compresses large messages on the blocking pool of the runtime.
#[tokio::test]
async fn large_messages_are_compressed_and_keep_their_order() {
    let call = Call::default().options(compressing()).accept_encoding(GZIP);
    let (mut out, mut receiver) = call.outbound::<String>();
    out.set_encoding(Encoding::Gzip);
    let lengths = [3, 2 << 20, 5, 3 << 20];
    for length in lengths {
        out.send(text(length)).await.unwrap();
    }
    drop(out);
    for length in lengths {
        assert_eq!(receiver.recv().await, Some(text(length)));
        assert!(receiver.was_compressed());
    }
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn metadata_of_a_stream_without_messages_comes_at_its_end() {
    let (mut out, mut receiver) = testing::outbound::<i32>();
    out.set_initial_metadata(metadata("first"));
    out.set_trailing_metadata(metadata("last"));
    drop(out);
    assert_eq!(at_once(receiver.initial_metadata()).await, metadata("first"));
    assert_eq!(at_once(receiver.trailing_metadata()).await, metadata("last"));
    assert_eq!((receiver.encoding(), at_once(receiver.recv()).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn encoding_needs_compressor_and_client_that_accepts_it() {
    let mut options = compressing();
    options.encoding = Some(Encoding::Gzip);
    for (call, expected) in [
        (Call::default().options(options.clone()).accept_encoding(GZIP), Encoding::Gzip),
        (Call::default().options(options), Encoding::Identity),
        (Call::default().accept_encoding(GZIP), Encoding::Identity),
    ] {
        let (mut out, mut receiver) = call.outbound::<String>();
        if expected == Encoding::Identity {
            out.set_encoding(Encoding::Gzip);
        }
        out.send(text(1)).await.unwrap();
        assert_eq!(at_once(receiver.recv()).await, Some(text(1)));
        assert_eq!((receiver.encoding(), receiver.was_compressed()), (Some(expected), expected == Encoding::Gzip));
    }
}

#[tokio::test(start_paused = true)]
async fn message_over_the_limit_is_refused_and_the_call_goes_on() {
    let mut options = compressing();
    options.limits.max_send_message_size = 10;
    let (mut out, mut receiver) = Call::default().options(options).outbound::<String>();
    let status = out.send(text(20)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    out.send(text(5)).await.unwrap();
    drop(out);
    assert_eq!(at_once(receiver.messages()).await, [text(5)]);
}

#[tokio::test(start_paused = true)]
async fn sending_fails_once_the_client_is_gone() {
    let gone = Err(Status::cancelled("the stream was reset or its connection was lost"));
    let (mut out, receiver) = testing::outbound::<i32>();
    out.send(1_i32).await.unwrap();
    receiver.cancel();
    assert_eq!(at_once(out.send(2)).await, gone);
    assert_eq!(at_once(out.flush()).await, gone);
    assert_eq!(at_once(out.send_initial_metadata()).await, gone);
    assert_eq!(at_once(out.finish()).await, gone);
}

#[tokio::test(start_paused = true)]
async fn sender_that_waits_is_woken_when_the_client_goes() {
    let (mut out, receiver) = Call::default().window(10).outbound::<String>();
    let mut handler = tokio::spawn(async move {
        loop {
            if let Err(status) = out.send(text(10)).await {
                return status;
            }
        }
    });
    assert_waits(&mut handler).await;
    drop(receiver);
    assert_eq!(at_once(handler).await.unwrap().code(), Code::Cancelled);
}

#[test]
#[should_panic = "runtime"]
fn outbound_outside_a_runtime_panics() {
    let _ = testing::outbound::<i32>();
}
