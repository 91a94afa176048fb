"""Runs the cases of gRPC's interop tests, and further ones, with grpcio (C-core).

Prints a line for each case as it ends, PASS or FAIL, and how many passed.
"""

import argparse
import concurrent.futures
import sys
import threading
import time

import grpc

import messages as m

TRUE = m.BoolValue(value=True)
FALSE = m.BoolValue(value=False)
MESSAGES = [
    "plain",
    "100 % sure: %41 stays %41",
    "tab\there, line\r\nbreak, \"quotes\" and \\backslash\\",
    "Grüße, Ελλάδα, Привет",
    "שלום عليكم नमस्ते",
    "你好，世界 こんにちは 안녕하세요",
    "👩‍🚀 and 😈",
]
SIZES = [0, 1, 16_383, 16_384, 16_385, 4_194_303, 4_194_304, 4_194_305, 67_108_864]
# google.rpc.Status { code: 5, message: "not here", details: [Any { type_url: "t/x", value: "y" }] }
STATUS = b"\x08\x05\x12\x08not here\x1a\x08\x0a\x03t/x\x12\x01y"


class Stub:
    def __init__(self, channel):
        for name, (kind, request, response) in m.METHODS.items():
            call = getattr(channel, kind)(f"/{m.SERVICE}/{name}", request.SerializeToString, response.FromString)
            setattr(self, name, call)
        self.UnimplementedCall = channel.unary_unary(
            f"/{m.SERVICE}/UnimplementedCall", m.Empty.SerializeToString, m.Empty.FromString
        )
        self.UnimplementedService = channel.unary_unary(
            "/grpc.testing.UnimplementedService/UnimplementedCall", m.Empty.SerializeToString, m.Empty.FromString
        )


def payload(size):
    return m.Payload(body=bytes(size))


def equal(what, came, expected):
    if came != expected:
        raise AssertionError(f"{what}: expected {expected!r:.200}, and {came!r:.200} came")


def fails(what, code, call):
    try:
        call()
    except grpc.RpcError as error:
        equal(what, error.code(), code)
        return error
    raise AssertionError(f"{what}: expected {code}, and OK came")


def wants(*sizes, **fields):
    return m.StreamingOutputCallRequest(
        response_parameters=[m.ResponseParameters(size=size) for size in sizes], **fields
    )


def empty_unary(stub):
    equal("the answer", stub.EmptyCall(m.Empty()), m.Empty())


def large_unary(stub):
    answer = stub.UnaryCall(m.SimpleRequest(response_size=314_159, payload=payload(271_828)))
    equal("the payload", answer.payload.body, bytes(314_159))


def client_streaming(stub):
    requests = (m.StreamingInputCallRequest(payload=payload(size)) for size in [27_182, 8, 1_828, 45_904])
    equal("the count", stub.StreamingInputCall(requests).aggregated_payload_size, 74_922)


def server_streaming(stub):
    answers = stub.StreamingOutputCall(wants(31_415, 9, 2_653, 58_979))
    equal("the sizes", [len(answer.payload.body) for answer in answers], [31_415, 9, 2_653, 58_979])


def ping_pong(stub):
    asked = threading.Semaphore(1)
    sizes = [(27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)]

    def requests():
        for sent, wanted in sizes:
            asked.acquire()
            yield wants(wanted, payload=payload(sent))

    came = []
    for answer in stub.FullDuplexCall(requests()):
        came.append(len(answer.payload.body))
        asked.release()
    equal("the sizes", came, [wanted for _, wanted in sizes])


def empty_stream(stub):
    equal("the answers", list(stub.FullDuplexCall(iter([]))), [])


def endless(ended):
    """Keeps the client's half of a call open until it is released."""
    ended.wait()
    return
    yield


def timeout_on_sleeping_server(stub):
    ended = threading.Event()
    fails("the call", grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(stub.FullDuplexCall(endless(ended), timeout=0.001)))
    ended.set()


def cancel_after_begin(stub):
    ended = threading.Event()
    call = stub.StreamingInputCall.future(endless(ended))
    call.cancel()
    equal("the call", call.code(), grpc.StatusCode.CANCELLED)
    ended.set()


def cancel_after_first_response(stub):
    ended = threading.Event()

    def requests():
        yield wants(31_415, payload=payload(27_182))
        ended.wait()

    call = stub.FullDuplexCall(requests())
    equal("the first answer", len(next(call).payload.body), 31_415)
    call.cancel()
    equal("the call", call.code(), grpc.StatusCode.CANCELLED)
    ended.set()


