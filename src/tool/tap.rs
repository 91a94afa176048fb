//! `barewire tap`: a proxy that forwards bytes unchanged and shows what they mean.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::feed::{Feed, What};
use super::files::Files;
use super::names::{Behind, Names};
use super::page::{self, Told};
use super::proxy::{Socket, Witnesses, forward};
use super::show::{Only, Screen, Show};
use super::tls::{Agreed, Tls, TlsFlags};
use super::together::{Either, either};
use crate::cli::{self, Stop};
use crate::transport::tcp;
use crate::watch::Wire;

/// How long accepting rests after an error, most of which pass: no descriptor left, a client that went away.
const REST: Duration = Duration::from_millis(100);

/// The flags of `barewire tap`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Where clients connect to: host:port, port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// The server, host:port
    #[arg(long, value_name = "ADDR")]
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
    /// Serves a page that shows calls, bytes and their meaning while they pass: host:port, or a port of the loopback interface
    #[arg(long, value_name = "ADDR", help_heading = "Views")]
    web: Option<String>,
    /// Writes that page with everything inside, whole when the program ends
    #[arg(long, value_name = "FILE", help_heading = "Views")]
    html: Option<PathBuf>,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let failed = |error: io::Error| Stop::Failed(error.to_string());
    let filter = flags.only.filter()?;
    let behind = Behind { address: &flags.to, tls: flags.tls.client_tls()? };
    let schema = flags.names.schema(Some(behind)).await?;
    let wire = Wire::from_environment()?;
    let listener = tcp::listen(&flags.listen).await;
    let listener = listener.map_err(|error| Stop::Usage(format!("{error}; choose with --listen")))?.into_socket();
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
        feed.add(Box::new(Screen::new(&show, filter, color, schema, io::stdout()))).map_err(failed)?;
    }
    let shutdown = cli::shutdown().map_err(failed)?;
    cli::say(format_args!("listening on {address}, forwarding to {}", flags.to));
    let (refused, mut refusals) = unbounded_channel();
    let upstream = Upstream { to: flags.to.into(), tls, reached: Arc::new(AtomicBool::new(flags.wait)), refused };
    let mut refusal = None;
    let shutdown = async {
        if let Either::Second(Some(said)) = either(shutdown, refusals.recv()).await {
            refusal = Some(said);
        }
    };
    let ended = serve(listener, upstream, &mut feed, shutdown).await;
    let heard = feed.end();
    super::written(ended.and(heard))?;
    refusal.map_or(Ok(()), |said| Err(Stop::Usage(said)))
}

/// Takes connections until the program shall end, or nobody listens any more.
async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    feed: &mut Feed,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let count = AtomicUsize::new(0);
    let mut listeners = feed.len();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = match either(shutdown.as_mut(), either(listener.accept(), feed.failure())).await {
            Either::First(()) => return Ok(()),
            Either::Second(Either::Second(error)) => {
                listeners = listeners.saturating_sub(1);
                if listeners == 0 {
                    return Err(error);
                }
                cli::say(error);
                continue;
            }
            Either::Second(Either::First(accepted)) => accepted,
        };
        match accepted {
            Ok((client, address)) => {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                let witnesses = Witnesses { to_server: feed.witness(number), to_client: feed.witness(number) };
                tokio::spawn(upstream.clone().connection(client, address, witnesses));
            }
            Err(error) => {
                cli::say(format_args!("can't accept a connection: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
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
            Err(error) => return cli::say(format_args!("{address}: {error}")),
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
                    let said = format!("can't connect to {}: {error}; start it before, or give --wait", self.to);
                    // Nobody listens when the first who was refused has been heard.
                    let _ = self.refused.send(said);
                    return;
                }
                cli::say(format_args!("{address} gets no connection: can't connect to {}: {error}", self.to));
            }
        }
    }

    async fn open(&self, client: Option<&Agreed>) -> io::Result<(Box<dyn Socket>, SocketAddr, Option<Agreed>)> {
        let (socket, there) = tcp::connect(&*self.to).open().await?;
        let (server, agreed) = self.tls.connect(socket, &self.to, client).await?;
        Ok((server, there, agreed))
    }
}
