//! The conformance service on tonic, in plaintext.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use barewire_programs::conformance::messages::conformance_payload::RequestInfo;
use barewire_programs::conformance::messages::unary_response_definition::Response as Definition;
use barewire_programs::conformance::messages::*;
use barewire_programs::conformance::{read, write};
use barewire::wire::timeout;
use barewire_peer_tonic::{SERVICE, add, any, headers, status};
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use prost_types::Any;
use tokio::time::sleep;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// The trailers of a successful call. tonic does not accept any, so they are added to the frame that it makes.
#[derive(Clone)]
struct Trailers(MetadataMap);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
struct Conformance {
    limit: usize,
}

impl NamedService for Conformance {
    const NAME: &'static str = SERVICE;
}

impl Conformance {
    fn grpc<T, U>(&self) -> Grpc<ProstCodec<T, U>>
    where
        T: Message + Send + 'static,
        U: Message + Default + Send + 'static,
    {
        let all = [CompressionEncoding::Gzip, CompressionEncoding::Deflate, CompressionEncoding::Zstd];
        let grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(self.limit);
        all.into_iter().fold(grpc, |grpc, encoding| grpc.accept_compressed(encoding).send_compressed(encoding))
    }
}

impl Service<http::Request<Body>> for Conformance {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let mut response = match &*method {
                "Unary" => this.grpc().unary(service_fn(unary), request).await,
                "IdempotentUnary" => this.grpc().unary(service_fn(idempotent_unary), request).await,
                "ClientStream" => this.grpc().client_streaming(service_fn(client_stream), request).await,
                "ServerStream" => this.grpc().server_streaming(service_fn(server_stream), request).await,
                "BidiStream" => this.grpc().streaming(service_fn(bidi_stream), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            };
            let Some(Trailers(trailers)) = response.extensions_mut().remove() else { return Ok(response) };
            let with_more = move |frame: Frame<_>| match frame.into_trailers() {
                Ok(mut own) => {
                    own.extend(trailers.clone().into_headers());
                    Frame::trailers(own)
                }
                Err(frame) => frame,
            };
            Ok(response.map(|body| Body::new(body.map_frame(with_more))))
        })
    }
}

async fn unary(request: Request<UnaryRequest>) -> Result<Response<UnaryResponse>, Status> {
    let seen = seen(request.metadata(), vec![any(request.get_ref())]);
    answer(request.into_inner().response_definition, seen, |payload| UnaryResponse { payload }).await
}

async fn idempotent_unary(
    request: Request<IdempotentUnaryRequest>,
) -> Result<Response<IdempotentUnaryResponse>, Status> {
    let seen = seen(request.metadata(), vec![any(request.get_ref())]);
    answer(request.into_inner().response_definition, seen, |payload| IdempotentUnaryResponse { payload }).await
}

async fn client_stream(
    request: Request<Streaming<ClientStreamRequest>>,
) -> Result<Response<ClientStreamResponse>, Status> {
    let metadata = request.metadata().clone();
    let mut requests = request.into_inner();
    let (mut definition, mut messages) = (None, Vec::new());
    while let Some(message) = requests.message().await? {
        messages.push(any(&message));
        if messages.len() == 1 {
            definition = message.response_definition;
        }
    }
    answer(definition, seen(&metadata, messages), |payload| ClientStreamResponse { payload }).await
}

async fn server_stream(
    request: Request<ServerStreamRequest>,
) -> Result<Response<Answers<ServerStreamResponse>>, Status> {
    let seen = seen(request.metadata(), vec![any(request.get_ref())]);
    let Some(definition) = request.into_inner().response_definition else {
        return Ok(Response::new(Box::pin(tokio_stream::empty())));
    };
    let stream =
        finish(definition.clone(), Some(seen), 0).map(|payload| Ok(ServerStreamResponse { payload: Some(payload?) }));
    Ok(with_headers(&definition, Box::pin(stream)))
}

