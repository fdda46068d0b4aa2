"""What a run says while it works: one line on standard error as each step ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """One line for the person who waits."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


@contextmanager
def step(title: str) -> Iterator[None]:
    """A step of work: its title when it begins, its seconds when it ends."""
    begun = time.perf_counter()
    sys.stderr.write(f"  {title} ... ")
    sys.stderr.flush()
    try:
        yield
    except BaseException:
        sys.stderr.write("failed\n")
        raise
    sys.stderr.write(f"{time.perf_counter() - begun:.1f} s\n")
    sys.stderr.flush()
