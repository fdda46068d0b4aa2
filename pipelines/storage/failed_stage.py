"""The exit code of a stage that failed, left for `winback run`: DVC ends with one of its own."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .atomic import replace_file
from .mlflow_home import root

FILE = Path(".winback/exit_code")


def leave(exit_code: int) -> None:
    """Leave the code of this stage, where there is a repository of DVC.

    A disk that does not take it is no reason for another error.
    """
    if (root() / ".dvc").is_dir():
        with contextlib.suppress(OSError):
            replace_file(root() / FILE, f"{exit_code}\n".encode())


def forget() -> None:
    """Remove what an earlier stage left."""
    (root() / FILE).unlink(missing_ok=True)


def left() -> int | None:
    """The code that a stage left; None if there is none."""
    try:
        return int((root() / FILE).read_text())
    except (OSError, ValueError):
        return None
