"""Servers of our own on this machine, for benchmarks and tests, which end with a block."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

STARTS_WITHIN = 180  # seconds, on a busy machine


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def running(
    line: str, *, ping: str, folder: Path, **environment: str
) -> AbstractContextManager[int]:
    """The process of a command line run in a folder; the block begins when `ping` answers."""
    return _started(line, lambda: alive(ping), folder, environment)


def listening(line: str, *, port: str, folder: Path) -> AbstractContextManager[int]:
    """The same, begun when a port of this machine is open."""

    def is_open() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", int(port))) == 0

    return _started(line, is_open, folder, {})


@contextmanager
def _started(
    line: str, ready: Callable[[], bool], folder: Path, environment: dict[str, str]
) -> Iterator[int]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            line.split(),
            cwd=folder,
            env=os.environ | {"PATH": path} | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    until = time.monotonic() + STARTS_WITHIN
    try:
        while not ready():
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text())
            time.sleep(0.2)
        yield server.pid
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def alive(ping: str) -> bool:
    """Whether an address answers."""
    try:
        with urllib.request.urlopen(ping, timeout=5) as answered:
            return answered.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
