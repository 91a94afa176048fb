//! Counts a client's PINGs, and finds those that come too often (gRFC A8, "Server Enforcement").

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::options::ServerOptions;
use crate::io::Pings;
use crate::limits::{MAX_PING_STRIKES, MIN_IDLE_PING_INTERVAL, PING_SLACK};

/// The PINGs of a client since the server last sent HEADERS or DATA.
#[derive(Debug, Default)]
pub(super) struct PingStrikes {
    pings: u32,
    strikes: u32,
    first: Option<Instant>,
    /// The last PING that did not come too soon.
    last: Option<Instant>,
}

impl PingStrikes {
    /// Counts PINGs, and returns a report if they are too many. A PING that follows the last valid one faster than the
    /// interval that the options allow is a strike; HEADERS and DATA that this side sends clear the strikes. The interval is
    /// shorter by [`PING_SLACK`], at most a tenth, because the network may deliver one PING late and the next one in time.
    pub(super) fn count(&mut self, pings: Pings, has_calls: bool, options: &ServerOptions) -> Option<TooManyPings> {
        let permitted = has_calls || options.keepalive_permit_without_stream;
        let interval = match options.min_ping_interval {
            Duration::ZERO => return None,
            interval if permitted => interval,
            interval => interval.max(MIN_IDLE_PING_INTERVAL),
        };
        let slack = PING_SLACK.min(interval / 10);
        if pings.data_sent {
            *self = PingStrikes::default();
        }
        let now = Instant::now();
        let is_too_soon = self.last.is_some_and(|last| now.duration_since(last) < interval - slack);
        if !is_too_soon {
            self.last = Some(now);
        }
        let first = *self.first.get_or_insert(now);
        self.pings = self.pings.saturating_add(pings.fresh);
        self.strikes = self.strikes.saturating_add(u32::from(is_too_soon) + (pings.fresh - 1));
        let report =
            TooManyPings { pings: self.pings, within: now - first, min_interval: interval, has_calls, permitted };
        (self.strikes > MAX_PING_STRIKES).then_some(report)
    }
}

/// The reason for which a server ended a connection with GOAWAY `too_many_pings` (gRFC A8). Its text says what the client
/// sent, what is allowed, and which option to change. Passed to the function of
/// [`Server::on_too_many_pings`](crate::Server::on_too_many_pings).
///
/// ```
/// use barewire::io::ConnectionInfo;
/// use barewire::server::TooManyPings;
///
/// fn report(connection: &ConnectionInfo, pings: &TooManyPings) {
///     let often = pings.within / pings.pings;
///     eprintln!("{}: {pings} (one every {often:?} on average)", connection.peer().address);
/// }
///
/// let server = barewire::Server::builder().on_too_many_pings(report);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyPings {
    /// Number of PINGs since the server last sent HEADERS or DATA.
    pub pings: u32,
    /// Time from the first of these PINGs to the last.
    pub within: Duration,
    /// Shortest interval that was allowed when the last PING arrived.
    pub min_interval: Duration,
    /// True if the connection had calls then.
    pub has_calls: bool,
    /// True if [`ServerOptions::min_ping_interval`] applied, and not the 2 hours for a connection without calls.
    permitted: bool,
}

impl fmt::Display for TooManyPings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooManyPings { pings, within, min_interval, has_calls, permitted } = self;
        let calls = if *has_calls { "with calls in progress" } else { "without calls" };
        write!(f, "too_many_pings: the client sent {pings} PINGs within {within:.1?} {calls}, ")?;
        write!(f, "and may send one every {min_interval:?}: raise the client's keepalive time, or ")?;
        f.write_str(match permitted {
            true => "lower the server's min_ping_interval",
            false => "set the server's keepalive_permit_without_stream",
        })
    }
}
