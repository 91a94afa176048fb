//! A watch, as etcd has it: a client follows the changes of a store by a stream that never ends by itself.
//!
//! Shows how a client goes on after its stream has ended: it calls again, from the revision after the last one that it has seen.
//! So it sees each change once. The server of this example ends every watch after three changes, as a restart would. A client
//! cancels a watch by dropping its `Inbound`; the server then drops the handler, and `Watching` counts it down.
//!
//! ```console
//! $ cargo run --example watch
//! 1: colour = red
//! 2: colour = green
//! 3: size = 7
//! UNAVAILABLE: this server restarts; watching again from revision 4
//! 4: colour = blue
//! 5: size = 8
//! watches on the server: 1
//! watches on the server after the client has cancelled: 0
//! a watch from revision 0 gets INVALID_ARGUMENT: revisions begin at 1
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use barewire::{
    Client, Code, Inbound, Method, Outbound, Request, Router, Server, ServerStreaming, Status, Unary, transport,
};
use tokio::sync::watch;

#[derive(Clone, PartialEq, prost::Message)]
struct Put {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Watch {
    /// The first revision to send.
    #[prost(uint64, tag = "1")]
    from: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Change {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(string, tag = "3")]
    value: String,
}

const PUT: Method<Put, Change, Unary> = Method::new("/store.Store/Put");
const WATCH: Method<Watch, Change, ServerStreaming> = Method::new("/store.Store/Watch");

/// The number of changes after which the server ends a watch.
const CHANGES: usize = 3;

/// The pause before a client watches again.
const PAUSE: Duration = Duration::from_millis(50);

/// All changes since the beginning, the first with revision 1, and the number of watches.
struct Store {
    history: watch::Sender<Vec<Change>>,
    watches: watch::Sender<usize>,
}

impl Store {
    async fn put(&self, request: Request<Put>) -> Result<Change, Status> {
        let Put { key, value } = request.into_message();
        let mut change = Change { revision: 0, key, value };
        self.history.send_modify(|history| {
            change.revision = history.len() as u64 + 1;
            history.push(change.clone());
        });
        Ok(change)
    }

    async fn watch(&self, request: Request<Watch>, mut out: Outbound<Change>) -> Result<(), Status> {
        let first = request.from.checked_sub(1).ok_or_else(|| Status::invalid_argument("revisions begin at 1"))?;
        let _counted = Watching::begin(&self.watches);
        let mut history = self.history.subscribe();
        for next in (first as usize..).take(CHANGES) {
            let change = match history.wait_for(|history| history.len() > next).await {
                Ok(history) => history[next].clone(),
                Err(_) => return Err(Status::unavailable("the store is closed")),
            };
            out.send(change).await?;
        }
        Err(Status::unavailable("this server restarts"))
    }
}

/// Counts a watch until it is dropped: when the handler returns, and also when its client is gone.
struct Watching<'a>(&'a watch::Sender<usize>);

impl Watching<'_> {
    fn begin(watches: &watch::Sender<usize>) -> Watching<'_> {
        watches.send_modify(|count| *count += 1);
        Watching(watches)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A watch that calls again when its stream ends.
struct Watcher {
    client: Client,
    /// The revision of the next change.
    next: u64,
    changes: Inbound<Change>,
}

impl Watcher {
    async fn new(client: &Client, from: u64) -> Result<Watcher, Status> {
        let changes = client.server_streaming(WATCH, Watch { from }).await?;
        Ok(Watcher { client: client.clone(), next: from, changes })
    }

    /// Returns the next change. Calls again if the stream ends or fails with UNAVAILABLE, as that may pass. All other codes
    /// are final.
    async fn next(&mut self, out: &mut impl Write) -> Result<Change, Box<dyn Error>> {
        loop {
            let ended = match self.changes.recv().await {
                Ok(Some(change)) => {
                    self.next = change.revision + 1;
                    return Ok(change);
                }
                Ok(None) => "OK".to_owned(),
                Err(status) if status.code() == Code::Unavailable => status.to_string(),
                Err(status) => return Err(status.into()),
            };
            writeln!(out, "{ended}; watching again from revision {}", self.next)?;
            // With many clients: a longer pause each time, of random length. If the connection was lost, connect first.
            tokio::time::sleep(PAUSE).await;
            self.changes = self.client.server_streaming(WATCH, Watch { from: self.next }).await?;
        }
    }
}

/// Starts the server, watches while the store changes, and writes the changes.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let (history, (watches, mut counts)) = (watch::Sender::new(Vec::new()), watch::channel(0));
    let router = Router::new(Store { history, watches }).unary(PUT, Store::put).server_streaming(WATCH, Store::watch);
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(router).serve(listener));

    let client = Client::connect(transport::tcp::connect(&address)).await?;
    let mut watcher = Watcher::new(&client, 1).await?;
    for (key, value) in [("colour", "red"), ("colour", "green"), ("size", "7"), ("colour", "blue"), ("size", "8")] {
        client.unary(PUT, Put { key: key.into(), value: value.into() }).await?;
        let Change { revision, key, value } = watcher.next(out).await?;
        writeln!(out, "{revision}: {key} = {value}")?;
    }

    writeln!(out, "watches on the server: {}", *counts.borrow())?;
    drop(watcher);
    let left = *counts.wait_for(|count| *count == 0).await?;
    writeln!(out, "watches on the server after the client has cancelled: {left}")?;

    let mut mistaken = Watcher::new(&client, 0).await?;
    if let Err(error) = mistaken.next(out).await {
        writeln!(out, "a watch from revision 0 gets {error}")?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
