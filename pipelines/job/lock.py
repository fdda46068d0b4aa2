"""A lock for one writer at a time, released by the system when its holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .exit_codes import LockHeld


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of a path for the length of a block.

    The lock is held on an empty hidden file beside what the path leads to, by whatever links; the
    file stays when it is released.

    Raises
    ------
    LockHeld
        If another job holds it; nothing waits.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"{path}: another job is writing there; let it finish") from error
        yield
