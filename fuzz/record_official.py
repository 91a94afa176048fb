#!/usr/bin/env python3
"""Records seeds from runs of the official suites: the bytes of grpc-go's interop programs and of h2spec.

    python3 fuzz/record_official.py            builds the programs it needs, runs them, writes fuzz/corpus/

A proxy between client and server records both directions. Each case of grpc-go's client with grpc-go's server gives three
seeds: the client's bytes after the preface (`server_connection/CASE_of_grpc_go`), the server's bytes after the byte that
selects the call (`client_response/CASE_of_grpc_go`), and the messages of a stream (`message_decoder/CASE_…_of_grpc_go`). Each
test of h2spec with our route guide gives the bytes of h2spec (`server_connection/h2spec_SECTION_NUMBER`). A seed is cut after
the last complete frame or message within 4 KiB. A seed that exists under another name is skipped.
"""

import pathlib
import re
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/peers"))
import interop  # noqa: E402

CORPUS = ROOT / "fuzz/corpus"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST = 4096
# The first byte of a client_response seed: the kind of call, and the bit for a seed with the server's SETTINGS.
UNARY, SERVER_STREAMING, CLIENT_STREAMING, BIDI, BARE = 0, 1, 2, 3, 8
KINDS = {
    "client_streaming": CLIENT_STREAMING, "server_streaming": SERVER_STREAMING, "ping_pong": BIDI, "empty_stream": BIDI,
    "timeout_on_sleeping_server": BIDI, "cancel_after_begin": CLIENT_STREAMING, "cancel_after_first_response": BIDI,
}  # fmt: skip


class Proxy:
    """Forwards and records the connections to a port: the bytes of both directions of each, in order."""

    def __init__(self, port):
        self.port, self.connections = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            said = (bytearray(), bytearray())
            self.connections.append(said)
            for source, target, kept in [(client, server, said[0]), (server, client, said[1])]:
                threading.Thread(target=self.pass_on, args=(source, target, kept), daemon=True).start()

    def pass_on(self, source, target, kept):
        try:
            while piece := source.recv(65536):
                kept += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # One side has disconnected, so the other is disconnected too.
            for end in (source, target):
                end.close()

    def take(self):
        taken, self.connections = self.connections, []
        return [(bytes(client), bytes(server)) for client, server in taken]

    def close(self):
        self.listener.close()


def frames(said):
    """Yields each complete frame: its type, its stream, its payload, and its end."""
    at = 0
    while len(said) >= at + 9:
        end = at + 9 + int.from_bytes(said[at : at + 3], "big")
        if len(said) < end:
            return
        yield said[at + 3], int.from_bytes(said[at + 5 : at + 9], "big") & 0x7FFF_FFFF, said[at + 9 : end], end
        at = end


def whole_frames(said, most=MOST):
    """Returns the complete frames within the size; if the first is incomplete, that many bytes."""
    ends = [end for *_, end in frames(said) if end <= most]
    return said[: ends[-1]] if ends else said[:most]


def messages(said):
    """Returns the complete messages of each stream within the size. The recorded frames have no padding."""
    streams = {}
    for kind, stream, payload, _ in frames(said):
        if kind == 0:
            streams.setdefault(stream, bytearray()).extend(payload)
    for stream, payload in streams.items():
        end = 0
        while len(payload) >= end + 5:
            after = end + 5 + int.from_bytes(payload[end + 1 : end + 5], "big")
            if after > min(MOST, len(payload)):
                break
            end = after
        if end:
            yield stream, bytes(payload[:end])


def write(target, name, seed):
    """Writes a seed, unless another seed has the same bytes."""
    folder = CORPUS / target
    for other in folder.iterdir():
        if other.name != name and other.read_bytes() == seed:
            return
    (folder / name).write_bytes(seed)
    print(f"{len(seed):5} {target}/{name}")


def record_grpc_go():
    interop.build_interop_go()
    for case in interop.BASIC:
        with interop.server(interop.interop_server(interop.PEERS / "interop_server", False)) as port:
            proxy = Proxy(port)
            status, printed = interop.run(interop.interop_client(interop.PEERS / "interop_client", proxy.address, case, False))
            proxy.close()
            if status != 0:
                interop.fail(f"{case} did not pass:\n{printed}")
            # The connection that carried the call; the others are empty.
            client, server = max(proxy.take(), key=lambda said: len(said[0]))
        after_preface = client.removeprefix(PREFACE)
        write("server_connection", f"{case}_of_grpc_go", whole_frames(after_preface))
        kind = KINDS.get(case, UNARY) | BARE
        write("client_response", f"{case}_of_grpc_go", bytes([kind]) + whole_frames(server, MOST - 1))
        for words, said in [("requests", after_preface), ("answers", server)]:
            for stream, taken in messages(said):
                write("message_decoder", f"{case}_{words}_{stream}_of_grpc_go", taken)


def record_h2spec():
    interop.go("h2spec", "h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
    interop.build("the route guide", ["cargo", "build", "--locked", "--bin", "route_guide_server"])
    ours = [str(ROOT / "target/debug/route_guide_server"), "-port", "0"]
    with interop.server(ours) as port:
        proxy = Proxy(port)
        suite = [str(interop.PEERS / "h2spec"), "-h", "127.0.0.1", "-p", str(proxy.address), "-o", "1"]
        suite += ["-P", "/routeguide.RouteGuide/GetFeature"]
        _, listed = interop.run([*suite, "--dryrun"])
        for section, number in tests(listed):
            subprocess.run([*suite, f"{section}/{number}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            said = [client for client, _ in proxy.take() if client.startswith(PREFACE) and len(client) > len(PREFACE)]
            if said:
                name = f"h2spec_{section.replace('/', '_')}_{number}"
                write("server_connection", name, whole_frames(max(said, key=len).removeprefix(PREFACE)))
        proxy.close()


def tests(listed):
    """Returns the tests of h2spec by section and number, from its own list."""
    suite = section = None
    for line in listed.splitlines():
        if named := re.match(r"(Generic|Hypertext Transfer|HPACK)", line):
            suite = {"Generic": "generic", "Hypertext Transfer": "http2", "HPACK": "hpack"}[named[1]]
        elif found := re.match(r"\s+([\d.]+?)\.? [A-Z]", line):
            section = f"{suite}/{found[1]}"
        elif found := re.match(r"\s+.*?(\d+): ", line):
            yield section, int(found[1])


if __name__ == "__main__":
    interop.PEERS.mkdir(parents=True, exist_ok=True)
    record_grpc_go()
    record_h2spec()
