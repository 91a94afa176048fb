//! The statuses, the handle that sets them, and the three methods that report them.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

use super::messages::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse, ServingStatus};
use super::{CHECK, LIST, WATCH};
use crate::{Outbound, Request, Router, Status};

/// The largest number of services that List reports; with more it fails with RESOURCE_EXHAUSTED, as grpc-go's does.
pub const MAX_LISTED: usize = 100;

/// The longest name of a service that can be watched, in bytes. Watch holds the name while the call is open.
const MAX_NAME: usize = 1024;

/// The status of the server and of each of its services. Clones are handles to the same statuses.
///
/// The empty name stands for the whole server. Setting a service's status does not change the server's.
///
/// # Watchers
///
/// Watch sends the status at once and then each change. A watcher that does not read misses the changes in between and gets
/// the latest; it holds only the message that waits to be sent. For a service without a status Watch sends
/// SERVICE_UNKNOWN and waits for one. A name of more than 1,024 bytes is refused with INVALID_ARGUMENT.
///
/// When the server shuts down, a watcher of a service that was SERVING gets NOT_SERVING, and then every Watch ends
/// with UNAVAILABLE. So watchers do not delay the shutdown, unless one has no flow-control window left: its call ends at
/// [`ServerOptions::shutdown_timeout`](crate::ServerOptions::shutdown_timeout).
#[derive(Clone, Debug)]
pub struct Health {
    /// All watchers wake at each change and look their service up. So names that clients invent need no entry.
    statuses: Arc<watch::Sender<Statuses>>,
}

#[derive(Debug)]
struct Statuses {
    services: BTreeMap<String, ServingStatus>,
    /// True between [`Health::shutdown`] and [`Health::resume`].
    is_shut_down: bool,
}

impl Health {
    /// Creates a handle. The server is SERVING, and no service has a status.
    pub fn new() -> Health {
        let services = BTreeMap::from([(String::new(), ServingStatus::Serving)]);
        Health { statuses: Arc::new(watch::Sender::new(Statuses { services, is_shut_down: false })) }
    }

    /// Sets the status of a service, by its full name; the empty name is the whole server.
    /// [`ServingStatus::ServiceUnknown`] removes the service. Ignored after [`Health::shutdown`].
    pub fn set(&self, service: impl Into<String>, status: ServingStatus) {
        let service = service.into();
        self.statuses.send_if_modified(|statuses| match (statuses.is_shut_down, status) {
            (true, _) => false,
            (false, ServingStatus::ServiceUnknown) => statuses.services.remove(&service).is_some(),
            (false, status) => statuses.services.insert(service, status) != Some(status),
        });
    }

    /// Sets all statuses to NOT_SERVING, and ignores [`Health::set`] until [`Health::resume`]. Call it when the program is
    /// told to end, before the server shuts down, so that clients choose another server in time.
    pub fn shutdown(&self) {
        self.set_all(ServingStatus::NotServing, true);
    }

    /// Sets all statuses to SERVING, and allows [`Health::set`] again.
    pub fn resume(&self) {
        self.set_all(ServingStatus::Serving, false);
    }

    fn set_all(&self, status: ServingStatus, is_shut_down: bool) {
        self.statuses.send_modify(|statuses| {
            statuses.is_shut_down = is_shut_down;
            statuses.services.values_mut().for_each(|each| *each = status);
        });
    }

    /// Returns the status of a service; `None` for a service without one.
    pub fn get(&self, service: &str) -> Option<ServingStatus> {
        self.statuses.borrow().services.get(service).copied()
    }

    /// Returns a router with the three methods, which are exempt from
    /// [`ServerOptions::max_concurrent_calls`](crate::ServerOptions::max_concurrent_calls).
    pub fn router(&self) -> Router<Health> {
        Router::new(self.clone())
            .unary(CHECK, Health::check)
            .unary(LIST, Health::list)
            .server_streaming(WATCH, Health::watch)
            .exempt_from_limits()
    }

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<HealthCheckResponse, Status> {
        let status = self.get(&request.service).ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(status.into())
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<HealthListResponse, Status> {
        let statuses = self.statuses.borrow();
        if statuses.services.len() > MAX_LISTED {
            let message = format!("the server has more than {MAX_LISTED} services: ask for one with Check");
            return Err(Status::resource_exhausted(message));
        }
        let all = statuses.services.iter().map(|(service, status)| (service.clone(), (*status).into()));
        Ok(HealthListResponse { statuses: all.collect() })
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
        mut changes: Outbound<HealthCheckResponse>,
    ) -> Result<(), Status> {
        let mut draining = std::pin::pin!(request.context().connection().draining());
        let mut statuses = self.statuses.subscribe();
        let service = request.into_message().service;
        if service.len() > MAX_NAME {
            return Err(Status::invalid_argument(format!("the service's name has more than {MAX_NAME} bytes")));
        }
        let (mut last, mut ends) = (None, false);
        loop {
            let status = match statuses.borrow_and_update().services.get(&service) {
                None => ServingStatus::ServiceUnknown,
                Some(ServingStatus::Serving) if ends => ServingStatus::NotServing,
                Some(status) => *status,
            };
            if last != Some(status) {
                last = Some(status);
                changes.send(HealthCheckResponse::from(status)).await?;
                // At most one message waits for the peer's window; later changes replace each other meanwhile.
                changes.flush().await?;
            }
            if ends {
                return Err(Status::unavailable("the server is shutting down"));
            }
            let mut changed = std::pin::pin!(statuses.changed());
            ends = poll_fn(|cx| match draining.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => changed.as_mut().poll(cx).map(|_| false),
            })
            .await;
        }
    }
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}
