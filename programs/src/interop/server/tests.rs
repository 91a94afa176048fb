//! Responses, errors and limits of the test service.

use tokio::time::Instant;

use super::*;
use crate::interop::TestServiceClient;
use crate::interop::messages::{ResponseParameters, TestOrcaReport};
use barewire::{CallOptions, Client, ClientOptions, Code, Server, transport};

async fn service() -> TestServiceClient {
    service_for(ClientOptions::default()).await
}

async fn service_for(options: ClientOptions) -> TestServiceClient {
    let (listener, connector) = transport::memory::pair();
    let server = TestServer::new("the server", Load::default());
    tokio::spawn(Server::new(router(server)).serve(listener));
    TestServiceClient::new(Client::connect_with(connector, options).await.unwrap())
}

fn wanted(size: i32, interval_us: i32) -> ResponseParameters {
    ResponseParameters { size, interval_us, ..ResponseParameters::default() }
}

fn asks(response_parameters: Vec<ResponseParameters>) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest { response_parameters, ..StreamingOutputCallRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn invalid_payload_types_and_sizes_are_refused() {
    let service = service().await;
    for (response_type, response_size, code) in
        [(1, 1, Code::InvalidArgument), (0, -1, Code::InvalidArgument), (0, i32::MAX, Code::ResourceExhausted)]
    {
        let request = SimpleRequest { response_type, response_size, ..SimpleRequest::default() };
        let status = service.unary_call(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{response_type} {response_size}");
    }
    let mut answers = service.streaming_output_call(asks(vec![wanted(1, 0), wanted(-1, 0)])).await.unwrap();
    assert_eq!(answers.recv().await.unwrap().unwrap().payload.unwrap().body, [0][..]);
    assert_eq!(answers.recv().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn server_waits_the_requested_time_before_a_response() {
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
async fn answers_of_more_than_64_mib_are_refused() {
    let mut options = ClientOptions::default();
    options.limits.max_receive_message_size = LARGEST_PAYLOAD + 100;
    let service = service_for(options).await;
    let asks_for = |response_size| SimpleRequest { response_size, ..SimpleRequest::default() };
    for size in [32 << 20, 64 << 20] {
        let answer = service.unary_call(asks_for(size)).await.unwrap();
        assert_eq!(answer.payload.as_ref().map(|payload| payload.body.len()), Some(size as usize));
    }
    let status = service.unary_call(asks_for((64 << 20) + 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "this server sends payloads of at most 67108864 bytes, not 67108865");
    let status = service.unary_call(asks_for(-1)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "invalid payload size -1: it must not be negative");
}

#[test]
fn payloads_share_one_buffer_of_zeros() {
    let (one, other) = (zeros(1 << 20), zeros(LARGEST_PAYLOAD));
    assert_eq!(one.body.as_ptr(), other.body.as_ptr());
    assert_eq!((one.body.len(), other.body.len()), (1 << 20, LARGEST_PAYLOAD));
    assert!(one.body.iter().all(|&byte| byte == 0));
}

#[tokio::test(start_paused = true)]
async fn one_request_gets_up_to_a_thousand_responses() {
    let service = service().await;
    let mut answers = service.streaming_output_call(asks(vec![wanted(1, 0); 1000])).await.unwrap();
    for _ in 0..1000 {
        assert!(answers.recv().await.unwrap().is_some());
    }
    assert_eq!(answers.recv().await.unwrap(), None);
    let mut answers = service.streaming_output_call(asks(vec![wanted(1, 0); 1001])).await.unwrap();
    let status = answers.recv().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "at most 1000 responses may be requested, not 1001");
    // A stream of requests may ask for more in total: each is answered before the next is read.
    let (mut requests, mut answers) = service.full_duplex_call().await.unwrap();
    for _ in 0..2 {
        requests.send(asks(vec![wanted(1, 0); 600])).await.unwrap();
        for _ in 0..600 {
            assert!(answers.recv().await.unwrap().is_some());
        }
    }
    requests.send(asks(vec![wanted(1, 0); 1001])).await.unwrap();
    assert_eq!(answers.recv().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn half_duplex_stores_requests_for_a_thousand_responses_only() {
    let service = service().await;
    let (mut requests, mut answers) = service.half_duplex_call().await.unwrap();
    for _ in 0..2 {
        requests.send(asks(vec![wanted(1, 0); 500])).await.unwrap();
    }
    // Requests for no response don't count, whatever they carry.
    for _ in 0..2000 {
        requests.send(StreamingOutputCallRequest { payload: Some(zeros(100)), ..asks(vec![]) }).await.unwrap();
    }
    requests.flush().await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_secs(1), answers.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    requests.send(asks(vec![wanted(1, 0)])).await.unwrap();
    let status = answers.recv().await.expect_err("before the half-close");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "at most 1000 responses may be requested, not 1001");
}

#[tokio::test(start_paused = true)]
async fn half_duplex_ends_with_the_first_error_status() {
    let (mut requests, mut answers) = service().await.half_duplex_call().await.unwrap();
    let status = |code| Some(EchoStatus { code, message: "odd".into() });
    for (size, code) in [(3, 0), (4, 9), (5, 0), (6, 10)] {
        let request = StreamingOutputCallRequest { response_status: status(code), ..asks(vec![wanted(size, 0)]) };
        requests.send(request).await.unwrap();
    }
    assert_eq!(requests.finish().await.map_err(|status| status.number()), Err(9));
    assert_eq!(answers.recv().await.unwrap().unwrap().payload.unwrap().body.len(), 3);
    assert_eq!(answers.recv().await.unwrap_err().number(), 9);
}

#[tokio::test(start_paused = true)]
async fn data_echoed_in_trailers_is_limited_to_8_kib() {
    let service = service().await;
    let fails = |length: usize| {
        let response_status = Some(EchoStatus { code: 9, message: "x".repeat(length) });
        service.unary_call(SimpleRequest { response_status, ..SimpleRequest::default() })
    };
    assert_eq!(fails(8192).await.unwrap_err().number(), 9);
    let status = fails(8193).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "a status message may have at most 8192 bytes, not 8193");
    let request_cost = [("x".repeat(9000), 1.0)].into();
    let report = TestOrcaReport { request_cost, ..TestOrcaReport::default() };
    let request = SimpleRequest { orca_per_query_report: Some(report.clone()), ..SimpleRequest::default() };
    assert_eq!(service.unary_call(request).await.unwrap_err().code(), Code::InvalidArgument);
    let (mut requests, mut answers) = service.full_duplex_call().await.unwrap();
    requests.send(StreamingOutputCallRequest { orca_oob_report: Some(report), ..asks(vec![]) }).await.unwrap();
    assert_eq!(answers.recv().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_echoed_with_all_values_and_with_an_error() {
    let mut metadata = Metadata::new();
    for value in ["1", "2"] {
        metadata.append(ECHO_INITIAL, value).unwrap();
        metadata.append_bin(ECHO_TRAILING, value.as_bytes()).unwrap();
    }
    metadata.insert("other", "x").unwrap();
    let service = service().await.with(CallOptions::new().metadata(metadata));
    let both = |trailers: &Metadata| trailers.get_all_bin(ECHO_TRAILING).map(Result::unwrap).collect::<Vec<_>>();

    let answer = service.unary_call(SimpleRequest::default()).await.unwrap();
    assert_eq!(answer.initial_metadata().get_all(ECHO_INITIAL).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(answer.initial_metadata().get("other"), None);
    assert_eq!(both(answer.trailing_metadata()), [b"1", b"2"]);

    let response_status = Some(EchoStatus { code: 77, message: "odd".into() });
    let request = SimpleRequest { response_status, ..SimpleRequest::default() };
    let status = service.unary_call(request).await.unwrap_err();
    assert_eq!((status.number(), status.message()), (77, "odd"));
    assert_eq!(both(status.trailing_metadata()), [b"1", b"2"]);
}

#[tokio::test(start_paused = true)]
async fn server_reports_the_peer_address_and_checks_compression() {
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
async fn only_one_call_at_a_time_sets_the_load() {
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
