//! The load for both servers, and the floor for the client side: unary GetFeature calls on one bare h2 connection.
//!
//! Every answer is checked: `:status` 200, exactly the expected bytes, grpc-status 0. The first wrong one ends the
//! program with exit 1, so that a server cannot win by answering wrongly.

use std::process::ExitCode;

use barewire_instructions::{
    ANSWER, GRPC_STATUS, Load, REQUEST, client_settings, request_headers, run_client, timeout_header,
};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

fn main() -> ExitCode {
    run_client(load)
}

async fn load(load: Load) -> Result<(), String> {
    let stream = TcpStream::connect(("127.0.0.1", load.port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (requests, connection) = client_settings().handshake(stream).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);

    let template = request_headers(load.port).map_err(|error| error.to_string())?;
    let mut callers = JoinSet::new();
    for caller in 0..load.in_flight {
        callers.spawn(call_in_turn(load, caller, requests.clone(), template.clone()));
    }
    drop(requests);
    while let Some(caller) = callers.join_next().await {
        caller.map_err(|error| error.to_string())??;
    }
    // With the last handle gone h2 says goodbye, and the server sees an end instead of a reset.
    driver.await.map_err(|error| error.to_string())?.map_err(|error| format!("connection: {error}"))
}

async fn call_in_turn(
    load: Load,
    caller: u32,
    mut requests: SendRequest<Bytes>,
    template: Request<()>,
) -> Result<(), String> {
    for call in load.share(caller) {
        let mut request = template.clone();
        if load.deadline {
            let timeout = timeout_header(call).map_err(|error| error.to_string())?;
            request.headers_mut().insert(GRPC_TIMEOUT, timeout);
        }
        requests = requests.ready().await.map_err(|error| format!("call {call}: {error}"))?;
        match get_feature(&mut requests, request).await {
            Ok(None) => {}
            Ok(Some(wrong)) => return Err(format!("call {call}: {wrong}")),
            Err(error) => return Err(format!("call {call}: {error}")),
        }
    }
    Ok(())
}

/// One call; `Some` says what was wrong with the answer.
async fn get_feature(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Option<&'static str>, h2::Error> {
    let (response, mut stream) = requests.send_request(request, false)?;
    stream.send_data(Bytes::from_static(REQUEST), true)?;

    let response = response.await?;
    if response.status() != StatusCode::OK {
        return Ok(Some("the answer is not HTTP 200"));
    }
    let mut body = response.into_body();
    let mut expected = ANSWER;
    while let Some(chunk) = body.data().await {
        match expected.strip_prefix(chunk?.as_ref()) {
            Some(rest) => expected = rest,
            None => return Ok(Some("the answer has other bytes than expected")),
        }
    }
    if !expected.is_empty() {
        return Ok(Some("the answer is too short"));
    }
    let trailers = body.trailers().await?;
    let status = trailers.as_ref().and_then(|trailers| trailers.get(GRPC_STATUS));
    if status.is_none_or(|status| status != "0") {
        return Ok(Some("grpc-status is not 0"));
    }
    Ok(None)
}
