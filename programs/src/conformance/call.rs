//! Makes one call of each kind, as the runner describes it: when to wait, what to send, when to cancel, what to report.
//!
//! Follows the suite's documentation, "Stream types". Dropping the receiving half cancels a call. The library then returns no
//! status, so this file reports CANCELLED.

use std::time::Duration;

use prost::Name;
use tokio::time::{sleep, timeout};

use super::convert;
use super::messages::client_compat_request::cancel::CancelTiming;
use super::messages::{ClientCompatRequest, ClientResponseResult, ConformancePayload};
use barewire::client::Client;
use barewire::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use barewire::{Inbound, Outbound, Response, Status};

/// Extracts the payload that the runner wants to see; an empty one is reported for `None`.
type Payload<T> = fn(T) -> Option<ConformancePayload>;

pub(super) async fn unary<Req, Resp>(
    client: &Client,
    method: Method<Req, Resp, Unary>,
    request: &ClientCompatRequest,
    payload: Payload<Resp>,
) -> Result<ClientResponseResult, String>
where
    Req: Name + Default,
    Resp: Name + Default,
{
    let message: Req = only(request)?;
    let call = client.unary(method, message);
    let outcome = match Cancel::of(request) {
        Cancel::AfterHalfClose(wait) => timeout(wait, call).await.unwrap_or_else(|_| Err(cancelled())),
        _ => call.await,
    };
    Ok(one(outcome, payload))
}

pub(super) async fn client_stream<Req, Resp>(
    client: &Client,
    method: Method<Req, Resp, ClientStreaming>,
    request: &ClientCompatRequest,
    payload: Payload<Resp>,
) -> Result<ClientResponseResult, String>
where
    Req: Name + Default,
    Resp: Name + Default + Unpin,
{
    let mut messages = messages::<Req>(request)?.into_iter();
    let (mut out, answer) = match client.client_streaming(method).await {
        Ok(call) => call,
        Err(status) => return Ok(failed(&status)),
    };
    let mut unsent = 0;
    while let Some(message) = messages.next() {
        sleep(delay(request)).await;
        if out.send(message).await.is_err() {
            unsent = 1 + messages.len();
            break;
        }
    }
    let cancel = Cancel::of(request);
    let outcome = if let Cancel::BeforeHalfClose = cancel {
        drop(answer);
        Err(cancelled())
    } else {
        half_close(out).await;
        match cancel {
            Cancel::AfterHalfClose(wait) => timeout(wait, answer).await.unwrap_or_else(|_| Err(cancelled())),
            _ => answer.await,
        }
    };
    let mut result = one(outcome, payload);
    result.num_unsent_requests = i32::try_from(unsent).unwrap_or(i32::MAX);
    Ok(result)
}

pub(super) async fn server_stream<Req, Resp>(
    client: &Client,
    method: Method<Req, Resp, ServerStreaming>,
    request: &ClientCompatRequest,
    payload: Payload<Resp>,
) -> Result<ClientResponseResult, String>
where
    Req: Name + Default,
    Resp: Name + Default,
{
    let message: Req = only(request)?;
    match client.server_streaming(method, message).await {
        Ok(inbound) => Ok(ResponseReader::new(inbound, payload, request).finish().await),
        Err(status) => Ok(failed(&status)),
    }
}

pub(super) async fn bidi_stream<Req, Resp>(
    client: &Client,
    method: Method<Req, Resp, BidiStreaming>,
    request: &ClientCompatRequest,
    full_duplex: bool,
    payload: Payload<Resp>,
) -> Result<ClientResponseResult, String>
where
    Req: Name + Default,
    Resp: Name + Default,
{
    let mut messages = messages::<Req>(request)?.into_iter();
    let (mut out, inbound) = match client.bidi_streaming(method).await {
        Ok(call) => call,
        Err(status) => return Ok(failed(&status)),
    };
    let mut reading = ResponseReader::new(inbound, payload, request);
    while let Some(message) = messages.next() {
        sleep(delay(request)).await;
        if out.send(message).await.is_err() {
            reading.result.num_unsent_requests = i32::try_from(1 + messages.len()).unwrap_or(i32::MAX);
            break;
        }
        if full_duplex && !reading.next().await {
            break;
        }
    }
    if let Cancel::BeforeHalfClose = reading.cancel {
        reading.cancel().await;
    } else {
        half_close(out).await;
    }
    Ok(reading.finish().await)
}

/// Reads the responses of a call, and collects what to report.
struct ResponseReader<Resp> {
    /// `None` once the call has ended or was cancelled.
    inbound: Option<Inbound<Resp>>,
    payload: Payload<Resp>,
    cancel: Cancel,
    result: ClientResponseResult,
}

