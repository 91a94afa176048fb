//! A server and a client of one unary method, in one process.
//!
//! ```console
//! $ cargo run --example hello
//! Hello, world!
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use barewire::{Client, Method, Request, Router, Server, Status, Unary, transport};

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

const GREET: Method<Text, Text, Unary> = Method::new("/hello.Greeter/Greet");

async fn greet(_: &(), request: Request<Text>) -> Result<Text, Status> {
    Ok(Text { text: format!("Hello, {}!", request.text) })
}

/// Starts the server, calls it, and writes the answer.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(Router::new(()).unary(GREET, greet)).serve(listener));

    let client = Client::connect(transport::tcp::connect(&address)).await?;
    let greeting = client.unary(GREET, Text { text: "world".into() }).await?;
    writeln!(out, "{}", greeting.text)?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
