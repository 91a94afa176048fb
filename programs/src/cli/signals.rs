//! Signals that ask a program to end.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns a future that completes at the first SIGINT or SIGTERM from now on. From now on these signals no longer end the
/// process. Must be called within a tokio runtime.
///
/// # Errors
///
/// Fails if a signal handler can't be installed.
#[cfg(unix)]
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    first([SignalKind::interrupt(), SignalKind::terminate()])
}

/// Like [`shutdown`], but completes at SIGHUP as well: for a program that has to restore its terminal before it ends.
///
/// # Errors
///
/// Fails if a signal handler can't be installed.
#[cfg(unix)]
pub fn leaving() -> io::Result<impl Future<Output = ()>> {
    first([SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()])
}

#[cfg(unix)]
fn first<const N: usize>(kinds: [SignalKind; N]) -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::of(kinds)?;
    Ok(async move { signals.next().await })
}

/// The signals that ask a program to end, one after the other: SIGINT and SIGTERM, on other systems than Unix Ctrl-C.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    streams: Vec<Signal>,
}

impl Signals {
    /// Begins to receive them. From now on these signals no longer end the process. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails if a signal handler can't be installed.
    pub fn new() -> io::Result<Signals> {
        #[cfg(unix)]
        return Signals::of([SignalKind::interrupt(), SignalKind::terminate()]);
        #[cfg(not(unix))]
        Ok(Signals {})
    }

    #[cfg(unix)]
    fn of<const N: usize>(kinds: [SignalKind; N]) -> io::Result<Signals> {
        let streams = kinds.into_iter().map(signal).collect::<io::Result<Vec<Signal>>>()?;
        Ok(Signals { streams })
    }

    /// Waits for the next signal. Signals that arrive before it is polled count as one.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            // Polls all of them, so that each can wake the task.
            let arrived =
                self.streams.iter_mut().filter_map(|stream| stream.poll_recv(cx).is_ready().then_some(())).count();
            if arrived > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits for the next Ctrl-C.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        // If no handler can be installed, Ctrl-C ends the process by default.
        let _: io::Result<()> = tokio::signal::ctrl_c().await;
    }
}

/// Returns a future that completes at the first Ctrl-C, which no longer ends the process.
///
/// # Errors
///
/// Never fails.
#[cfg(not(unix))]
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If no handler can be installed, Ctrl-C ends the process by default.
        let _: io::Result<()> = tokio::signal::ctrl_c().await;
    })
}

/// Like [`shutdown`].
///
/// # Errors
///
/// Never fails.
#[cfg(not(unix))]
pub fn leaving() -> io::Result<impl Future<Output = ()>> {
    shutdown()
}
