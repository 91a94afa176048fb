//! The flags that limit the life of a server's connections and check that their clients are alive (gRFCs A8 and A9).

use std::time::Duration;

use barewire::ServerOptions;
use clap::ArgAction;
use clap::builder::BoolishValueParser;

use crate::cli::{duration, positive_duration};

/// The flags of a server's connections. A duration is written as in Go: `300ms`, `2s`, `5m`, `1h30m`.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct ConnectionFlags {
    /// End a connection after this time without calls; 0 is unlimited
    #[arg(long, value_name = "D", default_value = "0", value_parser = duration)]
    max_connection_idle: Duration,
    /// End a connection at this age, give or take a tenth; calls in progress finish; 0 is unlimited
    #[arg(long, value_name = "D", default_value = "0", value_parser = duration)]
    max_connection_age: Duration,
    /// Time for these calls, before the connection closes; 0 is unlimited
    #[arg(long, value_name = "D", default_value = "0", value_parser = duration)]
    max_connection_age_grace: Duration,
    /// Send a PING to a client that was silent for this time
    #[arg(long, value_name = "D", default_value = "2h", value_parser = positive_duration)]
    keepalive_time: Duration,
    /// Time for the client to answer a PING, and for all else that HTTP/2 requires at once
    #[arg(long, value_name = "D", default_value = "20s", value_parser = positive_duration)]
    keepalive_timeout: Duration,
    /// Shortest interval at which a client may send PINGs; 0 allows any number
    #[arg(long, value_name = "D", default_value = "5m", value_parser = duration)]
    keepalive_min_time: Duration,
    /// Allow PINGs at that interval without calls, too, instead of every 2 hours
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    keepalive_permit_without_stream: bool,
}

impl ConnectionFlags {
    /// Returns the options with these flags applied.
    #[must_use]
    pub fn applied_to(&self, mut options: ServerOptions) -> ServerOptions {
        options.max_connection_idle = limit(self.max_connection_idle);
        options.max_connection_age = limit(self.max_connection_age);
        options.max_connection_age_grace = limit(self.max_connection_age_grace);
        options.keepalive_time = self.keepalive_time;
        options.limits.peer_timeout = self.keepalive_timeout;
        options.min_ping_interval = self.keepalive_min_time;
        options.keepalive_permit_without_stream = self.keepalive_permit_without_stream;
        options
    }
}

/// Returns `None` for zero, which means unlimited as in Go.
fn limit(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser;

    use super::*;
    use crate::cli::{Stop, parse};

    #[derive(Debug, Parser)]
    #[command(name = "example")]
    struct Flags {
        #[command(flatten)]
        connections: ConnectionFlags,
    }

    fn options(line: &str) -> Result<ServerOptions, Stop> {
        let words = std::iter::once("example").chain(line.split_whitespace()).map(OsString::from);
        parse::<Flags>(words).map(|flags| flags.connections.applied_to(ServerOptions::default()))
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let (ours, theirs) = (options("").unwrap(), ServerOptions::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn each_flag_sets_its_option() {
        let line = "-max_connection_idle 1s -max_connection_age=2m --max_connection_age_grace 3ms -keepalive_time 4h \
                    -keepalive_timeout 5s -keepalive_min_time 6s -keepalive_permit_without_stream";
        let options = options(line).unwrap();
        let times = [options.max_connection_idle, options.max_connection_age, options.max_connection_age_grace];
        assert_eq!(times.map(|time| time.unwrap().as_millis()), [1000, 120_000, 3]);
        let times = [options.keepalive_time, options.limits.peer_timeout, options.min_ping_interval];
        assert_eq!(times.map(|time| time.as_secs()), [4 * 3600, 5, 6]);
        assert!(options.keepalive_permit_without_stream);
    }

    #[test]
    fn bad_values_are_named() {
        for (line, words) in [
            (
                "-max_connection_idle 5",
                "invalid value '5' for '-max_connection_idle <D>': a duration is a number with its unit",
            ),
            ("-max_connection_age=-5m", "invalid value '-5m' for '-max_connection_age <D>': a duration is"),
            (
                "-max_connection_age_grace soon",
                "invalid value 'soon' for '-max_connection_age_grace <D>': a duration is",
            ),
            ("-keepalive_time 0", "invalid value '0' for '-keepalive_time <D>': the duration must be longer than 0s"),
            (
                "-keepalive_timeout 0s",
                "invalid value '0s' for '-keepalive_timeout <D>': the duration must be longer than 0s",
            ),
            ("-keepalive_min_time 1d", "invalid value '1d' for '-keepalive_min_time <D>': a duration is"),
            ("-keepalive_permit_without_stream=perhaps", "invalid value 'perhaps' for"),
        ] {
            let Err(Stop::Usage(text)) = options(line) else { panic!("{line}") };
            assert!(text.starts_with(words) && text.lines().count() == 1, "{text}");
        }
    }
}
