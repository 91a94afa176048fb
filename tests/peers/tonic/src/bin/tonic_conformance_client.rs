//! A client on tonic that makes the requested calls, in plaintext.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use barewire_programs::conformance::messages::client_compat_request::cancel::CancelTiming;
use barewire_programs::conformance::messages::client_compat_response::Result as Outcome;
use barewire_programs::conformance::messages::*;
use barewire_programs::conformance::{read, write};
use barewire_peer_tonic::{SERVICE, add, error, headers};
use http::uri::PathAndQuery;
use prost::{Message, Name};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

type Payload<T> = fn(T) -> Option<ConformancePayload>;
type Made = Result<ClientResponseResult, String>;

struct Call {
    request: ClientCompatRequest,
    grpc: Grpc<Channel>,
    path: PathAndQuery,
}

fn cancelled() -> Status {
    Status::cancelled("the client cancelled the call")
}

fn failed(status: &Status) -> ClientResponseResult {
    let response_trailers = headers(status.metadata());
    ClientResponseResult { response_trailers, error: Some(error(status)), ..Default::default() }
}

/// tonic merges the headers and the trailers of a unary answer.
fn one<T>(outcome: Result<Response<T>, Status>, payload: Payload<T>) -> ClientResponseResult {
    match outcome {
        Ok(answer) => ClientResponseResult {
            response_headers: headers(answer.metadata()),
            response_trailers: headers(answer.metadata()),
            payloads: vec![payload(answer.into_inner()).unwrap_or_default()],
            ..Default::default()
        },
        Err(status) => failed(&status),
    }
}

impl Call {
    fn after_half_close(&self) -> Option<Duration> {
        match self.request.cancel.as_ref()?.cancel_timing {
            None => Some(Duration::ZERO),
            Some(CancelTiming::AfterCloseSendMs(wait)) => Some(Duration::from_millis(wait.into())),
            _ => None,
        }
    }

    fn before_half_close(&self) -> bool {
        let timing = self.request.cancel.as_ref().and_then(|cancel| cancel.cancel_timing.as_ref());
        matches!(timing, Some(CancelTiming::BeforeCloseSend(())))
    }

