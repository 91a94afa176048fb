//! The load's command line: one mode, one server, one line of JSON on stdout. See `src/load.rs`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use barewire_peers::load::{self, Target};
use barewire_peers::{exit_code, runtime, to_text};
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Flags {
    /// The server's port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// The certificate to trust; with it the connections use TLS
    #[arg(long)]
    authority: Option<PathBuf>,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Calls every method once and compares the answers
    Check {
        #[arg(long)]
        only_unary: bool,
        #[arg(long, default_value_t = 100_000)]
        features: usize,
    },
    /// Unary calls one after another
    Latency { seconds: f64 },
    /// ListFeatures, which returns this many messages
    List { messages: usize },
    /// RecordRoute
    Record {
        messages: usize,
        /// Many points in a DATA frame instead of one
        #[arg(long)]
        packed: bool,
    },
    /// RouteChat
    Chat { messages: usize },
    /// Blobs of a size from the server
    Download { size: i32, count: i32 },
    /// Blobs of a size to the server
    Upload { size: usize, count: usize },
    /// Blobs of a size there and back
    Echo { size: usize, count: usize },
    /// Connections, each with one call
    Connections { seconds: f64 },
    /// Connections that stay
    Idle { count: usize },
    /// Messages of 1 byte to 64 KiB one by one, this many of each
    Stalls { each: usize },
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let outcome = runtime(0).map_err(to_text).and_then(|runtime| runtime.block_on(run(flags)));
    exit_code(outcome.map(|line| println!("{line}")))
}

async fn run(flags: Flags) -> Result<String, String> {
    let target = &Target::new(flags.port, flags.authority.as_ref())?;
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(to_text);
    match flags.mode {
        Mode::Check { only_unary, features } => load::check(target, only_unary, features).await,
        Mode::Latency { seconds } => load::latency(target, length(seconds)?).await,
        Mode::List { messages } => load::listing(target, messages).await,
        Mode::Record { messages, packed } => load::recording(target, messages, packed).await,
        Mode::Chat { messages } => load::chatting(target, messages).await,
        Mode::Download { size, count } => load::download(target, size, count).await,
        Mode::Upload { size, count } => load::upload(target, size, count).await,
        Mode::Echo { size, count } => load::echo(target, size, count).await,
        Mode::Connections { seconds } => load::connections(target, length(seconds)?).await,
        Mode::Idle { count } => load::idle(target, count).await,
        Mode::Stalls { each } => load::stalls(target, each).await,
    }
}
