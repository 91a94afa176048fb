//! The end of a connection that the input plays, and how long anybody waits for what.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{sleep, timeout};

/// How many bytes lie between the two ends at most.
pub(super) const PIPE: usize = 16 << 10;

/// How much of the answers is read before the peer of the server stops reading.
pub(super) const APPETITE: usize = 64 << 10;

/// Between two pieces of the input the clock goes on by so much, for which it waits until the server has nothing to do.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// How long a peer that has said its last waits for answers before it is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long the server may take to notice.
pub(super) const END: Duration = Duration::from_secs(60);

/// The other end of the pipe.
pub(super) struct Far {
    pipe: DuplexStream,
    /// How much it will still read.
    appetite: usize,
}

impl Far {
    pub(super) fn of(pipe: DuplexStream) -> Far {
        Far { pipe, appetite: APPETITE }
    }

    /// Sends some bytes, reading meanwhile, and gives the side under test time to act on them. Tells whether it still listens.
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

    /// Says that nothing more will come, and reads what still does.
    pub(super) async fn half_close(&mut self) {
        // A peer that has gone already needs not be told.
        let _: std::io::Result<()> = self.pipe.shutdown().await;
        let _: Result<(), _> = timeout(PATIENCE, poll_fn(|cx| self.poll_read(cx))).await;
    }

    /// Reads and throws away; ready at the end of what comes. With its appetite gone it reads nothing, like a peer that
    /// has stopped.
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
