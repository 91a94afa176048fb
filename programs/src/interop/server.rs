//! The test service: it answers what its messages ask for.
//!
//! interop-test-descriptions.md, "Server", says what that is. No one is authenticated here, so that `username` and
//! `oauth_scope` stay empty as they must; CacheableUnaryCall, which is for a proxy that keeps answers, is not implemented, as
//! in grpc-go.

use std::time::Duration;

use prost::Message;
use tokio::sync::Mutex;

use super::further;
use super::messages::{
    BoolValue, EchoStatus, Empty, Payload, PayloadType, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use super::methods::{
    ECHO_INITIAL, ECHO_TRAILING, EMPTY_CALL, FULL_DUPLEX_CALL, HALF_DUPLEX_CALL, STREAMING_INPUT_CALL,
    STREAMING_OUTPUT_CALL, UNARY_CALL,
};
use super::orca::{self, Load};
use super::payload::{LARGEST_PAYLOAD, zeros};
use barewire::wire::encoding::{Encoding, EncodingSet};
use barewire::{Context, Inbound, Metadata, Outbound, Request, Response, Router, Status};

/// How many answers a message may ask for, and all messages of a half-duplex call together, which are kept until its half-close.
const MOST_ANSWERS: usize = 1000;

/// How long what comes back in trailers may be, in bytes: the message of a status, a load report.
const LONGEST_ECHO: usize = 8 << 10;

/// What an answer is compressed with, the first of these that the client takes.
const ENCODINGS: [Encoding; 5] =
    [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy];

/// The test service.
#[derive(Debug)]
pub struct TestServer {
    id: String,
    load: Load,
    /// Held by the call that says what the load is: others wait for their turn.
    reporting: Mutex<()>,
}

impl TestServer {
    /// A server that calls itself `id` where it is asked, and that sets `load` where it is told.
    pub fn new(id: impl Into<String>, load: Load) -> TestServer {
        TestServer { id: id.into(), load, reporting: Mutex::new(()) }
    }
}

/// The methods of the test service.
pub fn router(server: TestServer) -> Router<TestServer> {
    Router::new(server)
        .unary(EMPTY_CALL, TestServer::empty_call)
        .unary(UNARY_CALL, TestServer::unary_call)
        .server_streaming(STREAMING_OUTPUT_CALL, TestServer::streaming_output_call)
        .client_streaming(STREAMING_INPUT_CALL, TestServer::streaming_input_call)
        .bidi_streaming(FULL_DUPLEX_CALL, TestServer::full_duplex_call)
        .bidi_streaming(HALF_DUPLEX_CALL, TestServer::half_duplex_call)
}

impl TestServer {
    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Empty {}.into())
    }

    async fn unary_call(&self, request: Request<SimpleRequest>) -> Result<Response<SimpleResponse>, Status> {
        let (mut headers, mut trailers) = echoes(request.metadata())?;
        further::report_deadline(request.context(), &mut headers)?;
        further::check_details(request.metadata())?;
        let answer = self.simple_response(&request, &mut trailers);
        // A call that fails has trailing metadata only: nothing comes before its status.
        let mut response = answer.map_err(|status| status.with_trailing_metadata(trailers.clone()))?;
        (*response.initial_metadata_mut(), *response.trailing_metadata_mut()) = (headers, trailers);
        Ok(response)
    }

    fn simple_response(
        &self,
        request: &Request<SimpleRequest>,
        trailers: &mut Metadata,
    ) -> Result<Response<SimpleResponse>, Status> {
        check_compression(request.expect_compressed.as_ref(), request.was_compressed())?;
        check_status(request.response_status.as_ref())?;
        let payload = Some(payload(request.response_type, request.response_size)?);
        if let Some(report) = &request.orca_per_query_report {
            check_length("a load report", report.encoded_len())?;
            orca::attach(&report.clone().into(), trailers)?;
        }
        let server_id = if request.fill_server_id { self.id.clone() } else { String::new() };
        let response = Response::new(SimpleResponse { payload, server_id, ..SimpleResponse::default() });
        Ok(match request.response_compressed {
            Some(BoolValue { value: true }) => match encoding(request.context().accept_encoding()) {
                Some(encoding) => response.with_encoding(encoding),
                None => response,
            },
            Some(BoolValue { value: false }) => response.compress(false),
            None => response,
        })
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
        mut answers: Outbound<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo(request.metadata(), &mut answers)?;
        let context = request.context().clone();
        answer(request.message(), &context, &mut answers).await
    }

    async fn streaming_input_call(
        &self,
        mut requests: Inbound<StreamingInputCallRequest>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let (headers, trailers) = echoes(requests.metadata())?;
        let mut count = 0_usize;
        while let Some(request) = requests.recv().await? {
            check_compression(request.expect_compressed.as_ref(), requests.was_compressed())?;
            count += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size = i32::try_from(count).unwrap_or(i32::MAX);
        let mut response = Response::new(StreamingInputCallResponse { aggregated_payload_size });
        (*response.initial_metadata_mut(), *response.trailing_metadata_mut()) = (headers, trailers);
        Ok(response)
    }

    async fn full_duplex_call(
        &self,
        mut requests: Inbound<StreamingOutputCallRequest>,
        mut answers: Outbound<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo(requests.metadata(), &mut answers)?;
        let context = context(&requests)?;
        let mut reporting = None;
        while let Some(mut request) = requests.recv().await? {
            if let Some(report) = request.orca_oob_report.take() {
                check_length("a load report", report.encoded_len())?;
                if reporting.is_none() {
                    reporting = Some(self.reporting.lock().await);
                }
                self.load.set(report.into());
            }
            answer(&request, &context, &mut answers).await?;
        }
        Ok(())
    }

    async fn half_duplex_call(
        &self,
        mut requests: Inbound<StreamingOutputCallRequest>,
        mut answers: Outbound<StreamingOutputCallResponse>,
    ) -> Result<(), Status> {
        echo(requests.metadata(), &mut answers)?;
        let context = context(&requests)?;
        let (mut kept, mut wanted, mut ends) = (Vec::<StreamingOutputCallRequest>::new(), 0, false);
        while let Some(mut request) = requests.recv().await? {
            wanted += request.response_parameters.len();
            check_answers(wanted)?;
            // Nothing is answered behind a status, so nothing behind it is kept, and nothing that asks for no answer.
            let fails = check_status(request.response_status.as_ref()).is_err();
            if !ends && (fails || !request.response_parameters.is_empty()) {
                ends = fails;
                (request.payload, request.orca_oob_report) = (None, None);
                kept.push(request);
            }
        }
        for request in kept {
            answer(&request, &context, &mut answers).await?;
        }
        Ok(())
    }
}

