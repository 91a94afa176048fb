//! A proxy that forwards the calls of any service, without knowing its messages: in both directions the metadata and the
//! messages, from the client its deadline and its cancellation, from the server its status.
//!
//! ```console
//! $ cargo run --example proxy
//! the server answers: HELLO, for tenant blue
//! the server answers: the, quick, fox
//! the server answers: NOT_FOUND: only small words
//! a method of no service: UNIMPLEMENTED: unknown service other.Words
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use barewire::{
    CallOptions, Client, Code, Inbound, Method, Outbound, Raw, Request, Response, Router, Server, ServerStreaming,
    Status, Unary, transport,
};
use tokio::time::Instant;

/// A server to which calls are forwarded.
pub struct Proxy {
    server: Client,
}

impl Proxy {
    /// Returns the routes of a proxy: a fallback, and so all paths.
    pub fn router(server: Client) -> Router<Proxy> {
        Router::new(Proxy { server }).fallback(Proxy::forward)
    }

    async fn forward(&self, mut requests: Inbound<Raw>, mut responses: Outbound<Raw>) -> Result<(), Status> {
        let context = requests.context().ok_or_else(|| Status::internal("only a server has a context"))?;
        let mut metadata = context.metadata().clone();
        // The proxy's client sends its own.
        metadata.remove("user-agent");
        let mut options = CallOptions::new().metadata(metadata);
        if let Some(deadline) = context.deadline() {
            options = options.timeout(deadline - Instant::now());
        }
        let (mut to_server, mut from_server) = self.server.with(options).raw(context.path().to_owned()).await?;

        let up = async {
            while let Some(message) = requests.recv().await? {
                match to_server.send(message).await {
                    Ok(()) => {}
                    // A limit of the proxy.
                    Err(status) if status.code() == Code::ResourceExhausted => return Err(status),
                    // The call to the server has ended: its status comes down.
                    Err(_) => return Ok(()),
                }
            }
            // The half-close. A failure comes down too.
            let _: Result<(), Status> = to_server.finish().await;
            Ok(())
        };
        let down = async {
            responses.set_initial_metadata(from_server.initial_metadata().await?.clone());
            responses.send_initial_metadata().await?;
            while let Some(message) = from_server.recv().await? {
                responses.send(message).await?;
            }
            responses.set_trailing_metadata(from_server.trailing_metadata().clone());
            Ok(())
        };
        // The status of the server ends the call, also while the client sends. If the client cancels, this future is dropped,
        // and the call to the server with it.
        tokio::select! {
            status = down => status,
            Err(status) = up => Err(status),
        }
    }
}

const SHOUT: Method<String, String, Unary> = Method::new("/words.Words/Shout");
const SPLIT: Method<String, String, ServerStreaming> = Method::new("/words.Words/Split");
const OTHER: Method<String, String, Unary> = Method::new("/other.Words/Shout");

async fn shout(_: &(), request: Request<String>) -> Result<Response<String>, Status> {
    let mut response = Response::new(request.to_uppercase());
    let tenant = request.metadata().get("tenant").unwrap_or("nobody");
    response.trailing_metadata_mut().insert("tenant", tenant)?;
    match request.len() {
        0..10 => Ok(response),
        _ => Err(Status::not_found("only small words")),
    }
}

async fn split(_: &(), request: Request<String>, mut out: Outbound<String>) -> Result<(), Status> {
    for word in request.split(' ') {
        out.send(word.to_owned()).await?;
    }
    Ok(())
}

/// Starts a server, and a proxy before it; returns a client of the proxy.
async fn start() -> Result<Client, Box<dyn Error>> {
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let router = Router::new(()).unary(SHOUT, shout).server_streaming(SPLIT, split);
    tokio::spawn(Server::new(router).serve(listener));

    let server = Client::connect(transport::tcp::connect(&address)).await?;
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(Proxy::router(server)).serve(listener));
    Ok(Client::connect(transport::tcp::connect(&address)).await?)
}

/// Calls the server through the proxy, and writes the answers.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let client = start().await?.header("tenant", "blue");
    let loud = client.unary(SHOUT, "hello".to_owned()).await?;
    let tenant = loud.trailing_metadata().get("tenant").unwrap_or_default();
    writeln!(out, "the server answers: {}, for tenant {tenant}", loud.message())?;

    let mut words = client.server_streaming(SPLIT, "the quick fox".to_owned()).await?;
    let mut all = Vec::new();
    while let Some(word) = words.recv().await? {
        all.push(word);
    }
    writeln!(out, "the server answers: {}", all.join(", "))?;

    if let Err(status) = client.unary(SHOUT, "antidisestablishment".to_owned()).await {
        writeln!(out, "the server answers: {status}")?;
    }
    if let Err(status) = client.unary(OTHER, "hello".to_owned()).await {
        writeln!(out, "a method of no service: {status}")?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
