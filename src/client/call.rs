//! One RPC on the client, top to bottom: sends its headers and messages, reads the response, converts its trailers to a
//! `Result`.
//!
//! A unary call runs in its caller's task. A streaming call has its own task. The task moves bytes between HTTP/2 and
//! the two handles that the caller holds, and ends the call at its deadline even while the caller does not poll.
//! [`crate::call`] lists the ways in which a call ends.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use prost::Message;

use super::caller::Caller;
use super::invoke::{Begin, CallStream, Head};
use super::options::CallOptions;
use crate::call::batch::{Batch, SharedBatch};
use crate::call::body::Receive;
use crate::call::compress::MessageEncoder;
use crate::call::deadline::Deadline;
use crate::call::envelope::CallMetadata;
use crate::call::exchange::Exchange;
use crate::call::inbox::{Inbox, Source};
use crate::call::lock::lock;
use crate::call::send::{SendHalf, StreamGone};
use crate::call::typed::Origin;
use crate::call::unary::{encode, only};
use crate::call::watch::{Watch, Watchers};
use crate::call::{Inbound, Outbound, Response};
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::http2::Http2Error;
use crate::wire::outgoing::Outgoing;
use crate::wire::{By, ProtocolError, What};

/// Sends one message and receives one, within the deadline.
pub(super) async fn unary<Req, Resp>(
    client: &Caller,
    path: &'static str,
    message: &Req,
) -> Result<Response<Resp>, Status>
where
    Req: Message,
    Resp: Message + Default,
{
    let mut deadline = Deadline::after(client.options.timeout);
    let mut watch = client.watch();
    let call = async {
        let call = Call::prepare(client, Cow::Borrowed(path), &mut watch)?.ready().await?;
        let mut answer = call.begin_with_only(message).await?.answer;
        let outcome = only(&mut answer, || path).await;
        let metadata = answer.take_metadata();
        let (message, compressed) = outcome.map_err(|status| with_headers(status, metadata.as_deref()))?;
        Ok(Response::received(message, compressed, metadata))
    };
    let outcome: Result<Response<Resp>, Status> = within(&mut deadline, call).await;
    if let Some(mut watch) = watch {
        let trailing = outcome.as_ref().map_or(Metadata::none(), Response::trailing_metadata);
        watch.end_on_client(outcome.as_ref().map(drop), trailing);
    }
    outcome
}

/// Sends one message and receives a stream.
pub(super) async fn server_streaming<Req, Resp>(
    client: &Caller,
    path: &'static str,
    message: &Req,
) -> Result<Inbound<Resp>, Status>
where
    Req: Message,
    Resp: Message + Default,
{
    let mut deadline = Deadline::after(client.options.timeout);
    let mut watch = client.watch();
    let opening = async {
        let call = Call::prepare(client, Cow::Borrowed(path), &mut watch)?.ready().await?;
        call.begin_with_only(message).await
    };
    match within(&mut deadline, opening).await {
        Ok(opened) => Ok(drive(opened, Cow::Borrowed(path), None, deadline, watch, false)),
        Err(status) => Err(not_sent(status, watch)),
    }
}

/// Sends a stream and receives a stream, or a single message.
pub(super) async fn streaming<Req, Resp>(
    client: &Caller,
    path: Cow<'static, str>,
    single: bool,
) -> Result<(Outbound<Req>, Inbound<Resp>), Status>
where
    Req: Message,
    Resp: Message + Default,
{
    let mut deadline = Deadline::after(client.options.timeout);
    let mut watch = client.watch();
    let opening = async {
        let call = Call::prepare(client, path.clone(), &mut watch)?.ready().await?;
        let packing = call.packing()?;
        let mut opened = call.begin().await?;
        let budget = opened.answer.body().link().budget.clone();
        Ok((opened, Batch::request(packing, budget, call.options.may_compress())))
    };
    match within(&mut deadline, opening).await {
        Ok((opened, batch)) => {
            Ok((Outbound::new(batch.clone()), drive(opened, path, Some(batch), deadline, watch, single)))
        }
        Err(status) => Err(not_sent(status, watch)),
    }
}

/// Reports the end of a call that could not begin.
fn not_sent(status: Status, watch: Option<Watch>) -> Status {
    if let Some(mut watch) = watch {
        watch.end_on_client(Err(&status), Metadata::none());
    }
    status
}

/// A call that is about to be sent.
struct Call<'a> {
    client: &'a Caller,
    path: Cow<'static, str>,
    /// The options of the call, as the interceptors have changed them.
    options: Cow<'a, CallOptions>,
    watchers: Watchers,
}

/// A call that its interceptors have seen, or wait to decide about.
enum Prepared<'a> {
    Now(Call<'a>),
    Later(Pin<Box<dyn Future<Output = Result<Call<'a>, Status>> + Send + 'a>>),
}

