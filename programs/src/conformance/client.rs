//! A client that makes the calls that it is asked for, and reports the result of each.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::messages::client_compat_response::Result as Outcome;
use super::messages::{
    BidiStreamResponse, ClientCompatRequest, ClientCompatResponse, ClientErrorResult, ClientResponseResult,
    ClientStreamResponse, Codec, Compression, IdempotentUnaryResponse, Protocol, ServerStreamResponse, StreamType,
    UnaryResponse,
};
use super::methods::{BIDI_STREAM, CLIENT_STREAM, IDEMPOTENT_UNARY, SERVER_STREAM, SERVICE, UNARY, UNIMPLEMENTED};
use super::server::size;
use super::{call, convert, delimited};
use barewire::client::{CallOptions, Client, ClientOptions};
use barewire::transport::tap::Tap;
use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls, Identity, TlsError};
use barewire::wire::code_map;
use barewire::wire::encoding::Encoding;
use barewire::{Code, Status, compression};

/// Makes the calls from `input`, at most `at_a_time` concurrently, and writes their results to `output` in the order in which
/// they end. Returns after the last one. `tap` observes the connections.
///
/// # Errors
///
/// Fails if reading or writing fails, see [`delimited::read`].
pub async fn run(
    mut input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    at_a_time: usize,
    tap: Tap,
) -> io::Result<()> {
    let (requests, mut next) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || {
        while let Some(request) = delimited::read::<ClientCompatRequest>(&mut input)? {
            if requests.blocking_send(request).is_err() {
                break;
            }
        }
        Ok(())
    });
    let output = Arc::new(Mutex::new(output));
    let places = Arc::new(Semaphore::new(at_a_time));
    let mut calls: JoinSet<io::Result<()>> = JoinSet::new();
    while let Some(request) = next.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let (output, tap) = (output.clone(), tap.clone());
        calls.spawn(async move {
            let response = execute(request, &tap).await;
            drop(place);
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            delimited::write(&mut *output, &response)
        });
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(io::Error::other)??;
    }
    reader.await.map_err(io::Error::other)?
}

/// Makes one call, and returns its result.
pub async fn execute(request: ClientCompatRequest, tap: &Tap) -> ClientCompatResponse {
    let result = match make(&request, tap).await {
        Ok(response) => Outcome::Response(response),
        Err(message) => Outcome::Error(ClientErrorResult { message }),
    };
    ClientCompatResponse { test_name: request.test_name, result: Some(result) }
}

/// Makes one call. Returns an error only if the call can't be made; other failures are part of the result.
async fn make(request: &ClientCompatRequest, tap: &Tap) -> Result<ClientResponseResult, String> {
    check(request)?;
    let client = connect(request, tap).await.map_err(|status| status.to_string())?.with(options(request)?);
    match request.method() {
        "Unary" => call::unary(&client, UNARY, request, |answer: UnaryResponse| answer.payload).await,
        "IdempotentUnary" => {
            let payload = |answer: IdempotentUnaryResponse| answer.payload;
            call::unary(&client, IDEMPOTENT_UNARY, request, payload).await
        }
        "Unimplemented" => call::unary(&client, UNIMPLEMENTED, request, |_| None).await,
        "ServerStream" => {
            let payload = |answer: ServerStreamResponse| answer.payload;
            call::server_stream(&client, SERVER_STREAM, request, payload).await
        }
        "ClientStream" => {
            let payload = |answer: ClientStreamResponse| answer.payload;
            call::client_stream(&client, CLIENT_STREAM, request, payload).await
        }
        "BidiStream" => {
            let full_duplex = request.stream_type() == StreamType::FullDuplexBidiStream;
            let payload = |answer: BidiStreamResponse| answer.payload;
            call::bidi_stream(&client, BIDI_STREAM, request, full_duplex, payload).await
        }
        method => Err(format!("{SERVICE} has no method {method:?}")),
    }
}

fn check(request: &ClientCompatRequest) -> Result<(), String> {
    if request.service() != SERVICE {
        return Err(format!("unknown service {:?}: only {SERVICE} is supported", request.service()));
    }
    if request.protocol() != Protocol::Grpc {
        return Err(format!("unsupported protocol {}: only gRPC is supported", request.protocol().as_str_name()));
    }
    if request.codec() != Codec::Proto {
        return Err(format!("unsupported codec {}: only proto is supported", request.codec().as_str_name()));
    }
    Ok(())
}

async fn connect(request: &ClientCompatRequest, tap: &Tap) -> Result<Client, Status> {
    let mut options = ClientOptions::default();
    options.compressors = compression::all();
    options.code_of_http_status = code_of_http_status;
    if request.message_receive_limit > 0 {
        options.limits.max_receive_message_size = size(request.message_receive_limit);
    }
    let address = match request.host.contains(':') {
        true => format!("[{}]:{}", request.host, request.port),
        false => format!("{}:{}", request.host, request.port),
    };
    let tcp = tcp::connect(address);
    match tls(request).map_err(|error| Status::internal(error.to_string()))? {
        None => Client::connect_with(tap.around(tcp), options).await,
        Some(tls) => {
            let connector = tls.connector(tcp).map_err(|error| Status::internal(error.to_string()))?;
            Client::connect_with(tap.around(connector), options).await
        }
    }
}

/// The suite expects UNKNOWN for 431, from before the table got a row for it; see `docs/decisions/0010-http-431.md`.
fn code_of_http_status(status: u16) -> Code {
    match status {
        431 => Code::Unknown,
        status => code_map::code_of_http_status(status),
    }
}

fn tls(request: &ClientCompatRequest) -> Result<Option<ClientTls>, TlsError> {
    if request.server_tls_cert.is_empty() {
        return Ok(None);
    }
    let tls = ClientTls::new(Authorities::from_pem(&request.server_tls_cert)?);
    let Some(credentials) = &request.client_tls_creds else { return Ok(Some(tls)) };
    Ok(Some(tls.identity(Identity::from_pem(&credentials.cert, &credentials.key)?)))
}

fn options(request: &ClientCompatRequest) -> Result<CallOptions, String> {
    let metadata = convert::metadata(&request.request_headers).map_err(|status| status.to_string())?;
    let mut options = CallOptions::new().metadata(metadata);
    if let Some(timeout) = request.timeout_ms {
        options = options.timeout(Duration::from_millis(timeout.into()));
    }
    let encoding = match request.compression() {
        Compression::Unspecified | Compression::Identity => return Ok(options),
        Compression::Gzip => Encoding::Gzip,
        Compression::Br => Encoding::Brotli,
        Compression::Zstd => Encoding::Zstd,
        Compression::Deflate => Encoding::Deflate,
        Compression::Snappy => Encoding::Snappy,
    };
    Ok(options.encoding(encoding))
}
