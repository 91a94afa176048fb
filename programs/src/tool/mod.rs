//! The program `barewire`: a folder for each of its commands, and one for the flags that they share.
//!
//! ```text
//! barewire                 runs the route guide, shows the bytes of its first call   demonstration
//! barewire tap             forwards connections unchanged, shows what passes         tap/
//! barewire decode FILE     explains a capture                                        decode/
//! barewire replay FILE     sends a captured call again, compares the answers         replay/
//! barewire tour            shows calls of all kinds, and failing ones, by frame      tour/
//! barewire wire-format     prints docs/wire-format.md
//!
//! --proto --descriptor-set --reflection                                           flags/names.rs, flags/reflection.rs
//! --show --stream --method --status --frame                                       flags/show.rs
//! --ladder --windows                                                              flags/drawing.rs
//! --pcapng --jsonl --redact …                                                     flags/files.rs
//! --key-log                                                                       flags/keys.rs
//! --web --html                                                                    page/
//! --tls --to-tls …                                                                tap/tls.rs, tap/authority.rs
//!
//! distributes what passes the tap to its screen, files and page                      feed.rs
//! ```
//!
//! A folder may use those before it in this order: `flags`, `page`, `decode`, then the other commands.
//!
//! A user's mistake is one line and exit status 2; a failure at run time is one line and exit status 1.

mod decode;
mod feed;
mod flags;
mod page;
mod replay;
mod stdout;
mod tap;
mod together;
mod tour;

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::runtime;

use crate::cli::{self, Stop};
use crate::demonstration;
use stdout::written;

/// Shows every byte of gRPC. Without a command: runs the route guide's server and client on the loopback interface, and shows
/// the bytes of the first call.
#[derive(Debug, Parser)]
#[command(name = "barewire", version)]
struct Flags {
    /// When to colour the output; auto means on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", global = true)]
    color: Color,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forwards connections between clients and a server unchanged, and shows what their bytes mean
    Tap(Box<tap::Flags>),
    /// Shows what the bytes of a capture mean: pcap, pcapng, JSON lines, or the raw bytes of one direction
    Decode(decode::Flags),
    /// Sends a captured call again, as it was or changed, and shows how the answer differs
    Replay(replay::Flags),
    /// Walks through the four kinds of call frame by frame, with every byte explained
    Tour(tour::Flags),
    /// Prints docs/wire-format.md: two calls byte by byte
    WireFormat {
        /// Prints docs/images/get-feature.svg instead: a picture of the first call
        #[arg(long)]
        svg: bool,
    },
}

impl Color {
    /// Follows <https://no-color.org>: any value of NO_COLOR that is not empty disables colours.
    fn is_on(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && io::stdout().is_terminal()
            }
        }
    }
}

/// Runs the program with the flags and the environment of the process.
pub fn main() -> ExitCode {
    cli::main(|flags: Flags| {
        let color = flags.color.is_on();
        let ended = match flags.command {
            None => on_one_thread(demonstrate(color)),
            Some(Command::Tap(flags)) => on(&mut runtime::Builder::new_multi_thread(), tap::run(*flags, color)),
            Some(Command::Decode(flags)) => on_one_thread(decode::run(flags, color)),
            Some(Command::Replay(flags)) => on_one_thread(replay::run(flags, color)),
            Some(Command::Tour(flags)) => on_one_thread(tour::run(flags, color)),
            Some(Command::WireFormat { svg }) => on_one_thread(wire_format(svg)),
        };
        ended.map_err(|stop| match stop {
            Stop::Failed(line) => Stop::Failed(format!("barewire: {line}")),
            stop => stop,
        })
    })
}

fn on_one_thread(command: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    on(&mut runtime::Builder::new_current_thread(), command)
}

fn on(builder: &mut runtime::Builder, command: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Stop::Failed(format!("can't start: {error}")))?.block_on(command)
}

async fn demonstrate(color: bool) -> Result<(), Stop> {
    let mut out = io::BufWriter::new(io::stdout());
    let shown = demonstration::run(&mut out, color).await;
    outcome(shown.and_then(|()| out.flush().map_err(demonstration::Failure::Output)))
}

async fn wire_format(svg: bool) -> Result<(), Stop> {
    let page = if svg { demonstration::wire_format_svg().await } else { demonstration::wire_format().await };
    outcome(page.and_then(|page| io::stdout().write_all(page.as_bytes()).map_err(demonstration::Failure::Output)))
}

fn outcome(shown: Result<(), demonstration::Failure>) -> Result<(), Stop> {
    match shown {
        Err(demonstration::Failure::Output(error)) => written(Err(error)),
        shown => shown.map_err(|stopped| Stop::Failed(stopped.to_string())),
    }
}
