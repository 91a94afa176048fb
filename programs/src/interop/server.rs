//! The test service: answers what its messages ask for.
//!
//! Implements interop-test-descriptions.md, "Server". It does not authenticate clients, so `username` and `oauth_scope` stay
//! empty, as the descriptions require. Like grpc-go it does not implement CacheableUnaryCall, which is for caching proxies.

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

/// Maximum number of responses that one message may ask for. In a half-duplex call, which stores them until the half-close, it
/// limits all messages together.
const MOST_ANSWERS: usize = 1000;

/// Size limit of data that is echoed in trailers, in bytes: a status message, a load report.
const LONGEST_ECHO: usize = 8 << 10;

/// Encodings for responses, in order of preference; the first that the client accepts is used.
const ENCODINGS: [Encoding; 5] =
    [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy];

/// The implementation of the test service.
#[derive(Debug)]
pub struct TestServer {
    id: String,
    load: Load,
    /// Locked by the call that currently sets the load; other such calls wait for it.
    reporting: Mutex<()>,
}

impl TestServer {
    /// Creates a server with this `server_id`, which writes the reports that clients send it to `load`.
    pub fn new(id: impl Into<String>, load: Load) -> TestServer {
        TestServer { id: id.into(), load, reporting: Mutex::new(()) }
    }
}

/// Returns a router with the methods of the test service.
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
        // A failed call has trailing metadata only, so its response has no initial metadata.
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
            // Answering stops at the first error status, so later messages are not stored, nor are those that ask for no
            // response.
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

/// Sends the responses that one message asks for.
async fn answer(
    request: &StreamingOutputCallRequest,
    context: &Context,
    answers: &mut Outbound<StreamingOutputCallResponse>,
) -> Result<(), Status> {
    check_status(request.response_status.as_ref())?;
    check_answers(request.response_parameters.len())?;
    // If one response asks for compression or for none, later ones may ask otherwise, so the stream needs an encoding.
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

/// Returns the context of the call.
fn context<T>(requests: &Inbound<T>) -> Result<Context, Status> {
    requests.context().cloned().ok_or_else(|| Status::internal("the call has no context"))
}

fn encoding(accepted: EncodingSet) -> Option<Encoding> {
    ENCODINGS.into_iter().find(|encoding| accepted.contains(*encoding))
}

/// Fails with INVALID_ARGUMENT if the sender's `expect_compressed` does not match how the message arrived.
fn check_compression(expected: Option<&BoolValue>, compressed: bool) -> Result<(), Status> {
    match expected {
        Some(BoolValue { value: true }) if !compressed => {
            Err(Status::invalid_argument("expect_compressed is true, but the message was not compressed"))
        }
        Some(BoolValue { value: false }) if compressed => {
            Err(Status::invalid_argument("expect_compressed is false, but the message was compressed"))
        }
        _ => Ok(()),
    }
}

/// Fails with the status that the client asks for, unless that is OK.
fn check_status(wanted: Option<&EchoStatus>) -> Result<(), Status> {
    match wanted {
        Some(EchoStatus { code, message }) if *code != 0 => {
            check_length("a status message", message.len())?;
            Err(Status::from_number(*code, message.clone()))
        }
        _ => Ok(()),
    }
}

/// Fails with INVALID_ARGUMENT if `length` exceeds the limit for trailers.
fn check_length(what: &str, length: usize) -> Result<(), Status> {
    match length <= LONGEST_ECHO {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!("{what} may have at most {LONGEST_ECHO} bytes, not {length}"))),
    }
}

/// Fails with INVALID_ARGUMENT above [`MOST_ANSWERS`] responses.
fn check_answers(wanted: usize) -> Result<(), Status> {
    match wanted <= MOST_ANSWERS {
        true => Ok(()),
        false => {
            Err(Status::invalid_argument(format!("at most {MOST_ANSWERS} responses may be requested, not {wanted}")))
        }
    }
}

fn payload(kind: i32, size: i32) -> Result<Payload, Status> {
    if PayloadType::try_from(kind).is_err() {
        return Err(Status::invalid_argument(format!("unknown payload type {kind}")));
    }
    match usize::try_from(size) {
        Ok(size @ 0..=LARGEST_PAYLOAD) => Ok(zeros(size)),
        Ok(size) => Err(Status::resource_exhausted(format!(
            "this server sends payloads of at most {LARGEST_PAYLOAD} bytes, not {size}"
        ))),
        Err(_) => Err(Status::invalid_argument(format!("invalid payload size {size}: it must not be negative"))),
    }
}

fn echo(received: &Metadata, answers: &mut Outbound<StreamingOutputCallResponse>) -> Result<(), Status> {
    let (headers, trailers) = echoes(received)?;
    answers.set_initial_metadata(headers);
    answers.set_trailing_metadata(trailers);
    Ok(())
}

/// Returns the metadata to echo: initial metadata, trailing metadata.
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
