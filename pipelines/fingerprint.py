"""Stage fingerprint: a hash of the raw data, so that ingest reruns when it changed, only then."""

from __future__ import annotations

from pathlib import Path

from .ingest import fingerprint as hash_raw
from .sources import Source
from .store import replace_file


def fingerprint(source: Source, *, out: Path) -> None:
    """Ask the raw files or the database what they hold now, and write its hash."""
    replace_file(out, (hash_raw(source) + "\n").encode())
