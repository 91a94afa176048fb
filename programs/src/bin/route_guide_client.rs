//! The route guide's client. It has the flags and the output (on stderr) of the gRPC project's example; times of day are in
//! UTC.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use barewire::services::route_guide::{Event, RouteGuideClient, run};
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls};
use barewire::{Client, Status};
use barewire_programs::cli::{self, Stop};
use barewire_programs::watch::{self, Side};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};

/// Calls the route guide of gRPC's tutorial.
#[derive(Debug, Parser)]
#[command(name = "route_guide_client", rename_all = "snake_case")]
struct Flags {
    /// Server to call; the host defaults to localhost
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:50051", value_parser = host_and_port)]
    addr: String,
    /// Use TLS; needs -ca_file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    tls: bool,
    /// Certificate of the authority that signed the server's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Name in the server's certificate; if empty, the host of -addr
    #[arg(long, value_name = "NAME", default_value = "x.test.example.com")]
    server_host_override: String,
    /// Seed for the points of the route: the same number gives the same route. Random by default
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Flags {
    fn tls(&self) -> Result<Option<ClientTls>, Stop> {
        match (self.tls, &self.ca_file) {
            (true, Some(file)) => {
                let authorities = Authorities::from_file(file);
                let authorities =
                    authorities.map_err(|error| Stop::Usage(format!("{error}; -ca_file must name a PEM file")))?;
                let tls = ClientTls::new(authorities);
                Ok(Some(match self.server_host_override.as_str() {
                    "" => tls,
                    name => tls.server_name(name),
                }))
            }
            (true, None) => {
                Err(Stop::Usage("-tls needs -ca_file, the certificate of the authority to trust".to_owned()))
            }
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Stop::Usage("-ca_file needs -tls".to_owned())),
        }
    }

    fn seed(&self) -> u64 {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.seed.unwrap_or_else(|| now().as_nanos() as u64)
    }
}

fn host_and_port(address: &str) -> Result<String, &'static str> {
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => Err("must be host:port"),
    }
}

fn main() -> ExitCode {
    cli::main(|flags: Flags| {
        let tls = flags.tls()?;
        let tap = watch::tap(Side::Client)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start: {error}")))?;
        runtime.block_on(call(&flags, tls, &tap))
    })
}

async fn call(flags: &Flags, tls: Option<ClientTls>, tap: &Tap) -> Result<(), Stop> {
    let connector = tcp::connect(&flags.addr);
    let connected = match tls {
        None => Client::connect(tap.around(connector)).await,
        Some(tls) => {
            let connector = tls.connector(connector);
            let connector =
                connector.map_err(|error| Stop::Usage(format!("{error}; set the name with -server_host_override")))?;
            Client::connect(tap.around(connector)).await
        }
    };
    let client = connected
        .map_err(|status| Stop::Failed(log(format_args!("fail to dial {}: {}", flags.addr, reason(&status)))))?;
    let print = |event: Event<'_>| cli::say(log(event));
    run(&RouteGuideClient::new(client), flags.seed(), print)
        .await
        .map_err(|failure| Stop::Failed(log(format_args!("{failure:#}"))))
}

/// Formats a line as Go's `log` package does.
fn log(line: impl std::fmt::Display) -> String {
    format!("{} {line}", cli::timestamp(SystemTime::now()))
}

/// Returns why connecting failed, with its cause. Leaves out the status code, which is always the same.
fn reason(status: &Status) -> String {
    let whole = format!("{status:#}");
    whole.strip_prefix("UNAVAILABLE: ").unwrap_or(&whole).to_owned()
}
