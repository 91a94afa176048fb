//! barewire's route guide server, as a user would write it: the same transport as the bare server, and everything that
//! gRPC asks for between the stream and the handler.

use std::process::ExitCode;
use std::time::Duration;

use barewire::services::route_guide::{Features, Guide, router};
use barewire::{Server, ServerOptions, transport};
use barewire_instructions::{announce, run, told_to_end};

fn main() -> ExitCode {
    run(async {
        let listener = transport::tcp::listen("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port());
        let mut options = ServerOptions::default();
        // Under callgrind everything takes fifty times as long, and no handler should be taken for a slow one over it.
        options.inline_limit = Duration::from_secs(60);
        let told_to_end = async {
            // A server that can't be told to end would be killed uncounted, so it ends at once.
            let _: std::io::Result<()> = told_to_end().await;
        };
        let guide = Guide::new(Features::published());
        Server::new(router(guide)).with_options(options).serve_until(listener, told_to_end).await
    })
}
