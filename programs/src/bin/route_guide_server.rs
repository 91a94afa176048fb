//! The route guide's server with the flags of the gRPC project's example.
//!
//! Writes its address to stderr as soon as it listens. SIGINT and SIGTERM shut it down gracefully.

use std::path::PathBuf;
use std::process::ExitCode;

use barewire::ServerOptions;
use barewire::services::route_guide::{Features, Guide, router};
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use barewire_programs::cli::{self, Stop};
use barewire_programs::operator::{ConnectionFlags, OperatorFlags};
use barewire_programs::watch::{self, Side};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};

/// Serves the route guide of gRPC's tutorial.
#[derive(Debug, Parser)]
#[command(name = "route_guide_server", rename_all = "snake_case")]
struct Flags {
    /// Port to listen on; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 50051)]
    port: u16,
    /// Name or address to listen on; a name resolves to its first IPv4 address, an empty value means all interfaces
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Serve TLS; needs -cert_file and -key_file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    tls: bool,
    /// Certificate chain of the server, in PEM
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// JSON file of features, instead of the hundred published ones
    #[arg(long, value_name = "FILE")]
    json_db_file: Option<PathBuf>,
    #[command(flatten)]
    operator: OperatorFlags,
    #[command(flatten)]
    connections: ConnectionFlags,
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
        Features::from_file(file)
            .map_err(|error| Stop::Usage(format!("{error}; -json_db_file must name a file with a JSON array")))
    }

    fn identity(&self) -> Result<Option<Identity>, Stop> {
        match (self.tls, &self.cert_file, &self.key_file) {
            (true, Some(certificate), Some(key)) => {
                let identity = Identity::from_files(certificate, key);
                let identity = identity.map_err(|error| {
                    Stop::Usage(format!("{error}; -cert_file and -key_file must name a certificate in PEM and its key"))
                })?;
                Ok(Some(identity))
            }
            (true, _, _) => Err(Stop::Usage("-tls needs both -cert_file and -key_file".to_owned())),
            (false, None, None) => Ok(None),
            (false, _, _) => Err(Stop::Usage("-cert_file and -key_file need -tls".to_owned())),
        }
    }
}

/// Returns freed memory to the system, which glibc's allocator would keep.
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
    let listener =
        listener.map_err(|error| Stop::Usage(format!("{error}; choose another address with -port and -host")))?;
    let address = listener.local_addr().map_err(|error| Stop::Failed(error.to_string()))?;
    let operator = flags.operator.open().await?;
    let options = flags.connections.applied_to(ServerOptions::default());
    let announcement = format!("listening on {address}");
    match identity {
        None => operator.serve(tap.around(listener), router(guide), options, &announcement, None).await,
        Some(identity) => {
            let flaw = identity.flaw().map(|flaw| format!("-cert_file: {flaw}"));
            let listener =
                ServerTls::new(identity).listener(listener).map_err(|error| Stop::Usage(error.to_string()))?;
            let listener = listener.on_failure(|client, error| cli::log(format_args!("{client}: {error}")));
            operator.serve(tap.around(listener), router(guide), options, &announcement, flaw).await
        }
    }
}
