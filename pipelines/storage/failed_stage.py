"""The exit code of a stage that failed, left for `winback run`: DVC ends with one of its own."""

from __future__ import annotations

from pathlib import Path

from .mlflow_home import root
from .resources import leave_note

FILE = Path(".winback/exit_code")


def leave(exit_code: int) -> None:
    """Leave the code of this stage."""
    leave_note(FILE, str(exit_code))


def forget() -> None:
    """Remove what an earlier stage left."""
    (root() / FILE).unlink(missing_ok=True)


def left() -> int | None:
    """The code that a stage left; None if there is none."""
    try:
        return int((root() / FILE).read_text())
    except (OSError, ValueError):
        return None
