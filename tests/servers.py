"""A server as docs/registry.md starts it, until the test is over."""

import os
import re
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
PAGE = Path(__file__).parents[1] / "docs" / "registry.md"


def documented_line(begins: str) -> str:
    """The one line of the page that begins like this."""
    (line,) = re.findall(rf"^{begins} .*", PAGE.read_text(), re.MULTILINE)
    return line


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def running(
    line: str, *, ping: str, folder: Path, **environment: str
) -> AbstractContextManager[None]:
    """Run a command line in a folder; the block begins when `ping` answers."""
    return _started(line, lambda: alive(ping), folder, environment)


def listening(line: str, *, port: str, folder: Path) -> AbstractContextManager[None]:
    """Run a command line in a folder; the block begins when the port of this machine is open."""

    def is_open() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", int(port))) == 0

    return _started(line, is_open, folder, {})


@contextmanager
def _started(
    line: str, ready: Callable[[], bool], folder: Path, environment: dict[str, str]
) -> Iterator[None]:
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
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def alive(ping: str) -> bool:
    try:
        with urllib.request.urlopen(ping, timeout=5) as answered:
            return answered.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
