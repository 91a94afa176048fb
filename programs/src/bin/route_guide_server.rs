//! The route guide's server with the flags of the gRPC project's example.
//!
//! Says on stderr where it listens, as soon as it does; SIGINT and SIGTERM end it gracefully.

use std::path::PathBuf;
use std::process::ExitCode;

use barewire::Server;
use barewire::io::Listener;
use barewire::services::route_guide::{Features, Guide, router};
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use barewire_programs::cli::{self, Stop};
use barewire_programs::watch::{self, Side};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};

/// Serves the route guide of gRPC's tutorial.
#[derive(Debug, Parser)]
#[command(name = "route_guide_server", rename_all = "snake_case")]
struct Flags {
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 50051)]
    port: u16,
    /// The name or address to listen on; of a name's addresses the first IPv4 one. Empty is all interfaces
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Serve TLS, with -cert_file and -key_file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    tls: bool,
    /// The server's certificate and those that lead to its authority, in PEM
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A JSON file of features, instead of the hundred published ones
    #[arg(long, value_name = "FILE")]
    json_db_file: Option<PathBuf>,
}

impl Flags {
    fn address(&self) -> String {
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    fn features(&self) -> Result<Features, Stop> {
        let Some(file) = &self.json_db_file else { return Ok(Features::published()) };
        Features::from_file(file).map_err(|error| Stop::Usage(format!("{error}; -json_db_file names a JSON array")))
    }

    fn identity(&self) -> Result<Option<Identity>, Stop> {
        match (self.tls, &self.cert_file, &self.key_file) {
            (true, Some(certificate), Some(key)) => {
                let identity = Identity::from_files(certificate, key);
                let identity = identity.map_err(|error| {
                    Stop::Usage(format!("{error}; -cert_file and -key_file name PEM files that belong together"))
                })?;
                Ok(Some(identity))
            }
            (true, _, _) => Err(Stop::Usage("-tls needs both -cert_file and -key_file".to_owned())),
            (false, None, None) => Ok(None),
            (false, _, _) => Err(Stop::Usage("-cert_file and -key_file need -tls".to_owned())),
        }
    }
}

/// Gives memory back that glibc's would keep.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::give_memory_back();
    cli::main(|flags: Flags| {
        let guide = Guide::new(flags.features()?);
        let identity = flags.identity()?;
        let tap = watch::tap(Side::Server)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start threads: {error}")))?;
        runtime.block_on(listen(&flags, identity, &tap, guide))
    })
}

async fn listen(flags: &Flags, identity: Option<Identity>, tap: &Tap, guide: Guide) -> Result<(), Stop> {
    let listener = tcp::listen(&flags.address()).await;
    let listener = listener.map_err(|error| Stop::Usage(format!("{error}; choose with -port and -host")))?;
    let address = listener.local_addr().map_err(|error| Stop::Failed(error.to_string()))?;
    let announcement = format!("listening on {address}");
    match identity {
        None => serve(tap.around(listener), guide, &announcement, None).await,
        Some(identity) => {
            let flaw = identity.flaw().map(|flaw| format!("-cert_file: {flaw}"));
            let listener =
                ServerTls::new(identity).listener(listener).map_err(|error| Stop::Usage(error.to_string()))?;
            let listener = listener.on_failure(|client, error| cli::log(format_args!("{client}: {error}")));
            serve(tap.around(listener), guide, &announcement, flaw).await
        }
    }
}

/// Announces itself when signals are heard already: whoever waits for the line may end the server at once.
async fn serve(listener: impl Listener, guide: Guide, announcement: &str, warning: Option<String>) -> Result<(), Stop> {
    let failed = |error: std::io::Error| Stop::Failed(error.to_string());
    let shutdown = cli::shutdown().map_err(failed)?;
    cli::announce(announcement);
    if let Some(warning) = warning {
        cli::log(warning);
    }
    Server::new(router(guide)).serve_until(listener, shutdown).await.map_err(failed)
}
