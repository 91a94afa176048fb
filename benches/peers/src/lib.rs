//! Code that the programs of this package share: the command line, the runtime and allocator, and TLS for libraries without
//! their own.

pub mod load;
pub mod tls;

use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The window of a stream, in bytes: the same for all peers that can set it.
pub const STREAM_WINDOW: u32 = 1 << 20;
/// The window of a connection, in bytes.
pub const CONNECTION_WINDOW: u32 = 16 << 20;
/// The most calls in progress on a connection.
pub const CONCURRENT_STREAMS: u32 = 1_000;
/// The largest message, in bytes: slightly more than 16 MiB.
pub const LARGEST_MESSAGE: usize = 32 << 20;

/// The command line of every peer's program.
#[derive(Debug, Parser)]
pub enum Peer {
    /// Serve the route guide and bench.Blobs; the first line on stdout is the port
    Serve(Serve),
    /// Make calls, and print the measurements as JSON
    Call(Call),
}

/// The options of a server.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Worker threads of the runtime; 0 is the current-thread runtime
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Repetitions of the hundred features
    #[arg(long, default_value_t = 1_000)]
    pub repeat: usize,
    /// The certificate, in PEM; with --key it serves TLS
    #[arg(long, requires = "key")]
    pub cert: Option<PathBuf>,
    /// Use the library's own defaults instead of barewire's windows
    #[arg(long)]
    pub defaults: bool,
    /// The process runs under callgrind, fifty times slower: don't treat handlers as slow
    #[arg(long)]
    pub counted: bool,
    /// The certificate's key
    #[arg(long, requires = "cert")]
    pub key: Option<PathBuf>,
}

impl Serve {
    /// The certificate and key, if the server uses TLS.
    pub fn identity(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.cert.as_ref().zip(self.key.as_ref())
    }

    /// Builds the runtime that the options name.
    pub fn runtime(&self) -> std::io::Result<Runtime> {
        runtime(self.workers)
    }
}

/// The calls to make.
#[derive(Clone, Debug, Args)]
pub struct Call {
    /// The server's port on 127.0.0.1
    #[arg(long)]
    pub port: u16,
    /// Number of calls, or number of messages of one call
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Repetitions of a call of many messages; only for the bare client
    #[arg(long, default_value_t = 1)]
    pub calls: u32,
    /// Number of concurrent calls
    #[arg(long, default_value_t = 1)]
    pub in_flight: u32,
    /// The method
    #[command(subcommand)]
    pub method: Method,
}

impl Call {
    /// Returns the number of calls that caller `caller` of `in_flight` makes.
    pub fn share(&self, caller: u32) -> u32 {
        (self.count + self.in_flight - 1 - caller) / self.in_flight
    }
}

/// The kind of call that a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Method {
    /// GetFeature
    Unary,
    /// ListFeatures, once
    List,
    /// RecordRoute, once
    Record,
}

/// Builds a runtime with this many workers; 0 is the current-thread runtime.
pub fn runtime(workers: usize) -> std::io::Result<Runtime> {
    match workers {
        0 => Builder::new_current_thread().enable_all().build(),
        workers => Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
    }
}

/// Runs a peer: serves on the chosen runtime, or calls on the current thread. On an error it prints one line and returns exit
/// status 1.
pub fn main<E: Display, S, C>(serve: impl FnOnce(Serve) -> S, call: impl FnOnce(Call) -> C) -> ExitCode
where
    S: Future<Output = Result<(), E>>,
    C: Future<Output = Result<(), E>>,
{
    let to_text = |error: E| error.to_string();
    let outcome = match Peer::parse() {
        Peer::Serve(flags) => match flags.runtime() {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    ended = serve(flags) => ended.map_err(to_text),
                    signalled = barewire_instructions::termination() => signalled.map_err(|error| error.to_string()),
                }
            }),
            Err(error) => Err(error.to_string()),
        },
        Peer::Call(flags) => match runtime(0) {
            Ok(runtime) => runtime.block_on(call(flags)).map_err(to_text),
            Err(error) => Err(error.to_string()),
        },
    };
    exit_code(outcome)
}

/// On an error prints one line to stderr and returns exit status 1.
pub fn exit_code(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Converts an error to its text.
pub fn to_text(error: impl Display) -> String {
    error.to_string()
}