impl<Resp: Name + Default> ResponseReader<Resp> {
    fn new(inbound: Inbound<Resp>, payload: Payload<Resp>, request: &ClientCompatRequest) -> Self {
        let result = ClientResponseResult::default();
        ResponseReader { inbound: Some(inbound), payload, cancel: Cancel::of(request), result }
    }

    /// Reads the rest of the call after all requests have been sent.
    async fn finish(mut self) -> ClientResponseResult {
        if let Cancel::AfterHalfClose(wait) = self.cancel
            && self.inbound.is_some()
        {
            sleep(wait).await;
            self.cancel().await;
        }
        while self.next().await {}
        self.result
    }

    /// Reads one message; returns `false` when the call is over.
    async fn next(&mut self) -> bool {
        let Some(inbound) = &mut self.inbound else { return false };
        match inbound.recv().await {
            Ok(Some(message)) => {
                self.result.payloads.push((self.payload)(message).unwrap_or_default());
                if self.cancel == Cancel::AfterAnswers(self.result.payloads.len()) {
                    self.cancel().await;
                }
                return self.inbound.is_some();
            }
            Ok(None) => {}
            Err(status) => self.result.error = Some(convert::error(&status)),
        }
        if let Ok(headers) = inbound.initial_metadata().await {
            self.result.response_headers = convert::headers(headers);
        }
        self.result.response_trailers = convert::headers(inbound.trailing_metadata());
        self.inbound = None;
        false
    }

    async fn cancel(&mut self) {
        let Some(mut inbound) = self.inbound.take() else { return };
        // Headers arrive before the first message. Without a message they may never arrive.
        if !self.result.payloads.is_empty()
            && let Ok(headers) = inbound.initial_metadata().await
        {
            self.result.response_headers = convert::headers(headers);
        }
        drop(inbound);
        self.result.error = Some(convert::error(&cancelled()));
    }
}

/// When the runner wants the call cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancel {
    Never,
    /// After the last request, instead of the half-close.
    BeforeHalfClose,
    AfterHalfClose(Duration),
    AfterAnswers(usize),
}

impl Cancel {
    fn of(request: &ClientCompatRequest) -> Cancel {
        let Some(cancel) = &request.cancel else { return Cancel::Never };
        match cancel.cancel_timing {
            None => Cancel::AfterHalfClose(Duration::ZERO),
            Some(CancelTiming::BeforeCloseSend(())) => Cancel::BeforeHalfClose,
            Some(CancelTiming::AfterCloseSendMs(wait)) => Cancel::AfterHalfClose(Duration::from_millis(wait.into())),
            Some(CancelTiming::AfterNumResponses(count)) => {
                Cancel::AfterAnswers(usize::try_from(count).unwrap_or(usize::MAX))
            }
        }
    }
}

fn cancelled() -> Status {
    Status::cancelled("the client cancelled the call")
}

/// Returns the pause before each message of a stream.
fn delay(request: &ClientCompatRequest) -> Duration {
    Duration::from_millis(request.request_delay_ms.into())
}

fn messages<Req: Name + Default>(request: &ClientCompatRequest) -> Result<Vec<Req>, String> {
    request.request_messages.iter().map(|any| any.to_msg::<Req>().map_err(|error| error.to_string())).collect()
}

fn only<Req: Name + Default>(request: &ClientCompatRequest) -> Result<Req, String> {
    let mut messages = messages::<Req>(request)?;
    match (messages.pop(), messages.len()) {
        (Some(message), 0) => Ok(message),
        _ => Err(format!("expected one request message, got {}", request.request_messages.len())),
    }
}

/// Half-closes the stream. Errors are ignored, because the response reports them.
async fn half_close<T: prost::Message>(out: Outbound<T>) {
    let _: Result<(), Status> = out.finish().await;
}

/// Returns the result of a call with one response.
fn one<Resp>(outcome: Result<Response<Resp>, Status>, payload: Payload<Resp>) -> ClientResponseResult {
    match outcome {
        Ok(answer) => ClientResponseResult {
            response_headers: convert::headers(answer.initial_metadata()),
            response_trailers: convert::headers(answer.trailing_metadata()),
            payloads: vec![payload(answer.into_message()).unwrap_or_default()],
            ..ClientResponseResult::default()
        },
        Err(status) => failed(&status),
    }
}

fn failed(status: &Status) -> ClientResponseResult {
    ClientResponseResult {
        response_headers: convert::headers(status.initial_metadata()),
        response_trailers: convert::headers(status.trailing_metadata()),
        error: Some(convert::error(status)),
        ..ClientResponseResult::default()
    }
}
