"""The test service of gRPC's interop tests with grpcio (C-core), with barewire's additions.

Says "listening on 127.0.0.1:PORT" on stdout and serves until SIGTERM.
"""

import argparse
import concurrent.futures
import signal
import threading
import time

import grpc
from grpc_status import rpc_status

import details
import messages as m

# C-core treats a later deadline as no deadline.
FAR = 10 * 365 * 24 * 3600
CODES = {code.value[0]: code for code in grpc.StatusCode}


def payload(size):
    return m.Payload(body=bytes(size))


def echo(context):
    received = context.invocation_metadata()
    headers = [(key, value) for key, value in received if key == m.INITIAL]
    if any(key == m.REPORT_DEADLINE for key, _ in received):
        left = context.time_remaining()
        headers.append((m.DEADLINE_LEFT, "none" if left is None or left > 100 * FAR else str(int(left * 1000))))
    if headers:
        context.send_initial_metadata(headers)
    context.set_trailing_metadata([(key, value) for key, value in received if key == m.TRAILING])


def fail(context, status):
    if status.code:
        context.abort(CODES[status.code], status.message)


class TestService:
    def __init__(self, compression):
        self.compression = compression

    def EmptyCall(self, request, context):
        echo(context)
        return m.Empty()

    def UnaryCall(self, request, context):
        echo(context)
        for key, value in context.invocation_metadata():
            if key == details.KEY:
                context.abort_with_status(rpc_status.to_status(details.STATUS))
            if key == m.DETAILS:
                # The message of a google.rpc.Status is its second field.
                status = m.EchoStatus.FromString(value)
                context.set_trailing_metadata([("grpc-status-details-bin", value)])
                context.abort(CODES[status.code], status.message)
        fail(context, request.response_status)
        if request.response_compressed.value:
            context.set_compression(self.compression)
        elif request.HasField("response_compressed"):
            context.disable_next_message_compression()
        return m.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        echo(context)
        yield from self.answers(request, context)

    def StreamingInputCall(self, requests, context):
        echo(context)
        return m.StreamingInputCallResponse(
            aggregated_payload_size=sum(len(request.payload.body) for request in requests)
        )

    def FullDuplexCall(self, requests, context):
        echo(context)
        for request in requests:
            yield from self.answers(request, context)

    def answers(self, request, context):
        fail(context, request.response_status)
        # The choice is sent with the headers: C-core can't change it after the first answer.
        if any(wanted.compressed.value for wanted in request.response_parameters):
            context.set_compression(self.compression)
        for wanted in request.response_parameters:
            time.sleep(wanted.interval_us / 1e6)
            if wanted.HasField("compressed") and not wanted.compressed.value:
                context.disable_next_message_compression()
            yield m.StreamingOutputCallResponse(payload=payload(wanted.size))


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--use_tls", action="store_true")
    flags.add_argument("--tls_cert_file")
    flags.add_argument("--tls_key_file")
    flags.add_argument("--compression", choices=["gzip", "deflate"], default="gzip", help="of answers")
    flags = flags.parse_args()
    service = TestService(getattr(grpc.Compression, flags.compression.capitalize()))
    # A stream holds a thread for as long as it is open.
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=128),
        # By default C-core refuses calls when a thousand wait for a thread.
        options=[
            *m.LIMITS,
            ("grpc.so_reuseport", 0),
            ("grpc.server.max_pending_requests", 10_000),
            ("grpc.server.max_pending_requests_hard_limit", 10_000),
        ],
    )
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(service, name), request.FromString, response.SerializeToString
        )
        for name, (kind, request, response) in m.METHODS.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(m.SERVICE, handlers)])
    address = f"127.0.0.1:{flags.port}"
    if flags.use_tls:
        with open(flags.tls_key_file, "rb") as key, open(flags.tls_cert_file, "rb") as certificate:
            credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    ended.wait()
    server.stop(None).wait()


main()
