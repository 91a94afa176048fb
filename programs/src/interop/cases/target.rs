//! The server that the cases are gone through with.

use std::sync::Arc;

use super::outcome::{Failure, ok};
use crate::interop::client::TestServiceClient;
use barewire::client::Connection;
use barewire::io::Connector;
use barewire::{Client, ClientOptions, Status};

/// The server that the cases are gone through with.
#[derive(Debug)]
pub struct Target<C> {
    connector: Arc<C>,
    pub(super) options: ClientOptions,
}

impl<C: Connector> Target<C> {
    /// A server that is reached in this way.
    pub fn new(connector: C, options: ClientOptions) -> Target<C> {
        Target { connector: Arc::new(connector), options }
    }

    /// The test service over a connection of its own.
    pub(super) async fn service(&self) -> Result<TestServiceClient, Failure> {
        let connection = ok("connecting", self.open().await)?;
        let client = Client::over(Arc::new(connection), self.options.clone());
        Ok(TestServiceClient::new(ok("the client", client)?))
    }

    /// The largest message that is taken from it.
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
