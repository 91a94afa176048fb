//! Our client and our server in conversation, by a script: calls of all four kinds at any time, with any sizes, windows,
//! deadlines and cancellations, over a pipe that cuts reads and writes where the script says.
//!
//! A script says what every call does on both sides, so that what has to come of it is known: its messages in their order and
//! its status, or DEADLINE_EXCEEDED where it has a deadline, and never a message that was not sent.

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
use super::server::{Live, Once};
use crate::call::{Inbound, Outbound, Request, Response};
use crate::client::{CallOptions, Client, ClientOptions};
use crate::io::{Address, Connected, Connector, Peer};
use crate::metadata::Metadata;
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::server::{Router, Server, ServerOptions};
use crate::status::{Code, Status};

const UNARY: Method<Vec<u8>, Vec<u8>, Unary> = Method::new("/properties.Script/Unary");
const DOWN: Method<Vec<u8>, Vec<u8>, ServerStreaming> = Method::new("/properties.Script/Down");
const UP: Method<Vec<u8>, Vec<u8>, ClientStreaming> = Method::new("/properties.Script/Up");
const BOTH: Method<Vec<u8>, Vec<u8>, BidiStreaming> = Method::new("/properties.Script/Both");

/// How many calls a script has at most.
const MOST_CALLS: usize = 16;

/// How long a call without a deadline may take on a clock that goes on only while everybody waits.
const END: Duration = Duration::from_secs(600);

const WINDOWS: [u32; 4] = [1, 1000, 65_535, 1 << 20];

/// Messages of these sizes go both ways.
const SIZES: [usize; 8] = [0, 1, 5, 100, 1000, 16_379, 20_000, 70_000];

/// What one call does. The handler learns of it by metadata.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// Milliseconds after the call before it.
    begins: u8,
    kind: u8,
    requests: usize,
    request_size: usize,
    answers: usize,
    answer_size: usize,
    /// Milliseconds that the handler takes for each answer.
    pace: u64,
    code: i32,
    /// Milliseconds.
    deadline: Option<u64>,
    /// The client goes after so many answers.
    leaves_after: Option<usize>,
}

impl Call {
    const LENGTH: usize = 7;

    fn read(bytes: &[u8]) -> Call {
        let [begins, kind, counts, sizes, pace, code, end] = *bytes.first_chunk().expect("as long as a call");
        Call {
            begins: begins % 8,
            kind: kind % 4,
            requests: usize::from(counts % 8),
            request_size: SIZES[usize::from(sizes % 8)],
            answers: usize::from(counts / 8 % 8),
            answer_size: SIZES[usize::from(sizes / 8 % 8)],
            pace: u64::from(pace % 16),
            // DEADLINE_EXCEEDED is the deadline's alone.
            code: Some(i32::from(code % 18)).filter(|code| *code != Code::DeadlineExceeded.number()).unwrap_or(0),
            deadline: (end & 1 != 0).then_some(u64::from(end / 4)),
            leaves_after: (end & 2 != 0).then_some(usize::from(end / 4 % 8)),
        }
    }

    /// What has to come: as many messages as the kind and the handler have, and the status.
    fn expected(&self) -> Vec<Vec<u8>> {
        let failed = self.code != 0;
        let own = |count: usize| (0..count).map(|at| vec![at as u8; self.answer_size]).collect::<Vec<_>>();
        match self.kind {
            0 | 2 if failed => Vec::new(),
            0 => own(1),
            2 => vec![vec![self.requests as u8; self.answer_size]],
            1 => own(self.answers),
            _ => [self.sent(), own(self.answers)].concat(),
        }
    }

    fn sent(&self) -> Vec<Vec<u8>> {
        (0..self.requests).map(|at| vec![0x80 | at as u8; self.request_size]).collect()
    }

    fn metadata(&self, bytes: &[u8]) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.insert_bin("script-bin", bytes).expect("a key");
        metadata
    }

    fn of(metadata: &Metadata) -> Call {
        let script = metadata.get_all_bin("script-bin").next().expect("it was sent").expect("it is base64");
        Call::read(&script)
    }

    fn status(&self, metadata: &Metadata) -> Result<(), Status> {
        match self.code {
            0 => Ok(()),
            code => Err(Status::from_number(code, "as written ☺").with_metadata(metadata.clone())),
        }
    }
}

