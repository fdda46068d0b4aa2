"""Progress messages: one line on standard error as each step ends."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|PWD$|SECRET|TOKEN|_KEY$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^\s:/@]*):[^\s@/]+@")


def presentable(text: str) -> str:
    """A text for a terminal or a log: no password, and nothing that steers a terminal.

    Left out are passwords in addresses, and values of environment variables whose names say that
    they are secret; drivers and servers repeat them in their messages.
    """
    text = _IN_ADDRESS.sub(r"\1:***@", text)
    for name, value in os.environ.items():
        if len(value) >= 4 and _SECRET_NAME.search(name) and "/" not in value[:1]:
            text = text.replace(value, "***")
    return "".join(
        character if character.isprintable() or character in "\n\t" else "?" for character in text
    )


def say(line: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"  {presentable(line)}\n")
    sys.stderr.flush()


@contextmanager
def step(title: str) -> Iterator[None]:
    """A step of work: its title when it begins, its seconds when it ends."""
    begun = time.perf_counter()
    sys.stderr.write(f"  {presentable(title)} ... ")
    sys.stderr.flush()
    try:
        yield
    except BaseException:
        sys.stderr.write("failed\n")
        raise
    sys.stderr.write(f"{time.perf_counter() - begun:.1f} s\n")
    sys.stderr.flush()
