//! The flags of a server's limits and of its end.

use std::time::Duration;

use barewire::ServerOptions;

use crate::cli;

/// The flags of a server's limits and of its end: options of the library.
#[derive(Clone, Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct LimitFlags {
    /// Longest time for a client's handshake: TLS, HTTP/2's preface and SETTINGS together
    #[arg(long, allow_hyphen_values = true, value_name = "D", default_value = "20s", value_parser = cli::positive_duration)]
    handshake_timeout: Duration,
    /// Most connections at a time; others are closed at once; 0 is unlimited
    #[arg(long, allow_hyphen_values = true, value_name = "N", default_value_t = 0)]
    max_connections: usize,
    /// Most calls in progress on one connection; 0 is unlimited
    #[arg(long, allow_hyphen_values = true, value_name = "N", default_value_t = 1000)]
    max_concurrent_streams: u32,
    /// Most calls in progress on all connections together; others end with RESOURCE_EXHAUSTED at once, except health checks;
    /// 0 is unlimited
    #[arg(long, allow_hyphen_values = true, value_name = "N", default_value_t = 0)]
    max_concurrent_calls: usize,
    /// Time from SIGTERM or SIGINT for which the server still accepts connections and calls
    #[arg(long, allow_hyphen_values = true, value_name = "D", default_value = "0s", value_parser = cli::duration)]
    lame_duck: Duration,
    /// Longest time for calls in progress to end after that; then they end with UNAVAILABLE
    #[arg(long, allow_hyphen_values = true, value_name = "D", default_value = "10s", value_parser = cli::duration)]
    shutdown_timeout: Duration,
}

impl LimitFlags {
    /// Sets the options.
    pub(super) fn apply(&self, options: &mut ServerOptions) {
        options.handshake_timeout = self.handshake_timeout;
        options.max_connections = self.max_connections;
        options.max_concurrent_streams = match self.max_concurrent_streams {
            // The largest value of SETTINGS_MAX_CONCURRENT_STREAMS; more streams than that do not exist.
            0 => u32::MAX,
            streams => streams,
        };
        options.max_concurrent_calls = self.max_concurrent_calls;
        options.lame_duck = self.lame_duck;
        options.shutdown_timeout = self.shutdown_timeout;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        limits: LimitFlags,
    }

    fn options(line: &str) -> ServerOptions {
        let mut options = ServerOptions::default();
        let flags: Flags = cli::parse(std::iter::once("example").chain(line.split(' ')).map(Into::into)).unwrap();
        flags.limits.apply(&mut options);
        options
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let options = options("--");
        assert_eq!(format!("{options:?}"), format!("{:?}", ServerOptions::default()));
    }

    #[test]
    fn each_flag_sets_its_option() {
        let options = options(
            "-handshake_timeout 1s -max_connections 2 -max_concurrent_streams=3 -max_concurrent_calls 4 \
             -lame_duck 5m -shutdown_timeout 1h6m",
        );
        assert_eq!((options.handshake_timeout.as_secs(), options.lame_duck.as_secs()), (1, 300));
        assert_eq!(options.shutdown_timeout.as_secs(), 3960);
        assert_eq!((options.max_connections, options.max_concurrent_streams, options.max_concurrent_calls), (2, 3, 4));
    }

    #[test]
    fn zero_streams_are_unlimited() {
        assert_eq!(options("-max_concurrent_streams 0").max_concurrent_streams, u32::MAX);
    }
}
