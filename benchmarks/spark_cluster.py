"""A standalone Spark cluster on this machine: a master and workers, for benchmarks and tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_servers import STARTS_WITHIN, free_port

PAGE, SCRIPT = Path(__file__).parents[1] / "docs/spark.md", "winback_job.py"
LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}


@dataclass(frozen=True)
class Cluster:
    """Where the master listens, and the process of each worker."""

    master: str
    workers: tuple[int, ...]


@contextmanager
def running_cluster(
    folder: Path, *, workers: int = 2, cores: int = 1, memory: str = "1g"
) -> Iterator[Cluster]:
    """A master and workers with as many cores and as much memory of Java each, for the block."""
    port, page = free_port(), free_port()
    with ExitStack() as stack:

        def start(name: str, given: list[str]) -> int:
            return stack.enter_context(_started(folder / f"{name}.log", given))

        master = ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1"]
        start("master", [*master, "--port", port, "--webui-port", page])
        address = f"spark://127.0.0.1:{port}"
        _wait(page, 0)
        given = ["org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1"]
        given += ["--cores", str(cores), "--memory", memory, "--webui-port", "0"]
        numbers = tuple(
            start(f"worker-{number}", [*given, "--work-dir", str(folder / f"{number}"), address])
            for number in range(workers)
        )
        _wait(page, workers)
        yield Cluster(address, numbers)


def documented(master: str, python: Path, given: list[str], *, folder: Path) -> list[str]:
    """The line of docs/spark.md with another master, Python and arguments of winback.

    The script that it submits is written to a folder as the page shows it.
    """
    page = PAGE.read_text()
    (script,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    (line,) = re.findall(r"^spark-submit (.*?)```", page, re.DOTALL | re.MULTILINE)
    (folder / SCRIPT).write_text(script)
    words = shlex.split(line.replace("\\\n", " "))
    before = words[: words.index(SCRIPT)]
    changed = {
        "spark://MASTER:7077": master,
        "spark.pyspark.python=/srv/winback/bin/python": f"spark.pyspark.python={python}",
    }
    assert {*changed} <= {*before}, f"{PAGE} names another master or Python"
    own = [changed.get(word, word) for word in before]
    return ["spark-submit", *own, str(folder / SCRIPT), *given]


def submitted(line: list[str], *, cwd: Path, log: Path, python: Path) -> subprocess.Popen[bytes]:
    """A process in a group of its own, with the programs beside a Python first on its path.

    What it says goes to `log`.
    """
    path = os.pathsep.join([str(python.parent), str(Path(sys.executable).parent)])
    own: Mapping[str, str] = {**os.environ, **LOOPBACK, "PATH": f"{path}:{os.environ['PATH']}"}
    with log.open("ab") as said:
        return subprocess.Popen(
            line, cwd=cwd, env=own, stdout=said, stderr=said, start_new_session=True
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children at once, as a machine that fails does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _started(log: Path, given: list[str]) -> Iterator[int]:
    spark_class = Path(sys.executable).with_name("spark-class")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            [str(spark_class), *given],
            env={**os.environ, **LOOPBACK, "SPARK_DAEMON_MEMORY": "256m"},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(page: str, workers: int) -> None:
    """Until the master answers and says that so many workers are there."""
    until = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answered:
                if json.load(answered)["aliveworkers"] >= workers:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
        if time.monotonic() > until:
            raise TimeoutError("the Spark cluster did not start; see its logs")
        time.sleep(0.2)
