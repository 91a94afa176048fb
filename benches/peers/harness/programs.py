"""The measured programs, and their builds.

A `Peer` is one row of the tables: a library in one configuration, with the command that starts its server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent
ROOT = PEERS.parent.parent
TARGET = ROOT / "target" / "peers"
RELEASE = TARGET / "release"
DATA = ROOT / "data" / "route_guide_db.json"
LOAD = RELEASE / "load"
BARE = RELEASE / "bare_peer"
GO = TARGET / "go_peer"
MILLION = TARGET / "record_route_million"
MIMALLOC = TARGET / "mimalloc"
CERTIFICATE = TARGET / "certificate.pem"
KEY = TARGET / "key.pem"


@dataclass(frozen=True)
class Peer:
    """A server in one configuration."""

    name: str
    what: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    streams: bool = True
    tls: bool = True

    def serve(self, tls: bool = False, more: tuple[str, ...] = ()) -> list[str]:
        """Returns the command of the server, with TLS if requested."""
        dash = "-" if self.command[0] == str(GO) else "--"
        identity = [f"{dash}cert", str(CERTIFICATE), f"{dash}key", str(KEY)] if tls else []
        return [*self.command, *more, *identity]


def rust(name: str, workers: int, folder: Path = RELEASE) -> tuple[str, ...]:
    return (str(folder / name), "serve", "--workers", str(workers))


SERVE_GO = (str(GO), "serve", "-data", str(DATA))

SERVERS = [
    Peer("barewire", "barewire, multi-thread runtime with two workers, defaults", rust("barewire_peer", 2)),
    Peer("barewire-ct", "barewire, current-thread runtime, defaults", rust("barewire_peer", 0)),
    Peer("tonic", "tonic 0.14.9, multi-thread runtime with two workers", rust("tonic_peer", 2)),
    Peer("tonic-ct", "tonic 0.14.9, current-thread runtime", rust("tonic_peer", 0)),
    Peer("grpc-go", "grpc-go 1.85.0, GOMAXPROCS 2 (the default here)", SERVE_GO, {"GOMAXPROCS": "2"}),
    Peer("grpc-go-1", "grpc-go 1.85.0, GOMAXPROCS 1", SERVE_GO, {"GOMAXPROCS": "1"}),
    Peer("connectrpc", "connectrpc 0.9.1 (Rust), two workers", rust("connect_peer", 2), tls=False),
    Peer("connectrpc-ct", "connectrpc 0.9.1 (Rust), current thread", rust("connect_peer", 0), tls=False),
    Peer(
        "pajamax",
        "pajamax 0.4.0: unary only, most of HTTP/2 left out",
        (str(RELEASE / "pajamax_peer"), "serve"),
        streams=False,
        tls=False,
    ),
    Peer("bare", "the ceiling: bare h2, fixed bytes, nothing decoded, current thread", rust("bare_peer", 0)),
    Peer("barewire+mimalloc", "barewire, two workers, mimalloc", rust("barewire_peer", 2, MIMALLOC), tls=False),
    Peer("tonic+mimalloc", "tonic, two workers, mimalloc", rust("tonic_peer", 2, MIMALLOC), tls=False),
]

CLIENTS = {
    "barewire": [str(RELEASE / "barewire_peer"), "call"],
    "tonic": [str(RELEASE / "tonic_peer"), "call"],
    "grpc-go": [str(GO), "call"],
    "bare": [str(BARE), "call"],
}


def build() -> None:
    """Builds everything; takes seconds if it is up to date."""
    cargo = ["cargo", "build", "--release", "--locked", "--quiet"]
    peers = [*cargo, "--workspace", "--exclude", "lean-barewire", "--exclude", "lean-tonic"]
    run(peers, PEERS)
    # The same programs with another allocator, moved aside, because both have the same names.
    with_mimalloc = [*cargo, "--features", "mimalloc", "--bin", "barewire_peer", "--bin", "tonic_peer"]
    run([*with_mimalloc, "--target-dir", str(TARGET / "with-mimalloc")], PEERS)
    MIMALLOC.mkdir(exist_ok=True)
    for name in ("barewire_peer", "tonic_peer"):
        shutil.copy2(TARGET / "with-mimalloc" / "release" / name, MIMALLOC / name)
    go = ["go", "build", "-buildvcs=false", "-o"]
    run([*go, str(GO), "."], PEERS / "go")
    run([*go, str(MILLION), "./record_route_million"], ROOT / "tests" / "peers" / "go" / "route_guide")
    certificate()


def certificate() -> None:
    """Creates a self-signed certificate for localhost."""
    if CERTIFICATE.exists() and KEY.exists():
        return
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    # rustls refuses a CA certificate as a server certificate.
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    run([*command, "-keyout", str(KEY), "-out", str(CERTIFICATE)], PEERS)


def run(command: list[str], folder: Path) -> None:
    """Runs a program to its end; a failure ends the harness with the program's output."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"run.py: {' '.join(command)} failed:\n{done.stderr[-4000:]}")
