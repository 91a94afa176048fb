//! The server of gRPC's interop tests, with the flags of grpc-go's.
//!
//! Writes its address to stderr as soon as it listens. SIGINT and SIGTERM shut it down gracefully.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use barewire::{ServerOptions, compression};
use barewire_programs::cli::{self, Stop};
use barewire_programs::interop::orca::{Load, OpenRca};
use barewire_programs::interop::{TestServer, router};
use barewire_programs::operator::{ConnectionFlags, OperatorFlags};
use barewire_programs::watch::{self, Side};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};

/// The shortest interval of load reports that clients may request: a test must not wait for half a minute.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Serves gRPC's interop tests.
#[derive(Debug, Parser)]
#[command(name = "interop_server", rename_all = "snake_case")]
struct Flags {
    /// Port to listen on; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 10000)]
    port: u16,
    /// Name or address to listen on; a name resolves to its first IPv4 address
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Serve TLS; needs -tls_cert_file and -tls_key_file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    use_tls: bool,
    /// Certificate chain of the server, in PEM
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<PathBuf>,
    /// Largest message accepted from a client, in bytes
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    max_message_size: usize,
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

    fn identity(&self) -> Result<Option<Identity>, Stop> {
        match (self.use_tls, &self.tls_cert_file, &self.tls_key_file) {
            (true, Some(certificate), Some(key)) => {
                let identity = Identity::from_files(certificate, key);
                let identity = identity.map_err(|error| {
                    Stop::Usage(format!(
                        "{error}; -tls_cert_file and -tls_key_file must name a certificate in PEM and its key"
                    ))
                })?;
                Ok(Some(identity))
            }
            (true, _, _) => Err(Stop::Usage("-use_tls needs both -tls_cert_file and -tls_key_file".to_owned())),
            (false, None, None) => Ok(None),
            (false, _, _) => Err(Stop::Usage("-tls_cert_file and -tls_key_file need -use_tls".to_owned())),
        }
    }

    fn options(&self) -> ServerOptions {
        let mut options = ServerOptions::default();
        options.limits.max_receive_message_size = self.max_message_size;
        options.compressors = compression::all();
        self.connections.applied_to(options)
    }
}

/// Returns freed memory to the system, which glibc's allocator would keep.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::give_memory_back();
    cli::main(|flags: Flags| {
        let identity = flags.identity()?;
        let tap = watch::tap(Side::Server)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start threads: {error}")))?;
        runtime.block_on(listen(&flags, identity, &tap))
    })
}

async fn listen(flags: &Flags, identity: Option<Identity>, tap: &Tap) -> Result<(), Stop> {
    let listener = tcp::listen(&flags.address()).await;
    let listener =
        listener.map_err(|error| Stop::Usage(format!("{error}; choose another address with -port and -host")))?;
    let address = listener.local_addr().map_err(|error| Stop::Failed(error.to_string()))?;
    let operator = flags.operator.open().await?;
    let load = Load::default();
    let reports = OpenRca::new(load.clone()).shortest_interval(REPORT_INTERVAL);
    let id = format!("barewire-{}", std::process::id());
    let router = router(TestServer::new(id, load)).merge(reports.router());
    let announcement = format!("listening on {address}");
    match identity {
        None => operator.serve(tap.around(listener), router, flags.options(), &announcement, None).await,
        Some(identity) => {
            let flaw = identity.flaw().map(|flaw| format!("-tls_cert_file: {flaw}"));
            let listener =
                ServerTls::new(identity).listener(listener).map_err(|error| Stop::Usage(error.to_string()))?;
            let listener = listener.on_failure(|client, error| cli::log(format_args!("{client}: {error}")));
            operator.serve(tap.around(listener), router, flags.options(), &announcement, flaw).await
        }
    }
}
