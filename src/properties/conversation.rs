//! Runs this library's client and server against each other from a script: calls of all four kinds at any time, with
//! any sizes, windows, limits, encodings, deadlines, cancellations and panics. The pipe splits reads and writes where
//! the script says, and the server may be shut down at any time.
//!
//! The script defines both sides of every call, so the expected result is known: the messages in order and the status,
//! or DEADLINE_EXCEEDED at the deadline. A message that was not sent must never arrive.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep, timeout};

use super::Dice;
use super::far::PAUSE;
use super::script::{self, AS_WRITTEN, BOTH, Call, DOWN, Limits, UNARY, UP};
use super::server::Once;
use crate::call::{Inbound, Outbound, Response};
use crate::client::{CallOptions, Client, ClientOptions};
use crate::compression;
use crate::io::{Address, ByteStream, Connector, Peer};
use crate::server::{Server, ServerOptions};
use crate::status::{Code, Status};
use crate::wire::encoding::Encoding;

/// The most calls of a script.
const MOST_CALLS: usize = 12;

/// The time limit of a call without a deadline. The clock advances only while all tasks are idle.
const END: Duration = Duration::from_secs(600);

/// The tolerance after a call's deadline, because the clock's timers count whole milliseconds.
const LATE: Duration = Duration::from_millis(2);

const WINDOWS: [u32; 4] = [1, 1000, 65_535, 1 << 20];

/// The longest compressed form of a message of up to a hundred bytes.
const LONGEST_OF_SMALL: usize = 1000;

const RECEIVE_LIMITS: [usize; 4] = [4 << 20, 16_384, 1000, 4];

const ENCODINGS: [Option<Encoding>; 8] = [
    None,
    None,
    None,
    Some(Encoding::Gzip),
    Some(Encoding::Deflate),
    Some(Encoding::Zstd),
    Some(Encoding::Brotli),
    Some(Encoding::Snappy),
];

/// The input: eight bytes of options, followed by calls of eight bytes each.
pub fn conversation(data: &[u8]) {
    let Some((options, calls)) = data.split_first_chunk::<8>() else { return };
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(converse(*options, calls));
}

