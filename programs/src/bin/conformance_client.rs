//! A client for connectrpc's conformance tests, started by `connectconformance --mode client`.
//!
//! Reads calls from stdin, makes them, and writes the result of each to stdout. Ends after the last call.

use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use barewire_programs::cli::{self, Stop};
use barewire_programs::conformance;
use barewire_programs::watch::{self, Side};
use clap::Parser;

/// Runs calls of connectrpc's conformance tests, which it reads from stdin: connectconformance --mode client --
/// conformance_client
#[derive(Debug, Parser)]
#[command(name = "conformance_client", rename_all = "snake_case")]
struct Flags {
    /// Maximum number of concurrent calls; four per processor by default
    #[arg(long, short, value_name = "N")]
    parallel: Option<NonZero<usize>>,
}

fn main() -> ExitCode {
    cli::main(|flags: Flags| {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let at_a_time = flags.parallel.map_or(4 * processors, NonZero::get);
        let tap = watch::tap(Side::Client)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start threads: {error}")))?;
        let ran = runtime.block_on(conformance::run(io::stdin(), io::stdout(), at_a_time, tap));
        ran.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Stop::Usage(format!("{error} on stdin; connectconformance --mode client starts this program"))
            }
            _ => Stop::Failed(error.to_string()),
        })
    })
}
