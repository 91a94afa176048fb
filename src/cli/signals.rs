//! The signals that ask a server to end.

use std::future::Future;
use std::io;

/// A future that is ready at the first SIGINT or SIGTERM from now on; signals no longer end the process then. Must be called
/// within a tokio runtime.
///
/// # Errors
///
/// Those of installing a signal handler.
#[cfg(unix)]
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |cx| {
        // Both are asked, so that both wake.
        match interrupt.poll_recv(cx).is_ready() | terminate.poll_recv(cx).is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }))
}

/// A future that is ready at the first Ctrl-C; it no longer ends the process then.
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler the process ends by itself.
        let _: io::Result<()> = tokio::signal::ctrl_c().await;
    })
}
