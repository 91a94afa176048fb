//! The client of gRPC's interop tests. It has the flags and cases of grpc-go's client, and those for misbehaving servers.
//!
//! Writes one line to stderr: that the case passed, or why it failed. The soak cases also write a line for each call.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use barewire::io::Connector;
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls};
use barewire::wire::encoding::Encoding;
use barewire::{ClientOptions, compression};
use barewire_programs::cli::{self, Stop};
use barewire_programs::interop::cases::{Case, Settings, Soak, Target};
use barewire_programs::watch::{self, Side};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};

/// The load balancing policy that reads load reports, by the suite's name for it.
const REPORTING_POLICY: &str = "test_backend_metrics_load_balancer";

/// Runs one case of gRPC's interop tests.
#[derive(Debug, Parser)]
#[command(name = "interop_client", rename_all = "snake_case", after_long_help = cases())]
struct Flags {
    /// The server's name or address
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    server_host: String,
    /// The server's port
    #[arg(long, value_name = "N", default_value_t = 10000)]
    server_port: u16,
    /// Use TLS; needs -ca_file
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    use_tls: bool,
    /// Accepted for grpc-go's sake: with -use_tls, only -ca_file is ever trusted
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    use_test_ca: bool,
    /// Certificate of the authority that signed the server's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Name in the server's certificate; if empty, -server_host
    #[arg(long, value_name = "NAME", default_value = "")]
    server_host_override: String,
    /// Test case; --help lists them
    #[arg(long, value_name = "NAME", default_value = "large_unary", value_parser = case)]
    test_case: Case,
    /// Service config with the load balancing policy; orca_per_rpc and orca_oob need test_backend_metrics_load_balancer
    #[arg(long, value_name = "JSON", default_value = "", value_parser = Policy::parse)]
    service_config_json: Policy,
    /// Compression of requests in the compressed cases
    #[arg(long, value_name = "NAME", default_value = "gzip", value_parser = encoding)]
    encoding: Encoding,
    /// Largest message accepted from the server, in bytes
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    max_message_size: usize,
    /// Number of calls in rpc_soak and channel_soak
    #[arg(long, value_name = "N", default_value_t = 10)]
    soak_iterations: u32,
    /// Soak cases: number of calls that may fail or exceed the latency limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    soak_max_failures: u32,
    /// Soak cases: maximum latency of a call
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    soak_per_iteration_max_acceptable_latency_ms: u64,
    /// Soak cases: maximum duration of all calls together
    #[arg(long, value_name = "S", default_value_t = 10)]
    soak_overall_timeout_seconds: u64,
    /// Soak cases: minimum time between the starts of two calls
    #[arg(long, value_name = "MS", default_value_t = 0)]
    soak_min_time_ms_between_rpcs: u64,
    /// Soak cases: payload of a request, in bytes
    #[arg(long, value_name = "N", default_value_t = 271_828)]
    soak_request_size: usize,
    /// Soak cases: payload of a response, in bytes
    #[arg(long, value_name = "N", default_value_t = 314_159)]
    soak_response_size: usize,
    /// Soak cases: number of concurrent calls
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    soak_num_threads: u32,
}

impl Flags {
    fn tls(&self) -> Result<Option<ClientTls>, Stop> {
        match (self.use_tls, &self.ca_file) {
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
                Err(Stop::Usage("-use_tls needs -ca_file, the certificate of the authority to trust".to_owned()))
            }
            (false, None) if !self.use_test_ca => Ok(None),
            (false, _) => Err(Stop::Usage("-ca_file and -use_test_ca need -use_tls".to_owned())),
        }
    }

    fn address(&self) -> String {
        match self.server_host.contains(':') && !self.server_host.starts_with('[') {
            true => format!("[{}]:{}", self.server_host, self.server_port),
            false => format!("{}:{}", self.server_host, self.server_port),
        }
    }

    fn options(&self) -> ClientOptions {
        let mut options = ClientOptions::default();
        options.limits.max_receive_message_size = self.max_message_size;
        options.compressors = compression::all();
        options
    }

    fn settings(&self) -> Settings {
        let mut soak = Soak::default();
        soak.iterations = self.soak_iterations;
        soak.max_failures = self.soak_max_failures;
        soak.max_latency = Duration::from_millis(self.soak_per_iteration_max_acceptable_latency_ms);
        soak.overall_timeout = Duration::from_secs(self.soak_overall_timeout_seconds);
        soak.min_time_between = Duration::from_millis(self.soak_min_time_ms_between_rpcs);
        soak.request_size = self.soak_request_size;
        soak.response_size = self.soak_response_size;
        soak.workers = self.soak_num_threads;
        Settings { soak, encoding: self.encoding, progress: Arc::new(|line| cli::say(line)) }
    }
}

