//! Two futures on one task: both to their end, or the first.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Which of two came first, and with what.
pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Polls both until one is ready. The first is asked first.
pub(super) async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(first) => Poll::Ready(Either::First(first)),
        Poll::Pending => second.as_mut().poll(cx).map(Either::Second),
    })
    .await
}

/// Polls both until both are ready, or until one has failed: then the other is dropped.
pub(super) async fn both<A, B, E>(
    first: impl Future<Output = Result<A, E>>,
    second: impl Future<Output = Result<B, E>>,
) -> Result<(A, B), E> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    match either(first.as_mut(), second.as_mut()).await {
        Either::First(done) => Ok((done?, second.await?)),
        Either::Second(done) => {
            let done = done?;
            Ok((first.await?, done))
        }
    }
}
