"""What killed jobs leave beside their results, and its removal where nobody is at work any more."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from ..job.exit_codes import LockHeld
from ..job.lock import only_one
from .atomic import clean_leftovers, runs

ROOTS = (Path("data"), Path("artifacts"), Path("reports"))  # where the stages write
NEW = re.compile(r"\.(?P<name>.+)\.(new|old)-(?P<process>\d+)")
WORK = re.compile(r"\.(?P<name>.+)\.work-[0-9a-f]+")
RESUMED_WITHIN = 86_400  # seconds for which a killed scoring job may go on where it stopped


def work_folders(out: Path) -> list[Path]:
    """The folders in which jobs that score to `out` keep their parts, whatever its name is."""
    name = re.compile(rf"\.{re.escape(out.name)}\.work-[0-9a-f]+")
    if not out.parent.is_dir():
        return []
    return sorted(path for path in out.parent.iterdir() if name.fullmatch(path.name))


def sweep(roots: Collection[Path]) -> list[Path]:
    """Remove what dead processes left anywhere below some folders; what was removed.

    A process counts as alive while any process has its number, so a leftover may stay until that
    number is free, and nothing is taken from a writer. A scoring job is alive while its lock is
    held, and may go on from its parts for a day.
    """
    removed = []
    for root in roots:
        for place, folders, files in os.walk(root):
            for name in [*folders, *files]:
                path = Path(place) / name
                if (match := NEW.fullmatch(name)) and not runs(int(match["process"])):
                    clean_leftovers(path.with_name(match["name"]))
                elif match := WORK.fullmatch(name):
                    _remove_parts(path, path.with_name(match["name"]))
                if match and not path.exists():
                    removed.append(path)
            folders[:] = [
                name for name in folders if not (NEW.fullmatch(name) or WORK.fullmatch(name))
            ]
    return removed


def _remove_parts(work: Path, out: Path) -> None:
    try:
        with only_one(out):
            written = max(path.stat().st_mtime for path in [work, *work.iterdir()])
            if time.time() - written > RESUMED_WITHIN:
                shutil.rmtree(work)
    except (LockHeld, FileNotFoundError):  # a job is at work there, or removed it itself
        return