impl<'a> Prepared<'a> {
    async fn ready(self) -> Result<Call<'a>, Status> {
        match self {
            Prepared::Now(call) => Ok(call),
            Prepared::Later(call) => call.await,
        }
    }
}

impl<'a> Call<'a> {
    /// Passes the call to the interceptors, if the client has any; `watch` is `None` if not.
    fn prepare(
        client: &'a Caller,
        path: Cow<'static, str>,
        watch: &'a mut Option<Watch>,
    ) -> Result<Prepared<'a>, Status> {
        let Some(watch) = watch else {
            let options = Cow::Borrowed(&client.options);
            return Ok(Prepared::Now(Call { client, path, options, watchers: Watchers::None }));
        };
        let mut interception = client.interceptors.pass(path.clone(), client.options.clone());
        let waits = interception.begin(watch).inspect_err(|_| watch.refuse())?;
        let prepared = move |options, watch: &Watch| {
            let watchers = watch.watchers.clone();
            Call { client, path, options: Cow::Owned(options), watchers }
        };
        Ok(match waits {
            false => Prepared::Now(prepared(interception.into_options(), watch)),
            true => Prepared::Later(Box::pin(async move {
                let mut options = interception.wait(watch).await.inspect_err(|_| watch.refuse())?;
                options.timeout = options.timeout.map(|timeout| timeout.saturating_sub(watch.elapsed()));
                Ok(prepared(options, watch))
            })),
        })
    }

    /// Returns the encoder for the messages of the request.
    fn packing(&self) -> Result<MessageEncoder, Status> {
        let shared = &self.client.shared;
        // The client learns from the response if the server supports the encoding.
        let mut packing = MessageEncoder::new(shared.sending.clone(), shared.encodings);
        packing.watch(&self.watchers);
        if let Some(encoding) = self.options.encoding {
            packing.choose(encoding);
            if packing.encoding() != encoding {
                return Err(Status::internal(format!(
                    "this client has no compressor for {encoding}: add one to ClientOptions::compressors"
                )));
            }
        }
        Ok(packing)
    }

    /// Sends the headers of the call.
    async fn begin(&self) -> Result<CallStream, Status> {
        let Call { client, path, options, watchers } = self;
        let path = path.clone();
        let outgoing = Outgoing {
            timeout: options.timeout,
            encoding: options.encoding.unwrap_or_default(),
            accept_encoding: client.shared.encodings,
            user_agent: Some(&client.shared.user_agent),
        };
        let headers = outgoing.encode(options.initial_metadata()?);
        let receive_limit = client.shared.options.limits.max_receive_message_size;
        let compressors = client.shared.options.compressors.clone();
        let code_of_http_status = client.shared.options.code_of_http_status;
        let mut opened =
            match client.invoke.begin(Head { path, headers, receive_limit, compressors, code_of_http_status }) {
                Begin::Now(opened) => opened?,
                Begin::Later(opening) => opening.await?,
            };
        if !watchers.is_empty() {
            let body = opened.answer.body();
            watchers.attempt(&body.link().connection, 1);
            body.watch(watchers);
        }
        Ok(opened)
    }

    /// Sends the headers and the only message of the call, and half-closes the stream.
    async fn begin_with_only<Req: Message>(&self, message: &Req) -> Result<CallStream, Status> {
        let message = encode(message, &self.packing()?, self.options.may_compress())?.freeze();
        let mut opened = self.begin().await?;
        // If the stream is gone already, the receiving half reports it.
        let _: Result<(), StreamGone> = opened.sending.send_now(message, true);
        Ok(opened)
    }
}

/// Adds the initial metadata that arrived before a failure to its status.
fn with_headers(status: Status, metadata: Option<&CallMetadata>) -> Status {
    match metadata {
        Some(CallMetadata { initial, .. }) if !initial.is_empty() => status.with_initial_metadata(initial.clone()),
        _ => status,
    }
}

/// Spawns the task of a streaming call, and returns the receiving handle.
fn drive<Resp: Message + Default>(
    opened: CallStream,
    path: Cow<'static, str>,
    batch: Option<SharedBatch>,
    deadline: Deadline,
    watch: Option<Watch>,
    single: bool,
) -> Inbound<Resp> {
    let CallStream { sending, answer } = opened;
    let inbox = Inbox::new(Source::Answer(Box::new(answer)));
    if single {
        lock(&inbox).expect_verdict();
    }
    let inbound = Inbound::new(inbox.clone(), Origin::Client(path));
    tokio::spawn(Driver { exchange: Exchange::request(inbox, batch), sending, deadline, watch });
    inbound
}