/// Sends what one message asks for.
async fn answer(
    request: &StreamingOutputCallRequest,
    context: &Context,
    answers: &mut Outbound<StreamingOutputCallResponse>,
) -> Result<(), Status> {
    check_status(request.response_status.as_ref())?;
    check_answers(request.response_parameters.len())?;
    // Whoever says for one message whether it is to be compressed may say otherwise for the next.
    if request.response_parameters.iter().any(|wanted| wanted.compressed.is_some())
        && let Some(encoding) = encoding(context.accept_encoding())
    {
        answers.set_encoding(encoding);
    }
    for wanted in &request.response_parameters {
        let payload = Some(payload(request.response_type, wanted.size)?);
        let asks = wanted.fill_peer_socket_address.is_some_and(|asks| asks.value);
        let peer_socket_address = if asks { context.peer().address.to_string() } else { String::new() };
        if let Ok(pause @ 1..) = u64::try_from(wanted.interval_us) {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        answers.compress(wanted.compressed.is_none_or(|wanted| wanted.value));
        answers.send(StreamingOutputCallResponse { payload, peer_socket_address }).await?;
    }
    Ok(())
}

/// What a server knows of the call.
fn context<T>(requests: &Inbound<T>) -> Result<Context, Status> {
    requests.context().cloned().ok_or_else(|| Status::internal("a server's call has a context"))
}

fn encoding(accepted: EncodingSet) -> Option<Encoding> {
    ENCODINGS.into_iter().find(|encoding| accepted.contains(*encoding))
}

/// INVALID_ARGUMENT where a message came otherwise than its sender meant it to.
fn check_compression(expected: Option<&BoolValue>, compressed: bool) -> Result<(), Status> {
    match expected {
        Some(BoolValue { value: true }) if !compressed => {
            Err(Status::invalid_argument("expect_compressed is true, and the message came uncompressed"))
        }
        Some(BoolValue { value: false }) if compressed => {
            Err(Status::invalid_argument("expect_compressed is false, and the message came compressed"))
        }
        _ => Ok(()),
    }
}

/// The status that the client wants to see, as an error unless it is OK.
fn check_status(wanted: Option<&EchoStatus>) -> Result<(), Status> {
    match wanted {
        Some(EchoStatus { code, message }) if *code != 0 => {
            check_length("the message of a status", message.len())?;
            Err(Status::from_number(*code, message.clone()))
        }
        _ => Ok(()),
    }
}

/// INVALID_ARGUMENT for more than comes back in trailers.
fn check_length(what: &str, length: usize) -> Result<(), Status> {
    match length <= LONGEST_ECHO {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!("{what} may have {LONGEST_ECHO} bytes, not {length}"))),
    }
}

/// Refuses a call that asks for more than [`MOST_ANSWERS`] answers, with INVALID_ARGUMENT.
fn check_answers(wanted: usize) -> Result<(), Status> {
    match wanted <= MOST_ANSWERS {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!("{MOST_ANSWERS} answers may be asked for, not {wanted}"))),
    }
}

fn payload(kind: i32, size: i32) -> Result<Payload, Status> {
    if PayloadType::try_from(kind).is_err() {
        return Err(Status::invalid_argument(format!("there is no payload of type {kind}")));
    }
    match usize::try_from(size) {
        Ok(size @ 0..=LARGEST_PAYLOAD) => Ok(zeros(size)),
        Ok(size) => Err(Status::resource_exhausted(format!(
            "this server sends payloads of at most {LARGEST_PAYLOAD} bytes, not {size}"
        ))),
        Err(_) => Err(Status::invalid_argument(format!("a payload has 0 or more bytes, not {size}"))),
    }
}

fn echo(received: &Metadata, answers: &mut Outbound<StreamingOutputCallResponse>) -> Result<(), Status> {
    let (headers, trailers) = echoes(received)?;
    answers.set_initial_metadata(headers);
    answers.set_trailing_metadata(trailers);
    Ok(())
}

/// The metadata that comes back, before the messages and after them.
fn echoes(received: &Metadata) -> Result<(Metadata, Metadata), Status> {
    let (mut headers, mut trailers) = (Metadata::new(), Metadata::new());
    for value in received.get_all(ECHO_INITIAL) {
        headers.append(ECHO_INITIAL, value)?;
    }
    for value in received.get_all_bin(ECHO_TRAILING) {
        trailers.append_bin(ECHO_TRAILING, &value?)?;
    }
    Ok((headers, trailers))
}

#[cfg(test)]
mod tests;
