"""What each stage of the last run cost: CPU seconds and peak memory, kept in `.winback/`.

They differ from run to run, so they are no output of a stage: outputs are the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import re
import resource
from pathlib import Path

from .atomic import replace_file
from .mlflow_home import root

FOLDER = Path(".winback/resources")
FACTS = ("cpu_seconds", "peak_mib")


def used() -> dict[str, float]:
    """CPU seconds and peak resident memory in MiB of this process and of those it has waited for.

    CPU seconds add up, memory is that of the largest process.
    """
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    seconds = sum(one.ru_utime + one.ru_stime for one in (own, children))
    peak = max(_own_peak_kib() or own.ru_maxrss, children.ru_maxrss) / 1024
    return {"cpu_seconds": round(seconds, 2), "peak_mib": round(peak, 1)}


def keep(stage: str) -> None:
    """Keep what this process used as the cost of a stage."""
    leave_note(FOLDER / f"{stage}.json", json.dumps(used()))


def leave_note(file: Path, text: str) -> None:
    """Write a small file below `.winback/`, where there is a repository of DVC.

    A disk that does not take the note is no reason for a stage to fail.
    """
    if (root() / ".dvc").is_dir():
        with contextlib.suppress(OSError):
            replace_file(root() / file, f"{text}\n".encode())


def kept(stages: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Costs by stage, in the order of the stages; those that are not known are left out."""
    found = {}
    for stage in stages:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            read = json.loads((root() / FOLDER / f"{stage}.json").read_bytes())
            found[stage] = {name: float(read[name]) for name in FACTS}
    return found


def _own_peak_kib() -> int | None:
    """The peak that Linux counts for this program alone; ru_maxrss has that of its parent too."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) if found else None
    return None
