//! The test service: it answers what its messages ask for.
//!
//! interop-test-descriptions.md, "Server", says what that is. No one is authenticated here, so that `username` and
//! `oauth_scope` stay empty as they must; CacheableUnaryCall, which is for a proxy that keeps answers, is not implemented, as
//! in grpc-go.

use std::time::Duration;

use tokio::sync::Mutex;

use super::further;
use super::messages::{
    BoolValue, EchoStatus, Empty, Payload, PayloadType, SimpleRequest, SimpleResponse, StreamingInputCallRequest,
    StreamingInputCallResponse, StreamingOutputCallRequest, StreamingOutputCallResponse,
};
use super::orca::{self, Load};
use super::{
    ECHO_INITIAL, ECHO_TRAILING, EMPTY_CALL, FULL_DUPLEX_CALL, HALF_DUPLEX_CALL, STREAMING_INPUT_CALL,
    STREAMING_OUTPUT_CALL, UNARY_CALL, zeros,
};
use crate::wire::encoding::{Encoding, EncodingSet};
use crate::{Context, Inbound, Metadata, Outbound, Request, Response, Router, Status};

/// The largest payload that can be asked for, in bytes: a request of ten bytes must not cost gigabytes.
const LARGEST_PAYLOAD: usize = 128 << 20;

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
        let mut response = answer.map_err(|status| status.with_metadata(trailers.clone()))?;
        (*response.headers_mut(), *response.trailers_mut()) = (headers, trailers);
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
        (*response.headers_mut(), *response.trailers_mut()) = (headers, trailers);
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
        let mut kept = Vec::new();
        while let Some(mut request) = requests.recv().await? {
            request.payload = None;
            kept.push(request);
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
        Some(EchoStatus { code, message }) if *code != 0 => Err(Status::from_number(*code, message.clone())),
        _ => Ok(()),
    }
}

fn payload(kind: i32, size: i32) -> Result<Payload, Status> {
    if PayloadType::try_from(kind).is_err() {
        return Err(Status::invalid_argument(format!("there is no payload of type {kind}")));
    }
    match usize::try_from(size) {
        Ok(size @ 0..=LARGEST_PAYLOAD) => Ok(zeros(size)),
        _ => Err(Status::invalid_argument(format!("a payload has 0 to {LARGEST_PAYLOAD} bytes, not {size}"))),
    }
}