async fn converse([windows, streams, chops, seed, capacity, limits, encodings, stops]: [u8; 8], calls: &[u8]) {
    let window = |choice: u8| WINDOWS[usize::from(choice % 4)];
    let (near, far) = tokio::io::duplex(1 << (usize::from(capacity % 10) + 7));
    let cuts = chops % 15;
    let chopped = |pipe, salt: u8| ChunkedPipe { pipe, most: 1 << cuts, dice: Dice::of(&[seed, salt]) };
    let narrowest = window(windows).min(window(windows / 16));
    // A large message in single bytes takes long, and tests no more than a small one.
    let largest = match (narrowest, cuts) {
        (1, _) | (_, 0..5) => 3,
        (1000, _) | (_, 5..9) => 4,
        _ => 7,
    };
    let (down, up) = (ENCODINGS[usize::from(encodings % 8)], ENCODINGS[usize::from(encodings / 8 % 8)]);
    let limit = |choice: u8, encoding: Option<Encoding>| {
        // Compression makes a message of a few bytes longer, and the limit applies to the compressed and the
        // uncompressed size.
        let least = if encoding.is_some() { LONGEST_OF_SMALL } else { 0 };
        RECEIVE_LIMITS[usize::from(choice % 4)].max(least)
    };
    let limits = Limits { server: limit(limits, up), client: limit(limits / 4, down) };

    let live = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = ServerOptions {
        limits: crate::limits::Limits {
            max_receive_message_size: limits.server,
            stream_window: window(windows),
            connection_window: window(windows / 4).max(65_535),
            ..Default::default()
        },
        max_concurrent_streams: 1 + u32::from(streams % 8),
        compressors: compression::all(),
        encoding: down,
        shutdown_timeout: END,
        ..ServerOptions::default()
    };
    let server = Server::new(script::routes(live.clone())).with_options(options);
    let serving = tokio::spawn(server.serve_until(Once(Some(chopped(far, 0))), async { drop(stopped.await) }));
    let options = ClientOptions {
        limits: crate::limits::Limits {
            max_receive_message_size: limits.client,
            stream_window: window(windows / 16),
            connection_window: window(windows / 64).max(65_535),
            ..Default::default()
        },
        compressors: compression::all(),
        ..ClientOptions::default()
    };
    let client = Client::connect_with(SingleConnector(std::sync::Mutex::new(Some(chopped(near, 1)))), options).await;
    let client = client.expect("the client connects to the server");

    let stops_before = (stops % 2 != 0).then_some(usize::from(stops / 2 % 16));
    let mut stop = Some(stop);
    let mut running = Vec::new();
    for (number, bytes) in calls.chunks_exact(Call::LENGTH).take(MOST_CALLS).enumerate() {
        if stops_before == Some(number) {
            stop = None;
        }
        let call = Call::read(bytes, largest);
        let mut options = CallOptions::new().metadata(Call::metadata(bytes, largest));
        if let Some(deadline) = call.deadline {
            options = options.timeout(Duration::from_millis(deadline));
        }
        if let Some(encoding) = up {
            options = options.encoding(encoding);
        }
        sleep(Duration::from_millis(call.begins.into())).await;
        let making = make(client.with(options), call);
        let begun = Instant::now();
        running.push((call, tokio::spawn(async move { (making.await, begun.elapsed()) })));
    }
    let may_refuse = stop.is_none();
    for (call, task) in running {
        let ((messages, end), elapsed) =
            timeout(END, task).await.unwrap_or_else(|_| panic!("{call:?} hangs")).expect("no panic");
        judge(call, limits, may_refuse, &messages, end, elapsed);
    }
    drop(client);
    let others = || Handle::current().metrics().num_alive_tasks() - usize::from(!serving.is_finished());
    let ended = timeout(END, async {
        while others() > 0 {
            sleep(PAUSE).await;
        }
    });
    assert!(ended.await.is_ok(), "{} tasks outlive their connection", others());
    assert_eq!(live.load(Ordering::Relaxed), 0, "handlers outlive their calls");
    drop(stop);
    timeout(PAUSE, serving).await.expect("it ends at once").expect("no panic").expect("no error");
}

/// The received messages, and the end of the call unless the client left it.
type Came = (Vec<Vec<u8>>, Option<Result<(), Status>>);

/// Checks the received messages and the end of a call against the script.
fn judge(
    call: Call,
    limits: Limits,
    may_refuse: bool,
    messages: &[Vec<u8>],
    end: Option<Result<(), Status>>,
    elapsed: Duration,
) {
    let expected = call.expected(limits);
    assert!(expected.messages.starts_with(messages), "{call:?}: messages that were not sent");
    if let Some(deadline) = call.deadline.map(Duration::from_millis) {
        assert!(elapsed <= deadline + LATE, "{call:?}: ended late, after {elapsed:?}: {end:?}");
    }
    let Some(end) = end else {
        if call.leaves_at.is_none() {
            let after = call.leaves_after.expect("it left");
            assert_eq!(messages.len(), after.min(expected.messages.len()), "{call:?}");
        }
        return;
    };
    let code = end.as_ref().map_or_else(Status::number, |()| 0);
    let is_written = end.as_ref().is_err_and(|status| status.message() == AS_WRITTEN);
    if code == Code::DeadlineExceeded.number() {
        let deadline = call.deadline.unwrap_or_else(|| panic!("{call:?} has no deadline"));
        assert!(elapsed >= Duration::from_millis(deadline), "{call:?}: ended early, after {elapsed:?}");
        return;
    }
    if may_refuse && code == Code::Unavailable.number() && !is_written {
        assert!(messages.is_empty(), "{call:?}: a call that has begun goes on: {end:?}");
        return;
    }
    assert_eq!(code, expected.code, "{call:?}: {end:?}");
    assert_eq!(messages.len(), expected.messages.len(), "{call:?}: messages are missing");
    if let Err(status) = end
        && expected.is_written
    {
        assert_eq!(status.message(), AS_WRITTEN);
        assert!(status.trailing_metadata().get_all_bin("script-bin").next().is_some(), "its metadata came");
    }
}

