"""The messages and methods of the test service, read from proto/ on import, without generated files."""

import pathlib
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"


def _pool():
    with tempfile.NamedTemporaryFile() as out:
        files = ["grpc/testing/test.proto"]
        if protoc.main(["protoc", f"-I{PROTO}", "--include_imports", f"--descriptor_set_out={out.name}", *files]):
            raise SystemExit(f"{PROTO}/grpc/testing/test.proto can't be compiled")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    return pool


_POOL = _pool()


def _message(name):
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"grpc.testing.{name}"))


Empty = _message("Empty")
Payload = _message("Payload")
EchoStatus = _message("EchoStatus")
BoolValue = _message("BoolValue")
ResponseParameters = _message("ResponseParameters")
SimpleRequest = _message("SimpleRequest")
SimpleResponse = _message("SimpleResponse")
StreamingInputCallRequest = _message("StreamingInputCallRequest")
StreamingInputCallResponse = _message("StreamingInputCallResponse")
StreamingOutputCallRequest = _message("StreamingOutputCallRequest")
StreamingOutputCallResponse = _message("StreamingOutputCallResponse")

SERVICE = "grpc.testing.TestService"
# For each method: its kind, as grpcio names it, and its messages.
METHODS = {
    "EmptyCall": ("unary_unary", Empty, Empty),
    "UnaryCall": ("unary_unary", SimpleRequest, SimpleResponse),
    "StreamingOutputCall": ("unary_stream", StreamingOutputCallRequest, StreamingOutputCallResponse),
    "StreamingInputCall": ("stream_unary", StreamingInputCallRequest, StreamingInputCallResponse),
    "FullDuplexCall": ("stream_stream", StreamingOutputCallRequest, StreamingOutputCallResponse),
}

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
REPORT_DEADLINE = "x-report-deadline"
DEADLINE_LEFT = "x-deadline-ms"
DETAILS = "x-echo-details-bin"
# Larger than a message of 64 MiB, and than metadata of 8 KiB.
LIMITS = [
    ("grpc.max_receive_message_length", 80 << 20),
    ("grpc.max_metadata_size", 64 << 10),
    ("grpc.absolute_max_metadata_size", 64 << 10),
]
