#!/usr/bin/env python3
"""Writes seeds frame by frame, each with an unusual request or answer, for lines of code that no recorded conversation
reaches (`coverage.sh` lists them).

    python3 fuzz/write_seeds.py                writes fuzz/corpus/
"""

import gzip
import pathlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
UNARY, SERVER_STREAMING, CLIENT_STREAMING, BIDI, COMPRESSED = 0, 1, 2, 3, 16


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(*fields, stream=1, end=False):
    """Encodes headers as literals without indexing and Huffman code (RFC 7541 section 6.2.2)."""
    block = b""
    for name, value in fields:
        value = value if isinstance(value, bytes) else value.encode()
        assert len(name) < 127 and len(value) < 127
        block += bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)


def data(payload, stream=1, end=False):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def message(payload, flag=0):
    return bytes([flag]) + len(payload).to_bytes(4, "big") + payload


def head(*more, **how):
    return headers((":status", "200"), ("content-type", "application/grpc"), *more, **how)


def trailers(status="0", *more):
    return headers(("grpc-status", status), *more, end=True)


def request(path, *more, **how):
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", path), ("te", "trailers")]
    return headers(*fields, ("content-type", "application/grpc"), *more, **how)


def reset(code):
    return frame(RST_STREAM, 0, 1, code.to_bytes(4, "big"))


def details(base64):
    return head() + trailers("5", ("grpc-message", "m"), ("grpc-status-details-bin", base64))


def answers():
    for status in ["302", "400", "401", "403", "404", "431", "503"]:
        yield f"http_{status}", UNARY, headers((":status", status), end=True)
    for name, code in [("refused_stream", 7), ("enhance_your_calm", 11), ("inadequate_security", 12), ("an_unknown_code", 0xDEAD)]:
        yield f"reset_with_{name}", UNARY, reset(code)
    yield "reset_behind_the_head", SERVER_STREAMING, head() + reset(8)
    html = headers((":status", "200"), ("content-type", "text/html"))
    yield "html_that_goes_on", UNARY, html + data(b"x" * 300)
    yield "html_with_grpc_status_000", UNARY, html + data(b"<html>") + trailers("000")
    yield "nothing_but_http_200", UNARY, headers((":status", "200"), end=True)
    yield "head_that_ends_without_status", UNARY, head(end=True)
    yield "metadata_that_is_not_base64", UNARY, head(("k-bin", "?"))
    yield "trailing_metadata_that_is_not_base64", UNARY, head() + data(message(b"")) + trailers("0", ("k-bin", "?"))
    yield "an_encoding_nobody_has", UNARY, head(("grpc-encoding", "lzma"))
    yield "an_encoding_with_a_long_name", UNARY, head(("grpc-encoding", "x" * 120))
    yield "trailers_only_without_end_stream", UNARY, head(("grpc-status", "5")) + frame(GOAWAY, 0, 0, bytes(8))
    yield "a_message_broken_off", UNARY, head() + data(message(b"hello")[:7]) + trailers()
    yield "no_message", UNARY, head() + trailers()
    yield "a_message_that_is_none", UNARY, head() + data(message(b"\x0a\x05x")) + trailers()
    yield "compressed_without_an_encoding", UNARY, head() + data(message(b"x", 1)) + trailers()
    packed = gzip.compress(b"", mtime=0)
    yield "a_compressed_message", UNARY, head(("grpc-encoding", "gzip")) + data(message(packed, 1)) + trailers()
    yield "compressed_and_nothing_in_it", UNARY, head(("grpc-encoding", "gzip")) + data(message(b"", 1)) + trailers()
    yield "compressed_and_none", UNARY, head(("grpc-encoding", "gzip")) + data(message(b"no gzip", 1)) + trailers()
    bomb = gzip.compress(bytes(100_000), mtime=0)
    yield "a_bomb", UNARY, head(("grpc-encoding", "gzip")) + data(message(bomb, 1)) + trailers()
    yield "requests_that_are_compressed", BIDI | COMPRESSED, head() + data(message(b"")) + trailers()
    yield "content_length_that_lies", UNARY, head(("content-length", "3")) + data(message(b"hello")) + trailers()
    yield "window_overflow", BIDI, frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff") * 2
    # A google.rpc.Status with fields of every wire type, an empty one, and an invalid one.
    yield "details_of_every_wire_type", UNARY, details("CAUZAAAAAAAAAAAdAAAAAFAB")
    yield "details_without_a_code", UNARY, details("UAE")
    yield "details_with_a_field_0", UNARY, details("AAE")
    yield "details_with_a_group", UNARY, details("CwwI")
    yield "details_broken_off", UNARY, details("GQAA")
    yield "details_with_a_number_of_eleven_bytes", UNARY, details("CP///////////////wE")
    yield "details_twice", UNARY, head() + trailers("5", ("grpc-status-details-bin", "CAU"), ("grpc-status-details-bin", "CAU"))


def requests():
    packed = gzip.compress(b"", mtime=0)
    get = "/routeguide.RouteGuide/GetFeature"
    gzipped = ("grpc-encoding", "gzip")
    yield "a_compressed_request", request(get, gzipped) + data(message(packed, 1), end=True)
    yield "a_compressed_request_that_is_none", request(get, gzipped) + data(message(b"no gzip", 1), end=True)
    bomb = gzip.compress(bytes(100_000), mtime=0)
    yield "a_compressed_bomb", request(get, gzipped) + data(message(bomb, 1), end=True)
    yield "an_answer_to_be_compressed", request(get, ("grpc-accept-encoding", "gzip")) + data(message(b""), end=True)
    chat = "/routeguide.RouteGuide/RouteChat"
    listed = request(chat, ("grpc-accept-encoding", "gzip")) + data(message(b"") * 3, end=True)
    yield "answers_to_be_compressed", listed
    yield "compressed_without_an_encoding", request(get) + data(message(b"x", 1), end=True)
    yield "an_encoding_nobody_has", request(get, ("grpc-encoding", "lzma")) + data(message(b""), end=True)
    yield "a_request_broken_off", request(get) + data(message(b"hello")[:7], end=True)
    yield "no_message", request(get, end=True)
    yield "a_message_that_is_none", request(get) + data(message(b"\x0a\x05x"), end=True)
    yield "a_path_that_is_none", request("/Echo") + data(message(b""), end=True)
    deaf = request("/properties.Guide/Deaf") + data(message(b"hi"))
    yield "sent_on_to_a_handler_that_reads_no_more", deaf + data(message(bytes(500))) + data(message(bytes(500)), end=True)
    yield "content_length_that_lies", request(get, ("content-length", "3")) + data(message(b"hello"), end=True)
    yield "window_overflow_of_a_stream", request(chat) + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff")
    yield "priorities", frame(2, 0, 1, bytes([0, 0, 0, 3, 9])) * 20


def write(target, name, seed):
    assert len(seed) <= 4096, name
    (CORPUS / target / name).write_bytes(seed)
    print(f"{len(seed):5} {target}/{name}")


if __name__ == "__main__":
    for name, choice, seed in answers():
        write("client_response", name, bytes([choice]) + seed)
    greeting = frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)
    for name, seed in requests():
        write("server_connection", name, greeting + seed)