def with_message(stub, code, message):
    request = m.SimpleRequest(response_status=m.EchoStatus(code=code.value[0], message=message))
    error = fails("UnaryCall", code, lambda: stub.UnaryCall(request))
    equal("the message", error.details(), message)


def status_code_and_message(stub):
    with_message(stub, grpc.StatusCode.UNKNOWN, "test status message")
    request = wants(response_status=m.EchoStatus(code=2, message="test status message"))
    error = fails("FullDuplexCall", grpc.StatusCode.UNKNOWN, lambda: list(stub.FullDuplexCall(iter([request]))))
    equal("the message", error.details(), "test status message")


def special_status_message(stub):
    with_message(stub, grpc.StatusCode.UNKNOWN, "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")


def unimplemented_method(stub):
    fails("the call", grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedCall(m.Empty()))


def unimplemented_service(stub):
    fails("the call", grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedService(m.Empty()))


def echoed(stub, initial, trailing):
    metadata = [(m.INITIAL, value) for value in initial] + [(m.TRAILING, value) for value in trailing]
    _, unary = stub.UnaryCall.with_call(m.SimpleRequest(), metadata=metadata)
    duplex = stub.FullDuplexCall(iter([wants(1)]), metadata=metadata)
    equal("the answers", len(list(duplex)), 1)
    for call in [unary, duplex]:
        equal(m.INITIAL, [value for key, value in call.initial_metadata() if key == m.INITIAL], initial)
        equal(m.TRAILING, [value for key, value in call.trailing_metadata() if key == m.TRAILING], trailing)


def custom_metadata(stub):
    echoed(stub, ["test_initial_metadata_value"], [b"\xab\xab\xab"])


def metadata_repeated_keys(stub):
    echoed(stub, ["first", "second", "first"], [b"\1", b"\2", b"\1"])


def metadata_every_byte(stub):
    every = bytes(range(256))
    echoed(stub, ["visible ASCII: ~!@#$%^&*()"], [every, every[:255], every[:254], b"\xff"])


def metadata_empty_values(stub):
    echoed(stub, [""], [b""])


def metadata_large(stub):
    echoed(stub, ["x" * 9_000], [b"\xab" * 6_000])


def status_messages(stub):
    codes = [code for code in grpc.StatusCode if code.value[0]]
    for number, code in enumerate(codes):
        with_message(stub, code, MESSAGES[number % len(MESSAGES)])


def status_details(stub):
    call = lambda: stub.UnaryCall(m.SimpleRequest(), metadata=[(m.DETAILS, STATUS)])
    error = fails("the call", grpc.StatusCode.NOT_FOUND, call)
    equal("the message", error.details(), "not here")
    equal("the details", dict(error.trailing_metadata()).get("grpc-status-details-bin"), STATUS)


def deadline_units(stub):
    def left(timeout):
        _, call = stub.UnaryCall.with_call(m.SimpleRequest(), metadata=[(m.REPORT_DEADLINE, "please")], timeout=timeout)
        return dict(call.initial_metadata()).get(m.DEADLINE_LEFT)

    equal("without a deadline", left(None), "none")
    for timeout in [0.09, 2, 20, 7_200, 50 * 24 * 3600, 3 * 365 * 24 * 3600]:
        seen = left(timeout)
        # C-core rounds up by some per cent.
        if not (timeout - 5) * 1000 <= int(seen) <= timeout * 1050:
            raise AssertionError(f"the deadline that the server sees: expected {timeout} s, and {seen} ms came")


def compression_both_ways(stub):
    for compression in [grpc.Compression.Gzip, grpc.Compression.Deflate]:
        request = m.SimpleRequest(
            payload=payload(100_000), response_size=100_000, response_compressed=TRUE, expect_compressed=TRUE
        )
        answer = stub.UnaryCall(request, compression=compression)
        equal("the answer", answer.payload.body, bytes(100_000))
        wanted = m.ResponseParameters(size=100_000, compressed=TRUE)
        request = m.StreamingOutputCallRequest(response_parameters=[wanted], payload=payload(100_000))
        answers = list(stub.FullDuplexCall(iter([request]), compression=compression))
        equal("the answers", [answer.payload.body for answer in answers], [bytes(100_000)])
        requests = [m.StreamingInputCallRequest(payload=payload(9_000), expect_compressed=TRUE)] * 3
        answer = stub.StreamingInputCall(iter(requests), compression=compression)
        equal("the count", answer.aggregated_payload_size, 27_000)
    uncompressed = m.SimpleRequest(expect_compressed=FALSE, response_size=10, response_compressed=FALSE)
    equal("the answer", stub.UnaryCall(uncompressed).payload.body, bytes(10))
    refused = m.SimpleRequest(expect_compressed=TRUE, payload=payload(10))
    fails("an uncompressed request", grpc.StatusCode.INVALID_ARGUMENT, lambda: stub.UnaryCall(refused))