/// Six bytes of options, the rest calls of seven.
pub fn conversation(data: &[u8]) {
    let Some((options, calls)) = data.split_first_chunk::<6>() else { return };
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(converse(*options, calls));
}

async fn converse([windows, streams, chops, seed, capacity, _]: [u8; 6], calls: &[u8]) {
    let window = |choice: u8| WINDOWS[usize::from(choice % 4)];
    let (near, far) = tokio::io::duplex(1 << (usize::from(capacity % 10) + 7));
    let chopped = |pipe, salt: u8| Chopped { pipe, most: 1 << (chops % 15), dice: Dice::of(&[seed, salt]) };

    let is_slow = window(windows) == 1 || window(windows / 16) == 1 || chops % 15 < 5;
    let live = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = ServerOptions {
        stream_window: window(windows),
        connection_window: window(windows / 4).max(65_535),
        max_concurrent_streams: 1 + u32::from(streams % 8),
        ..ServerOptions::default()
    };
    let router = Router::new(Script { live: live.clone() })
        .unary(UNARY, Script::unary)
        .server_streaming(DOWN, Script::down)
        .client_streaming(UP, Script::up)
        .bidi_streaming(BOTH, Script::both);
    let server = Server::new(router).with_options(options);
    let serving = tokio::spawn(server.serve_until(Once(Some(chopped(far, 0))), async { drop(stopped.await) }));
    let options = ClientOptions {
        stream_window: window(windows / 16),
        connection_window: window(windows / 64).max(65_535),
        ..ClientOptions::default()
    };
    let client = Client::connect_with(One(std::sync::Mutex::new(Some(chopped(near, 1)))), options).await;
    let client = client.expect("two sides that are right meet");

    let mut running = Vec::new();
    for bytes in calls.chunks_exact(Call::LENGTH).take(MOST_CALLS) {
        let mut bytes = bytes.to_vec();
        if is_slow {
            // A large message by single bytes takes its time, and shows nothing that a smaller one does not.
            bytes[3] = (bytes[3] % 8).min(3) + 8 * (bytes[3] / 8 % 8).min(3);
        }
        let call = Call::read(&bytes);
        sleep(Duration::from_millis(call.begins.into())).await;
        let making = make(client.clone(), call, bytes);
        let begun = Instant::now();
        running.push((call, tokio::spawn(async move { (making.await, begun.elapsed()) })));
    }
    for (call, task) in running {
        let ((messages, end), elapsed) =
            timeout(END, task).await.unwrap_or_else(|_| panic!("{call:?} hangs")).expect("no panic");
        judge(call, &messages, end, elapsed);
    }
    drop(client);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let ended = timeout(END, async {
        while tasks() > 1 {
            sleep(PAUSE).await;
        }
    });
    assert!(ended.await.is_ok(), "{} tasks outlive their connection", tasks() - 1);
    assert_eq!(live.load(Ordering::Relaxed), 0, "handlers outlive their calls");
    drop(stop);
    timeout(PAUSE, serving).await.expect("it ends at once").expect("no panic").expect("no error");
}

/// Whether what came is what the script says.
fn judge(call: Call, messages: &[Vec<u8>], end: Option<Result<(), Status>>, elapsed: Duration) {
    let expected = call.expected();
    assert!(expected.starts_with(messages), "{call:?}: messages that were not sent");
    let Some(end) = end else {
        assert_eq!(messages.len(), call.leaves_after.expect("it left").min(expected.len()), "{call:?}");
        return;
    };
    let code = end.as_ref().map_or_else(Status::number, |()| 0);
    if code == Code::DeadlineExceeded.number() {
        let deadline = call.deadline.unwrap_or_else(|| panic!("{call:?}: there is no deadline"));
        assert!(elapsed >= Duration::from_millis(deadline), "{call:?}: ended early, after {elapsed:?}");
        return;
    }
    assert_eq!(code, call.code, "{call:?}: {end:?}");
    assert_eq!(messages.len(), expected.len(), "{call:?}: messages are missing");
    if let Err(status) = end {
        assert_eq!(status.message(), "as written ☺");
        assert!(status.metadata().get_all_bin("script-bin").next().is_some(), "its metadata came");
    }
}

