//! The services that operators of a server use, on its port and on a listener of their own: health checks and reflection. And
//! the limits of the server, and its end.

mod connections;
mod ledger;
mod limits;

pub use connections::ConnectionFlags;

use barewire::io::Listener;
use barewire::services::health::Health;
use barewire::services::health::messages::ServingStatus;
use barewire::services::reflection::Reflection;
use barewire::transport::tcp::{self, TcpListener};
use barewire::{Router, Server, ServerOptions};
use clap::ArgAction;
use clap::builder::BoolishValueParser;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;

use crate::cli::{self, Signals, Stop};
use crate::services::FILE_DESCRIPTOR_SET;
use ledger::Ledger;
use limits::LimitFlags;

/// Time limit for calls on the admin listener once the server has ended.
const ADMIN_PATIENCE: Duration = Duration::from_secs(1);

/// The flags of the operators' services.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub struct OperatorFlags {
    /// Serve health checks (grpc.health.v1) on the same port
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    health: bool,
    /// Serve reflection (grpc.reflection.v1 and v1alpha) on the same port
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    reflection: bool,
    /// Second address to listen on, in plaintext, with health checks and reflection alone
    #[arg(long, value_name = "HOST:PORT")]
    admin_addr: Option<String>,
    #[command(flatten)]
    limits: LimitFlags,
}

/// A server and the services for its operators.
#[derive(Debug)]
pub struct Operator {
    health: bool,
    reflection: bool,
    admin: Option<TcpListener>,
    limits: LimitFlags,
}

impl OperatorFlags {
    /// Opens the admin listener, if there is to be one.
    ///
    /// # Errors
    ///
    /// [`Stop::Usage`] if its address is invalid or taken.
    pub async fn open(&self) -> Result<Operator, Stop> {
        let admin = match &self.admin_addr {
            None => None,
            Some(address) => Some(tcp::listen(address).await.map_err(|error| {
                Stop::Usage(format!("-admin_addr: {error}; choose another address of the form HOST:PORT"))
            })?),
        };
        Ok(Operator { health: self.health, reflection: self.reflection, admin, limits: self.limits.clone() })
    }
}

impl Operator {
    /// Serves until SIGINT or SIGTERM. Writes `announcement` and the admin listener's address to stderr as soon as both
    /// listen and signals are handled, then `warning`.
    ///
    /// At a signal all health checks get NOT_SERVING, and then the server shuts down. The admin listener stays open until
    /// the server has ended. Then a line on stderr has the number of calls that finished since the signal, and of those that
    /// were cut. A second signal ends it at once.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] if the system refuses a signal handler or an address.
    pub async fn serve<S>(
        self,
        listener: impl Listener,
        router: Router<S>,
        mut options: ServerOptions,
        announcement: &str,
        warning: Option<String>,
    ) -> Result<(), Stop>
    where
        S: Send + Sync + 'static,
    {
        let failed = |error: std::io::Error| Stop::Failed(error.to_string());
        let health = Health::new();
        for service in router.services() {
            health.set(service, ServingStatus::Serving);
        }
        let router = if self.health { router.merge(health.router()) } else { router };
        let router = if self.reflection { reflection()?.attach(router) } else { router };
        self.limits.apply(&mut options);
        let mut signals = Signals::new().map_err(failed)?;
        cli::announce(announcement);
        let (over, server_is_over) = oneshot::channel::<()>();
        let admin = match self.admin {
            None => None,
            Some(listener) => {
                let address = listener.local_addr().map_err(failed)?;
                cli::announce(format_args!("admin listening on {address}"));
                let router = reflection()?.attach(Router::new(()).merge(health.router()));
                let mut options = ServerOptions::default();
                options.shutdown_timeout = ADMIN_PATIENCE;
                let server = Server::new(router).with_options(options);
                Some(tokio::spawn(server.serve_until(listener, async {
                    // The sender is only dropped.
                    let _: Result<(), _> = server_is_over.await;
                })))
            }
        };
        if let Some(warning) = warning {
            cli::log(warning);
        }
        let ledger = Ledger::default();
        let (ends, ending) = oneshot::channel::<()>();
        let serving = async {
            let shutdown = async {
                // The sender is not dropped before it has sent.
                let _: Result<(), _> = ending.await;
                health.shutdown();
                ledger.begin();
            };
            let server = Server::new(router).with_options(options).interceptor(ledger.clone());
            let server = server.on_too_many_pings(|connection, pings| {
                cli::log(format_args!("{}: {pings}", connection.peer().address));
            });
            server.serve_until(listener, shutdown).await.map_err(failed)?;
            ledger.settle().await;
            drop(over);
            match admin {
                Some(admin) => admin.await.map_err(|error| Stop::Failed(error.to_string()))?.map_err(failed),
                None => Ok(()),
            }
        };
        let second_signal = async {
            signals.next().await;
            // If the server has ended already, nothing receives it.
            let _: Result<(), ()> = ends.send(());
            signals.next().await;
        };
        let (mut serving, mut second_signal) = (pin!(serving), pin!(second_signal));
        let ended = poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => second_signal.as_mut().poll(cx).map(Ok),
        });
        ended.await?;
        cli::announce(ledger.line());
        Ok(())
    }
}

/// Returns the descriptors of everything that the programs serve.
fn reflection() -> Result<Reflection, Stop> {
    Reflection::new().add_descriptor_set(FILE_DESCRIPTOR_SET).map_err(|error| Stop::Failed(error.to_string()))
}
