//! The service: responds as the first message of a call defines, and reports what it received.
//!
//! Follows the suite's documentation, "Implementing the ConformanceService".

use std::time::Duration;

use prost::Name;
use prost_types::Any;
use tokio::time::{Instant, sleep};

use super::convert;
use super::messages::conformance_payload::RequestInfo;
use super::messages::unary_response_definition::Response as Definition;
use super::messages::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, ConformancePayload, Error,
    IdempotentUnaryRequest, IdempotentUnaryResponse, ServerStreamRequest, ServerStreamResponse,
    StreamResponseDefinition, UnaryRequest, UnaryResponse, UnaryResponseDefinition,
};
use super::methods::{BIDI_STREAM, CLIENT_STREAM, IDEMPOTENT_UNARY, SERVER_STREAM, UNARY};
use barewire::wire::encoding::Encoding;
use barewire::{Context, Inbound, Outbound, Request, Response, Router, Status};

/// Encodings for responses, in order of preference; the first that the client accepts is used.
const ENCODINGS: [Encoding; 5] =
    [Encoding::Snappy, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];

/// The service of the conformance tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conformance;

/// Returns a router with the methods of the service, except Unimplemented.
pub fn router(service: Conformance) -> Router<Conformance> {
    Router::new(service)
        .unary(UNARY, Conformance::unary)
        .unary(IDEMPOTENT_UNARY, Conformance::idempotent_unary)
        .client_streaming(CLIENT_STREAM, Conformance::client_stream)
        .server_streaming(SERVER_STREAM, Conformance::server_stream)
        .bidi_streaming(BIDI_STREAM, Conformance::bidi_stream)
}

impl Conformance {
    async fn unary(&self, request: Request<UnaryRequest>) -> Result<Response<UnaryResponse>, Status> {
        let seen = seen(request.context(), vec![convert::any(request.message())]);
        let encoding = encoding(request.context());
        answer(request.into_message().response_definition, seen, encoding, |payload| UnaryResponse { payload }).await
    }

    async fn idempotent_unary(
        &self,
        request: Request<IdempotentUnaryRequest>,
    ) -> Result<Response<IdempotentUnaryResponse>, Status> {
        let seen = seen(request.context(), vec![convert::any(request.message())]);
        let encoding = encoding(request.context());
        let definition = request.into_message().response_definition;
        answer(definition, seen, encoding, |payload| IdempotentUnaryResponse { payload }).await
    }

    async fn client_stream(
        &self,
        mut requests: Inbound<ClientStreamRequest>,
    ) -> Result<Response<ClientStreamResponse>, Status> {
        let mut definition = None;
        let mut messages = Vec::new();
        while let Some(message) = requests.recv().await? {
            messages.push(convert::any(&message));
            if messages.len() == 1 {
                definition = message.response_definition;
            }
        }
        let context = context(&requests)?;
        let seen = seen(context, messages);
        answer(definition, seen, encoding(context), |payload| ClientStreamResponse { payload }).await
    }

    async fn server_stream(
        &self,
        request: Request<ServerStreamRequest>,
        out: Outbound<ServerStreamResponse>,
    ) -> Result<(), Status> {
        let seen = seen(request.context(), vec![convert::any(request.message())]);
        let encoding = encoding(request.context());
        let Some(definition) = request.into_message().response_definition else { return Ok(()) };
        let mut answers = Answers::new(definition, out, encoding, |payload| ServerStreamResponse { payload })?;
        answers.send_headers().await?;
        answers.finish(seen).await
    }

    async fn bidi_stream(
        &self,
        mut requests: Inbound<BidiStreamRequest>,
        out: Outbound<BidiStreamResponse>,
    ) -> Result<(), Status> {
        let Some(first) = requests.recv().await? else { return Ok(()) };
        let mut messages = vec![convert::any(&first)];
        let definition = first.response_definition.unwrap_or_default();
        let encoding = encoding(context(&requests)?);
        let mut answers = Answers::new(definition, out, encoding, |payload| BidiStreamResponse { payload })?;
        if !first.full_duplex {
            while let Some(message) = requests.recv().await? {
                messages.push(convert::any(&message));
            }
            let seen = seen(context(&requests)?, messages);
            return answers.finish(seen).await;
        }
        answers.send_headers().await?;
        let mut now = seen(context(&requests)?, messages);
        while answers.has_more() {
            answers.send_next(Some(now)).await?;
            now = RequestInfo::default();
            match requests.recv().await? {
                Some(message) => now.requests.push(convert::any(&message)),
                None => break,
            }
        }
        answers.finish(now).await
    }
}