/// The task of a streaming call; ready when the call has ended.
struct Driver {
    exchange: Exchange,
    sending: SendHalf,
    deadline: Deadline,
    watch: Option<Watch>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Driver { exchange, sending, deadline, watch } = &mut *self;
        exchange.arrive(cx);
        let Some(shared) = exchange.inbox.clone() else { return Poll::Ready(()) };
        let mut inbox = lock(&shared);
        // A reader that refuses a message drops its handle before this task runs.
        if inbox.is_abandoned() && !inbox.body().failed_here() {
            sending.reset(Http2Error::CANCEL);
            return Poll::Ready(());
        }
        if !inbox.body().has_ended() && deadline.poll(cx).is_ready() {
            inbox.fail(deadline_exceeded());
            sending.reset(Http2Error::CANCEL);
        }
        if inbox.body().has_ended() {
            if inbox.body().failure().is_some_and(|status| is_own_deadline(&status, deadline)) {
                inbox.fail(deadline_exceeded());
            }
            // PROTOCOL-HTTP2.md: a server may end the call before the client's half-close, which is not an error. A
            // response that this side refuses is one.
            let refused = inbox.body().failed_here();
            sending.reset(if refused { Http2Error::CANCEL } else { Http2Error::NO_ERROR });
            let failure = inbox.body().failure();
            let ended = watch.take().and_then(|watch| inbox.end_with(watch));
            drop(inbox);
            match failure {
                Some(status) => exchange.close(&status),
                None => exchange.succeed(&Status::cancelled("the server has ended the call")),
            }
            if let Some(ended) = ended {
                ended.report();
                lock(&shared).was_reported();
            }
            return Poll::Ready(());
        }
        drop(inbox);
        exchange.send(cx, sending);
        Poll::Pending
    }
}

/// Returns true if the server cancelled a call at its deadline, which passed on the server's clock first.
fn is_own_deadline(status: &Status, deadline: &Deadline) -> bool {
    status.code() == Code::Cancelled && deadline.has_passed()
}

fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("deadline exceeded before the call completed").caused(By::Us, What::Deadline)
}

/// A future of the single response to a client streaming call. Dropping it cancels the call.
///
/// ```
/// # async fn example(client: barewire::Client) -> Result<(), barewire::Status> {
/// use barewire::{ClientStreaming, Method};
///
/// const JOIN: Method<String, String, ClientStreaming> = Method::new("/words.Words/Join");
///
/// let (mut words, joined) = client.client_streaming(JOIN).await?;
/// words.send("one".to_owned()).await?;
/// words.send("two".to_owned()).await?;
/// words.finish().await?;
/// println!("{}", joined.await?.message());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping an `Answer` cancels the call"]
pub struct Answer<T> {
    inbound: Inbound<T>,
    message: Option<T>,
}

impl<T: Message + Default> Answer<T> {
    pub(super) fn new(inbound: Inbound<T>) -> Answer<T> {
        Answer { inbound, message: None }
    }

    fn failed(&mut self, status: Status) -> Status {
        with_headers(status, self.inbound.take_metadata().as_deref())
    }
}

impl<T: Message + Default + Unpin> Future for Answer<T> {
    type Output = Result<Response<T>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = loop {
            match ready!(self.inbound.poll_recv(cx)) {
                Ok(Some(_)) if self.message.is_some() => break Err(ProtocolError::TooManyMessages),
                Ok(Some(message)) => self.message = Some(message),
                Ok(None) => break self.message.take().ok_or(ProtocolError::NoMessage),
                Err(status) => return Poll::Ready(Err(self.failed(status))),
            }
        };
        let end = end.map_err(ProtocolError::into_status);
        self.inbound.judge(end.as_ref().err());
        let compressed = self.inbound.was_compressed();
        Poll::Ready(match end {
            Ok(message) => Ok(Response::received(message, compressed, self.inbound.take_metadata())),
            Err(status) => Err(self.failed(status)),
        })
    }
}

impl<T> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

pin_project! {
    /// A call with a deadline. At the deadline the call is dropped, which resets its stream.
    struct Within<'a, F> {
        deadline: &'a mut Deadline,
        #[pin]
        call: F,
    }
}

fn within<T, F: Future<Output = Result<T, Status>>>(deadline: &mut Deadline, call: F) -> Within<'_, F> {
    Within { deadline, call }
}

impl<T, F: Future<Output = Result<T, Status>>> Future for Within<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.deadline.has_passed() {
            return Poll::Ready(Err(deadline_exceeded()));
        }
        if let Poll::Ready(outcome) = this.call.poll(cx) {
            return Poll::Ready(outcome.map_err(|status| match is_own_deadline(&status, this.deadline) {
                true => deadline_exceeded(),
                false => status,
            }));
        }
        this.deadline.poll(cx).map(|()| Err(deadline_exceeded()))
    }
}