fn echo(received: &Metadata, answers: &mut Outbound<StreamingOutputCallResponse>) -> Result<(), Status> {
    let (headers, trailers) = echoes(received)?;
    answers.set_headers(headers);
    answers.set_trailers(trailers);
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
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::interop::TestServiceClient;
    use crate::interop::messages::{ResponseParameters, TestOrcaReport};
    use crate::{CallOptions, Client, Code, Server, transport};

    async fn service() -> TestServiceClient {
        let (listener, connector) = transport::memory::pair();
        let server = TestServer::new("the server", Load::default());
        tokio::spawn(Server::new(router(server)).serve(listener));
        TestServiceClient::new(Client::connect(connector).await.unwrap())
    }

    fn wanted(size: i32, interval_us: i32) -> ResponseParameters {
        ResponseParameters { size, interval_us, ..ResponseParameters::default() }
    }

    fn asks(response_parameters: Vec<ResponseParameters>) -> StreamingOutputCallRequest {
        StreamingOutputCallRequest { response_parameters, ..StreamingOutputCallRequest::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_payload_of() {
        let service = service().await;
        for (response_type, response_size) in [(1, 1), (0, -1), (0, i32::MAX)] {
            let request = SimpleRequest { response_type, response_size, ..SimpleRequest::default() };
            let status = service.unary_call(request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{response_type} {response_size}");
        }
        let mut answers = service.streaming_output_call(asks(vec![wanted(1, 0), wanted(-1, 0)])).await.unwrap();
        assert_eq!(answers.recv().await.unwrap().unwrap().payload.unwrap().body, [0]);
        assert_eq!(answers.recv().await.unwrap_err().code(), Code::InvalidArgument);
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_before_an_answer() {
        let service = service().await;
        let begin = Instant::now();
        let request = asks(vec![wanted(1, 0), wanted(1, 2_000), wanted(1, -5), wanted(1, 3_000)]);
        let mut answers = service.streaming_output_call(request).await.unwrap();
        for expected in [0, 2, 2, 5] {
            assert!(answers.recv().await.unwrap().is_some());
            assert_eq!(begin.elapsed().as_millis(), expected);
        }
        assert_eq!(answers.recv().await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn half_duplex_answers_after_the_half_close() {
        let (mut requests, mut answers) = service().await.half_duplex_call().await.unwrap();
        for size in [3, 4] {
            requests.send(asks(vec![wanted(size, 0)])).await.unwrap();
        }
        let nothing = tokio::time::timeout(Duration::from_secs(1), answers.recv()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        requests.finish().await.unwrap();
        for size in [3, 4] {
            assert_eq!(answers.recv().await.unwrap().unwrap().payload.unwrap().body.len(), size);
        }
        assert_eq!(answers.recv().await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn metadata_comes_back_with_every_value_and_with_an_error() {
        let mut metadata = Metadata::new();
        for value in ["1", "2"] {
            metadata.append(ECHO_INITIAL, value).unwrap();
            metadata.append_bin(ECHO_TRAILING, value.as_bytes()).unwrap();
        }
        metadata.insert("other", "x").unwrap();
        let service = service().await.with(CallOptions::new().metadata(metadata));
        let both = |trailers: &Metadata| trailers.get_all_bin(ECHO_TRAILING).map(Result::unwrap).collect::<Vec<_>>();

        let answer = service.unary_call(SimpleRequest::default()).await.unwrap();
        assert_eq!(answer.headers().get_all(ECHO_INITIAL).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(answer.headers().get("other"), None);
        assert_eq!(both(answer.trailers()), [b"1", b"2"]);

        let response_status = Some(EchoStatus { code: 77, message: "odd".into() });
        let request = SimpleRequest { response_status, ..SimpleRequest::default() };
        let status = service.unary_call(request).await.unwrap_err();
        assert_eq!((status.number(), status.message()), (77, "odd"));
        assert_eq!(both(status.metadata()), [b"1", b"2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_who_calls_and_expects_what_it_is_told() {
        let service = service().await;
        let fill_peer_socket_address = Some(BoolValue { value: true });
        let request = asks(vec![ResponseParameters { fill_peer_socket_address, ..ResponseParameters::default() }]);
        let mut answers = service.streaming_output_call(request).await.unwrap();
        assert_eq!(answers.recv().await.unwrap().unwrap().peer_socket_address, "memory");

        let expect_compressed = Some(BoolValue { value: true });
        let request = SimpleRequest { expect_compressed, ..SimpleRequest::default() };
        assert_eq!(service.unary_call(request).await.unwrap_err().code(), Code::InvalidArgument);
        let expect_compressed = Some(BoolValue { value: false });
        let request = SimpleRequest { expect_compressed, ..SimpleRequest::default() };
        assert!(service.unary_call(request).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_says_what_the_load_is() {
        let service = service().await;
        let mut request = asks(vec![wanted(1, 0)]);
        request.orca_oob_report = Some(TestOrcaReport::default());
        let (mut first, mut first_answers) = service.full_duplex_call().await.unwrap();
        first.send(&request).await.unwrap();
        assert!(first_answers.recv().await.unwrap().is_some());
        let (mut second, mut second_answers) = service.full_duplex_call().await.unwrap();
        second.send(&request).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_secs(1), second_answers.recv()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        drop(first);
        assert!(second_answers.recv().await.unwrap().is_some());
    }
}
