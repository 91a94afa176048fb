//! The peer that sends the input, and the time limits of both ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{sleep, timeout};

/// The most bytes between the two ends.
pub(super) const PIPE: usize = 16 << 10;

/// The bytes that the server's peer reads before it stops reading.
pub(super) const APPETITE: usize = 64 << 10;

/// The pause between two pieces of the input, in which the server becomes idle.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// The time that a peer waits for responses after its last byte before it disconnects.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The time that the server may take to notice.
pub(super) const END: Duration = Duration::from_secs(60);

/// The other end of the pipe.
pub(super) struct Far {
    pipe: DuplexStream,
    /// The bytes that the peer still reads.
    appetite: usize,
}

impl Far {
    pub(super) fn of(pipe: DuplexStream) -> Far {
        Far { pipe, appetite: APPETITE }
    }

    /// Sends some bytes while reading, and gives the side under test time to handle them. Returns false if it has
    /// disconnected.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> bool {
        let sent = poll_fn(|cx| {
            let _: Poll<()> = self.poll_read(cx);
            while !bytes.is_empty() {
                match Pin::new(&mut self.pipe).poll_write(cx, bytes) {
                    Poll::Ready(Ok(count)) if count > 0 => bytes = &bytes[count..],
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        });
        let listens = timeout(PATIENCE, sent).await.unwrap_or(false);
        sleep(PAUSE).await;
        listens
    }

    /// Half-closes, and reads the remaining bytes.
    pub(super) async fn half_close(&mut self) {
        // The shutdown fails if the peer has already disconnected.
        let _: std::io::Result<()> = self.pipe.shutdown().await;
        let _: Result<(), _> = timeout(PATIENCE, poll_fn(|cx| self.poll_read(cx))).await;
    }

    /// Reads and discards bytes; ready at the end of the stream. When its appetite is used up it reads nothing, like a
    /// peer that has stopped.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        while self.appetite > 0 {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.pipe).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.appetite = self.appetite.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}
