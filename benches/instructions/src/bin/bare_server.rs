//! Bare h2 as a server on a current-thread runtime: the floor of the comparison, see `src/ceiling.rs`.

use std::process::ExitCode;

use barewire_instructions::{announce, ceiling, run_server, termination};
use tokio::net::TcpListener;

fn main() -> ExitCode {
    run_server(async |features| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        announce(listener.local_addr()?.port());
        tokio::select! {
            ended = ceiling::accept(listener, features) => ended,
            signalled = termination() => signalled,
        }
    })
}