    fn after_answers(&self) -> Option<usize> {
        match self.request.cancel.as_ref()?.cancel_timing {
            Some(CancelTiming::AfterNumResponses(count)) => Some(count as usize),
            _ => None,
        }
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.request.request_delay_ms.into())
    }

    fn messages<T: Name + Default>(&self) -> Result<Vec<T>, String> {
        self.request.request_messages.iter().map(|any| any.to_msg::<T>().map_err(|error| error.to_string())).collect()
    }

    fn head<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        add(request.metadata_mut(), &self.request.request_headers);
        if let Some(timeout) = self.request.timeout_ms {
            request.set_timeout(Duration::from_millis(timeout.into()));
        }
        request
    }

    async fn ready(&mut self) -> Result<(), String> {
        self.grpc.ready().await.map_err(|error| error.to_string())
    }

    async fn unary<Q, A>(mut self, payload: Payload<A>) -> Made
    where
        Q: Name + Default + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let message = self.messages::<Q>()?.pop().ok_or("no message")?;
        self.ready().await?;
        let head = self.head(message);
        let wait = self.after_half_close();
        let call = self.grpc.unary(head, self.path.clone(), ProstCodec::<Q, A>::default());
        Ok(one(
            match wait {
                Some(wait) => timeout(wait, call).await.unwrap_or_else(|_| Err(cancelled())),
                None => call.await,
            },
            payload,
        ))
    }

    /// Sends the messages with their delays, and then half-closes.
    fn requests<Q: Name + Default + 'static>(&self) -> Result<(mpsc::Sender<Q>, ReceiverStream<Q>, Vec<Q>), String> {
        let (sender, receiver) = mpsc::channel(1);
        Ok((sender, ReceiverStream::new(receiver), self.messages::<Q>()?))
    }

    async fn client_stream<Q, A>(mut self, payload: Payload<A>) -> Made
    where
        Q: Name + Default + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let (sender, stream, messages) = self.requests::<Q>()?;
        self.ready().await?;
        let head = self.head(stream);
        let (delay, before, wait) = (self.delay(), self.before_half_close(), self.after_half_close());
        let mut call =
            tokio::spawn(
                async move { self.grpc.client_streaming(head, self.path, ProstCodec::<Q, A>::default()).await },
            );
        let mut unsent = 0;
        for message in messages {
            sleep(delay).await;
            unsent += i32::from(sender.send(message).await.is_err());
        }
        let outcome = if before {
            call.abort();
            Err(cancelled())
        } else {
            drop(sender);
            let joined = match wait {
                Some(wait) => timeout(wait, &mut call).await.ok(),
                None => Some(call.await),
            };
            joined.map_or_else(|| Err(cancelled()), |joined| joined.unwrap_or_else(|_| Err(cancelled())))
        };
        let mut result = one(outcome, payload);
        result.num_unsent_requests = unsent;
        Ok(result)
    }

    async fn server_stream<Q, A>(mut self, payload: Payload<A>) -> Made
    where
        Q: Name + Default + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let message = self.messages::<Q>()?.pop().ok_or("no message")?;
        self.ready().await?;
        let head = self.head(message);
        let opened = self.grpc.server_streaming(head, self.path.clone(), ProstCodec::<Q, A>::default()).await;
        Ok(self.read(opened, payload, ClientResponseResult::default()).await)
    }

    async fn bidi_stream<Q, A>(self, payload: Payload<A>) -> Made
    where
        Q: Name + Default + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let (sender, stream, messages) = self.requests::<Q>()?;
        let head = self.head(stream);
        let full_duplex = self.request.stream_type() == StreamType::FullDuplexBidiStream;
        let (mut grpc, path) = (self.grpc.clone(), self.path.clone());
        grpc.ready().await.map_err(|error| error.to_string())?;
        let opening = tokio::spawn(async move { grpc.streaming(head, path, ProstCodec::<Q, A>::default()).await });
        let mut result = ClientResponseResult::default();
        if !full_duplex {
            for message in messages {
                sleep(self.delay()).await;
                result.num_unsent_requests += i32::from(sender.send(message).await.is_err());
            }
            if self.before_half_close() {
                opening.abort();
                result.error = Some(error(&cancelled()));
                return Ok(result);
            }
            drop(sender);
            let opened = opening.await.unwrap_or_else(|_| Err(cancelled()));
            return Ok(self.read(opened, payload, result).await);
        }
        // The server answers the first message with its headers.
        let mut opening = Some(opening);
        let mut answers: Option<Streaming<A>> = None;
        for message in messages {
            sleep(self.delay()).await;
            if sender.send(message).await.is_err() {
                result.num_unsent_requests += 1;
                break;
            }
            if let Some(opening) = opening.take() {
                match opening.await.unwrap_or_else(|_| Err(cancelled())) {
                    Ok(response) => {
                        result.response_headers = headers(response.metadata());
                        answers = Some(response.into_inner());
                    }
                    Err(status) => return Ok(failed(&status)),
                }
            }
            let Some(stream) = &mut answers else { break };
            match stream.message().await {
                Ok(Some(answer)) => result.payloads.push(payload(answer).unwrap_or_default()),
                Ok(None) => break,
                Err(status) => {
                    result.response_trailers = headers(status.metadata());
                    result.error = Some(error(&status));
                    return Ok(result);
                }
            }
            if self.after_answers() == Some(result.payloads.len()) {
                result.error = Some(error(&cancelled()));
                return Ok(result);
            }
        }
        if self.before_half_close() {
            result.error = Some(error(&cancelled()));
            return Ok(result);
        }
        drop(sender);
        match (answers, opening) {
            (Some(stream), _) => Ok(self.rest(stream, payload, result).await),
            (None, Some(opening)) => {
                let opened = opening.await.unwrap_or_else(|_| Err(cancelled()));
                Ok(self.read(opened, payload, result).await)
            }
            (None, None) => Ok(result),
        }
    }

    async fn read<A>(
        &self,
        opened: Result<Response<Streaming<A>>, Status>,
        payload: Payload<A>,
        mut result: ClientResponseResult,
    ) -> ClientResponseResult {
        match opened {
            Ok(response) => {
                result.response_headers = headers(response.metadata());
                self.rest(response.into_inner(), payload, result).await
            }
            Err(status) => {
                result.response_trailers = headers(status.metadata());
                result.error = Some(error(&status));
                result
            }
        }
    }

    async fn rest<A>(
        &self,
        mut stream: Streaming<A>,
        payload: Payload<A>,
        mut result: ClientResponseResult,
    ) -> ClientResponseResult {
        if let Some(wait) = self.after_half_close() {
            sleep(wait).await;
            result.error = Some(error(&cancelled()));
            return result;
        }
        loop {
            match stream.message().await {
                Ok(Some(answer)) => result.payloads.push(payload(answer).unwrap_or_default()),
                Ok(None) => {
                    if let Ok(Some(trailers)) = stream.trailers().await {
                        result.response_trailers = headers(&trailers);
                    }
                    return result;
                }
                Err(status) => {
                    result.response_trailers = headers(status.metadata());
                    result.error = Some(error(&status));
                    return result;
                }
            }
            if self.after_answers() == Some(result.payloads.len()) {
                result.error = Some(error(&cancelled()));
                return result;
            }
        }
    }
}

