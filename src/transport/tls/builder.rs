//! TLS on the builders of both sides.

use std::io;

use super::client::ClientTls;
use super::server::ServerTls;
use crate::client::ClientBuilder;
use crate::server::ServerBuilder;

impl ServerBuilder {
    /// Adds TLS to the listener's connections. [`ServerBuilder::serve`] and [`Server::serve`](crate::Server::serve) return an
    /// error if the configuration can't be used.
    ///
    /// ```no_run
    /// # async fn example(router: barewire::server::Routes) -> Result<(), Box<dyn std::error::Error>> {
    /// use barewire::Server;
    /// use barewire::transport::tcp;
    /// use barewire::transport::tls::{Identity, ServerTls};
    ///
    /// let tls = ServerTls::new(Identity::from_files("server.pem", "server.key")?);
    /// Server::builder().tls(tls).serve(router, tcp::listen("127.0.0.1:50051").await?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, tls: ServerTls) -> ServerBuilder {
        let handshake = tls.handshake().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error));
        self.handshake = Some(handshake);
        self
    }
}

impl ClientBuilder {
    /// Uses TLS for connections: for an `https` URL, and for any connector of
    /// [`connect_over`](ClientBuilder::connect_over). Connecting fails with INVALID_ARGUMENT if the configuration can't be
    /// used, or if the URL is plaintext.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use barewire::Client;
    /// use barewire::transport::tls::{Authorities, ClientTls};
    ///
    /// let tls = ClientTls::new(Authorities::from_file("ca.pem")?);
    /// let client = Client::builder().tls(tls).connect("https://words.example.com").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, tls: ClientTls) -> ClientBuilder {
        self.handshake = Some(tls.handshake());
        self
    }
}
