//! The signals that ask a program to end.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A future that is ready at the first SIGINT or SIGTERM from now on; signals no longer end the process then. Must be called
/// within a tokio runtime.
///
/// # Errors
///
/// Those of installing a signal handler.
#[cfg(unix)]
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    first([SignalKind::interrupt(), SignalKind::terminate()])
}

/// As [`shutdown`], and ready at SIGHUP as well: for a program that has changed its terminal and puts it back.
///
/// # Errors
///
/// Those of installing a signal handler.
#[cfg(unix)]
pub fn leaving() -> io::Result<impl Future<Output = ()>> {
    first([SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()])
}

#[cfg(unix)]
fn first<const N: usize>(kinds: [SignalKind; N]) -> io::Result<impl Future<Output = ()>> {
    let mut signals = kinds.into_iter().map(signal).collect::<io::Result<Vec<Signal>>>()?;
    Ok(std::future::poll_fn(move |cx| {
        // All are asked, so that all wake.
        let came = signals.iter_mut().filter_map(|signal| signal.poll_recv(cx).is_ready().then_some(())).count();
        if came > 0 { Poll::Ready(()) } else { Poll::Pending }
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

/// As [`shutdown`].
///
/// # Errors
///
/// None.
#[cfg(not(unix))]
pub fn leaving() -> io::Result<impl Future<Output = ()>> {
    shutdown()
}
