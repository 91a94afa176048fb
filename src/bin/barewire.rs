//! The tool: without arguments it runs the route guide and shows the bytes of its first call.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use barewire::cli::{self, Stop};
use barewire::demonstration;
use clap::{Parser, Subcommand, ValueEnum};

/// gRPC with nothing hidden. Without a command: runs the route guide's server and client on the loopback interface and shows
/// the bytes of the first call.
#[derive(Debug, Parser)]
#[command(name = "barewire", version)]
struct Flags {
    /// Whether to colour what is printed; auto means on a terminal, unless NO_COLOR is set
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
    /// Prints docs/wire-format.md: two calls byte by byte
    WireFormat,
}

impl Color {
    /// <https://no-color.org>: any value but an empty one means no.
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

fn main() -> ExitCode {
    cli::main(|flags: Flags| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start: {error}")))?;
        runtime.block_on(run(&flags))
    })
}

async fn run(flags: &Flags) -> Result<(), Stop> {
    let mut out = io::BufWriter::new(io::stdout());
    let done = match flags.command {
        None => demonstration::run(&mut out, flags.color.is_on()).await,
        Some(Command::WireFormat) => demonstration::wire_format()
            .await
            .and_then(|page| out.write_all(page.as_bytes()).map_err(demonstration::Stopped::Output)),
    };
    match done.and_then(|()| out.flush().map_err(demonstration::Stopped::Output)) {
        // A reader that has seen enough, such as head, is no failure.
        Err(demonstration::Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|stopped| Stop::Failed(stopped.to_string())),
    }
}
