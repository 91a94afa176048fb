//! Runs two futures on one task, until the first or until both are ready.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The output of the future that was ready first.
pub(super) enum Either<A, B> {
    First(A),
    Second(B),
}

/// Polls both futures until one is ready; `first` has precedence.
pub(super) async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(first) => Poll::Ready(Either::First(first)),
        Poll::Pending => second.as_mut().poll(cx).map(Either::Second),
    })
    .await
}

/// Polls both futures until both are ready. If one fails, drops the other.
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
