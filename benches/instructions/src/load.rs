//! Makes calls on one bare h2 connection and checks every answer: `:status` 200, the expected bytes, grpc-status 0. A wrong
//! answer is an error, so that a server can't win by answering wrongly.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderName, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{JoinHandle, JoinSet};

use crate::ceiling::send;
use crate::prefixed::{BATCH, Counter, packed, read_pair};
use crate::{
    ANSWER, EARTH, GET_FEATURE, GRPC_STATUS, Kind, LIST_FEATURES, Load, RECORD_ROUTE, REQUEST, client_settings,
    request_headers, timeout_header,
};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The result of a call, or the error or wrong answer as text.
pub type Outcome<T> = Result<T, String>;

/// An HTTP/2 connection and its task.
pub async fn connect<T>(stream: T) -> Outcome<(SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>)>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = client_settings().handshake(stream).await.map_err(to_text)?;
    Ok((requests, tokio::spawn(connection)))
}

/// Makes the calls of a [`Load`] on this connection.
pub async fn run(load: Load, requests: SendRequest<Bytes>) -> Outcome<()> {
    let path = match load.kind {
        Kind::Unary => GET_FEATURE,
        Kind::List => LIST_FEATURES,
        Kind::Record => RECORD_ROUTE,
    };
    let template = request_headers(load.port, path).map_err(to_text)?;
    let mut callers = JoinSet::new();
    for caller in 0..load.in_flight {
        callers.spawn(call_in_turn(load, caller, requests.clone(), template.clone()));
    }
    drop(requests);
    while let Some(caller) = callers.join_next().await {
        caller.map_err(to_text)??;
    }
    Ok(())
}

async fn call_in_turn(load: Load, caller: u32, mut requests: SendRequest<Bytes>, template: Request<()>) -> Outcome<()> {
    for call in load.share(caller) {
        let mut request = template.clone();
        if load.deadline {
            request.headers_mut().insert(GRPC_TIMEOUT, timeout_header(call).map_err(to_text)?);
        }
        let messages = load.messages as usize;
        let outcome = match load.kind {
            Kind::Unary => unary(&mut requests, request, Bytes::from_static(REQUEST), ANSWER).await,
            Kind::List => list(&mut requests, request, messages).await,
            Kind::Record => record(&mut requests, request, messages, true).await,
        };
        outcome.map_err(|error| format!("call {call}: {error}"))?;
    }
    Ok(())
}

/// Sends one message, and expects exactly these bytes as the answer.
pub async fn unary(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
    mut expected: &[u8],
) -> Outcome<()> {
    let (response, mut stream) = begin(requests, request)?;
    stream.send_data(message, true).map_err(to_text)?;
    answer(response, |chunk| {
        expected = expected.strip_prefix(chunk).ok_or("the answer has other bytes than expected")?;
        Ok(())
    })
    .await?;
    if expected.is_empty() { Ok(()) } else { Err("the answer is too short".to_owned()) }
}

/// ListFeatures of the whole Earth, which must return `messages` features.
pub async fn list(requests: &mut SendRequest<Bytes>, request: Request<()>, messages: usize) -> Outcome<()> {
    let (response, mut stream) = begin(requests, request)?;
    stream.send_data(Bytes::from_static(EARTH), true).map_err(to_text)?;
    let mut counter = Counter::default();
    answer(response, |chunk| {
        counter.push(chunk);
        Ok(())
    })
    .await?;
    expect(&counter, messages)
}

/// RecordRoute of this many points, packed into DATA of 16 KiB or with a DATA frame each; the summary must count them.
pub async fn record(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
    messages: usize,
    pack: bool,
) -> Outcome<()> {
    let (response, mut stream) = begin(requests, request)?;
    match pack {
        true => {
            for piece in packed(REQUEST, messages) {
                send(&mut stream, piece).await.map_err(to_text)?;
            }
        }
        false => {
            for _ in 0..messages {
                send(&mut stream, Bytes::from_static(REQUEST)).await.map_err(to_text)?;
            }
        }
    }
    stream.send_data(Bytes::new(), true).map_err(to_text)?;
    let mut summary = Vec::new();
    answer(response, |chunk| {
        summary.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    let (counted, _) = read_pair(&summary);
    if counted as usize == messages { Ok(()) } else { Err(format!("{messages} points sent, {counted} counted")) }
}

/// Begins a call. Does not wait while fewer calls are in progress than the peer permits.
pub fn begin(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Outcome<(ResponseFuture, h2::SendStream<Bytes>)> {
    requests.send_request(request, false).map_err(to_text)
}

/// Reads an answer to its end, returns its window in batches, and checks that it is gRPC with status 0.
pub async fn answer(response: ResponseFuture, mut take: impl FnMut(&[u8]) -> Result<(), &'static str>) -> Outcome<()> {
    let response = response.await.map_err(to_text)?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is HTTP {}", response.status()));
    }
    let in_headers = response.headers().get(GRPC_STATUS).cloned();
    let mut body = response.into_body();
    let mut taken = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(to_text)?;
        take(&chunk)?;
        taken += chunk.len();
        if taken >= BATCH {
            body.flow_control().release_capacity(taken).map_err(to_text)?;
            taken = 0;
        }
    }
    let trailers = body.trailers().await.map_err(to_text)?;
    let status = in_headers.as_ref().or_else(|| trailers.as_ref()?.get(GRPC_STATUS));
    match status {
        Some(status) if status == "0" => Ok(()),
        Some(status) => Err(format!("grpc-status {status:?}")),
        None => Err("no grpc-status".to_owned()),
    }
}

/// Returns an error unless these messages equal the expected ones.
pub fn expect(counter: &Counter, messages: usize) -> Outcome<()> {
    match counter.messages == messages && counter.is_whole() {
        true => Ok(()),
        false => Err(format!("{messages} messages expected, {} arrived whole", counter.messages)),
    }
}

fn to_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