/// Returns the response of a call that has one response.
async fn answer<T>(
    definition: Option<UnaryResponseDefinition>,
    seen: RequestInfo,
    encoding: Encoding,
    message: impl FnOnce(Option<ConformancePayload>) -> T,
) -> Result<Response<T>, Status> {
    let UnaryResponseDefinition { response_headers, response, response_trailers, response_delay_ms, .. } =
        definition.unwrap_or_default();
    let mut headers = convert::metadata(&response_headers)?;
    let trailers = convert::metadata(&response_trailers)?;
    sleep(milliseconds(response_delay_ms)).await;
    let data = match response {
        Some(Definition::Error(error)) => {
            // A handler that fails has no initial metadata: the status carries all metadata.
            headers.extend(trailers);
            return Err(fail(error, &seen).with_trailing_metadata(headers));
        }
        Some(Definition::ResponseData(data)) => data,
        None => Vec::new(),
    };
    let mut answer = Response::new(message(Some(ConformancePayload { data, request_info: Some(seen) })));
    *answer.initial_metadata_mut() = headers;
    *answer.trailing_metadata_mut() = trailers;
    Ok(answer.with_encoding(encoding))
}

/// Sends the responses of a stream.
struct Answers<T, F> {
    out: Outbound<T>,
    message: F,
    data: std::vec::IntoIter<Vec<u8>>,
    delay: Duration,
    error: Option<Error>,
    sent: bool,
}

impl<T: prost::Message, F: Fn(Option<ConformancePayload>) -> T> Answers<T, F> {
    fn new(
        definition: StreamResponseDefinition,
        mut out: Outbound<T>,
        encoding: Encoding,
        message: F,
    ) -> Result<Self, Status> {
        out.set_encoding(encoding);
        out.set_initial_metadata(convert::metadata(&definition.response_headers)?);
        out.set_trailing_metadata(convert::metadata(&definition.response_trailers)?);
        let StreamResponseDefinition { response_data, response_delay_ms, error, .. } = definition;
        let delay = milliseconds(response_delay_ms);
        Ok(Answers { out, message, data: response_data.into_iter(), delay, error, sent: false })
    }

    fn has_more(&self) -> bool {
        self.data.len() > 0
    }

    /// Sends the headers at once, so that the client receives them before any message.
    async fn send_headers(&mut self) -> Result<(), Status> {
        self.out.send_initial_metadata().await
    }

    async fn send_next(&mut self, request_info: Option<RequestInfo>) -> Result<(), Status> {
        let Some(data) = self.data.next() else { return Ok(()) };
        sleep(self.delay).await;
        self.sent = true;
        self.out.send((self.message)(Some(ConformancePayload { data, request_info }))).await
    }

    /// Sends the remaining responses, the first one with the request information, and ends as defined.
    async fn finish(mut self, seen: RequestInfo) -> Result<(), Status> {
        if !self.sent && self.has_more() {
            self.send_next(Some(seen.clone())).await?;
        }
        while self.has_more() {
            self.send_next(None).await?;
        }
        match self.error.take() {
            None => Ok(()),
            Some(error) if self.sent => Err(convert::status(error)),
            Some(error) => Err(fail(error, &seen)),
        }
    }
}

/// Returns what the server received of the request.
fn seen(context: &Context, requests: Vec<Any>) -> RequestInfo {
    let left = context.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    RequestInfo {
        request_headers: convert::headers(context.metadata()),
        timeout_ms: left.map(|left| i64::try_from(left.as_millis()).unwrap_or(i64::MAX)),
        requests,
        connect_get_info: None,
    }
}

/// Returns an error for a call that fails before its first response; its details have the request information.
fn fail(mut error: Error, seen: &impl Name) -> Status {
    error.details.push(convert::any(seen));
    convert::status(error)
}

fn context<T>(requests: &Inbound<T>) -> Result<&Context, Status> {
    requests.context().ok_or_else(|| Status::internal("the call has no context"))
}

fn encoding(context: &Context) -> Encoding {
    let accepted = context.accept_encoding();
    ENCODINGS.into_iter().find(|encoding| accepted.contains(*encoding)).unwrap_or_default()
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
