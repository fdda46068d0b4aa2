"""Scoring jobs in processes of their own, for benchmarks that disturb them."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from winback.pipelines.job.exit_codes import LockHeld
from winback.pipelines.score import Job, score


def start(job: Job, *, largest_file: int = 0) -> int:
    """Begin a job in a process of its own; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with Path(os.devnull).open("w") as silent:
            os.dup2(silent.fileno(), 2)
        if largest_file:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        score(job)
        code = 0
    except LockHeld as refusal:
        code = refusal.exit_code
    finally:
        os._exit(code)
