//! The server that the cases run against.

use std::sync::Arc;

use super::outcome::{Failure, ok};
use crate::interop::client::TestServiceClient;
use barewire::client::Connection;
use barewire::io::Connector;
use barewire::{Client, ClientOptions, Status};

/// The server that the cases run against.
#[derive(Debug)]
pub struct Target<C> {
    connector: Arc<C>,
    pub(super) options: ClientOptions,
}

impl<C: Connector> Target<C> {
    /// Creates a target that is reached through `connector`.
    pub fn new(connector: C, options: ClientOptions) -> Target<C> {
        Target { connector: Arc::new(connector), options }
    }

    /// Opens a connection to the test service.
    pub(super) async fn service(&self) -> Result<TestServiceClient, Failure> {
        let connection = ok("connecting", self.open().await)?;
        let client = Client::over(Arc::new(connection), self.options.clone());
        Ok(TestServiceClient::new(ok("the client", client)?))
    }

    /// Returns the size limit of messages from the server.
    pub(super) fn limit(&self) -> usize {
        self.options.limits.max_receive_message_size
    }

    pub(super) async fn open(&self) -> Result<Connection, Status> {
        Connection::open(&*self.connector, &self.options).await
    }
}

impl<C> Clone for Target<C> {
    fn clone(&self) -> Self {
        Target { connector: self.connector.clone(), options: self.options.clone() }
    }
}
