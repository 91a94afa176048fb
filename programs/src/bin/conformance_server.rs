//! A server for connectrpc's conformance tests, started by `connectconformance --mode server`.
//!
//! Reads its configuration from stdin, writes its address to stdout, and serves until SIGINT or SIGTERM.

use std::io;
use std::process::ExitCode;

use barewire::transport::tap::Tap;
use barewire_programs::cli::{self, Stop};
use barewire_programs::conformance::messages::ServerCompatRequest;
use barewire_programs::conformance::{self, BoundServer};
use barewire_programs::watch::{self, Side};
use clap::Parser;

/// Serves connectrpc's conformance tests, with settings from stdin: connectconformance --mode server -- conformance_server
#[derive(Debug, Parser)]
#[command(name = "conformance_server")]
struct Flags {}

/// Returns freed memory to the system, which glibc's allocator would keep.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::give_memory_back();
    cli::main(|_: Flags| {
        let request = request().map_err(|error| {
            Stop::Usage(format!("{error} on stdin; connectconformance --mode server starts this program"))
        })?;
        let tap = watch::tap(Side::Server)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start threads: {error}")))?;
        runtime.block_on(serve(&request, tap)).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => Stop::Usage(format!("{error}; change the ServerCompatRequest on stdin")),
            _ => Stop::Failed(error.to_string()),
        })
    })
}

fn request() -> io::Result<ServerCompatRequest> {
    conformance::read(&mut io::stdin().lock())?
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no ServerCompatRequest"))
}

async fn serve(request: &ServerCompatRequest, tap: Tap) -> io::Result<()> {
    let server = BoundServer::begin(request).await?.tap(tap);
    // Signals are handled before the runner learns the address: it may end the server at once.
    let shutdown = cli::shutdown()?;
    conformance::write(&mut io::stdout().lock(), server.response())?;
    server.serve_until(shutdown).await
}