async fn bidi_stream(
    request: Request<Streaming<BidiStreamRequest>>,
) -> Result<Response<Answers<BidiStreamResponse>>, Status> {
    let metadata = request.metadata().clone();
    let mut requests = request.into_inner();
    let Some(first) = requests.message().await? else { return Ok(Response::new(Box::pin(tokio_stream::empty()))) };
    let mut messages = vec![any(&first)];
    let definition = first.response_definition.unwrap_or_default();
    if !first.full_duplex {
        while let Some(message) = requests.message().await? {
            messages.push(any(&message));
        }
        let stream = finish(definition.clone(), Some(seen(&metadata, messages)), 0);
        return Ok(with_headers(
            &definition,
            Box::pin(stream.map(|payload| Ok(BidiStreamResponse { payload: Some(payload?) }))),
        ));
    }
    let defined = definition.clone();
    let stream = async_stream::stream! {
        let mut now = Some(seen(&metadata, messages));
        let mut sent = 0;
        for data in &definition.response_data {
            sleep(milliseconds(definition.response_delay_ms)).await;
            let payload = Some(ConformancePayload { data: data.clone(), request_info: now.take() });
            sent += 1;
            yield Ok(BidiStreamResponse { payload });
            match requests.message().await {
                Ok(Some(message)) => now = Some(RequestInfo { requests: vec![any(&message)], ..Default::default() }),
                Ok(None) => break,
                Err(status) => { yield Err(status); return; }
            }
        }
        let mut rest = Box::pin(finish(definition, now, sent));
        while let Some(payload) = rest.next().await {
            yield payload.map(|payload| BidiStreamResponse { payload: Some(payload) });
        }
    };
    Ok(with_headers(&defined, Box::pin(stream)))
}

/// Returns the answers from the one at `sent` on, and the error if one is defined.
fn finish(
    definition: StreamResponseDefinition,
    mut seen: Option<RequestInfo>,
    sent: usize,
) -> impl Stream<Item = Result<ConformancePayload, Status>> + Send {
    async_stream::stream! {
        let first = definition.response_data.is_empty();
        for data in definition.response_data.into_iter().skip(sent) {
            sleep(milliseconds(definition.response_delay_ms)).await;
            yield Ok(ConformancePayload { data, request_info: seen.take() });
        }
        if let Some(mut error) = definition.error {
            if first {
                error.details.extend(seen.as_ref().map(any));
            }
            let mut metadata = MetadataMap::new();
            add(&mut metadata, &definition.response_trailers);
            yield Err(status(error, metadata));
        }
    }
}

fn with_headers<T>(definition: &StreamResponseDefinition, stream: T) -> Response<T> {
    let mut response = Response::new(stream);
    add(response.metadata_mut(), &definition.response_headers);
    if definition.error.is_none() {
        let mut trailers = MetadataMap::new();
        add(&mut trailers, &definition.response_trailers);
        response.extensions_mut().insert(Trailers(trailers));
    }
    response
}

async fn answer<T>(
    definition: Option<UnaryResponseDefinition>,
    seen: RequestInfo,
    message: impl FnOnce(Option<ConformancePayload>) -> T,
) -> Result<Response<T>, Status> {
    let definition = definition.unwrap_or_default();
    sleep(milliseconds(definition.response_delay_ms)).await;
    let mut metadata = MetadataMap::new();
    add(&mut metadata, &definition.response_headers);
    let data = match definition.response {
        Some(Definition::Error(mut error)) => {
            error.details.push(any(&seen));
            add(&mut metadata, &definition.response_trailers);
            return Err(status(error, metadata));
        }
        Some(Definition::ResponseData(data)) => data,
        None => Vec::new(),
    };
    let mut response = Response::new(message(Some(ConformancePayload { data, request_info: Some(seen) })));
    *response.metadata_mut() = metadata;
    let mut trailers = MetadataMap::new();
    add(&mut trailers, &definition.response_trailers);
    response.extensions_mut().insert(Trailers(trailers));
    Ok(response)
}

fn seen(metadata: &MetadataMap, requests: Vec<Any>) -> RequestInfo {
    let timeout = metadata.get("grpc-timeout").and_then(|value| timeout::parse(value.as_encoded_bytes()).ok());
    RequestInfo {
        request_headers: headers(metadata),
        timeout_ms: timeout.and_then(|timeout| i64::try_from(timeout.as_millis()).ok()),
        requests,
        connect_get_info: None,
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request: ServerCompatRequest = read(&mut std::io::stdin().lock())?.ok_or("no request on stdin")?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port().into();
    let limit = match request.message_receive_limit {
        0 => 4 << 20,
        limit => limit as usize,
    };
    let response = ServerCompatResponse { host: "127.0.0.1".into(), port, ..Default::default() };
    write(&mut std::io::stdout().lock(), &response)?;
    let server = tonic::transport::Server::builder().add_service(Conformance { limit });
    Ok(server.serve_with_incoming(TcpListenerStream::new(listener)).await?)
}
