"""Who is at work in a project: runs of DVC and stages, also those whose parent was killed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from .exit_codes import LockHeld

STAGES = (
    "fingerprint", "ingest", "featurize", "train_churn", "train_winback", "recommend", "evaluate",
    "report",
)  # fmt: skip
_WRITERS = {"dvc": {"repro", "exp"}, "winback": {*STAGES}}


def refuse_while_at_work(command: str, root: Path) -> None:
    """Raise if a run of the pipeline, or what is left of one, writes to the project.

    Parameters
    ----------
    command
        Who asks, for the message.
    root
        Folder of the project, with `.dvc`.

    Raises
    ------
    LockHeld
        Names the process and says what to do.
    ValueError
        If DVC's note of its locks cannot be read.
    """
    if process := next(_runs_in(root), None):
        raise LockHeld(
            f"{command}: a run of the pipeline is at work here, {_shown(process)}; let it finish, "
            f"or end it (kill {process.pid}) if whoever started it is gone"
        )
    note = root / ".dvc/tmp/rwlock"
    for number in _holders(note):
        if number != os.getpid() and _is_alive(number):
            raise LockHeld(
                f"{command}: a run of the pipeline is at work here by DVC's lock, "
                f"{_shown(psutil.Process(number))}; let it finish, or end it (kill {number}); if "
                f"that is another program, with the number of a run that was killed, remove {note}"
            )


def _is_alive(number: int) -> bool:
    """Whether a process is there that may still write; one that only waits to be buried may not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _runs_in(root: Path) -> Iterator[psutil.Process]:
    """Processes of this user, but this one and its parents, that work on the project."""
    mine = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            is_writer = process.pid not in mine and _writes(process.cmdline())
            if is_writer and Path(process.cwd()).resolve() == root.resolve():
                yield process
        except (psutil.Error, OSError):  # it has ended, or is another user's
            continue


def _writes(words: Sequence[str]) -> bool:
    """Whether a command that writes stands behind its program, with options between or not."""
    return any(
        _WRITERS.get(Path(word).name, set()) & {*words[position:]}
        for position, word in enumerate(words, start=1)
    )


def _shown(process: psutil.Process) -> str:
    try:
        words = shlex.join(process.cmdline())[:100]
    except (psutil.Error, OSError):
        words = "of another user"
    return f"process {process.pid} ({words})"


def _holders(note: Path) -> list[int]:
    if not note.is_file():
        return []
    try:
        return list(_numbers(json.loads(note.read_text() or "{}")))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{note}: cannot be read ({error}); if no run is at work here, remove it"
        ) from error


def _numbers(held: Any) -> Iterator[int]:
    if isinstance(held, dict):
        if "pid" in held:
            yield int(held["pid"])
        held = list(held.values())
    if isinstance(held, list):
        for inner in held:
            yield from _numbers(inner)
