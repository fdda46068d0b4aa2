"""Hashes of the files of data/features that each training stage reads, for DVC to watch.

A stage that depends on the whole folder would train anew with every change in it: other snapshots
of the churn model would train the win-back models. So `<stage>.json` lists the SHA-256 of the files
that the stage reads; a file that is not there has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import file_hash

READ_BY = {
    "train_churn": ("dictionary.json", "churn.parquet"),
    "train_winback": (
        "dictionary.json",
        "winback.parquet",
        "leavers.parquet",
        "retention.parquet",
    ),
}
INPUT_FILES = tuple(f"{stage}.json" for stage in READ_BY)


def write_inputs(folder: Path, written: Mapping[str, Any] | None = None) -> None:
    """Write `<stage>.json` of each stage into a folder of features that is complete.

    Parameters
    ----------
    written
        What the manifest says of files that lie elsewhere (`atomic.NewFolder`).
    """
    elsewhere = {name: facts["sha256"] for name, facts in (written or {}).items()}
    for stage, names in READ_BY.items():
        here = {name: file_hash(folder / name) for name in names if (folder / name).exists()}
        there = {name: elsewhere[name] for name in names if name in elsewhere}
        text = json.dumps(here | there, indent=1, sort_keys=True) + "\n"
        (folder / f"{stage}.json").write_text(text)