def message_sizes(stub):
    for size in SIZES:
        answer = stub.UnaryCall(m.SimpleRequest(response_size=size, payload=payload(size)))
        equal("the answer", len(answer.payload.body), size)


def size_over_limit(stub):
    """The client's limit is 80 MiB."""
    fails("the call", grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: stub.UnaryCall(m.SimpleRequest(response_size=81 << 20)))
    empty_unary(stub)


def concurrent_calls(stub):
    ended = threading.Event()

    def requests():
        yield wants(20, payload=payload(10))
        ended.wait()

    streams = [stub.FullDuplexCall(requests()) for _ in range(100)]
    calls = [stub.UnaryCall.future(m.SimpleRequest(response_size=size)) for size in range(1000)]
    equal("the answers", [len(call.result().payload.body) for call in calls], list(range(1000)))
    equal("the streams", [len(next(stream).payload.body) for stream in streams], [20] * 100)
    ended.set()
    equal("behind them", [list(stream) for stream in streams], [[]] * 100)


def cancel_at_each_stage(stub):
    stub.UnaryCall.future(m.SimpleRequest(response_size=10)).cancel()
    empty_unary(stub)
    ended = threading.Event()

    def requests():
        yield m.StreamingInputCallRequest(payload=payload(100_000))
        ended.wait()

    call = stub.StreamingInputCall.future(requests())
    time.sleep(0.01)
    call.cancel()
    empty_unary(stub)
    answers = stub.StreamingOutputCall(wants(*[100_000] * 100))
    next(answers)
    answers.cancel()
    empty_unary(stub)
    half_closed = stub.StreamingOutputCall(
        m.StreamingOutputCallRequest(response_parameters=[m.ResponseParameters(size=1, interval_us=3_000_000)])
    )
    half_closed.cancel()
    ended.set()
    empty_unary(stub)


CASES = [
    empty_unary, large_unary, client_streaming, server_streaming, ping_pong, empty_stream, timeout_on_sleeping_server,
    cancel_after_begin, cancel_after_first_response, status_code_and_message, special_status_message, custom_metadata,
    unimplemented_method, unimplemented_service, metadata_repeated_keys, metadata_every_byte, metadata_empty_values,
    metadata_large, status_messages, status_details, deadline_units, compression_both_ways, message_sizes,
    size_over_limit, concurrent_calls, cancel_at_each_stage,
]  # fmt: skip


def connect(flags):
    options = list(m.LIMITS)
    address = f"127.0.0.1:{flags.server_port}"
    if not flags.use_tls:
        return grpc.insecure_channel(address, options)
    with open(flags.ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options.append(("grpc.ssl_target_name_override", flags.server_host_override))
    return grpc.secure_channel(address, credentials, options)


def run(case, stub):
    try:
        case(stub)
        return None
    except grpc.RpcError as error:
        return f"{error.code()}: {error.details()}"
    except Exception as error:  # pylint: disable=broad-except
        return f"{type(error).__name__}: {error}"


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--server_port", type=int, required=True)
    flags.add_argument("--use_tls", action="store_true")
    flags.add_argument("--ca_file")
    flags.add_argument("--server_host_override", default="localhost")
    flags.add_argument("--test_case", choices=[case.__name__ for case in CASES])
    flags = flags.parse_args()
    chosen = [case for case in CASES if flags.test_case in (None, case.__name__)]
    failed = 0
    with connect(flags) as channel:
        stub = Stub(channel)
        for case in chosen:
            with concurrent.futures.ThreadPoolExecutor(1) as worker:
                reason = worker.submit(run, case, stub).result(timeout=60)
            failed += reason is not None
            print(f"PASS {case.__name__}" if reason is None else f"FAIL {case.__name__}: {reason}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


main()
