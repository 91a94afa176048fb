//! [`client`] and [`client_with`]: a server and a client over a connection in memory.

use crate::client::{Client, ClientOptions};
use crate::server::{Routes, Server};
use crate::status::Status;
use crate::transport::memory;

/// Serves these routes over a connection in memory, and returns a client of them. Both have default options. The server runs on
/// a task until the runtime ends. [The module](crate::testing) has an example.
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub async fn client(routes: impl Into<Routes>) -> Client {
    let connected = client_with(Server::new(routes), ClientOptions::default()).await;
    connected.expect("a server with default options accepts a connection in memory")
}

/// Runs this server with a connection in memory, and returns a client of it with these options.
///
/// ```
/// use barewire::{ClientOptions, Code, Method, Request, Router, Server, ServerOptions, Status, Unary, testing};
///
/// const ECHO: Method<String, String, Unary> = Method::new("/words.Words/Echo");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Status> {
/// let router = Router::new(()).unary(ECHO, |_: &(), request: Request<String>| async {
///     Ok::<_, Status>(request.into_message())
/// });
/// let mut options = ServerOptions::default();
/// options.limits.max_receive_message_size = 10;
/// let server = Server::new(router).with_options(options);
/// let client = testing::client_with(server, ClientOptions::default()).await?;
///
/// assert_eq!(client.unary(ECHO, "short".to_owned()).await?.message(), "short");
/// let refused = client.unary(ECHO, "longer than that".to_owned()).await.unwrap_err();
/// assert_eq!(refused.code(), Code::ResourceExhausted);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`Client::connect_with`]: UNAVAILABLE if the server refuses the connection, INTERNAL if the user agent is
/// invalid.
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub async fn client_with(server: Server, options: ClientOptions) -> Result<Client, Status> {
    let (listener, connector) = memory::pair();
    tokio::spawn(server.serve(listener));
    Client::connect_with(connector, options).await
}