async fn make(request: ClientCompatRequest) -> Made {
    let endpoint = Endpoint::from_shared(format!("http://{}:{}", request.host, request.port));
    let channel = endpoint.map_err(|error| error.to_string())?.connect().await.map_err(|error| error.to_string())?;
    let mut grpc = Grpc::new(channel);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd] {
        grpc = grpc.accept_compressed(encoding);
    }
    grpc = match request.compression() {
        Compression::Gzip => grpc.send_compressed(CompressionEncoding::Gzip),
        Compression::Deflate => grpc.send_compressed(CompressionEncoding::Deflate),
        Compression::Zstd => grpc.send_compressed(CompressionEncoding::Zstd),
        _ => grpc,
    };
    if request.message_receive_limit > 0 {
        grpc = grpc.max_decoding_message_size(request.message_receive_limit as usize);
    }
    let path = format!("/{SERVICE}/{}", request.method()).parse().map_err(|_| "no path")?;
    let method = request.method().to_owned();
    let call = Call { request, grpc, path };
    match &*method {
        "Unary" => call.unary::<UnaryRequest, UnaryResponse>(|answer| answer.payload).await,
        "IdempotentUnary" => {
            call.unary::<IdempotentUnaryRequest, IdempotentUnaryResponse>(|answer| answer.payload).await
        }
        "Unimplemented" => call.unary::<UnimplementedRequest, UnimplementedResponse>(|_| None).await,
        "ClientStream" => {
            call.client_stream::<ClientStreamRequest, ClientStreamResponse>(|answer| answer.payload).await
        }
        "ServerStream" => {
            call.server_stream::<ServerStreamRequest, ServerStreamResponse>(|answer| answer.payload).await
        }
        "BidiStream" => call.bidi_stream::<BidiStreamRequest, BidiStreamResponse>(|answer| answer.payload).await,
        method => Err(format!("no method {method}")),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let output = Arc::new(Mutex::new(io::stdout()));
    let mut calls = tokio::task::JoinSet::new();
    let (requests, mut next) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || {
        while let Some(request) = read::<ClientCompatRequest>(&mut io::stdin().lock())? {
            if requests.blocking_send(request).is_err() {
                break;
            }
        }
        io::Result::Ok(())
    });
    while let Some(request) = next.recv().await {
        let output = output.clone();
        while calls.len() >= 8 {
            calls.join_next().await;
        }
        calls.spawn(async move {
            let test_name = request.test_name.clone();
            let result = match make(request).await {
                Ok(response) => Outcome::Response(response),
                Err(message) => Outcome::Error(ClientErrorResult { message }),
            };
            let response = ClientCompatResponse { test_name, result: Some(result) };
            if let Ok(mut output) = output.lock() {
                let _: io::Result<()> = write(&mut *output, &response);
            }
        });
    }
    while calls.join_next().await.is_some() {}
    reader.await.map_err(io::Error::other)?
}