/// Makes a call; gives the messages that came, and how it ended unless it was left.
async fn make(client: Client, call: Call, bytes: Vec<u8>) -> (Vec<Vec<u8>>, Option<Result<(), Status>>) {
    let options = CallOptions::new().metadata(call.metadata(&bytes));
    let options = match call.deadline {
        Some(deadline) => options.timeout(Duration::from_millis(deadline)),
        None => options,
    };
    let client = client.with(options);
    let one = |answer: Result<Response<Vec<u8>>, Status>| match answer {
        Ok(answer) => (vec![answer.into_message()], Some(Ok(()))),
        Err(status) => (Vec::new(), Some(Err(status))),
    };
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
                let saying = tokio::spawn(say(out, call));
                let read = read(answers, call.leaves_after).await;
                saying.await.expect("no panic");
                read
            }
            Err(status) => (Vec::new(), Some(Err(status))),
        },
    }
}

/// Sends what the script says, or as much as somebody wants to have.
async fn say(mut out: Outbound<Vec<u8>>, call: Call) {
    for message in call.sent() {
        if out.send(message).await.is_err() {
            return;
        }
    }
}

async fn read(mut from: Inbound<Vec<u8>>, leaves_after: Option<usize>) -> (Vec<Vec<u8>>, Option<Result<(), Status>>) {
    let mut messages = Vec::new();
    while leaves_after.is_none_or(|most| messages.len() < most) {
        match from.recv().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, Some(Ok(()))),
            Err(status) => return (messages, Some(Err(status))),
        }
    }
    (messages, None)
}

/// Handlers that do what the metadata says.
struct Script {
    live: Arc<AtomicUsize>,
}

impl Script {
    fn begin(&self) -> Live {
        Live::begin(&self.live)
    }

    async fn unary(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let call = Call::of(request.metadata());
        assert_eq!(request.len(), call.request_size);
        sleep(Duration::from_millis(call.pace)).await;
        call.status(request.metadata())?;
        Ok(Response::new(vec![0; call.answer_size]))
    }

    async fn down(&self, request: Request<Vec<u8>>, mut out: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        let call = Call::of(request.metadata());
        answer(call, &mut out).await?;
        call.status(request.metadata())
    }

    async fn up(&self, mut from: Inbound<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let call = Call::of(from.metadata());
        let mut came = Vec::new();
        while let Some(message) = from.recv().await? {
            sleep(Duration::from_millis(call.pace)).await;
            came.push(message);
        }
        assert_eq!(came, call.sent(), "requests come as they were sent");
        call.status(from.metadata())?;
        Ok(Response::new(vec![came.len() as u8; call.answer_size]))
    }

    async fn both(&self, mut from: Inbound<Vec<u8>>, mut out: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        let call = Call::of(from.metadata());
        while let Some(message) = from.recv().await? {
            out.send(message).await?;
        }
        answer(call, &mut out).await?;
        call.status(from.metadata())
    }
}

async fn answer(call: Call, out: &mut Outbound<Vec<u8>>) -> Result<(), Status> {
    for at in 0..call.answers {
        sleep(Duration::from_millis(call.pace)).await;
        out.send(vec![at as u8; call.answer_size]).await?;
    }
    Ok(())
}

/// A pipe whose reads and writes are short at the whim of dice.
pub(super) struct Chopped {
    pipe: DuplexStream,
    most: usize,
    dice: Dice,
}

impl AsyncRead for Chopped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let most = (1 + me.dice.below(me.most)).min(buf.remaining());
        let mut space = vec![0; most];
        let mut short = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut me.pipe).poll_read(cx, &mut short))?;
        buf.put_slice(short.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Chopped {
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

/// A connector with one connection.
struct One(std::sync::Mutex<Option<Chopped>>);

impl Connector for One {
    async fn connect(&self) -> io::Result<Connected> {
        let pipe = self.0.lock().expect("nobody panics with it").take();
        Ok(Connected::new(pipe.ok_or(io::ErrorKind::ConnectionRefused)?, Peer::plain(Address::Memory)))
    }

    fn authority(&self) -> &str {
        "localhost"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}
