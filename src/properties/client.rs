//! Properties of a client connection, from the server's first byte to its end: for any input nothing panics, every call
//! ends, and no task or stream remains.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

use super::cut;
use super::far::{END, Far, PAUSE, PIPE};
use crate::client::{CallOptions, Client, ClientOptions};
use crate::compression;
use crate::io::{Address, ByteStream, Connector, Peer};
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::status::Status;
use crate::wire::encoding::Encoding;

const GET_FEATURE: Method<Vec<u8>, (), Unary> = Method::new("/routeguide.RouteGuide/GetFeature");
const LIST_FEATURES: Method<Vec<u8>, (), ServerStreaming> = Method::new("/routeguide.RouteGuide/ListFeatures");
const RECORD_ROUTE: Method<Vec<u8>, (), ClientStreaming> = Method::new("/routeguide.RouteGuide/RecordRoute");
const ROUTE_CHAT: Method<Vec<u8>, Vec<u8>, BidiStreaming> = Method::new("/routeguide.RouteGuide/RouteChat");

/// An empty SETTINGS frame, and the acknowledgement of the client's.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0];

/// Bits of the first byte, besides the two for the kind of call: a deadline, a server that sends nothing before the
/// rest of the input, and compressed requests.
const DEADLINE: u8 = 4;
const BARE: u8 = 8;
const COMPRESSED: u8 = 16;

/// The first byte of the input selects the call; the rest is sent by the server, usually after its SETTINGS. Then the
/// server half-closes and disconnects, or disconnects at once. The call ends with the response or with a status, and
/// the connection ends too.
pub fn client_response(data: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(converse(data));
}

async fn converse(data: &[u8]) {
    let (choice, data) = data.split_first().map_or((0, data), |(choice, rest)| (*choice, rest));
    let (near, far) = tokio::io::duplex(PIPE);
    let calling = tokio::spawn(call(Once(Mutex::new(Some(near))), choice));

    let mut server = Far::of(far);
    let mut listens = choice & BARE != 0 || server.send(SETTINGS).await;
    for piece in cut(data) {
        listens = listens && server.send(piece).await;
    }
    if listens && data.len().is_multiple_of(2) {
        server.half_close().await;
    }
    drop(server);

    let ended = timeout(END, calling).await.expect("the call ends when its server is gone");
    let _: Result<(), Status> = ended.expect("the client does not panic");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let gone = timeout(END, async {
        while tasks() > 0 {
            sleep(PAUSE).await;
        }
    });
    assert!(gone.await.is_ok(), "{} tasks outlive their connection", tasks());
}

/// Makes one call with limits that a short input can reach, and reads it to its end.
async fn call(connector: Once, choice: u8) -> Result<(), Status> {
    let options = ClientOptions {
        limits: crate::limits::Limits {
            max_receive_message_size: 2 << 10,
            max_metadata_size: 2 << 10,
            stream_window: 1 << 10,
            ..Default::default()
        },
        compressors: compression::all(),
        ..ClientOptions::default()
    };
    let client = Client::connect_with(connector, options).await?;
    let options = match choice & DEADLINE {
        0 => CallOptions::new(),
        _ => CallOptions::new().timeout(Duration::from_millis(20)),
    };
    let options = if choice & COMPRESSED == 0 { options } else { options.encoding(Encoding::Gzip) };
    let client = client.with(options);
    match choice & 3 {
        0 => client.unary(GET_FEATURE, vec![1; 100]).await.map(drop),
        1 => {
            let mut features = client.server_streaming(LIST_FEATURES, vec![1; 100]).await?;
            while features.recv().await?.is_some() {}
            features.trailing_metadata();
            Ok(())
        }
        2 => {
            let (mut points, summary) = client.client_streaming(RECORD_ROUTE).await?;
            for length in 0..10 {
                if points.send(vec![0; length * 100]).await.is_err() {
                    break;
                }
            }
            drop(points);
            summary.await.map(drop)
        }
        _ => {
            let (mut out, mut notes) = client.bidi_streaming(ROUTE_CHAT).await?;
            out.send(vec![0; 10]).await?;
            while let Some(note) = notes.recv().await? {
                out.send(note).await?;
            }
            Ok(())
        }
    }
}

/// A connector with a single connection.
struct Once(Mutex<Option<DuplexStream>>);

impl Connector for Once {
    async fn connect(&self) -> io::Result<ByteStream> {
        let pipe = self.0.lock().expect("the lock is not poisoned").take();
        let pipe = pipe.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(ByteStream::new(pipe, Peer::plain(Address::Memory)))
    }

    fn authority(&self) -> &str {
        "localhost"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}
