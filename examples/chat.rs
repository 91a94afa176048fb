//! A chat: a bidirectional stream for each client, and a server that passes each line to all of them.
//!
//! Shows a handler that waits for two things at once, metadata that names the client, and the two ends of a call: the client's
//! half-close, and the status of the server.
//!
//! ```console
//! $ cargo run --example chat
//! ann hears ann: hi
//! bob hears ann: hi
//! bob hears bob: hello ann
//! ann hears bob: hello ann
//! bob hears ann left
//! a client without a name gets UNAUTHENTICATED: metadata "name" is missing
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use barewire::{BidiStreaming, CallOptions, Client, Inbound, Method, Outbound, Router, Server, Status, transport};
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(string, tag = "1")]
    text: String,
}

const CHAT: Method<Line, Line, BidiStreaming> = Method::new("/chat.Chat/Join");

/// The number of lines that wait for a client that does not read. A slower client misses lines; it does not delay the others.
const BACKLOG: usize = 100;

struct Chat {
    lines: broadcast::Sender<Line>,
}

impl Chat {
    async fn join(&self, mut from_client: Inbound<Line>, mut to_client: Outbound<Line>) -> Result<(), Status> {
        let name = from_client.metadata().get("name");
        let name = name.ok_or_else(|| Status::unauthenticated("metadata \"name\" is missing"))?.to_owned();
        let mut lines = self.lines.subscribe();
        // Without a message to send yet, this tells the client that it has joined.
        to_client.send_initial_metadata().await?;
        loop {
            tokio::select! {
                said = from_client.recv() => match said? {
                    Some(line) => self.say(format!("{name}: {}", line.text)),
                    None => break, // The client has half-closed its stream.
                },
                line = lines.recv() => match line {
                    Ok(line) => to_client.send(line).await?,
                    Err(RecvError::Lagged(count)) => {
                        to_client.send(Line { text: format!("({count} lines were missed)") }).await?;
                    }
                    Err(RecvError::Closed) => return Err(Status::unavailable("the chat has ended")),
                },
            }
        }
        self.say(format!("{name} left"));
        Ok(())
    }

    fn say(&self, text: String) {
        // Fails only while the chat has no client.
        let _ = self.lines.send(Line { text });
    }
}

/// A client that has joined.
struct Member {
    name: &'static str,
    outbound: Outbound<Line>,
    inbound: Inbound<Line>,
}

impl Member {
    async fn join(client: &Client, name: &'static str) -> Result<Member, Status> {
        let client = client.with(CallOptions::new().header("name", name));
        let (outbound, mut inbound) = client.bidi_streaming(CHAT).await?;
        inbound.initial_metadata().await?;
        Ok(Member { name, outbound, inbound })
    }

    async fn say(&mut self, text: &str) -> Result<(), Status> {
        self.outbound.send(Line { text: text.into() }).await
    }

    async fn hear(&mut self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let line = self.inbound.recv().await?.ok_or("the chat has ended")?;
        Ok(writeln!(out, "{} hears {}", self.name, line.text)?)
    }
}

/// Starts the server, lets two clients talk, and writes what each of them hears.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let chat = Chat { lines: broadcast::Sender::new(BACKLOG) };
    let router = Router::new(chat).bidi_streaming(CHAT, Chat::join);
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(router).serve(listener));

    // The calls of one client share its connection.
    let client = Client::connect(transport::tcp::connect(&address)).await?;
    let mut ann = Member::join(&client, "ann").await?;
    let mut bob = Member::join(&client, "bob").await?;
    ann.say("hi").await?;
    ann.hear(out).await?;
    bob.hear(out).await?;
    bob.say("hello ann").await?;
    bob.hear(out).await?;
    ann.hear(out).await?;

    // The half-close ends the handler of ann, and her call ends with OK.
    ann.outbound.finish().await?;
    while ann.inbound.recv().await?.is_some() {}
    bob.hear(out).await?;

    let (_, mut unnamed) = client.bidi_streaming(CHAT).await?;
    if let Err(status) = unnamed.recv().await {
        writeln!(out, "a client without a name gets {status}")?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
