"""Measured processes: pinned to a core, with their CPU time in nanoseconds and their memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .programs import CERTIFICATE, LOAD, Peer

SERVER_CORE = "0"
LOAD_CORE = "1"
BOTH = "0,1"
PATIENCE = 120  # seconds for one run: far above what one takes, so that a hang ends


class Failed(Exception):
    """A failed run; the row shows the reason instead of a number."""


class Server:
    """A running server, by default on one core."""

    def __init__(self, peer: Peer, tls: bool = False, cores: str = SERVER_CORE, more: tuple[str, ...] = ()):
        self.peer, self.tls = peer, tls
        command = ["taskset", "-c", cores, *peer.serve(tls, more)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | peer.environment
        )
        try:
            self.port = self.announced()
            self.wait_until_it_listens()
        except Failed:
            self.stop()
            raise

    def announced(self) -> int:
        line = self.process.stdout.readline().strip()
        if not line.isdigit():
            raise Failed(f"{self.peer.name} did not start")
        return int(line)

    def wait_until_it_listens(self) -> None:
        """Waits until the port accepts connections: a server may print its port before it binds it."""
        table = f"{self.port:04X}"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
            if any(row.split()[1].endswith(":" + table) and row.split()[3] == "0A" for row in rows):
                return
            time.sleep(0.01)
        raise Failed(f"{self.peer.name} does not listen")

    def cpu(self) -> int:
        """Returns the CPU time of all threads so far, in nanoseconds, as the scheduler counts it."""
        return cpu_of(self.process.pid)

    def memory(self) -> int:
        """Returns the private resident memory, in KiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise Failed(f"{self.peer.name} has no memory to read")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def cpu_of(pid: int) -> int:
    """Returns the CPU clock of another process (see clock_getcpuclockid(3)): nanoseconds of all its threads, also ended ones."""
    return time.clock_gettime_ns((~pid << 3) | 2)


@dataclass
class Run:
    """The result of a load: its output, the wall-clock time, and the server's CPU time in nanoseconds."""

    result: dict
    text: str
    seconds: float
    server_ns: int


def load(server: Server, *mode: str, core: str = LOAD_CORE) -> Run:
    """Runs the neutral load in one of its modes."""
    authority = ["--authority", str(CERTIFICATE)] if server.tls else []
    return timed(server, [str(LOAD), "--port", str(server.port), *authority, *mode], core)


def timed(server: Server, command: list[str], core: str = LOAD_CORE) -> Run:
    """Runs a load on a separate core; its last line on stdout may be JSON."""
    before, begun = server.cpu(), time.monotonic()
    process = subprocess.Popen(
        ["taskset", "-c", core, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("no end") from None
    seconds = time.monotonic() - begun
    if server.process.poll() is not None:
        raise Failed("the server has ended")
    server_ns = server.cpu() - before
    if process.returncode:
        raise Failed(err.strip().splitlines()[-1] if err.strip() else f"exit {process.returncode}")
    lines = out.strip().splitlines()
    result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Run(result, out, seconds, server_ns)


def own_cpu(command: list[str], core: str = LOAD_CORE) -> int:
    """Runs a client on a core and returns its CPU time in nanoseconds, including its start."""
    process = subprocess.Popen(
        ["taskset", "-c", core, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    err = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise Failed(err.strip().splitlines()[-1] if err.strip() else f"exit {process.returncode}")
    return int((usage.ru_utime + usage.ru_stime) * 1e9)
