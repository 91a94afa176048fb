//! `barewire tap`: a proxy that forwards bytes unchanged and shows what they mean.

mod authority;
mod hints;
mod proxy;
mod tls;
mod validity;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::feed::{EventKind, Feed};
use super::flags::address::{address, optional_address};
use super::flags::files::{Files, Named, distinct};
use super::flags::names::{Behind, Names};
use super::flags::show::{Only, Screen, Show};
use super::flags::to_tls::TlsSession;
use super::page;
use super::page::json::LineWriter;
use super::together::{Either, either};
use crate::cli::{self, Stop};
use crate::watch::Wire;
use barewire::inspector::Direction;
use barewire::io::Connector;
use barewire::transport::tcp;
use hints::Hints;
use proxy::{Socket, Witnesses, forward};
use tls::{Caller, Tls, TlsFlags};

/// Pause of accepting after an error. Most errors are temporary: no free descriptor, a client that has left.
const REST: Duration = Duration::from_millis(100);

/// The flags of `barewire tap`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Address to listen on: host:port, :port for all interfaces, or a port of the loopback interface; port 0 picks a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: String,
    /// Server to forward to: host:port, or a port of the loopback interface
    #[arg(long, value_name = "ADDR", value_parser = address)]
    to: String,
    /// Keeps running if the first connection to the server fails: it may be started later
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    tls: TlsFlags,
    /// Serves a page with the calls, the bytes and their meaning as they pass. At host:port, at a port of the loopback
    /// interface, or without a value at a free port of it
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0", value_parser = optional_address, help_heading = "Views")]
    web: Option<String>,
    /// Writes that page to a file, complete when the program ends
    #[arg(long, value_name = "FILE", help_heading = "Views")]
    html: Option<PathBuf>,
}

pub(super) async fn run(mut flags: Flags, color: bool) -> Result<(), Stop> {
    // Adds the host if the address is a port alone.
    flags.to = tcp::connect(flags.to).authority().to_owned();
    let failed = |error: io::Error| Stop::Failed(error.to_string());
    let filter = flags.only.filter()?;
    let behind = Behind { address: &flags.to, tls: flags.tls.client_tls()? };
    let schema = flags.names.schema(Some(behind)).await?;
    let wire = Wire::from_environment()?;
    let outputs = [flags.files.outputs(&wire), flags.html.iter().map(|file| ("--html", file.as_path())).collect()];
    distinct(&outputs.concat())?;
    let listener = tcp::listen(&flags.listen).await;
    let listener = listener.map_err(|error| Stop::Usage(format!("{error}; choose another address with --listen")))?;
    let address = listener.local_addr().map_err(failed)?;

    let tls = flags.tls.tls(&flags.listen)?;
    let (mut feed, began) = (Feed::new(), SystemTime::now());
    for file in flags.files.create(&wire, &schema)? {
        feed.add(file).map_err(failed)?;
    }
    if let Some(at) = &flags.web {
        let page = page::open(at, flags.files.size().of_page(page::KEPT), Some(address)).await?;
        feed.add(Box::new(LineWriter::new(flags.files.redaction(), schema.clone(), began, page))).map_err(failed)?;
    }
    if let Some(file) = &flags.html {
        let page = page::create(file, &flags.to, flags.files.size().of_file())?;
        feed.add(Box::new(LineWriter::new(flags.files.redaction(), schema.clone(), began, page))).map_err(failed)?;
    }
    let show = flags.show.or_as(&wire);
    if show.is_on() {
        let out = Named::new("stdout", io::stdout());
        let screen = Screen::new(&show, filter, color, schema, out).redacting(flags.files.of_screen());
        feed.add(Box::new(screen)).map_err(failed)?;
    }
    let shutdown = cli::shutdown().map_err(failed)?;
    cli::announce(format_args!("listening on {address}, forwarding to {}", flags.to));
    let (refused, mut refusals) = unbounded_channel();
    let (reached, forwards_tls) = (Arc::new(AtomicBool::new(flags.wait)), Arc::default());
    let upstream = Upstream { to: flags.to.into(), tls, reached, forwards_tls, refused };
    let mut refusal = None;
    let shutdown = async {
        if let Either::Second(Some(said)) = either(shutdown, refusals.recv()).await {
            refusal = Some(said);
        }
    };
    let failure = serve(listener, upstream, &mut feed, shutdown).await;
    let mut failures = failure.into_iter().chain(feed.end().into_iter().filter(is_failure));
    if let Some(said) = refusal {
        return Err(Stop::Usage(said));
    }
    let first = failures.next();
    failures.for_each(cli::announce);
    first.map_or(Ok(()), |error| Err(Stop::Failed(error.to_string())))
}

