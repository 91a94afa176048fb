"""Uses the services for operators, and details of errors, with grpcio's own packages: reflection, health checking, status.

Prints a line for each case as it ends, PASS or FAIL. The server must be barewire's interop_server.
"""

import argparse
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

import details

SERVICE = "grpc.testing.TestService"
SERVING = health_pb2.HealthCheckResponse.SERVING


def equal(what, came, expected):
    if came != expected:
        raise AssertionError(f"{what}: expected {expected!r}, and {came!r} came")


def reflected(channel):
    """Calls a method that this program knows from reflection alone."""
    database = ProtoReflectionDescriptorDatabase(channel)
    if SERVICE not in database.get_services():
        raise AssertionError(f"{database.get_services()}")
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName(SERVICE).methods_by_name["UnaryCall"]
    request, response = (message_factory.GetMessageClass(kind) for kind in [method.input_type, method.output_type])
    call = channel.unary_unary(f"/{SERVICE}/UnaryCall", request.SerializeToString, response.FromString)
    equal("the payload", len(call(request(response_size=7)).payload.body), 7)


def reflection_errors(channel):
    """An unknown name is an error in its answer, and the stream goes on."""
    questions = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    first, second = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter(questions))
    equal("the code", first.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])
    equal("the question", first.original_request, questions[0])
    equal("the answer", second.WhichOneof("message_response"), "file_descriptor_response")


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ["", SERVICE]:
        equal(service, stub.Check(health_pb2.HealthCheckRequest(service=service)).status, SERVING)
    for service, expected in [("", SERVING), ("no.Such", health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)]:
        changes = stub.Watch(health_pb2.HealthCheckRequest(service=service))
        equal(service, next(changes).status, expected)
        changes.cancel()


def error_details(channel):
    call = channel.unary_unary(f"/{SERVICE}/UnaryCall")
    try:
        call(b"", metadata=[(details.KEY, "please")])
    except grpc.RpcError as error:
        # Fails if the code or the message differ from those of the call.
        equal("the status", rpc_status.from_call(error), details.STATUS)
        details.check_types(rpc_status.from_call(error))
    else:
        raise AssertionError("OK came")


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--server_port", type=int, required=True)
    failed = 0
    with grpc.insecure_channel(f"127.0.0.1:{flags.parse_args().server_port}") as channel:
        for case in [reflected, reflection_errors, health, error_details]:
            try:
                case(channel)
                print(f"PASS {case.__name__}", flush=True)
            except Exception as reason:
                failed = 1
                print(f"FAIL {case.__name__}: {reason!r}", flush=True)
    sys.exit(failed)


main()