/// The load balancing policy of the service config (gRFC A21). With a single connection every policy does the same, except that
/// only one of them reads load reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    PickFirst,
    Reporting,
}

impl Policy {
    /// Returns the first supported policy of the list.
    fn parse(json: &str) -> Result<Policy, String> {
        if json.is_empty() {
            return Ok(Policy::PickFirst);
        }
        let config: serde_json::Value =
            serde_json::from_str(json).map_err(|error| format!("not valid JSON: {error}"))?;
        let policies = match &config["loadBalancingConfig"] {
            serde_json::Value::Null => return Ok(Policy::PickFirst),
            list => list.as_array().ok_or("loadBalancingConfig must be a list")?,
        };
        let names = policies.iter().filter_map(|policy| policy.as_object()?.keys().next());
        let known = names.filter_map(|name| match name.as_str() {
            "pick_first" => Some(Policy::PickFirst),
            REPORTING_POLICY => Some(Policy::Reporting),
            _ => None,
        });
        known.into_iter().next().ok_or_else(|| format!("unsupported policy: use pick_first or {REPORTING_POLICY}"))
    }
}

fn case(name: &str) -> Result<Case, &'static str> {
    Case::from_name(name).ok_or("unknown case, see --help for the list")
}

fn encoding(name: &str) -> Result<Encoding, String> {
    let all = compression::all();
    let known = Encoding::from_name(name.as_bytes()).filter(|encoding| all.get(*encoding).is_some());
    known.ok_or_else(|| format!("unsupported encoding, use one of {}", all.encodings().to_list()))
}

/// Lists all cases, one per line.
fn cases() -> String {
    let line = |case: &Case| format!("  {:<28} {}\n", case.name(), case.about());
    format!("Cases:\n{}", Case::ALL.iter().map(line).collect::<String>())
}

fn main() -> ExitCode {
    cli::main(|flags: Flags| {
        let tls = flags.tls()?;
        let tap = watch::tap(Side::Client)?;
        if matches!(flags.test_case, Case::OrcaPerRpc | Case::OrcaOob) && flags.service_config_json != Policy::Reporting
        {
            return Err(Stop::Usage(format!(
                "{} needs the policy {REPORTING_POLICY} in -service_config_json",
                flags.test_case.name()
            )));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Stop::Failed(format!("can't start: {error}")))?;
        runtime.block_on(connect(&flags, tls, &tap))
    })
}

async fn connect(flags: &Flags, tls: Option<ClientTls>, tap: &Tap) -> Result<(), Stop> {
    let connector = tcp::connect(flags.address());
    match tls {
        None => go_through(flags, tap.around(connector)).await,
        Some(tls) => {
            let connector = tls.connector(connector);
            let connector =
                connector.map_err(|error| Stop::Usage(format!("{error}; set the name with -server_host_override")))?;
            go_through(flags, tap.around(connector)).await
        }
    }
}

async fn go_through(flags: &Flags, connector: impl Connector + 'static) -> Result<(), Stop> {
    let name = flags.test_case.name();
    let target = Target::new(connector, flags.options());
    let outcome = flags.test_case.run(&target, &flags.settings()).await;
    outcome.map_err(|failure| Stop::Failed(format!("{name} failed: {failure}")))?;
    cli::say(format_args!("{name} passed"));
    Ok(())
}