/// Makes a call, unless the script cancels it first.
async fn make(client: Client, call: Call) -> Came {
    let Some(leaves_at) = call.leaves_at else { return make_whole(client, call).await };
    timeout(Duration::from_millis(leaves_at), make_whole(client, call)).await.unwrap_or_default()
}

async fn make_whole(client: Client, call: Call) -> Came {
    match call.kind {
        0 => one(client.unary(UNARY, vec![7; call.request_size]).await),
        1 => match client.server_streaming(DOWN, vec![7; call.request_size]).await {
            Ok(answers) => read(answers, call.leaves_after).await,
            Err(status) => (Vec::new(), Some(Err(status))),
        },
        2 => match client.client_streaming(UP).await {
            Ok((out, answer)) => {
                say(out, call).await;
                one(answer.await)
            }
            Err(status) => (Vec::new(), Some(Err(status))),
        },
        _ => match client.bidi_streaming(BOTH).await {
            Ok((out, answers)) => {
                let (read, ()) = tokio::join!(read(answers, call.leaves_after), say(out, call));
                read
            }
            Err(status) => (Vec::new(), Some(Err(status))),
        },
    }
}

fn one(answer: Result<Response<Vec<u8>>, Status>) -> Came {
    match answer {
        Ok(answer) => {
            for metadata in [answer.initial_metadata(), answer.trailing_metadata()] {
                assert!(metadata.get_all_bin("script-bin").next().is_some(), "its metadata came");
            }
            (vec![answer.into_message()], Some(Ok(())))
        }
        Err(status) => (Vec::new(), Some(Err(status))),
    }
}

/// Sends the messages of the script until the receiver stops reading.
async fn say(mut out: Outbound<Vec<u8>>, call: Call) {
    for message in call.sent() {
        if out.send(message).await.is_err() {
            return;
        }
    }
}

async fn read(mut from: Inbound<Vec<u8>>, leaves_after: Option<usize>) -> Came {
    let mut messages = Vec::new();
    while leaves_after.is_none_or(|most| messages.len() < most) {
        match from.recv().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => {
                let headers = from.initial_metadata().await.expect("it ended well");
                assert!(headers.get_all_bin("script-bin").next().is_some(), "the initial metadata arrived");
                assert!(
                    from.trailing_metadata().get_all_bin("script-bin").next().is_some(),
                    "the trailing metadata arrived"
                );
                return (messages, Some(Ok(())));
            }
            Err(status) => return (messages, Some(Err(status))),
        }
    }
    (messages, None)
}

/// A pipe whose reads and writes are split at random sizes.
pub(super) struct ChunkedPipe {
    pipe: DuplexStream,
    most: usize,
    dice: Dice,
}

impl AsyncRead for ChunkedPipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let most = (1 + me.dice.below(me.most)).min(buf.remaining());
        let mut short = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut me.pipe).poll_read(cx, &mut short))?;
        let count = short.filled().len();
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChunkedPipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        let most = (1 + me.dice.below(me.most)).min(buf.len());
        Pin::new(&mut me.pipe).poll_write(cx, &buf[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// A connector with a single connection.
struct SingleConnector(std::sync::Mutex<Option<ChunkedPipe>>);

impl Connector for SingleConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let pipe = self.0.lock().expect("the lock is not poisoned").take();
        Ok(ByteStream::new(pipe.ok_or(io::ErrorKind::ConnectionRefused)?, Peer::plain(Address::Memory)))
    }

    fn authority(&self) -> &str {
        "localhost"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}