/// Returns false for a reader that closed the pipe early, such as head.
fn is_failure(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::BrokenPipe
}

/// Forwards connections until `shutdown`, and then ends the open ones. If an observer fails, forwarding continues without it.
/// Returns the first failure.
async fn serve(
    listener: tcp::TcpListener,
    upstream: Upstream,
    feed: &mut Feed,
    shutdown: impl Future<Output = ()>,
) -> Option<io::Error> {
    let (mut connections, mut count, mut failed) = (JoinSet::new(), 0, None);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = match either(shutdown.as_mut(), either(listener.accept_socket(), feed.failure())).await {
            Either::First(()) => break,
            Either::Second(Either::Second(error)) => {
                cli::log(format_args!("{error}; forwarding continues without it"));
                if is_failure(&error) {
                    failed.get_or_insert(error);
                }
                continue;
            }
            Either::Second(Either::First(accepted)) => accepted,
        };
        match accepted {
            Ok((client, address)) => {
                // Removes connections that have ended.
                while connections.try_join_next().is_some() {}
                count += 1;
                let [to_server, to_client] =
                    [Direction::ToServer, Direction::ToClient].map(|direction| feed.witness(count, direction));
                connections.spawn(upstream.clone().connection(client, address, Witnesses { to_server, to_client }));
            }
            Err(error) => {
                cli::log(format_args!("can't accept a connection: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
    // Ends forwarding before the observers, so that they receive everything that was forwarded.
    connections.shutdown().await;
    failed
}

/// The server, and how to connect to it.
#[derive(Clone)]
struct Upstream {
    to: Arc<str>,
    tls: Tls,
    /// True once the server was reached, or with `--wait`.
    reached: Arc<AtomicBool>,
    /// True once it was said that TLS is forwarded.
    forwards_tls: Arc<AtomicBool>,
    /// Receives an error if the server was never reached: then its address is probably wrong.
    refused: UnboundedSender<String>,
}

impl Upstream {
    /// Forwards one connection. If the server can't be reached, resets the client and logs a line; if it never was, ends the
    /// tap.
    async fn connection(self, client: TcpStream, address: SocketAddr, witnesses: Witnesses) {
        // Small writes must not be delayed here.
        let _: io::Result<()> = client.set_nodelay(true);
        let failed = |error: io::Error| cli::log(format_args!("{address}: {error}"));
        let caller = match self.tls.hello(client).await {
            Ok(caller) => caller,
            Err(error) => return failed(error),
        };
        match self.open(&caller).await {
            Ok((server, there, with_server)) => {
                self.reached.store(true, Ordering::Relaxed);
                let warning = with_server.as_ref().and_then(|session| self.tls.warning(&caller, session));
                let warning = warning.map(|warning| format!("{address}: {warning}"));
                warning.iter().for_each(cli::log);
                let (client, with_client) = match self.tls.accept(caller, with_server.as_ref()).await {
                    Ok(accepted) => accepted,
                    Err(error) => return failed(error),
                };
                witnesses.to_server.report(&EventKind::Opened { client: address, server: there });
                let sessions = [with_client, with_server].into_iter().flatten().map(|session| session.to_string());
                for note in sessions.chain(warning) {
                    witnesses.to_server.report(&EventKind::Note(note));
                }
                let (terminates, to_tls) = (self.tls.terminates(), self.tls.connect.clone());
                let hints = Hints::new(address, terminates, to_tls, self.forwards_tls.clone());
                forward(client, server, witnesses, &hints).await;
            }
            Err(error) => {
                caller.reset();
                if !self.reached.load(Ordering::Relaxed) {
                    // The receiver is gone after the first error.
                    let _ = self.refused.send(error);
                    return;
                }
                cli::log(format_args!("connection of {address} was reset: {error}"));
            }
        }
    }

    /// Connects to the server. Errors include the remedy.
    async fn open(&self, caller: &Caller) -> Result<(Box<dyn Socket>, SocketAddr, Option<TlsSession>), String> {
        let to = &*self.to;
        let (socket, there) = tcp::connect(to).open().await.map_err(|error| {
            let (error, named) = (error.to_string(), format!("{to}: "));
            let why = error.strip_prefix(&named).unwrap_or(&error);
            // This advice would be wrong once a server was reached.
            let mend =
                if self.reached.load(Ordering::Relaxed) { "" } else { "; start the server first, or use --wait" };
            format!("can't connect to {to}: {why}{mend}")
        })?;
        let connected = self.tls.connect(socket, to, caller).await;
        let (server, agreed) = connected.map_err(|error| format!("can't connect to {to}: {error}"))?;
        Ok((server, there, agreed))
    }
}
