//! `barewire tap`: a proxy that forwards bytes unchanged and shows what they mean.

mod authority;
mod proxy;
mod tls;

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

use super::feed::{Feed, What};
use super::flags::address::{address, optional_address};
use super::flags::files::{Files, Named};
use super::flags::names::{Behind, Names};
use super::flags::show::{Only, Screen, Show};
use super::page;
use super::page::told::Told;
use super::together::{Either, either};
use crate::cli::{self, Stop};
use crate::watch::Wire;
use barewire::inspector::Direction;
use barewire::io::Connector;
use barewire::transport::tcp;
use proxy::{Socket, Witnesses, forward};
use tls::{Agreed, Tls, TlsFlags};

/// How long accepting rests after an error, most of which pass: no descriptor left, a client that went away.
const REST: Duration = Duration::from_millis(100);

/// The flags of `barewire tap`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Where clients connect to: host:port, :port for all interfaces, or a port of the loopback interface; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address)]
    listen: String,
    /// The server: host:port, or a port of the loopback interface
    #[arg(long, value_name = "ADDR", value_parser = address)]
    to: String,
    /// Goes on although the server was never reached: it may be started later
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
    /// Serves a page that shows calls, bytes and their meaning while they pass: at host:port, at a port of the loopback interface,
    /// or without a value at a free one of it
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "0", value_parser = optional_address, help_heading = "Views")]
    web: Option<String>,
    /// Writes that page with everything inside, whole when the program ends
    #[arg(long, value_name = "FILE", help_heading = "Views")]
    html: Option<PathBuf>,
}

pub(super) async fn run(mut flags: Flags, color: bool) -> Result<(), Stop> {
    // With its host, where it is a port alone.
    flags.to = tcp::connect(flags.to).authority().to_owned();
    let failed = |error: io::Error| Stop::Failed(error.to_string());
    let filter = flags.only.filter()?;
    let behind = Behind { address: &flags.to, tls: flags.tls.client_tls()? };
    let schema = flags.names.schema(Some(behind)).await?;
    let wire = Wire::from_environment()?;
    let listener = tcp::listen(&flags.listen).await;
    let listener = listener.map_err(|error| Stop::Usage(format!("{error}; choose with --listen")))?;
    let address = listener.local_addr().map_err(failed)?;

    let tls = flags.tls.tls(&flags.listen)?;
    let (mut feed, began) = (Feed::new(), SystemTime::now());
    for file in flags.files.create(&wire, &schema)? {
        feed.add(file).map_err(failed)?;
    }
    if let Some(at) = &flags.web {
        let page = page::open(at, page::KEPT, Some(address)).await?;
        feed.add(Box::new(Told::new(flags.files.redaction(), schema.clone(), began, page))).map_err(failed)?;
    }
    if let Some(file) = &flags.html {
        let page = page::create(file, &flags.to)?;
        feed.add(Box::new(Told::new(flags.files.redaction(), schema.clone(), began, page))).map_err(failed)?;
    }
    let show = flags.show.or_as(&wire);
    if show.is_on() {
        let out = Named::new("stdout", io::stdout());
        feed.add(Box::new(Screen::new(&show, filter, color, schema, out))).map_err(failed)?;
    }
    let shutdown = cli::shutdown().map_err(failed)?;
    cli::announce(format_args!("listening on {address}, forwarding to {}", flags.to));
    let (refused, mut refusals) = unbounded_channel();
    let upstream = Upstream { to: flags.to.into(), tls, reached: Arc::new(AtomicBool::new(flags.wait)), refused };
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

/// A reader that has seen enough, such as head, is none.
fn is_failure(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::BrokenPipe
}

/// Takes connections until the program shall end, and ends those that are open then. A listener that fails hears nothing more,
/// and forwarding goes on; the first failure is handed back.
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
                cli::log(format_args!("{error}; forwarding goes on without it"));
                if is_failure(&error) {
                    failed.get_or_insert(error);
                }
                continue;
            }
            Either::Second(Either::First(accepted)) => accepted,
        };
        match accepted {
            Ok((client, address)) => {
                // Those that are over leave.
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
    // Before the listeners hear that it is the end: nothing is forwarded that they do not hear of.
    connections.shutdown().await;
    failed
}

/// Where connections go, and how.
#[derive(Clone)]
struct Upstream {
    to: Arc<str>,
    tls: Tls,
    /// Whether it was reached, or need not be.
    reached: Arc<AtomicBool>,
    /// Told when it can't be reached and never was: the address is wrong then, most likely.
    refused: UnboundedSender<String>,
}

impl Upstream {
    /// One connection. A server that can't be reached is a reset to the client and a line, and where it never was the end.
    async fn connection(self, client: TcpStream, address: SocketAddr, witnesses: Witnesses) {
        // What is small is not held back here either.
        let _: io::Result<()> = client.set_nodelay(true);
        let (client, agreed) = match self.tls.accept(client).await {
            Ok(accepted) => accepted,
            Err(error) => return cli::log(format_args!("{address}: {error}")),
        };
        match self.open(agreed.as_ref()).await {
            Ok((server, there, with_server)) => {
                self.reached.store(true, Ordering::Relaxed);
                witnesses.to_server.tell(&What::Opened { client: address, server: there });
                for agreed in [agreed, with_server].into_iter().flatten() {
                    witnesses.to_server.tell(&What::Said(agreed.to_string()));
                }
                forward(client, server, witnesses).await;
            }
            Err(error) => {
                client.reset();
                if !self.reached.load(Ordering::Relaxed) {
                    // Nobody listens when the first who was refused has been heard.
                    let _ = self.refused.send(error);
                    return;
                }
                cli::log(format_args!("{address} gets no connection: {error}"));
            }
        }
    }

    /// A connection to the server; what is wrong has its remedy with it.
    async fn open(&self, client: Option<&Agreed>) -> Result<(Box<dyn Socket>, SocketAddr, Option<Agreed>), String> {
        let to = &*self.to;
        let (socket, there) = tcp::connect(to).open().await.map_err(|error| {
            let (error, named) = (error.to_string(), format!("{to}: "));
            let why = error.strip_prefix(&named).unwrap_or(&error);
            // Once a server was reached, it is not for want of either.
            let mend = if self.reached.load(Ordering::Relaxed) { "" } else { "; start it before, or give --wait" };
            format!("can't connect to {to}: {why}{mend}")
        })?;
        let connected = self.tls.connect(socket, to, client).await;
        let (server, agreed) = connected.map_err(|error| format!("can't connect to {to}: {error}"))?;
        Ok((server, there, agreed))
    }
}
