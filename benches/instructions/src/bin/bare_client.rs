//! The load for both servers, and the floor for the client side: calls on one bare h2 connection, see `src/load.rs`. The
//! first wrong answer ends the program with exit 1.

use std::process::ExitCode;

use barewire_instructions::{Load, load, run_client};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    run_client(async |wanted: Load| {
        let stream = TcpStream::connect(("127.0.0.1", wanted.port)).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (requests, driver) = load::connect(stream).await?;
        load::run(wanted, requests).await?;
        // After the last handle is dropped h2 sends GOAWAY, and the server sees an end instead of a reset.
        driver.await.map_err(|error| error.to_string())?.map_err(|error| format!("connection: {error}"))
    })
}
