//! Counts the calls that end while a server shuts down, for the last line that it writes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use barewire::Status;
use barewire::call::EndReason;
use barewire::server::{CallStart, Interceptor};
use tokio::sync::Notify;

/// Time for which [`Ledger::settle`] waits for the ends of calls to be reported.
const SETTLE: Duration = Duration::from_millis(100);

/// Health checks, which are not calls of the service: they are counted only if the shutdown timeout ended them.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The calls of a server, counted by an interceptor. Clones share the counts. [`Ledger::line`] shows the counts since
/// [`Ledger::begin`].
///
/// A call has finished if a status was sent: that of its handler, or that of its deadline. A call is cut if the shutdown timeout
/// ended it, or if it has not ended yet. A call that its client cancelled or lost is neither. Refused calls are not counted.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    /// Notified when no call is in progress.
    idle: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    has_begun: bool,
    finished: u64,
    /// By path. These are methods of the server: calls of other paths are refused.
    methods: BTreeMap<Arc<str>, Method>,
}

#[derive(Debug, Default)]
struct Method {
    running: u64,
    cut: u64,
}

impl Ledger {
    /// Begins to count ends: the server has been told to end.
    pub fn begin(&self) {
        self.counts().has_begun = true;
    }

    /// Waits until the ends of all calls are reported, at most [`SETTLE`]. A call reports its end just after it has sent its
    /// status, so the server may have ended before.
    pub async fn settle(&self) {
        let idle = async {
            while !self.counts().is_idle() {
                self.0.idle.notified().await;
            }
        };
        // Calls that are still running then are those that block their threads.
        let _: Result<(), _> = tokio::time::timeout(SETTLE, idle).await;
    }

    /// Returns the line: `12 calls finished, 1 cut: /routeguide.RouteGuide/RecordRoute 1`.
    pub fn line(&self) -> String {
        self.counts().to_string()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are consistent even if another thread panicked.
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, path: &str, reason: EndReason) {
        let mut counts = self.counts();
        let Counts { has_begun, finished, methods } = &mut *counts;
        let Some(method) = methods.get_mut(path) else { return };
        method.running = method.running.saturating_sub(1);
        match reason {
            EndReason::Shutdown => method.cut += 1,
            EndReason::Finished | EndReason::Deadline if *has_begun && !path.starts_with(HEALTH) => *finished += 1,
            _ => {}
        }
        if counts.is_idle() {
            self.0.idle.notify_one();
        }
    }
}

impl Interceptor for Ledger {
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status> {
        if call.refusal().is_none() {
            let path = self.counts().start(call.path());
            let ledger = self.clone();
            call.on_end(move |end| ledger.end(&path, end.reason()));
        }
        Ok(())
    }
}

impl Counts {
    /// Counts a call that begins, and returns its path.
    fn start(&mut self, path: &str) -> Arc<str> {
        let path = match self.methods.get_key_value(path) {
            Some((path, _)) => path.clone(),
            None => path.into(),
        };
        self.methods.entry(path.clone()).or_default().running += 1;
        path
    }

    fn is_idle(&self) -> bool {
        self.methods.values().all(|method| method.running == 0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.finished == 1 { "call" } else { "calls" };
        let running = |path: &str, method: &Method| if path.starts_with(HEALTH) { 0 } else { method.running };
        let cut = self.methods.iter().map(|(path, method)| (path, method.cut + running(path, method)));
        let cut: Vec<_> = cut.filter(|(_, calls)| *calls > 0).collect();
        let sum: u64 = cut.iter().map(|(_, calls)| calls).sum();
        write!(f, "{} {calls} finished, {sum} cut", self.finished)?;
        for (number, (path, calls)) in cut.iter().enumerate() {
            write!(f, "{} {path} {calls}", if number == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_the_cut_methods_and_leaves_out_what_ended_before() {
        let ledger = Ledger::default();
        let run = |path: &str, reason| {
            let path = ledger.counts().start(path);
            ledger.end(&path, reason);
        };
        run("/a.A/Early", EndReason::Finished);
        ledger.begin();
        assert_eq!(ledger.line(), "0 calls finished, 0 cut");
        run("/a.A/One", EndReason::Finished);
        assert_eq!(ledger.line(), "1 call finished, 0 cut");
        run("/a.A/One", EndReason::Deadline);
        run("/grpc.health.v1.Health/Check", EndReason::Finished);
        run("/a.A/One", EndReason::Cancelled);
        run("/a.A/One", EndReason::Reset);
        run("/a.A/One", EndReason::ConnectionLost);
        run("/b.B/Two", EndReason::Shutdown);
        run("/a.A/One", EndReason::Shutdown);
        ledger.counts().start("/b.B/Two");
        ledger.counts().start("/grpc.health.v1.Health/Check");
        run("/grpc.health.v1.Health/Watch", EndReason::Shutdown);
        let line = "2 calls finished, 4 cut: /a.A/One 1, /b.B/Two 2, /grpc.health.v1.Health/Watch 1";
        assert_eq!(ledger.line(), line);
    }

    #[tokio::test(start_paused = true)]
    async fn settling_waits_for_running_calls_but_not_for_ever() {
        let ledger = Ledger::default();
        ledger.begin();
        ledger.settle().await;
        let path = ledger.counts().start("/a.A/One");
        let other = ledger.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SETTLE / 2).await;
            other.end(&path, EndReason::Finished);
        });
        ledger.settle().await;
        assert_eq!(ledger.line(), "1 call finished, 0 cut");
        ledger.counts().start("/a.A/Stuck");
        ledger.settle().await;
        assert_eq!(ledger.line(), "1 call finished, 1 cut: /a.A/Stuck 1");
    }
}
