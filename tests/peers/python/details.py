"""The error of the case error_details, with a detail of every published type."""

import pathlib

from google.protobuf import text_format
from google.rpc import error_details_pb2, status_pb2

KEY = "x-error-details"
_TEXT = pathlib.Path(__file__).resolve().parents[1] / "error_details.textproto"
STATUS = text_format.Parse(_TEXT.read_text(), status_pb2.Status())


def check_types(status):
    """Reads each detail as the type that its name says. The type of the last one is unknown."""
    for detail in status.details[:-1]:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        if not detail.Unpack(kind()):
            raise AssertionError(f"{detail} is not {kind}")
